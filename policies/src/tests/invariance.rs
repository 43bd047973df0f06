//! However a text is cut, the same is found and the same leaves; what has left is never needed again.

use std::sync::Arc;

use proptest::prelude::*;

use crate::trial::redact;
use crate::{Action, Channel, Facts, Finding, Pack, Ruleset, compile};

/// Pieces of text that collide with the terms and patterns below.
fn fragment() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "a", "b", "ab", "ba", "aba", " ", "-", ".", "\n", "天", "安", "门", "門", "천", "안", "ж", "é", "e\u{301}",
            "\u{200b}", "1", "12", "@", "a.b", "4", "8", "a b", "ＡＢ", "ab ab", "abab", "x", "bax", "b@", ", ", "          ", "ﬁ", "𝐚", "ا", "ن",
        ]).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
        1 => (0_usize..40).prop_map(|count| "\u{200d}".repeat(count)),
    ]
}

pub(super) fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(fragment(), 0..40).prop_map(|parts| parts.concat())
}

fn term() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec!["a", "b", "ab", " ", "天", "安", "门", "천", "1", "é", "ن"]);
    (prop::collection::vec(parts, 1..5), any::<bool>())
        .prop_map(|(parts, open)| parts.concat() + if open { "*" } else { "" })
        .prop_filter("something must be left of it", |term| term.chars().any(char::is_alphanumeric))
}

fn pattern() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "a{1,3}b",
        "[ab]{2,5}",
        "ab|abab",
        "a.{0,4}b",
        "[0-9]{2,4}",
        "天.{0,2}门",
        r"\w{1,3}@\w{1,3}",
        r"b\b",
        "^a",
        "b$",
        "(?:ab){1,4}",
        r"a\s{1,2}b",
        "é",
        "(?:ab|12)_?[ab]{1,3}",
        "-{1,3}[ab]",
    ])
    .prop_map(str::to_owned)
}

fn action() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["flag", "redact", "redact", "stop", "allow"])
}

prop_compose! {
    pub(super) fn pack()(
        terms in prop::collection::vec(term(), 1..4),
        first in prop::collection::vec(term(), 1..3),
        second in prop::collection::vec(term(), 1..3),
        unless in prop::collection::vec(term(), 0..2),
        patterns in prop::collection::vec(pattern(), 1..4),
        inside in any::<bool>(),
        within in 1_usize..12,
        actions in prop::array::uniform3(action()),
        monitored in any::<bool>(),
    ) -> String {
        let mode = if monitored { "monitor" } else { "enforce" };
        format!(
            "version: 1\nname: p\nwords:\n  first: {first:?}\n  second: {second:?}\n\
            topics:\n  - id: t\n    together: [{{of: [first, second]}}]\n    unless: {unless:?}\n    within: {within}\n\
            detectors:\n  - {{id: terms, kind: terms, terms: {terms:?}, leet: {inside}, spaced: {inside}}}\n\
            \x20 - {{id: patterns, kind: patterns, patterns: {patterns:?}, inside_words: {inside}}}\n\
            rules:\n  - {{id: a, topics: t, action: {}}}\n  - {{id: b, detect: terms, action: {}}}\n\
            \x20 - {{id: c, detect: patterns, action: {}, mode: {mode}}}\n",
            actions[0], actions[1], actions[2],
        )
    }
}

fn compiled(text: &str) -> Arc<Ruleset> {
    let pack = Pack { name: "p".to_owned(), text: text.to_owned() };
    Arc::new(compile(&[pack]).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{text}")))
}

/// A stream as a client would get it: what may leave goes out with redactions, each finding in time.
struct Stream {
    findings: Vec<Finding>,
    sent: String,
}

fn stream(ruleset: &Arc<Ruleset>, pieces: &[&str]) -> Stream {
    let mut findings = Vec::new();
    let mut all = String::new();
    let mut released = 0;
    let mut sent = String::new();
    let mut scanner = ruleset.select(&Facts::default()).scanner(Channel::Answer).unwrap();
    for index in 0..=pieces.len() {
        let known = findings.len();
        let free = match pieces.get(index) {
            Some(piece) => {
                all.push_str(piece);
                scanner.push(piece, &mut findings)
            }
            None => scanner.finish(&mut findings),
        };
        for finding in
            findings.iter().skip(known).filter(|finding| finding.action >= Action::Redact && !finding.monitored)
        {
            assert!(finding.span.start >= released, "{finding:?} found after {released} left");
        }
        assert!(free >= released && free <= all.len() && all.is_char_boundary(free));
        for finding in &findings {
            assert!(finding.span.start < finding.span.end && finding.span.end <= all.len());
            assert!(all.is_char_boundary(finding.span.start) && all.is_char_boundary(finding.span.end));
        }
        // What leaves now, as redacting the whole text up to here would have it.
        let before = redact_up_to(&all, &findings, released);
        let after = redact_up_to(&all, &findings, free);
        sent.push_str(after.strip_prefix(before.as_str()).expect("what left stays as it left"));
        released = free;
    }
    assert_eq!(released, all.len());
    Stream { findings, sent }
}

/// The first bytes of a text as they leave; words that replace a span leave where it begins.
fn redact_up_to(text: &str, findings: &[Finding], end: usize) -> String {
    let begun = findings.iter().filter(|finding| finding.span.start < end).cloned().map(|mut finding| {
        finding.span.end = finding.span.end.min(end);
        finding
    });
    redact(&text[..end], &begun.collect::<Vec<_>>())
}

pub(super) fn cut<'a>(text: &'a str, places: &[prop::sample::Index]) -> Vec<&'a str> {
    let mut ends: Vec<usize> = text.char_indices().map(|(index, _)| index).collect();
    if ends.is_empty() {
        return vec![text];
    }
    let mut chosen: Vec<usize> = places.iter().map(|place| *place.get(&ends)).collect();
    chosen.sort_unstable();
    ends.clear();
    let mut pieces = Vec::new();
    let mut from = 0;
    for end in chosen {
        pieces.push(&text[from..end]);
        from = end;
    }
    pieces.push(&text[from..]);
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn where_a_text_is_cut_changes_nothing(
        pack in pack(),
        texts in prop::collection::vec((text(), prop::collection::vec(any::<prop::sample::Index>(), 0..8)), 8),
    ) {
        let ruleset = compiled(&pack);
        for (text, places) in &texts {
            let whole = stream(&ruleset, &[text]);
            prop_assert_eq!(&whole.sent, &redact(text, &whole.findings));
            let characters: Vec<String> = text.chars().map(String::from).collect();
            let characters: Vec<&str> = characters.iter().map(String::as_str).collect();
            for pieces in [cut(text, places), characters] {
                let cut = stream(&ruleset, &pieces);
                prop_assert_eq!(&cut.findings, &whole.findings, "{}\n{:?} {:?}", pack, text, pieces);
                prop_assert_eq!(&cut.sent, &whole.sent);
            }
        }
    }
}
