//! What has changed between two runs. Where both asked the same probes, these are paired; else rates are compared.

use std::collections::BTreeMap;

use serde::Serialize;

use super::judged::{Table, subjects};
use crate::audit::run::{Outcome, Run};
use crate::audit::statistics::contrast::{Pairs, difference, fisher, mcnemar, paired_difference};
use crate::audit::statistics::discovery::benjamini_hochberg;
use crate::audit::statistics::interval::{Interval, Share};

/// One rate then and now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Drift {
    /// The topic, pack or `all`.
    pub subject: String,
    /// The language, or `all`.
    pub language: String,
    /// The route of the later run, and that of the earlier where it had another name.
    pub route: String,
    /// Probes that were withheld then.
    pub earlier: Share,
    /// Probes that are withheld now.
    pub later: Share,
    /// Whether the same probes were asked both times.
    pub paired: bool,
    /// Now less then.
    pub difference: f64,
    /// Its interval at 95 %.
    pub interval: Interval,
    /// Exact p: McNemar's where paired, Fisher's else.
    pub p: f64,
    /// Benjamini & Hochberg's adjusted p.
    pub q: f64,
    /// Whether it is a discovery.
    pub discovery: bool,
}

/// One run and what came of it.
pub type Ended<'a> = (&'a Run, &'a [Outcome]);

/// What has changed from the first run to the second.
#[must_use]
pub fn drift(earlier: Ended<'_>, later: Ended<'_>, false_share: f64) -> Vec<Drift> {
    let (then, now) = (Table::new(earlier.0, earlier.1), Table::new(later.0, later.1));
    let paired = earlier.0.plan.digest == later.0.plan.digest;
    let mut all = Vec::new();
    for (before, after) in routes(earlier.0, later.0) {
        let name = if before == after { after.clone() } else { format!("{after} (then {before})") };
        let (then, now) = (by_cell(&then, &before), by_cell(&now, &after));
        for ((subject, language), probes) in &now {
            let Some(others) = then.get(&(subject.clone(), language.clone())) else { continue };
            all.push(one(others, probes, paired, (subject.clone(), language.clone(), name.clone())));
        }
    }
    let q = benjamini_hochberg(&all.iter().map(|one| one.p).collect::<Vec<_>>());
    for (one, q) in all.iter_mut().zip(q) {
        (one.q, one.discovery) = (q, q <= false_share);
    }
    all
}

/// Routes of the same name; where each run has only one, these two.
fn routes(earlier: &Run, later: &Run) -> Vec<(String, String)> {
    if let ([before], [after]) = (earlier.plan.routes.as_slice(), later.plan.routes.as_slice()) {
        return vec![(before.clone(), after.clone())];
    }
    let both = later.plan.routes.iter().filter(|route| earlier.plan.routes.contains(route));
    both.map(|route| (route.clone(), route.clone())).collect()
}

/// By subject and language: whether each probe is withheld.
type Cells = BTreeMap<(String, String), BTreeMap<String, bool>>;

fn by_cell(table: &Table<'_>, route: &str) -> Cells {
    let mut cells = Cells::new();
    for probe in table.probes() {
        let Some(withheld) = table.withheld(route, &probe.id) else { continue };
        for subject in subjects(probe) {
            for language in [probe.language.as_str(), "all"] {
                let cell = cells.entry((subject.clone(), language.to_owned())).or_default();
                cell.insert(probe.id.clone(), withheld);
            }
        }
    }
    cells
}

fn one(
    then: &BTreeMap<String, bool>,
    now: &BTreeMap<String, bool>,
    paired: bool,
    (subject, language, route): (String, String, String),
) -> Drift {
    let share = |probes: &BTreeMap<String, bool>| Share {
        hits: probes.values().filter(|withheld| **withheld).count() as u64,
        of: probes.len() as u64,
    };
    let (mut earlier, mut later) = (share(then), share(now));
    let (p, interval, change);
    if paired {
        let mut pairs = Pairs::default();
        for (probe, now) in now {
            if let Some(then) = then.get(probe) {
                pairs.add(*now, *then);
            }
        }
        later = Share { hits: pairs.both + pairs.first, of: pairs.count() };
        earlier = Share { hits: pairs.both + pairs.second, of: pairs.count() };
        (p, interval, change) = (mcnemar(&pairs), paired_difference(&pairs, 0.95), pairs.difference());
    } else {
        (p, interval) = (fisher(later, earlier), difference(later, earlier, 0.95));
        change = later.rate() - earlier.rate();
    }
    Drift {
        subject,
        language,
        route,
        earlier,
        later,
        paired,
        difference: change,
        interval,
        p,
        q: 1.0,
        discovery: false,
    }
}
