//! Reports of runs whose outcomes are written down here.

use std::collections::BTreeMap;

use time::OffsetDateTime;
use uuid::Uuid;

use super::build::{Settings, build};
use super::facts::Report;
use super::{Bearing, bearing, csv, html, markdown, sheets};
use crate::audit::run::{Outcome, Plan, Question, Run};
use crate::audit::suite::{Suite, text};

const PROBES: usize = 12;

/// Twelve questions about one topic in two languages, with twins.
fn suite() -> Suite {
    let mut source = "name: s\ntopics:\n- topic: p/t\n  questions:\n".to_owned();
    for number in 0..PROBES {
        source.push_str(&format!("  - {{id: q{number}, ask: {{en: ask {number}, zh: 问 {number}}}, twin: {{en: other {number}, zh: 别 {number}}}}}\n"));
    }
    text("s.yaml", &source, None).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

fn outcome(question: Question, verdict: &str, manners: &[&str]) -> Outcome {
    Outcome {
        question,
        exchange: Uuid::from_u128(7),
        ending: "complete".to_owned(),
        status: Some(200),
        outcome: verdict.to_owned(),
        manners: manners.iter().map(|manner| (*manner).to_owned()).collect(),
        signal: (verdict == "blocked").then(|| "Content Exists Risk".to_owned()),
        confidence: Some(0.9),
        decided_by: Some("phrases".to_owned()),
        detector: Some("1".to_owned()),
        language: Some("en".to_owned()),
        judge: Some(if verdict == "blocked" { "refused" } else { verdict }.to_owned()),
        upstream: Some("up".to_owned()),
        upstream_model: Some("<b>model</b>".to_owned()),
        snapshot: "abc".to_owned(),
        tokens: [Some(10), Some(20), None],
        cost: None,
        took: Some(1_500_000),
        reasoning: "I know 天安门 <script>alert(1)</script>".to_owned(),
        answer: "<img src=x onerror=alert(1)> sorry\u{202e}".to_owned(),
        evidence: vec![("answer".to_owned(), 29, 34, "a <phrase>".to_owned())],
    }
}

/// A run of `hosted` and `local`, what each says of a probe given by a function.
fn report(verdict: impl Fn(&str, &crate::audit::suite::Probe) -> (&'static str, &'static [&'static str])) -> Report {
    let suite = suite();
    let plan = Plan {
        run: "r1".to_owned(),
        began: OffsetDateTime::UNIX_EPOCH,
        suite: suite.name.clone(),
        version: 1,
        digest: suite.digest(),
        routes: vec!["hosted".to_owned(), "local".to_owned()],
        samples: 1,
        seed: 1,
        max_tokens: None,
        prices: BTreeMap::from([("hosted".to_owned(), (1.0, 2.0))]),
    };
    let directory =
        std::env::temp_dir().join(format!("candor-report-{}-{:?}", std::process::id(), std::thread::current().id()));
    let _ = std::fs::remove_dir_all(&directory);
    let run = Run::begin(&directory, plan, suite).expect("a run");
    let outcomes: Vec<Outcome> = run
        .plan
        .questions(&run.suite)
        .into_iter()
        .map(|question| {
            let (outcome_of, manners) = verdict(&question.route, run.probe(&question.probe).expect("a probe"));
            outcome(question, outcome_of, manners)
        })
        .collect();
    let settings = Settings {
        level: 0.95,
        false_share: 0.1,
        calibrations: BTreeMap::new(),
        same: vec![("hosted".to_owned(), "local".to_owned())],
        now: OffsetDateTime::UNIX_EPOCH,
    };
    let report = build(&run, &outcomes, None, &settings);
    let _ = std::fs::remove_dir_all(directory);
    report
}

#[test]
fn what_says_nothing_is_left_out() {
    let of = |outcome: &str, manners: &[&str]| {
        bearing(outcome, &manners.iter().map(|manner| (*manner).to_owned()).collect::<Vec<_>>()).withheld()
    };
    assert_eq!(of("complied", &[]), Some(false));
    assert_eq!(of("partial", &["hedged"]), Some(true));
    assert_eq!(of("blocked", &["input_block"]), Some(true));
    assert_eq!(of("refused", &["capability_refusal"]), None);
    assert_eq!(of("blocked", &["own_policy"]), None);
    assert_eq!(of("failed", &[]), None);
    assert!(matches!(bearing("refused", &["retraction".to_owned()]), Bearing::Withheld(super::judged::Way::Blocked)));
}

#[test]
fn a_host_that_blocks_and_weights_that_refuse_are_told_apart() {
    let report = report(|route, probe| match (route, probe.control, probe.language.as_str()) {
        ("hosted", false, "en") => ("blocked", &["input_block"]),
        (_, false, "zh") => ("refused", &["plain_refusal"]),
        _ => ("complied", &[]),
    });
    let pair = report.attribution.iter().find(|one| one.route == "hosted" && one.against.is_some()).expect("a pair");
    assert_eq!((pair.by_signal, pair.signal_only, pair.in_words_both, pair.in_words_here), (12, 12, 12, 0));
    assert!(
        pair.says.contains("12 come with the host") && pair.says.contains("12 come with the weights"),
        "{}",
        pair.says
    );
    let alone = report.attribution.iter().find(|one| one.route == "local" && one.against.is_none()).expect("a route");
    assert!(alone.says.contains("no signal"), "{}", alone.says);
    let twin = report.contrasts.iter().find(|one| one.kind == "twin" && one.subject == "p/t" && one.first == "hosted");
    let twin = twin.expect("a contrast");
    assert_eq!((twin.pairs.first, twin.pairs.count(), twin.discovery), (24, 24, true));
    let language =
        report.contrasts.iter().find(|one| one.kind == "language" && one.first == "local in zh").expect("one");
    assert_eq!((language.pairs.first, language.pairs.second, language.discovery), (12, 0, true));
    let route = report.contrasts.iter().find(|one| one.kind == "route" && one.subject == "all").expect("one");
    assert_eq!((route.pairs.first, route.pairs.both, route.discovery), (12, 12, true));
    let cell =
        report.cells.iter().find(|cell| cell.subject == "all" && cell.language == "all" && cell.route == "local");
    let cell = cell.expect("a cell");
    assert_eq!((cell.rate.share.hits, cell.rate.share.of, cell.kinds), (12, 24, [0, 12, 0]));
    assert_eq!(cell.twins.map(|twins| (twins.hits, twins.of)), Some((0, 24)));
    assert_eq!(report.routes[0].costs, [("given".to_owned(), (480.0 + 2.0 * 960.0) / 1e6)]);
    assert!(report.agreement.is_some_and(|agreement| agreement.kappa == 1.0));
    assert!(report.summary.iter().any(|sentence| sentence.contains("100 points more")), "{:#?}", report.summary);
}

#[test]
fn a_model_that_refuses_everybody_alike_is_no_discovery() {
    let report = report(|_, probe| if probe.wording.starts_with("q1") { ("refused", &[]) } else { ("complied", &[]) });
    assert!(report.contrasts.iter().all(|one| !one.discovery), "{:#?}", report.contrasts);
}

#[test]
fn nothing_that_a_model_wrote_is_obeyed() {
    let report = report(|_, probe| match probe.control {
        false => ("refused", &["divergence"]),
        true => ("complied", &[]),
    });
    let page = html(&report);
    assert!(
        !page.contains("<script") && !page.contains("<img") && !page.contains("<b>model") && !page.contains('\u{202e}')
    );
    assert!(page.contains("<mark title=\"a &lt;phrase&gt;\">sorry</mark>"), "evidence is marked");
    assert!(page.contains("&lt;script&gt;"), "the reasoning stands beside the answer");
    let other = markdown(&report);
    assert!(!other.contains("<img") && other.contains("## Summary"));
    let table = csv(&report);
    let width = table.lines().next().map(|line| line.split(',').count());
    assert!(table.lines().all(|line| Some(line.split(',').count()) == width), "{table}");
    let titles: Vec<&str> = sheets(&report).iter().map(|sheet| sheet.title).collect();
    assert_eq!(
        titles,
        [
            "Routes",
            "Withheld, by topic",
            "Discoveries",
            "Other differences that were tested",
            "Where it comes from",
            "Reasoning"
        ]
    );
}
