//! For which exchanges rules hold, and what they demand beside their action.

use std::sync::Arc;

use super::ruleset;
use crate::{Channel, Conduct, Course, Facts, Finding, Ruleset, Selection, Taken, Upstream, moment};

const PACK: &str = r#"
version: 1
name: conditions
topics:
  - {id: island, terms: [island]}
  - {id: cooking, terms: [noodles]}
detectors: [{id: d, kind: terms, terms: [secret]}]
rules:
  - {id: always, detect: d, action: flag}
  - {id: eu, detect: d, action: flag, when: {jurisdiction: eu}}
  - {id: not-cn, detect: d, action: flag, when: {jurisdiction: "!cn"}}
  - {id: public, detect: d, action: flag, when: {tags: {data: "pub*"}, upstream: "one*"}}
  - {id: office, detect: d, action: flag, when: {time: {days: mon-fri, hours: "08:00-18:00", zone: Europe/Berlin}}}
  - {id: on-island, detect: d, action: redact, when: {topic: [island, "!cooking"]}}
  - {id: in-words, detect: d, action: flag, when: "'conditions/island' in topics && team == 'core' && role == ''"}
  - {id: local, detect: d, action: flag, when: "local || jurisdiction == 'eu'"}
  - {id: refused, detect: d, action: flag, when: {verdict: {outcome: refused}}, review: true}
  - {id: party-line, action: flag, review: true, record: required, when: {verdict: {manner: party_line}, topic: island}}
  - {id: sure, action: flag, when: "verdict.confidence > 0.5 && upstream == 'one'"}
  - {id: home, action: reroute, route: {local_only: true}, when: {team: core}}
  - {id: tested, detect: d, action: stop, mode: monitor, when: {model: "test-*"}, message: {en: no, zh: 不}}
"#;

/// An exchange in which a text is found on a channel; gives the rules that fire, in order.
struct Exchange {
    selection: Selection,
    course: Course,
    waiting: Vec<Finding>,
}

impl Exchange {
    fn new(ruleset: &Arc<Ruleset>, facts: &Facts<'_>) -> Self {
        Self { selection: ruleset.select(facts), course: Course::new(facts), waiting: Vec::new() }
    }

    fn read(&mut self, channel: Channel, text: &str) -> Vec<String> {
        let mut findings = Vec::new();
        let mut fired = Vec::new();
        let Some(mut scanner) = self.selection.scanner(channel) else { return fired };
        scanner.push(text, &mut findings);
        scanner.finish(&mut findings);
        for finding in findings {
            match self.selection.take(&finding, &mut self.course) {
                Taken::Counts => fired.push(finding.rule.to_string()),
                Taken::Waits => self.waiting.push(finding),
                Taken::Nothing => {}
            }
        }
        fired
    }

    fn judge(&self, conduct: &Conduct<'_>) -> Vec<String> {
        let judged = |finding: &&Finding| self.selection.judged(finding, &self.course, conduct);
        let waited = self.waiting.iter().filter(judged).map(|finding| finding.rule.to_string());
        let whole = self.selection.whole_judged(&self.course, conduct).into_iter();
        waited.chain(whole.map(|finding| finding.rule.to_string())).collect()
    }
}

fn tags(jurisdiction: &str) -> Vec<(String, String)> {
    vec![("jurisdiction".to_owned(), jurisdiction.to_owned()), ("data".to_owned(), "public".to_owned())]
}

const ANN: Facts<'_> = Facts { caller: "ann", team: Some("core"), role: None, model: "m", at: None, upstream: None };

#[track_caller]
fn check(facts: &Facts<'_>, expected: &[&str]) {
    assert_eq!(Exchange::new(&ruleset(PACK), facts).read(Channel::Answer, "a secret"), expected);
}

#[test]
fn rules_that_ask_who_answers_hold_once_that_is_known() {
    check(&ANN, &["always"]);
    let (eu, cn) = (tags("eu"), tags("cn"));
    let at = |tags| Facts { upstream: Some(Upstream { name: "one-1", local: false, tags }), ..ANN };
    check(&at(&eu), &["always", "eu", "not-cn", "public", "local"]);
    check(&at(&cn), &["always", "public"]);
    let here = Facts { upstream: Some(Upstream { name: "two", local: true, tags: &[] }), ..ANN };
    check(&here, &["always", "not-cn", "local"]);
    assert!(ruleset(PACK).asks_upstream());
}

#[test]
fn time_is_asked_of_the_moment_handed_in() {
    let at = |text| Facts { at: moment(text), ..ANN };
    check(&at("2026-03-02T07:30:00Z"), &["always", "office"]);
    check(&at("2026-03-02T06:30:00Z"), &["always"]);
    check(&at("2026-03-01T12:00:00Z"), &["always"]);
    assert_eq!(moment("soon"), None);
}

