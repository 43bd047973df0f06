//! Recorded traffic to a report: the same rates by topic and caller. It has no twins, so that it tests nothing.

use std::collections::BTreeMap;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::build::Settings;
use super::facts::{Cell, Report, Route, Source};
use super::judged::{Bearing, bearing};
use super::rates::add_kind;
use super::words;
use crate::audit::statistics::correction::corrected;
use crate::audit::statistics::interval::{Clustered, Share, wilson};
use crate::store::audits::{Seen, Window};

/// By subject, language and route: what is withheld, and how.
type Counts = BTreeMap<(String, String, String), (Share, [u64; 3])>;

/// Makes a report of exchanges.
#[must_use]
pub fn live(exchanges: &[Seen], window: &Window, settings: &Settings) -> Report {
    let (mut topics, mut callers) = (Counts::new(), Counts::new());
    let mut routes: BTreeMap<String, Route> = BTreeMap::new();
    for seen in exchanges {
        let route =
            routes.entry(seen.model.clone()).or_insert_with(|| Route { route: seen.model.clone(), ..Route::default() });
        let bearing = bearing(&seen.outcome, &seen.manners);
        let Some(withheld) = bearing.withheld() else {
            if let Bearing::LeftOut(why) = bearing {
                match route.left_out.iter_mut().find(|(known, _)| known == why) {
                    Some((_, count)) => *count += 1,
                    None => route.left_out.push((why.to_owned(), 1)),
                }
            }
            continue;
        };
        route.counted += 1;
        let count = |counts: &mut Counts, subject: &str, language: &str| {
            let key = (subject.to_owned(), language.to_owned(), seen.model.clone());
            let (share, kinds) = counts.entry(key).or_default();
            share.add(withheld);
            if let Bearing::Withheld(way) = bearing {
                add_kind(kinds, way);
            }
        };
        let language = seen.language.as_deref().unwrap_or("unknown");
        let none = ["no topic".to_owned()];
        let subjects = if seen.topics.is_empty() { none.as_slice() } else { seen.topics.as_slice() };
        for subject in subjects.iter().map(String::as_str).chain(["all"]) {
            count(&mut topics, subject, language);
            count(&mut topics, subject, "all");
        }
        count(&mut callers, &seen.caller, "all");
    }
    let when = |at: OffsetDateTime| at.truncate_to_second().format(&Rfc3339).unwrap_or_default();
    let mut report = Report {
        title: "What was withheld of recorded traffic".to_owned(),
        made: when(settings.now),
        source: Source::Live {
            since: when(window.since),
            until: when(window.until),
            caller: window.caller.clone(),
            exchanges: exchanges.len() as u64,
        },
        level: settings.level,
        false_share: settings.false_share,
        summary: Vec::new(),
        routes: routes.into_values().collect(),
        cells: cells(topics, settings),
        callers: cells(callers, settings),
        contrasts: Vec::new(),
        attribution: Vec::new(),
        reasoning: Vec::new(),
        ability: Vec::new(),
        agreement: None,
        examples: Vec::new(),
        divergences: Vec::new(),
        method: Vec::new(),
        proof: None,
    };
    report.summary = words::summary(&report);
    report.method = words::method(&report);
    report.method.push(
        "Traffic is what callers asked, not a sample of questions: a rate says what they met. The language is the reply's. An \
         exchange with several topics counts under each."
            .to_owned(),
    );
    report
}

fn cells(counts: Counts, settings: &Settings) -> Vec<Cell> {
    counts
        .into_iter()
        .map(|((subject, language, route), (share, kinds))| {
            // Every exchange is a cluster of its own: nothing says that two are of one question.
            let interval = wilson(share.rate(), share.of as f64, settings.level);
            let calibration = settings.calibrations.get(&language);
            let corrected = calibration
                .and_then(|calibration| corrected(share.rate(), share.of as f64, calibration, settings.level));
            let (clusters, effective) = (share.of, share.of as f64);
            let rate = Clustered { share, clusters, design_effect: 1.0, effective, interval };
            Cell { subject, language, route, rate, corrected, kinds, twins: None }
        })
        .collect()
}
