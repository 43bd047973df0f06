//! What health and metrics see of the parts. It looks and changes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

use super::reload::Reloads;
use super::sealing::Ledger;
use crate::admin::{Health, State};
use crate::admit::{Closing, Door, Phase};
use crate::config::Recording;
use crate::identify::Keys;
use crate::listen;
use crate::observe::metrics::{Kind, Metrics};
use crate::observe::names::series;
use crate::record::{Counts, Tally};
use crate::snapshot::Snapshot;

/// Why the database cannot be used, while it cannot.
#[derive(Debug, Default)]
pub(super) struct Database(ArcSwap<Option<String>>);

impl Database {
    /// Notes why it cannot be used, or that it can; whether that is news.
    pub(super) fn set(&self, why: Option<String>) -> bool {
        let before = self.0.swap(Arc::new(why.clone()));
        *before != why
    }

    fn why(&self) -> Option<String> {
        Option::clone(&self.0.load())
    }
}

/// The parts that health looks at.
pub(super) struct Seen {
    pub(super) keys: Arc<Keys>,
    pub(super) counts: Arc<Counts>,
    pub(super) database: Arc<Database>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) closing: Closing,
}

/// Health of all parts.
pub(super) fn health(metrics: &Arc<Metrics>, snapshot: Arc<ArcSwap<Snapshot>>, seen: Seen) -> Health {
    let Seen { keys, counts, database, ledger, closing } = seen;
    let total = snapshot.load().config.spool.total_bytes;
    let callers = snapshot.clone();
    let spooled = counts.clone();
    Health::new(metrics.clone())
        .with("traffic", move || match *closing.borrow() {
            Phase::Serving => State::Ready,
            Phase::Draining | Phase::Ending => State::Unready("shutting down".to_owned()),
        })
        .with("keys", move || {
            let callers = &callers.load().config.callers;
            keys_state(keys.loaded(), callers.anonymous || !callers.keys.is_empty())
        })
        .with("spool", move || {
            let tally = spooled.tally();
            let models = &snapshot.load().config.models;
            let required = models.is_empty() || models.iter().any(|model| model.recording == Recording::Required);
            Spool { broken: tally.broken, bytes: tally.bytes, total, required }.state()
        })
        .with("store", move || {
            let tally = counts.tally();
            store_state(database.why(), tally.store_down.then_some(tally.spooled))
        })
        .with("ledger", move || ledger.broken().map_or(State::Ready, State::Degraded))
}

/// Keys of the database are needed unless somebody can be served without.
fn keys_state(loaded: bool, others: bool) -> State {
    let why = || "the database's keys have not been read yet".to_owned();
    match (loaded, others) {
        (true, _) => State::Ready,
        (false, true) => State::Degraded(why()),
        (false, false) => State::Unready(why()),
    }
}

/// What of the spool says whether records find room.
struct Spool {
    broken: bool,
    bytes: u64,
    total: u64,
    /// Whether any route needs its records.
    required: bool,
}

impl Spool {
    /// Without room, exchanges that must be recorded are refused, and others lose their records.
    fn state(&self) -> State {
        let why = if self.broken {
            "the disk takes nothing".to_owned()
        } else if self.bytes >= self.total {
            format!("{} of {} bytes are taken", self.bytes, self.total)
        } else {
            return State::Ready;
        };
        if self.required { State::Unready(why) } else { State::Degraded(why) }
    }
}

/// The store may be away: records wait in the spool, so many of them.
fn store_state(unusable: Option<String>, waiting: Option<u64>) -> State {
    match (unusable, waiting) {
        (Some(why), _) => State::Degraded(why),
        (None, Some(waiting)) => State::Degraded(format!("it takes nothing; {waiting} frames wait in the spool")),
        (None, None) => State::Ready,
    }
}

/// Exchanges that run.
pub(super) fn count_running(metrics: &Metrics, door: &Arc<Door>) {
    let door = door.clone();
    metrics.watch(series::RUNNING, "Exchanges that run", Kind::Gauge, move || to_u64(door.running()));
}

