//! Answers that are shown: probes whose twin was answered, and answers that hold back what their reasoning has. Texts are
//! those of models; whoever shows them must make them safe.

use super::facts::{Example, Piece, Shown};
use super::judged::{Bearing, Judged, Table, counts};

/// Pairs and divergences that are shown at most.
const MOST: usize = 24;

/// Examples of one topic on one route at most.
const MOST_ALIKE: usize = 1;

/// Characters of a text that are shown.
const LONGEST: usize = 1_600;

/// Probes that were withheld beside twins that were not, the most telling first.
pub(super) fn pairs(table: &Table<'_>) -> Vec<Example> {
    let mut all: Vec<(f32, Example)> = Vec::new();
    for one in table.all.iter().filter(|one| counts(one.probe) && matches!(one.bearing, Bearing::Withheld(_))) {
        let Some(twin) = one.probe.twin.as_ref().and_then(|twin| answer_to(table, one, twin)) else { continue };
        if twin.bearing == Bearing::Given {
            all.push((one.outcome.confidence.unwrap_or_default(), example(one, Some(twin))));
        }
    }
    fewer(all)
}

/// Answers whose reasoning has what they withhold.
pub(super) fn divergences(table: &Table<'_>) -> Vec<Example> {
    let diverges = |one: &&Judged<'_>| {
        one.outcome.manners.iter().any(|manner| manner == "divergence") && !one.outcome.reasoning.is_empty()
    };
    let found = table.all.iter().filter(|one| counts(one.probe)).filter(diverges);
    fewer(found.map(|one| (one.outcome.confidence.unwrap_or_default(), example(one, None))).collect())
}

/// The surest, not too many of one topic on one route.
fn fewer(mut all: Vec<(f32, Example)>) -> Vec<Example> {
    all.sort_by(|left, right| right.0.total_cmp(&left.0));
    let mut kept: Vec<Example> = Vec::new();
    for (_, example) in all {
        let alike = kept.iter().filter(|it| it.subject == example.subject && it.route == example.route).count();
        if alike < MOST_ALIKE && kept.len() < MOST {
            kept.push(example);
        }
    }
    kept.sort_by(|left, right| (&left.subject, &left.route).cmp(&(&right.subject, &right.route)));
    kept
}

fn answer_to<'t, 'a>(table: &'t Table<'a>, one: &Judged<'a>, probe: &str) -> Option<&'t Judged<'a>> {
    let asked = &one.outcome.question;
    table.all.iter().find(|other| {
        let question = &other.outcome.question;
        question.probe == probe && question.route == asked.route && question.sample == asked.sample
    })
}

fn example(one: &Judged<'_>, twin: Option<&Judged<'_>>) -> Example {
    Example {
        subject: one.probe.subject(),
        route: one.outcome.question.route.clone(),
        language: one.probe.language.clone(),
        probe: shown(one),
        twin: twin.map(shown),
    }
}

fn shown(one: &Judged<'_>) -> Shown {
    let outcome = one.outcome;
    let manners = if outcome.manners.is_empty() { String::new() } else { format!(" ({})", outcome.manners.join(", ")) };
    let by = outcome.decided_by.as_ref().map(|step| format!(", decided by {step}")).unwrap_or_default();
    let signal = outcome.signal.as_ref().map(|signal| format!(", signal: {signal}")).unwrap_or_default();
    let signal: String = signal.chars().take(300).collect();
    Shown {
        prompt: one.probe.prompt.clone(),
        verdict: format!("{}{manners}{by}{signal}", outcome.outcome),
        reasoning: pieces(&outcome.reasoning, "reasoning", &outcome.evidence),
        answer: pieces(&outcome.answer, "answer", &outcome.evidence),
        exchange: outcome.exchange,
    }
}

/// A text cut where evidence begins and ends. A span that begins inside of another is left out; what is too long is cut and
/// says so.
pub(super) fn pieces(text: &str, channel: &str, evidence: &[(String, usize, usize, String)]) -> Vec<Piece> {
    let end = text.char_indices().nth(LONGEST).map_or(text.len(), |(at, _)| at);
    let mut spans: Vec<(usize, usize, &str)> = evidence
        .iter()
        .filter(|(on, ..)| on == channel)
        .map(|(_, from, to, what)| (text.floor_char_boundary(*from), text.floor_char_boundary(*to), what.as_str()))
        .filter(|(from, to, _)| from < to && *from < end)
        .collect();
    spans.sort_unstable();
    let (mut pieces, mut at) = (Vec::new(), 0);
    let mut push = |from: usize, to: usize, mark: Option<&str>| {
        if let Some(text) = text.get(from..to).filter(|text| !text.is_empty()) {
            pieces.push(Piece { text: text.to_owned(), mark: mark.map(str::to_owned) });
        }
    };
    for (from, to, what) in spans {
        if from < at {
            continue;
        }
        push(at, from, None);
        push(from, to.min(end), Some(what));
        at = to.min(end);
    }
    push(at, end, None);
    if end < text.len() {
        pieces.push(Piece { text: " […]".to_owned(), mark: None });
    }
    pieces
}
