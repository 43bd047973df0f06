//! Where what is withheld comes from: the host, which shows in signals, cut streams and answers that the same weights give
//! elsewhere; or the weights, whose words are the same wherever they run.

use std::collections::BTreeMap;

use super::facts::Attribution;
use super::judged::{Bearing, Table, Way};

/// Pairs of routes at most; more are a table that nobody reads.
const MOST: usize = 30;

/// What is attributed on each route, alone and against each other. `same` are pairs that are said to have the same weights.
pub(super) fn attribution(table: &Table<'_>, routes: &[String], same: &[(String, String)]) -> Vec<Attribution> {
    let mut all: Vec<Attribution> = routes.iter().map(|route| of_route(table, route)).collect();
    let is_same = |a: &String, b: &String| same.iter().any(|(x, y)| (x == a && y == b) || (x == b && y == a));
    let pairs = routes.iter().flat_map(|a| routes.iter().filter(move |b| *b != a).map(move |b| (a, b)));
    // What was said to be one comes first.
    let mut pairs: Vec<_> = pairs.map(|(a, b)| (!is_same(a, b), a, b)).collect();
    pairs.sort_by_key(|(differs, ..)| *differs);
    all.extend(pairs.into_iter().take(MOST).map(|(differs, a, b)| of_pair(table, a, b, !differs)));
    all
}

fn signals(table: &Table<'_>, route: &str) -> Vec<(String, u64)> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for one in &table.all {
        if one.outcome.question.route == route && one.bearing == Bearing::Withheld(Way::Blocked) {
            let manners = one.outcome.manners.iter().filter(|manner| super::judged::HOST.contains(&manner.as_str()));
            let signal = one.outcome.signal.as_deref().map(|text| text.chars().take(80).collect::<String>());
            let name = manners.cloned().chain(signal).collect::<Vec<_>>().join(": ");
            *counts.entry(if name.is_empty() { "blocked".to_owned() } else { name }).or_default() += 1;
        }
    }
    let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.truncate(8);
    counts
}

fn of_route(table: &Table<'_>, route: &str) -> Attribution {
    let mut one = empty(route, None, false);
    one.signals = signals(table, route);
    for probe in table.probes() {
        match table.withheld(route, &probe.id) {
            Some(true) if table.by_signal(route, &probe.id) => one.by_signal += 1,
            Some(true) => one.in_words_here += 1,
            Some(false) => one.neither += 1,
            None => {}
        }
    }
    let withheld = one.by_signal + one.in_words_here;
    one.says = match (one.by_signal, one.in_words_here) {
        (0, 0) => "withholds nothing of what was asked".to_owned(),
        (0, _) => format!("withholds {withheld} probes, all in the model's words; the host gives no signal"),
        (_, 0) => format!("withholds {withheld} probes, all by a signal of the host; the model itself refuses none"),
        (signal, words) => {
            format!("withholds {withheld} probes: {signal} by a signal of the host, {words} in the model's words")
        }
    };
    one
}

fn of_pair(table: &Table<'_>, route: &str, against: &str, same_weights: bool) -> Attribution {
    let mut pair = empty(route, Some(against), same_weights);
    for probe in table.probes() {
        let (Some(here), Some(there)) = (table.withheld(route, &probe.id), table.withheld(against, &probe.id)) else {
            continue;
        };
        let signal = table.by_signal(route, &probe.id);
        match (here, there) {
            (true, _) if signal => {
                pair.by_signal += 1;
                pair.signal_only += u64::from(!there);
            }
            (true, true) => pair.in_words_both += 1,
            (true, false) => pair.in_words_here += 1,
            (false, true) => pair.only_there += 1,
            (false, false) => pair.neither += 1,
        }
    }
    pair.says = says(&pair);
    pair
}

fn says(pair: &Attribution) -> String {
    let against = pair.against.as_deref().unwrap_or_default();
    let mut parts = Vec::new();
    if pair.signal_only > 0 {
        parts.push(format!("{} come with the host: blocked by signal, and {against} answers them", pair.signal_only));
    }
    if pair.by_signal > pair.signal_only {
        let count = pair.by_signal - pair.signal_only;
        parts.push(format!("{count} are blocked by signal, and {against} withholds them too"));
    }
    if pair.in_words_both > 0 {
        let whose = if pair.same_weights { "come with the weights" } else { "are withheld by both models" };
        parts.push(format!("{} {whose}: refused in words on both routes", pair.in_words_both));
    }
    if pair.in_words_here > 0 {
        let whose = match pair.same_weights {
            true => "come with the host without a signal (its system prompt, filter or version)",
            false => "are this model's own",
        };
        parts.push(format!("{} {whose}: refused in words here, answered by {against}", pair.in_words_here));
    }
    if parts.is_empty() { format!("withholds nothing that {against} was asked too") } else { parts.join("; ") }
}

fn empty(route: &str, against: Option<&str>, same_weights: bool) -> Attribution {
    Attribution {
        route: route.to_owned(),
        against: against.map(str::to_owned),
        same_weights,
        by_signal: 0,
        signal_only: 0,
        in_words_both: 0,
        in_words_here: 0,
        only_there: 0,
        neither: 0,
        signals: Vec::new(),
        says: String::new(),
    }
}