/// The invariant of records: admitted = recorded + lost + unused + open, frames = shipped + spooled.
pub(super) fn count_records(metrics: &Metrics, counts: &Arc<Counts>) {
    type Read = fn(Tally) -> u64;
    let all: [(&str, &str, Kind, Read); 7] = [
        (series::RECORDS_ADMITTED, "Exchanges given a record slot", Kind::Counter, |tally| tally.admitted),
        (series::RECORDS_RECORDED, "Exchanges whose record is durable", Kind::Counter, |tally| tally.recorded),
        (series::RECORDS_LOST, "Exchanges whose record is lost", Kind::Counter, |tally| tally.lost),
        (series::RECORDS_OPEN, "Exchanges whose record is under way", Kind::Gauge, |tally| tally.open),
        (series::FRAMES_SHIPPED, "Frames that the store has", Kind::Counter, |tally| tally.shipped),
        (series::FRAMES_SPOOLED, "Frames that wait for the store", Kind::Gauge, |tally| tally.spooled),
        (series::SPOOL_BYTES, "Bytes of the spool", Kind::Gauge, |tally| tally.bytes),
    ];
    for (name, help, kind, read) in all {
        let counts = counts.clone();
        metrics.watch(name, help, kind, move || read(counts.tally()));
    }
}

/// Where the ledger stands: of what is shipped, so much is sealed and so much waits for it.
pub(super) fn count_ledger(metrics: &Metrics, ledger: &Arc<Ledger>) {
    let (sealed, pending) = (ledger.clone(), ledger.clone());
    metrics.watch(series::LEDGER_SEALED, "Leaves in the ledger", Kind::Gauge, move || sealed.sealed());
    metrics.watch(series::LEDGER_PENDING, "Leaves that wait to be sealed", Kind::Gauge, move || pending.pending());
}

/// Reloads of the configuration.
pub(super) fn count_reloads(metrics: &Metrics, reloads: &Arc<Reloads>) {
    let (applied, refused) = (reloads.clone(), reloads.clone());
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    metrics
        .watch(series::RELOADS_APPLIED, "Reloads that came into force", Kind::Counter, move || count(&applied.applied));
    metrics.watch(series::RELOADS_REFUSED, "Reloads that were refused", Kind::Counter, move || count(&refused.refused));
}

/// What happens at the front door.
pub(super) fn count_front(metrics: &Metrics, counts: &Arc<listen::Counts>) {
    let open = counts.clone();
    metrics.watch(series::CONNECTIONS_OPEN, "Connections open", Kind::Gauge, move || to_u64(open.open()));
    type Read = fn(&listen::Counts) -> &AtomicU64;
    let all: [(&str, &str, Read); 5] = [
        (series::CONNECTIONS, "Connections accepted", |counts| &counts.accepted),
        (series::HANDSHAKES_FAILED, "TLS handshakes that failed", |counts| &counts.handshakes_failed),
        (series::CONNECTIONS_SLOW, "Connections closed for slow request heads", |counts| &counts.slow),
        (series::CONNECTIONS_STALLED, "Connections closed for replies not taken", |counts| &counts.stalled),
        (series::CONNECTIONS_FLOODED, "Connections closed for floods of resets", |counts| &counts.flooded),
    ];
    for (name, help, read) in all {
        let counts = counts.clone();
        metrics.watch(name, help, Kind::Counter, move || read(&counts).load(Ordering::Relaxed));
    }
}

fn to_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_keeps_exchanges_from_being_served_makes_a_part_unready() {
        let kind = |state: State| match state {
            State::Ready => "ready",
            State::Degraded(_) => "degraded",
            State::Unready(_) => "unready",
        };
        let keys = |loaded, others| kind(keys_state(loaded, others));
        assert_eq!(
            [keys(true, false), keys(true, true), keys(false, true), keys(false, false)],
            ["ready", "ready", "degraded", "unready"]
        );
        let spool = |broken, bytes, required| kind(Spool { broken, bytes, total: 100, required }.state());
        assert_eq!(
            [spool(false, 99, true), spool(false, 100, true), spool(true, 0, true), spool(true, 0, false)],
            ["ready", "unready", "unready", "degraded"]
        );
        let database = Database::default();
        assert_eq!(kind(store_state(database.why(), None)), "ready");
        assert_eq!(kind(store_state(database.why(), Some(7))), "degraded");
        assert!(database.set(Some("refused".to_owned())) && !database.set(Some("refused".to_owned())));
        assert_eq!(store_state(database.why(), None), State::Degraded("refused".to_owned()));
        assert!(database.set(None));
    }
}