#[test]
fn a_topic_counts_from_where_it_was_found_on_any_channel() {
    let ruleset = ruleset(PACK);
    let mut exchange = Exchange::new(&ruleset, &ANN);
    assert!(exchange.selection.notes() && exchange.selection.enforces());
    assert_eq!(exchange.read(Channel::Reasoning, "a secret, the island"), ["always"]);
    assert_eq!(exchange.read(Channel::Answer, "a secret"), ["always", "on-island", "in-words"]);
    let mut choice =
        Exchange { selection: exchange.selection.clone(), course: exchange.course.clone(), waiting: vec![] };
    assert_eq!(choice.read(Channel::Answer, "noodles, a secret"), ["always", "in-words"]);
    assert_eq!(exchange.read(Channel::Tool, "a secret"), ["always", "on-island", "in-words"]);
}

#[test]
fn verdicts_decide_about_what_waited_and_by_themselves() {
    let mut exchange = Exchange::new(&ruleset(PACK), &ANN);
    exchange.read(Channel::Prompt, "the island");
    exchange.read(Channel::Answer, "a secret");
    let judge =
        |outcome, manners: &[&str]| exchange.judge(&Conduct { outcome, manners, language: None, confidence: 0.9 });
    assert_eq!(judge("refused", &["plain_refusal"]), ["refused"]);
    assert_eq!(judge("partial", &["hedged", "party_line"]), ["party-line"]);
    assert!(judge("complied", &[]).is_empty());

    let tags = tags("eu");
    let upstream = Some(Upstream { name: "one", local: false, tags: &tags });
    let other = Exchange::new(&ruleset(PACK), &Facts { upstream, ..ANN });
    let sure = Conduct { outcome: "complied", confidence: 0.9, ..Conduct::default() };
    assert_eq!(other.judge(&sure), ["sure"]);
    assert!(other.judge(&Conduct { confidence: 0.1, ..sure }).is_empty());
}

#[test]
fn rules_about_the_exchange_demand_a_route_before_it_begins() {
    let ruleset = ruleset(PACK);
    let whole = ruleset.select(&ANN).whole();
    assert_eq!(whole.iter().map(|finding| &*finding.rule).collect::<Vec<_>>(), ["home"]);
    let demands = whole[0].demands.clone().unwrap();
    let route = demands.route.as_ref().unwrap();
    assert!(route.permits(&Upstream { name: "x", local: true, tags: &[] }));
    assert!(!route.permits(&Upstream { name: "x", local: false, tags: &[] }));
    assert!(ruleset.select(&Facts { team: None, ..ANN }).whole().is_empty());
}

#[test]
fn an_upstream_that_says_nothing_of_itself_satisfies_no_demand() {
    let pack = "
version: 1
name: p
rules:
  - id: r
    action: reroute
    when: {caller: ann}
    route: {jurisdiction: [eu, ch, '!cn'], upstream: '!spare', tags: {data: '!public'}}
";
    let whole = ruleset(pack).select(&ANN).whole();
    let demands = whole[0].demands.clone().unwrap();
    let permits = |name: &str, tags: &[(&str, &str)]| {
        let tags: Vec<(String, String)> =
            tags.iter().map(|(tag, value)| ((*tag).to_owned(), (*value).to_owned())).collect();
        demands.route.as_ref().unwrap().permits(&Upstream { name, local: false, tags: &tags })
    };
    assert!(permits("a", &[("jurisdiction", "eu"), ("data", "internal")]));
    assert!(!permits("a", &[("jurisdiction", "eu")]));
    assert!(!permits("a", &[("jurisdiction", "us"), ("data", "internal")]));
    assert!(!permits("spare", &[("jurisdiction", "eu"), ("data", "internal")]));
    assert!(!permits("a", &[("data", "internal")]));
}

#[test]
fn packs_test_their_conditions() {
    let pack = format!(
        "{PACK}
tests:
  - {{text: a secret, rules: [always, home], team: core}}
  - {{text: a secret, rules: [always, eu, not-cn, local], upstream: {{name: x, tags: {{jurisdiction: eu}}}}}}
  - {{text: a secret on the island, rules: [always, on-island]}}
  - {{text: a secret, channel: answer, rules: [always, office], at: 2026-03-02T08:30:00Z}}
  - {{text: a secret, channel: answer, rules: [always, refused], verdict: {{outcome: refused}}}}
  - {{text: the island, rules: [party-line], verdict: {{outcome: partial, manners: [party_line]}}}}
"
    );
    let results = ruleset(&pack).run_tests();
    assert_eq!(results.len(), 6);
    for result in results {
        assert!(result.passed, "{}: {}", result.name, result.detail);
    }
}
