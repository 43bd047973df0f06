//! Rules that ask a judge model: what gives rise to a question, and that nothing counts without its answer.

use super::ruleset;
use crate::{Channel, Conduct, Course, Facts, Finding, Taken, TestResult};

const PACK: &str = r#"
version: 1
name: asking
topics: [{id: law, terms: [lawyer, contract]}]
rules:
  - {id: advice, topics: [law], ask: "Does the user ask for legal advice?", action: flag, severity: high, review: true}
  - {id: any, ask: "Is the user upset?", action: flag, when: {team: core}}
  - {id: unwilling, ask: "Was it right to refuse?", action: flag, when: {verdict: {outcome: refused}}}
  - {id: law-and-not, ask: "Is it about work?", action: flag, when: {topic: law, team: core}}
  - {id: plain, topics: [law], on: [prompt], action: flag}
"#;

/// The rules that ask about an exchange in which a text was said, and those that fire without asking.
fn asked(team: &str, text: &str, outcome: &str) -> (Vec<String>, Vec<String>) {
    let ruleset = ruleset(PACK);
    let facts = Facts { caller: "ann", team: Some(team), model: "m", ..Facts::default() };
    let (selection, mut course) = (ruleset.select(&facts), Course::new(&facts));
    let (mut findings, mut late) = (Vec::new(), Vec::new());
    let mut fired = selection.whole();
    if let Some(mut scanner) = selection.scanner(Channel::Prompt) {
        scanner.push(text, &mut findings);
        scanner.finish(&mut findings);
    }
    for finding in findings {
        match selection.take(&finding, &mut course) {
            Taken::Counts => fired.push(finding),
            Taken::Waits => late.push(finding),
            Taken::Nothing => {}
        }
    }
    let conduct = Conduct { outcome, ..Conduct::default() };
    late.retain(|finding| selection.judged(finding, &course, &conduct));
    late.extend(selection.whole_judged(&course, &conduct));
    assert!(late.iter().all(|finding| finding.ask.is_some()) && fired.iter().all(|finding| finding.ask.is_none()));
    assert!(!selection.enforces(), "no text waits for an answer");
    let names = |findings: Vec<Finding>| findings.iter().map(|finding| finding.rule.to_string()).collect();
    (names(late), names(fired))
}

#[test]
fn a_question_is_asked_where_the_rule_finds_something_and_its_conditions_hold() {
    let check = |team, text, outcome, late: &[&str], fired: &[&str]| {
        let (asked, found) = asked(team, text, outcome);
        assert_eq!((asked, found), (names(late), names(fired)), "{team} {text} {outcome}");
    };
    check("core", "my lawyer", "complied", &["advice", "any", "law-and-not"], &["plain"]);
    check("core", "my cat", "complied", &["any"], &[]);
    check("other", "my cat", "complied", &[], &[]);
    check("other", "a contract", "refused", &["advice", "unwilling"], &["plain"]);
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn a_packs_tests_state_what_is_answered() {
    let tests = r#"
tests:
  - {text: my lawyer, name: yes, answers: {advice: yes, any: no}, team: core, rules: [advice, plain]}
  - {text: my lawyer, name: no, answers: {advice: no}, rules: [plain]}
  - {text: my lawyer, name: unanswered, rules: [plain]}
  - {text: my cat, name: not asked, answers: {advice: yes, any: yes}, rules: []}
  - {text: my cat, name: no verdict, answers: {unwilling: yes}, rules: []}
  - {text: my cat, name: verdict, answers: {unwilling: yes}, verdict: {outcome: refused}, rules: [unwilling]}
  - {text: my lawyer, name: wrong, answers: {advice: yes}, rules: []}
"#;
    let results = ruleset(&format!("{PACK}{tests}")).run_tests();
    let failed: Vec<&TestResult> = results.iter().filter(|result| !result.passed).collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!((&*failed[0].name, &*failed[0].detail), ("wrong", "rules [advice, plain], not []"));
}

#[test]
fn a_ruleset_names_the_rules_that_ask() {
    let ruleset = ruleset(PACK);
    let asking: Vec<_> = ruleset.asking().map(|(_, rule)| rule).collect();
    assert_eq!(asking, ["advice", "any", "unwilling", "law-and-not"]);
}
