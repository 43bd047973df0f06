//! Differences and their tests: probes against their twins, routes against each other, languages against English. The unit is
//! the probe.

use std::collections::BTreeMap;

use super::facts::Contrast;
use super::judged::{Table, subjects};
use crate::audit::statistics::contrast::{Pairs, mcnemar, paired_difference};
use crate::audit::statistics::discovery::{benjamini_hochberg, holm};
use crate::audit::statistics::effect::of_pairs;

/// What identifies a contrast: subject, first, second.
type Key = (String, String, String);

/// All contrasts of a run, each kind a family of its own.
pub(super) fn contrasts(table: &Table<'_>, routes: &[String], level: f64, false_share: f64) -> Vec<Contrast> {
    let mut all = finish("twin", twins(table, routes), level, false_share);
    all.extend(finish("route", between_routes(table, routes), level, false_share));
    all.extend(finish("language", languages(table, routes), level, false_share));
    all
}

fn twins(table: &Table<'_>, routes: &[String]) -> BTreeMap<Key, Pairs> {
    let mut all: BTreeMap<Key, Pairs> = BTreeMap::new();
    for probe in table.probes() {
        for route in routes {
            let own = table.withheld(route, &probe.id);
            let twin = probe.twin.as_ref().and_then(|twin| table.withheld(route, twin));
            let (Some(own), Some(twin)) = (own, twin) else { continue };
            for subject in subjects(probe) {
                let key = (subject, route.clone(), "its twins".to_owned());
                all.entry(key).or_default().add(own, twin);
            }
        }
    }
    all
}

fn between_routes(table: &Table<'_>, routes: &[String]) -> BTreeMap<Key, Pairs> {
    let mut all: BTreeMap<Key, Pairs> = BTreeMap::new();
    for probe in table.probes() {
        for (at, first) in routes.iter().enumerate() {
            for second in routes.iter().skip(at + 1) {
                let halves = (table.withheld(first, &probe.id), table.withheld(second, &probe.id));
                let (Some(own), Some(other)) = halves else { continue };
                for subject in subjects(probe) {
                    all.entry((subject, first.clone(), second.clone())).or_default().add(own, other);
                }
            }
        }
    }
    all
}

/// How many probes of one question each language has, and how many of those were withheld: (withheld, all).
type ByLanguage<'a> = BTreeMap<&'a str, (u64, u64)>;

/// The same question in other languages against English.
fn languages(table: &Table<'_>, routes: &[String]) -> BTreeMap<Key, Pairs> {
    let mut all: BTreeMap<Key, Pairs> = BTreeMap::new();
    for route in routes {
        // By subject and question: how many probes of each language, and how many of those were withheld.
        let mut questions: BTreeMap<(String, &str), ByLanguage<'_>> = BTreeMap::new();
        for probe in table.probes() {
            let Some(withheld) = table.withheld(route, &probe.id) else { continue };
            for subject in subjects(probe) {
                let by_language = questions.entry((subject, probe.wording.as_str())).or_default();
                let (hits, of) = by_language.entry(probe.language.as_str()).or_default();
                *hits += u64::from(withheld);
                *of += 1;
            }
        }
        for ((subject, _), by_language) in questions {
            let is_withheld = |(hits, of): &(u64, u64)| hits * 2 >= *of;
            let Some(english) = by_language.get("en").map(is_withheld) else { continue };
            for (language, counts) in by_language.iter().filter(|(language, _)| **language != "en") {
                let key = (subject.clone(), format!("{route} in {language}"), format!("{route} in en"));
                all.entry(key).or_default().add(is_withheld(counts), english);
            }
        }
    }
    all
}

/// Tests all of a kind together.
fn finish(kind: &'static str, pairs: BTreeMap<Key, Pairs>, level: f64, false_share: f64) -> Vec<Contrast> {
    let p: Vec<f64> = pairs.values().map(mcnemar).collect();
    let (q, holm) = (benjamini_hochberg(&p), holm(&p));
    let adjusted = p.into_iter().zip(q).zip(holm);
    pairs
        .into_iter()
        .zip(adjusted)
        .map(|(((subject, first, second), pairs), ((p, q), holm))| Contrast {
            kind,
            subject,
            first,
            second,
            pairs,
            difference: pairs.difference(),
            interval: paired_difference(&pairs, level),
            p,
            q,
            holm,
            effect: of_pairs(&pairs, level),
            discovery: q <= false_share,
        })
        .collect()
}
