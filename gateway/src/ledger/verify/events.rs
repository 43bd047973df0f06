//! Events that explain why something is not there: erasures and retention. It judges no record.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use uuid::Uuid;

use crate::ledger::leaf::{Kind, Leaf};

/// All such events of a bundle.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// By exchange: the parts that were erased; an empty set stands for all.
    erased: HashMap<Uuid, HashSet<String>>,
    dropped: Vec<Dropped>,
}

/// The row of an erasure.
#[derive(Debug, Deserialize)]
struct Erased {
    exchange: Uuid,
    #[serde(default)]
    parts: HashSet<String>,
}

/// The row of a retention drop: times in microseconds since 1970, the second not included.
#[derive(Debug, Deserialize)]
struct Dropped {
    table: String,
    from: i64,
    until: i64,
    /// Exchanges that were moved elsewhere before, because something holds them.
    #[serde(default)]
    kept: HashSet<Uuid>,
    /// Where there are any: the only exchanges of that time that were dropped, because they had been kept before.
    #[serde(default)]
    only: HashSet<Uuid>,
}

impl Events {
    /// Takes the row of a leaf, where it is of that sort and its hash is right.
    pub(super) fn take(&mut self, kind: Kind, text: &str) {
        match kind {
            Kind::Erase => {
                if let Ok(row) = serde_json::from_str::<Erased>(text) {
                    let all = row.parts.is_empty();
                    let parts = self.erased.entry(row.exchange).or_insert_with(|| row.parts.clone());
                    match all || parts.is_empty() {
                        true => parts.clear(),
                        false => parts.extend(row.parts),
                    }
                }
            }
            Kind::RetentionDrop => self.dropped.extend(serde_json::from_str::<Dropped>(text)),
            _ => {}
        }
    }

    /// Whether a payload was erased.
    pub(super) fn erased(&self, exchange: Uuid, part: &str) -> bool {
        self.erased.get(&exchange).is_some_and(|parts| parts.is_empty() || parts.contains(part))
    }

    /// Whether the time of a leaf's payloads was up.
    pub(super) fn payload_expired(&self, leaf: &Leaf) -> bool {
        self.expired("payload", leaf.record)
    }

    /// Whether the time of a leaf's row was up.
    pub(super) fn row_expired(&self, leaf: &Leaf) -> bool {
        matches!(leaf.kind, Kind::Begin | Kind::End) && self.expired("record", leaf.record)
    }

    fn expired(&self, table: &str, exchange: Uuid) -> bool {
        let Some(at) = micros(exchange) else { return false };
        let covers = |drop: &Dropped| drop.table == table && (drop.from..drop.until).contains(&at);
        let meant = |drop: &Dropped| match drop.only.is_empty() {
            true => !drop.kept.contains(&exchange),
            false => drop.only.contains(&exchange),
        };
        self.dropped.iter().any(|drop| covers(drop) && meant(drop))
    }
}

/// The time inside an exchange's id.
fn micros(exchange: Uuid) -> Option<i64> {
    let (seconds, nanos) = exchange.get_timestamp()?.to_unix();
    i64::try_from(seconds).ok()?.checked_mul(1_000_000)?.checked_add(i64::from(nanos / 1000))
}
