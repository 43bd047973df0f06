//! What is said of a pack that is wrong.

use crate::{Pack, compile};

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let pack = Pack { name: "p.yaml".to_owned(), text: text.to_owned() };
    let mistakes = compile(&[pack]).map(|_| ()).unwrap_err();
    let said: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    let fits = |said: &String, expected: &str| expected.split(" | ").all(|part| said.contains(part));
    let as_expected = said.iter().zip(expected).all(|(said, expected)| fits(said, expected));
    assert!(as_expected && said.len() == expected.len(), "{said:#?}");
}

#[test]
fn every_mistake_is_named_at_once_with_its_place() {
    check(
        r#"version: 2
name: p
topic: []
words: {a: [x]}
topics:
  - id: Bad Id
    terms: [x]
  - id: empty
  - id: one
    together: [{of: [a, bb]}, {of: [a]}]
    within: 9999
    unless_lists: bb
detectors:
  - {id: d, kind: term, terms: [x]}
  - {id: e, kind: patterns, patterns: ["a*", "a+", "(", "a{2,5000}"]}
  - {id: f, kind: secrets, kinds: [githb]}
  - {id: g, kind: terms, terms: ["--"]}
rules:
  - {id: r, detect: [ee], topics: [ones], action: redct, on: [answr]}
  - {id: r, detect: e, action: flag, replacement: x, severty: low}
  - {id: s, action: stop}
tests:
  - {text: x}
  - {text: x, rules: [q], channel: prompts}
"#,
        &[
            "p.yaml:1:10: version `2` of the format is not known | write `version: 1`",
            "p.yaml:3:1: unknown key `topic` in the pack | did you mean `topics`?",
            "p.yaml:6:9: `Bad Id` is no id | small letters",
            "p.yaml:8:5: topic `empty` can never be found",
            "p.yaml:10:25: no list `bb` under `words` | did you mean `a`?",
            "p.yaml:10:31: an entry of `together` must name two lists or more",
            "p.yaml:11:13: `within` must be a whole number, not `9999` | 1 to 400",
            "p.yaml:12:19: no list `bb` under `words` | did you mean `a`?",
            "p.yaml:14:19: `term` is no value of `kind` | did you mean `terms`?",
            "p.yaml:15:40: `a*` matches the empty text",
            "p.yaml:15:46: `a+` may match text of any length | `{1,40}`",
            "p.yaml:15:52: `(` is no pattern: unclosed group",
            "p.yaml:15:57: `a{2,5000}` may match 5000 bytes; 4096",
            "p.yaml:16:36: `githb` is no kind | did you mean `github`?",
            "p.yaml:17:34: nothing of the term `--` is left",
            "p.yaml:19:22: no detector `ee` | did you mean `e`?",
            "p.yaml:19:36: no topic `ones` | did you mean `one`?",
            "p.yaml:19:51: `redct` is no value of `action` | did you mean `redact`?",
            "p.yaml:19:63: `answr` is no value of `on` | did you mean `answer`?",
            "p.yaml:20:10: rule `r` is defined twice",
            "p.yaml:20:51: `replacement` means nothing with action `flag`",
            "p.yaml:20:54: unknown key `severty` in rule `r` | did you mean `severity`?",
            "p.yaml:21:5: rule `s` looks for nothing",
            "p.yaml:23:5: a test expects nothing",
            "p.yaml:24:23: no rule `q` in this pack | did you mean `r`?",
            "p.yaml:24:36: `prompts` is no value of `channel` | did you mean `prompt`?",
        ],
    );
}

