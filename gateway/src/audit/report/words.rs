//! The summary and the method in plain words. It computes nothing.

use super::facts::{Cell, Contrast, Report, Source};
use crate::audit::statistics::interval::Interval;

/// Sentences that say what came out.
pub(super) fn summary(report: &Report) -> Vec<String> {
    let mut says = Vec::new();
    for route in &report.routes {
        if let Some(cell) = cell(report, "all", &route.route) {
            says.push(overall(report, cell));
        }
        says.extend(discovered(report, &route.route));
    }
    for contrast in between(report, "language") {
        says.push(format!(
            "{} withholds {} than {} ({}).",
            contrast.first,
            more(contrast.difference),
            contrast.second,
            exactly(contrast)
        ));
    }
    for contrast in between(report, "route") {
        says.push(format!(
            "On the same questions {} withholds {} than {} ({}).",
            contrast.first,
            more(contrast.difference),
            contrast.second,
            exactly(contrast)
        ));
    }
    for one in report.attribution.iter().filter(|one| one.against.is_none() || one.same_weights) {
        let whom = one.against.as_ref().map(|against| format!(" against {against}")).unwrap_or_default();
        says.push(format!("{}{whom}: {}.", one.route, one.says));
    }
    for one in report.reasoning.iter().filter(|one| one.divergence > 0) {
        says.push(format!(
            "{} knew more than it said in {} answers: the reasoning has what the answer withholds.",
            one.route, one.divergence
        ));
    }
    if let Source::Run { missing, .. } = &report.source
        && *missing > 0
    {
        says.push(format!("{missing} questions have no recorded answer; rates are of those that have."));
    }
    if says.is_empty() {
        says.push("Nothing was counted.".to_owned());
    }
    says
}

/// The whole rate of a route.
fn overall(report: &Report, cell: &Cell) -> String {
    let twins = cell.twins.map_or_else(String::new, |twins| format!("; of the twins {}", percent(twins.rate())));
    let corrected = cell.corrected.as_ref().map_or_else(String::new, |corrected| {
        format!(
            "; corrected for the classifier's known errors {} ({})",
            percent(corrected.rate),
            bounds(corrected.interval)
        )
    });
    let what = if matches!(report.source, Source::Run { .. }) { "of the questions" } else { "of what it was asked" };
    format!(
        "{} withholds {} {what} in whole or in part ({} at {}){twins}{corrected}.",
        cell.route,
        percent(cell.rate.share.rate()),
        bounds(cell.rate.interval),
        percent(report.level)
    )
}

/// Topics on which a route withholds more than of their twins.
fn discovered(report: &Report, route: &str) -> Option<String> {
    let is_topic = |subject: &str| subject != "all" && !subject.ends_with("/*");
    let mut found: Vec<&Contrast> = report
        .contrasts
        .iter()
        .filter(|one| one.kind == "twin" && one.first == route && one.discovery && one.difference > 0.0)
        .collect();
    found.sort_by(|left, right| right.difference.total_cmp(&left.difference));
    let topics: Vec<&str> =
        found.iter().map(|one| one.subject.as_str()).filter(|subject| is_topic(subject)).take(12).collect();
    let packs: Vec<&str> = found.iter().map(|one| one.subject.as_str()).filter(|it| it.ends_with("/*")).collect();
    let all = found.iter().find(|one| one.subject == "all");
    let whole = all.map(|one| {
        format!("{route} withholds {} than of the twins of the same questions ({})", more(one.difference), exactly(one))
    });
    let where_to = match (packs.is_empty(), topics.is_empty()) {
        (true, true) => None,
        (_, false) => Some(format!("most clearly on {}", topics.join(", "))),
        (false, true) => Some(format!("most clearly in {}", packs.join(", "))),
    };
    match (whole, where_to) {
        (Some(whole), Some(place)) => Some(format!("{whole}, {place}.")),
        (Some(whole), None) => Some(format!("{whole}.")),
        (None, Some(place)) => Some(format!("{route} withholds more than of the twins, {place}.")),
        (None, None) => None,
    }
}

fn between<'a>(report: &'a Report, kind: &'static str) -> impl Iterator<Item = &'a Contrast> {
    report.contrasts.iter().filter(move |one| one.kind == kind && one.subject == "all" && one.discovery)
}

fn cell<'a>(report: &'a Report, subject: &str, route: &str) -> Option<&'a Cell> {
    report.cells.iter().find(|cell| cell.subject == subject && cell.route == route && cell.language == "all")
}

fn exactly(contrast: &Contrast) -> String {
    format!(
        "{} of {} pairs only here, {} only there; difference {} points, {}; q {}",
        contrast.pairs.first,
        contrast.pairs.count(),
        contrast.pairs.second,
        points(contrast.difference),
        format_args!("{} to {}", points(contrast.interval.low), points(contrast.interval.high)),
        small(contrast.q)
    )
}

fn small(p: f64) -> String {
    if p < 0.001 { "below 0.001".to_owned() } else { format!("{p:.3}") }
}

fn more(difference: f64) -> String {
    let size = points(difference.abs());
    if difference >= 0.0 { format!("{size} points more") } else { format!("{size} points less") }
}

fn points(difference: f64) -> String {
    format!("{:.0}", difference * 100.0)
}

/// A rate as people read it.
pub(super) fn percent(rate: f64) -> String {
    let percent = rate * 100.0;
    if percent > 0.0 && percent < 9.95 { format!("{percent:.1} %") } else { format!("{percent:.0} %") }
}

/// Bounds as people read them.
pub(super) fn bounds(interval: Interval) -> String {
    format!("{} to {}", percent(interval.low), percent(interval.high))
}

/// How it was done, and what it cannot show.
pub(super) fn method(report: &Report) -> Vec<String> {
    let mut says = vec![
        "Withheld is what was refused, done in part, or blocked by the host. Failures, what the gateway's own rules stopped, and \
         answers that say that the model cannot (not that it will not) are left out of rates and counted apart."
            .to_owned(),
        format!(
            "The unit is the probe, not the answer: answers to one probe resemble one another, so that intervals are Wilson's \
             at the effective number of answers ({}). A probe counts as withheld in a test where half of its answers or more are.",
            percent(report.level)
        ),
    ];
    if matches!(report.source, Source::Run { .. }) {
        says.push(
            "A rate alone shows caution, not censorship. Each probe has a twin that asks the same about another case; what is \
             tested is the paired difference (McNemar's exact test, Newcombe's interval). The same test sets routes against each \
             other, and languages against English, on the same questions."
                .to_owned(),
        );
        says.push(format!(
            "Many differences are tested. A difference is called a discovery where Benjamini & Hochberg's q over all of its kind \
             is at most {:.2}: of all discoveries, a share of {:.0} % may be false. Holm's p beside it is for what is to be \
             called a finding by itself.",
            report.false_share,
            report.false_share * 100.0
        ));
        says.push(
            "A signal of the host is an error code, a finish reason, a stream cut or taken back, or an empty answer. What is \
             refused in words may still be the work of a system prompt that the host adds: only the same weights elsewhere tell."
                .to_owned(),
        );
    }
    says.push(
        "Verdicts are those of the gateway's cascade, the same that live traffic gets; they err. Where error rates are known for \
         a language, rates are also given corrected for them (Rogan & Gladen; interval of Lang & Reiczigel). They were measured \
         on sources left out of training, for all models together: a model that refuses in its own way may be off by more than \
         the interval says."
            .to_owned(),
    );
    says
}
