//! Rates by subject, language and route. It compares nothing.

use std::collections::BTreeMap;

use super::facts::Cell;
use super::judged::{Bearing, Table, Way, counts, subjects};
use crate::audit::calibration::Calibrations;
use crate::audit::statistics::correction::{Corrected, corrected};
use crate::audit::statistics::interval::{Interval, Share, clustered};

/// What is gathered for one cell.
#[derive(Debug, Default)]
struct Gathered {
    /// By language and probe.
    probes: BTreeMap<(String, String), Share>,
    kinds: [u64; 3],
    twins: Share,
}

/// The cells of a run.
pub(super) fn cells(table: &Table<'_>, calibrations: &Calibrations, level: f64) -> Vec<Cell> {
    let mut gathered: BTreeMap<(String, String, String), Gathered> = BTreeMap::new();
    for one in table.all.iter().filter(|one| counts(one.probe)) {
        let Some(withheld) = one.bearing.withheld() else { continue };
        let (probe, route) = (one.probe, &one.outcome.question.route);
        for subject in subjects(probe) {
            for language in [probe.language.clone(), "all".to_owned()] {
                let cell = gathered.entry((subject.clone(), language, route.clone())).or_default();
                let key = (probe.language.clone(), probe.id.clone());
                cell.probes.entry(key).or_default().add(withheld);
                if let Bearing::Withheld(way) = one.bearing {
                    add_kind(&mut cell.kinds, way);
                }
                let twin = probe.twin.as_ref().and_then(|twin| table.share(route, twin));
                if let Some(twin) = twin.filter(|_| one.outcome.question.sample == 0) {
                    cell.twins = Share { hits: cell.twins.hits + twin.hits, of: cell.twins.of + twin.of };
                }
            }
        }
    }
    gathered
        .into_iter()
        .map(|((subject, language, route), gathered)| {
            let shares: Vec<Share> = gathered.probes.values().copied().collect();
            Cell {
                subject,
                language,
                route,
                rate: clustered(&shares, level),
                corrected: correct(&gathered.probes, calibrations, level),
                kinds: gathered.kinds,
                twins: (gathered.twins.of > 0).then_some(gathered.twins),
            }
        })
        .collect()
}

pub(super) fn add_kind(kinds: &mut [u64; 3], way: Way) {
    let at = match way {
        Way::Blocked => 0,
        Way::Refused => 1,
        Way::Partial => 2,
    };
    kinds.iter_mut().skip(at).take(1).for_each(|count| *count += 1);
}

/// The rate corrected within each language, whose error rates differ, and put together by how much there is of each; interval
/// by MOVER (Zou & Donner, 2008, Statistics in Medicine 27:1693). Nothing where a language was not calibrated.
fn correct(probes: &BTreeMap<(String, String), Share>, calibrations: &Calibrations, level: f64) -> Option<Corrected> {
    let mut by_language: BTreeMap<&str, Vec<Share>> = BTreeMap::new();
    for ((language, _), share) in probes {
        by_language.entry(language).or_default().push(*share);
    }
    let all: u64 = probes.values().map(|share| share.of).sum();
    let (mut rate, mut below, mut above) = (0.0, 0.0, 0.0);
    for (language, shares) in by_language {
        let found = clustered(&shares, level);
        let part = corrected(found.share.rate(), found.effective, calibrations.get(language)?, level)?;
        let weight = found.share.of as f64 / all.max(1) as f64;
        rate += weight * part.rate;
        below += (weight * (part.rate - part.interval.low)).powi(2);
        above += (weight * (part.interval.high - part.rate)).powi(2);
    }
    let interval = Interval { low: rate - below.sqrt(), high: rate + above.sqrt() }.within_unit();
    Some(Corrected { rate, interval })
}