#[test]
fn every_mistake_of_conditions_and_demands_is_named() {
    check(
        r#"version: 1
name: p
topics: [{id: one, terms: [x]}]
detectors: [{id: d, kind: terms, terms: [x]}]
rules:
  - {id: a, detect: d, action: flag, when: {upstreem: x, topic: [ones, "!two"], time: {days: moon, hours: 8-9, zone: Nowhere}}}
  - {id: b, detect: d, action: stop, when: {verdict: {outcome: refuse}}}
  - {id: c, detect: d, action: flag, when: {verdict: {manner: ["!party-line"]}}, route: {local_only: true}}
  - {id: e, detect: d, action: flag, when: "caler == 'x'"}
  - {id: f, detect: d, action: redact, when: {expression: "verdict.outcome == 'refused'"}}
  - {id: g, action: redact, when: {team: x}, on: answer}
  - {id: h, action: flag, when: {topic: one}}
  - {id: i, detect: d, action: reroute}
  - {id: j, detect: d, action: stop, on: [prompt, answer], route: {local_only: maybe, tags: {a: b}, region: x}}
  - {id: k, detect: d, action: flag, route: {}, review: yess, record: best_effort}
  - {id: l, detect: d, action: stop, message: {english: x, openai-chat: {pt: y, zz9: z}, pt: {en: x}}}
  - {id: m, action: flag, when: "'p/one' in topics"}
  - {id: o, detect: d, action: flag, when: {time: {zone: UTC}, verdict: {}}}
tests:
  - {text: x, rules: [a], at: yesterday, upstream: {names: x}, verdict: {manners: x}}
"#,
        &[
            "p.yaml:6:45: unknown key `upstreem` | did you mean `upstream`?",
            "p.yaml:6:66: no topic `ones` | did you mean `one`?",
            "p.yaml:6:72: no topic `two` | there are: one",
            "p.yaml:6:94: `moon` is no day of the week | did you mean `mon`?",
            "p.yaml:6:107: `8-9` is no span of hours | 08:00-18:00",
            "p.yaml:6:118: `Nowhere` is no time zone | Europe/Berlin",
            "p.yaml:7:5: rule `b` cannot stop on a verdict: the reply has left by then | action: flag",
            "p.yaml:7:64: `refuse` is no value of `outcome` | did you mean `refused`?",
            "p.yaml:8:5: rule `c` cannot choose a route on a verdict",
            "p.yaml:8:64: `party-line` is no value of `manner` | did you mean `party_line`?",
            "p.yaml:9:44: `caler` means nothing in an expression | caller, team",
            "p.yaml:10:59: rule `f` asks for the verdict: the reply has left by then",
            "p.yaml:11:5: rule `g` has nothing to redact: it looks for nothing",
            "p.yaml:11:5: `on` means nothing in rule `g`",
            "p.yaml:12:5: rule `h` looks for nothing but asks for a topic | `topics`",
            "p.yaml:13:5: rule `i` does not say where to | local_only",
            "p.yaml:14:5: rule `j` cannot choose a route by a reply | on: [prompt]",
            "p.yaml:14:5: rule `j` both stops and chooses a route | reroute",
            "p.yaml:14:80: `maybe` is no value of `local_only` | true, false",
            "p.yaml:14:101: unknown key `region` in `route` of rule `j`",
            "p.yaml:15:45: `route` of rule `k` demands nothing",
            "p.yaml:15:57: `yess` is no value of `review` | true, false",
            "p.yaml:15:71: `best_effort` is no value of `record` | required",
            "p.yaml:16:48: `english` is neither a language nor a dialect",
            "p.yaml:16:81: `zz9` is neither a language nor a dialect",
            "p.yaml:16:95: `en` cannot stand below a language",
            "p.yaml:17:33: rule `m` looks for nothing but asks for topics",
            "p.yaml:18:51: `time` of `when` of rule `o` asks nothing | hours",
            "p.yaml:18:73: `verdict` of `when` of rule `o` asks nothing | outcome",
            "p.yaml:20:31: `yesterday` is no moment | 2026-03-02",
            "p.yaml:20:53: unknown key `names` in `upstream` of a test | did you mean `name`?",
            "p.yaml:20:73: `verdict` of a test lacks `outcome`",
        ],
    );
}

#[test]
fn every_mistake_of_questions_is_named() {
    let long = "x".repeat(501);
    check(
        &format!(
            r#"version: 1
name: p
detectors: [{{id: d, kind: terms, terms: [x]}}]
rules:
  - {{id: a, ask: "?", action: stop}}
  - {{id: b, detect: d, ask: "?", action: redact, replacement: y}}
  - {{id: c, ask: "?", action: reroute, route: {{local_only: true}}}}
  - {{id: e, ask: "?", action: flag, record: required}}
  - {{id: f, ask: " ", action: flag}}
  - {{id: g, ask: {long}, action: flag}}
  - {{id: h, ask: [a, b], action: flag}}
  - {{id: i, ask: "?", action: allow}}
  - {{id: j, detect: d, action: flag}}
tests:
  - {{text: x, rules: [e], answers: {{e: no}}}}
  - {{text: x, rules: [], answers: {{j: yes, e: maybe}}}}
  - {{text: x, rules: [], answers: {{e: [yes, no]}}}}
"#
        ),
        &[
            "p.yaml:5:5: rule `a` cannot stop on an answer to `ask`: the exchange has ended | action: flag",
            "p.yaml:6:5: rule `b` cannot redact on an answer to `ask`",
            "p.yaml:7:5: rule `c` cannot choose a route on an answer to `ask` | leave `route` out",
            "p.yaml:8:5: rule `e` cannot demand a durable record on an answer to `ask` | leave `record` out",
            "p.yaml:9:18: `ask` of rule `f` must have 1 to 500 characters, not 0 | yes or no",
            "p.yaml:10:18: `ask` of rule `g` must have 1 to 500 characters, not 501",
            "p.yaml:11:5: `ask` of rule `h` must be one text",
            "p.yaml:12:5: rule `i` cannot allow on an answer to `ask`",
            "p.yaml:15:23: rule `e` fires only where its question is answered with yes | answers: {e: yes}",
            "p.yaml:16:36: no rule `j` in this pack asks a question",
            "p.yaml:16:47: `maybe` is no value of `answers` | known: yes, no",
            "p.yaml:17:36: `answers` must hold one answer to rule `e` | yes",
        ],
    );
}

#[test]
fn text_that_is_no_yaml_is_one_mistake() {
    check("version: [", &["p.yaml:1: | not valid YAML"]);
    check("- a", &["the pack must be a mapping, not a list", "lacks `version`", "lacks `name`"]);
    check("", &["lacks `version`", "lacks `name`"]);
}

#[test]
fn mistakes_of_all_packs_come_together() {
    let pack = |name: &str| Pack { name: name.to_owned(), text: "version: 1\nname: same\nx: 1\n".to_owned() };
    let mistakes = compile(&[pack("a"), pack("b")]).map(|_| ()).unwrap_err();
    let said: Vec<String> = mistakes.iter().map(|mistake| format!("{}:{}", mistake.file, mistake.message)).collect();
    assert_eq!(
        said,
        ["a:unknown key `x` in the pack", "b:another pack is named `same` too", "b:unknown key `x` in the pack"]
    );
}
