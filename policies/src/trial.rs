//! The tests that packs carry, and how each went. They touch nothing outside.

use std::sync::Arc;

use crate::Channel;
use crate::action::Action;
use crate::facts::{Conduct, Course, Facts, Upstream};
use crate::finding::Finding;
use crate::ruleset::Ruleset;
use crate::selection::{Selection, Taken};
use crate::source::{Source, Test, Text};

/// How one test of a pack went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestResult {
    /// The pack that it is from.
    pub pack: Arc<str>,
    /// The test's name, or the begin of its text.
    pub name: String,
    /// Whether all was as expected.
    pub passed: bool,
    /// What was otherwise; empty where nothing was.
    pub detail: String,
}

/// A test of a pack.
#[derive(Debug)]
pub(crate) struct Trial {
    pack: Arc<str>,
    test: Test,
}

impl Trial {
    pub(crate) fn of(source: &mut Source, pack: &Arc<str>) -> Vec<Self> {
        source.tests.drain(..).map(|test| Self { pack: Arc::clone(pack), test }).collect()
    }
}

/// Runs one test.
pub(crate) fn run(trial: &Trial, ruleset: &Ruleset) -> TestResult {
    let mut wrong = Vec::new();
    let test = &trial.test;
    let whole = scan(trial, ruleset, usize::MAX);
    if whole != scan(trial, ruleset, 1) {
        wrong.push("found otherwise when the text comes one character at a time".to_owned());
    }
    if let Some(expected) = &test.rules {
        let of_pack = whole.iter().filter(|finding| finding.pack == trial.pack);
        compare("rules", expected.iter().map(|text| &*text.text), of_pack.map(|finding| &*finding.rule), &mut wrong);
    }
    if let Some(expected) = &test.topics {
        let hits = ruleset.topics_in(&test.text);
        let of_pack = hits.iter().filter(|hit| hit.pack == trial.pack);
        compare("topics", expected.iter().map(|text| &*text.text), of_pack.map(|hit| &*hit.topic), &mut wrong);
    }
    if let Some(expected) = &test.redacted {
        let redacted = redact(&test.text, &whole);
        if redacted != *expected {
            wrong.push(format!("leaves as `{redacted}`, not `{expected}`"));
        }
    }
    let detail = wrong.join("; ");
    TestResult { pack: Arc::clone(&trial.pack), name: test.name.clone(), passed: detail.is_empty(), detail }
}

/// What is found in a test's text when it comes in pieces of some characters.
fn scan(trial: &Trial, ruleset: &Ruleset, size: usize) -> Vec<Finding> {
    let test = &trial.test;
    let upstream = test.upstream.as_ref();
    let facts = Facts {
        caller: &test.caller,
        team: test.team.as_deref(),
        role: test.role.as_deref(),
        model: &test.model,
        at: test.at,
        upstream: upstream.map(|one| Upstream { name: &one.name, local: one.local, tags: &one.tags }),
    };
    let selection = ruleset.selected(&facts);
    let mut course = Course::new(&facts);
    // A prompt is known as a whole before anything is done about it.
    if test.channel == Channel::Prompt && selection.notes() {
        let _ = scan_text(trial, &selection, size, &mut course);
    }
    let mut findings = selection.whole();
    let (found, waiting) = scan_text(trial, &selection, size, &mut course);
    findings.extend(found);
    let (outcome, manners) = test.verdict.as_ref().map_or(("", &[][..]), |(outcome, manners)| (outcome, manners));
    let manners: Vec<&str> = manners.iter().map(String::as_str).collect();
    let conduct = Conduct { outcome, manners: &manners, ..Conduct::default() };
    let late = waiting.into_iter().filter(|finding| selection.judged(finding, &course, &conduct));
    let late = late.chain(selection.whole_judged(&course, &conduct));
    findings.extend(late.filter(|finding| {
        let known = test.verdict.is_some() || !selection.awaits_verdict(finding);
        known && (finding.ask.is_none() || says_yes(trial, finding))
    }));
    findings
}

/// Whether the test has the question of a rule answered with yes.
fn says_yes(trial: &Trial, finding: &Finding) -> bool {
    let is_yes = |(rule, yes): &(Text, bool)| *rule.text == *finding.rule && *yes;
    finding.pack == trial.pack && trial.test.answers.iter().any(is_yes)
}

/// What counts of what is found, and what waits for the end.
fn scan_text(trial: &Trial, selection: &Selection, size: usize, course: &mut Course) -> (Vec<Finding>, Vec<Finding>) {
    let (mut counted, mut waiting) = (Vec::new(), Vec::new());
    let Some(mut scanner) = selection.scanner(trial.test.channel) else { return (counted, waiting) };
    let mut take = |findings: &mut Vec<Finding>| {
        for finding in findings.drain(..) {
            match selection.take(&finding, course) {
                Taken::Counts => counted.push(finding),
                Taken::Waits => waiting.push(finding),
                Taken::Nothing => {}
            }
        }
    };
    let mut findings = Vec::new();
    let mut rest = trial.test.text.as_str();
    while !rest.is_empty() {
        let end = rest.char_indices().nth(size).map_or(rest.len(), |(index, _)| index);
        let (piece, after) = rest.split_at(end);
        let _ = scanner.push(piece, &mut findings);
        take(&mut findings);
        rest = after;
    }
    let _ = scanner.finish(&mut findings);
    take(&mut findings);
    (counted, waiting)
}

fn compare<'a>(
    what: &str,
    expected: impl Iterator<Item = &'a str>,
    found: impl Iterator<Item = &'a str>,
    wrong: &mut Vec<String>,
) {
    let sorted = |names: &mut dyn Iterator<Item = &'a str>| {
        let mut names: Vec<&str> = names.collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    let (expected, found) = (sorted(&mut { expected }), sorted(&mut { found }));
    if expected != found {
        wrong.push(format!("{what} [{}], not [{}]", found.join(", "), expected.join(", ")));
    }
}

/// The text with what enforced rules redact replaced; of spans that overlap the first one's words stand.
pub(crate) fn redact(text: &str, findings: &[Finding]) -> String {
    let mut spans: Vec<(usize, usize, &str)> = findings
        .iter()
        .filter(|finding| finding.action == Action::Redact && !finding.monitored)
        .map(|finding| (finding.span.start, finding.span.end, finding.replacement.as_deref().unwrap_or("[redacted]")))
        .collect();
    spans.sort_by_key(|(start, end, _)| (*start, usize::MAX - end));
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (start, end, words) in spans {
        if start >= done {
            out.push_str(text.get(done..start).unwrap_or_default());
            out.push_str(words);
        }
        done = done.max(end);
    }
    out.push_str(text.get(done..).unwrap_or_default());
    out
}
