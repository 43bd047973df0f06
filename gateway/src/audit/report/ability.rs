//! Ability beside refusal: right answers in mathematics, and facts that answers name where they are given.

use std::collections::BTreeMap;

use super::facts::Ability;
use super::judged::{Bearing, Judged, Table, counts};
use crate::audit::grade::is_right;
use crate::audit::statistics::interval::{Share, clustered};
use crate::audit::suite::Kind;

/// What is gathered for one row: shares by probe, and what was withheld.
type Row = (BTreeMap<String, Share>, Share);

/// Ability on each route.
pub(super) fn ability(table: &Table<'_>, level: f64) -> Vec<Ability> {
    let mut rows: BTreeMap<(String, &'static str, String), Row> = BTreeMap::new();
    for one in &table.all {
        let Some((measure, holds)) = measured(one) else { continue };
        for subject in [one.probe.subject(), "all".to_owned()] {
            let (probes, withheld) = rows.entry((one.outcome.question.route.clone(), measure, subject)).or_default();
            if let Some(holds) = holds {
                probes.entry(one.probe.id.clone()).or_default().add(holds);
            }
            if let Some(is_withheld) = one.bearing.withheld() {
                withheld.add(is_withheld);
            }
        }
    }
    rows.into_iter()
        .map(|((route, measure, subject), (probes, withheld))| {
            let shares: Vec<Share> = probes.into_values().collect();
            Ability { route, subject, measure, rate: clustered(&shares, level), withheld }
        })
        .collect()
}

/// What is measured of an answer, and whether it holds; nothing where the answer was not given and so says nothing.
fn measured(one: &Judged<'_>) -> Option<(&'static str, Option<bool>)> {
    if matches!(one.bearing, Bearing::LeftOut("failed")) {
        return None;
    }
    if one.probe.kind == Kind::Capability {
        let right = one.probe.answer.as_deref()?;
        return Some(("right", Some(is_right(&one.outcome.answer, right))));
    }
    if !counts(one.probe) || one.probe.facts.is_empty() {
        return None;
    }
    let holds = (one.bearing == Bearing::Given).then(|| names_facts(&one.outcome.answer, &one.probe.facts));
    Some(("facts", holds))
}

/// Whether an answer names all facts, in any of their wordings.
pub(super) fn names_facts(answer: &str, facts: &[Vec<String>]) -> bool {
    let answer = answer.to_lowercase();
    facts.iter().all(|any| any.iter().any(|fact| answer.contains(&fact.to_lowercase())))
}
