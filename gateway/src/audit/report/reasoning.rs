//! Reasoning beside answers. An empty thought says nothing on a route that shows no thoughts at all, which is why twins are
//! counted beside it.

use super::facts::Reasoning;
use super::judged::{Table, counts};
use crate::audit::statistics::interval::Share;

/// Reasoning on each route.
pub(super) fn reasoning(table: &Table<'_>, routes: &[String]) -> Vec<Reasoning> {
    routes.iter().map(|route| of_route(table, route)).collect()
}

fn of_route(table: &Table<'_>, route: &str) -> Reasoning {
    let mut one = Reasoning {
        route: route.to_owned(),
        seen: Share::default(),
        seen_on_twins: Share::default(),
        divergence: 0,
        empty: 0,
        scripted: 0,
        median_given: None,
        median_withheld: None,
    };
    let (mut given, mut withheld) = (Vec::new(), Vec::new());
    for judged in table.all.iter().filter(|judged| judged.outcome.question.route == route) {
        let Some(is_withheld) = judged.bearing.withheld() else { continue };
        let length = judged.outcome.reasoning.trim().chars().count();
        if judged.probe.control {
            one.seen_on_twins.add(length > 0);
        }
        if !counts(judged.probe) {
            continue;
        }
        one.seen.add(length > 0);
        let has = |wanted: &str| u64::from(judged.outcome.manners.iter().any(|manner| manner == wanted));
        one.divergence += has("divergence");
        one.empty += has("empty_reasoning");
        one.scripted += has("scripted_reasoning");
        if length > 0 {
            if is_withheld { withheld.push(length) } else { given.push(length) }
        }
    }
    (one.median_given, one.median_withheld) = (median(given), median(withheld));
    one
}

pub(super) fn median<T: Ord + Copy>(mut values: Vec<T>) -> Option<T> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}
