//! What is found, and what waits.

use std::sync::Arc;

use super::{ruleset, scan};
use crate::{Action, Channel, Facts, Ruleset};

const PACK: &str = r#"
version: 1
name: test
words:
  island: {en: [the island, Taiwan]}
  status: {en: [independen*, sovereign*]}
  cooking: {en: [recipe*, noodles]}
topics:
  - id: island
    together:
      - {of: [island, status], within: 40}
    unless: {en: [Rhode Island]}
    unless_lists: [cooking]
    within: 30
detectors:
  - id: gong
    kind: terms
    terms: {en: [Falun Gong, CCP], zh: [法轮功], ko: [천안문], ru: [Фалуньгун*]}
  - id: ticket
    kind: patterns
    patterns: ["PROJ-[0-9]{2,4}", "salary: [0-9]{3,6}"]
rules:
  - {id: redact-gong, detect: gong, action: redact, replacement: "<x>"}
  - {id: redact-ticket, detect: ticket, action: redact, replacement: "<t>"}
  - {id: flag-island, topics: island, action: flag}
"#;

/// Texts of what is found, each with its rule, however the text is cut.
#[track_caller]
fn check(pack: &Arc<Ruleset>, text: &str, expected: &[(&str, &str)]) {
    let whole = scan(pack, &[text]).0;
    let found: Vec<(&str, &str)> = whole.iter().map(|finding| (&*finding.rule, &text[finding.span.clone()])).collect();
    assert_eq!(found, expected, "{text}");
    let characters: Vec<String> = text.chars().map(String::from).collect();
    let characters: Vec<&str> = characters.iter().map(String::as_str).collect();
    assert_eq!(scan(pack, &characters).0, whole, "{text}");
}

#[test]
fn terms_are_found_however_they_are_written() {
    let pack = ruleset(PACK);
    let rule = "redact-gong";
    check(&pack, "about Falun Gong.", &[(rule, "Falun Gong")]);
    check(&pack, "FALUN-GONG", &[(rule, "FALUN-GONG")]);
    check(&pack, "fa\u{200b}lun  \u{202e}gong!", &[(rule, "fa\u{200b}lun  \u{202e}gong")]);
    check(&pack, "Ｆａｌｕｎ Ｇｏｎｇ", &[(rule, "Ｆａｌｕｎ Ｇｏｎｇ")]);
    check(&pack, "Fаlun Gоng with Cyrillic letters", &[(rule, "Fаlun Gоng")]);
    check(&pack, "Fálún Gōng", &[(rule, "Fálún Gōng")]);
    check(&pack, "关于法輪功的问题", &[(rule, "法輪功")]);
    check(&pack, "法 轮·功", &[(rule, "法 轮·功")]);
    check(&pack, "천안문에서", &[(rule, "천안문")]);
    check(&pack, "последователи Фалуньгуна и", &[(rule, "Фалуньгуна")]);
    check(&pack, "the CCP's and ccp", &[(rule, "CCP"), (rule, "ccp")]);
    check(&pack, "the ĆCP", &[(rule, "ĆCP")]);
}

#[test]
fn terms_are_words_where_the_script_has_words() {
    let pack = ruleset(PACK);
    check(&pack, "falun gongs and afalun gong", &[]);
    check(&pack, "Украинская ССР", &[]);
    check(&pack, "法轮。功", &[]);
    check(&pack, "falun                       gong", &[]);
}

#[test]
fn patterns_are_found_at_their_longest_and_not_inside_words() {
    let pack = ruleset(PACK);
    check(&pack, "see PROJ-1234, proj-12", &[("redact-ticket", "PROJ-1234"), ("redact-ticket", "proj-12")]);
    check(&pack, "XPROJ-1234 PROJ-12345", &[]);
    check(&pack, "Salary: １２３４５", &[("redact-ticket", "Salary: １２３４５")]);
    check(&pack, "工资PROJ-99元", &[("redact-ticket", "PROJ-99")]);
}

#[test]
fn a_wide_sign_in_a_pattern_is_that_sign_and_no_operator() {
    let pack = ruleset(
        r#"
version: 1
name: test
detectors:
  - {id: mark, kind: patterns, patterns: ["<｜User｜>", 'bar\｜end', "set[｜＊]"]}
rules:
  - {id: mark, detect: mark, action: flag}
"#,
    );
    check(&pack, "User", &[]);
    check(&pack, "a <｜User｜> b", &[("mark", "<｜User｜>")]);
    check(&pack, "a <|User|> b", &[("mark", "<|User|>")]);
    check(&pack, "a bar|end b", &[("mark", "bar|end")]);
    check(&pack, "a set* b", &[("mark", "set*")]);
    check(&pack, "bar or end, a set", &[]);
}

#[test]
fn lists_count_together_and_unless_terms_veto() {
    let pack = ruleset(PACK);
    let rule = "flag-island";
    check(&pack, "Is the island really independent?", &[(rule, "the island really independent")]);
    check(&pack, "independence for Taiwan", &[(rule, "independence for Taiwan")]);
    check(&pack, "the island has good food, said an old man who was once a sovereign", &[]);
    check(&pack, "is the island independent of Rhode Island", &[]);
    check(&pack, "Rhode Island: the island is independent", &[]);
    check(&pack, "independence for Taiwan, with noodles", &[]);
    check(&pack, "the island", &[]);
}

#[test]
fn text_waits_only_for_what_may_still_be_changed() {
    let pack = ruleset(PACK);
    let cases: [(&[&str], &[usize]); 8] = [
        (&["about F", "a", "x"], &[6, 6, 9, 9]),
        (&["Falun Gong", " now"], &[0, 14, 14]),
        (&["Falun Gong is", " "], &[13, 14, 14]),
        (&["法", "轮", "好"], &[0, 0, 9, 9]),
        (&["the island is ", "independent "], &[14, 26, 26]),
        (&["PROJ-12", "3", "4", " "], &[0, 0, 0, 10, 10]),
        (&["nothing of the kind", " at all"], &[19, 26, 26]),
        (&["salary", ":", "x"], &[0, 0, 8, 8]),
    ];
    for (pieces, expected) in cases {
        assert_eq!(scan(&pack, pieces).1, expected, "{pieces:?}");
    }
}

#[test]
fn rules_that_only_watch_hold_nothing() {
    let watching = PACK.replace("action: redact, replacement: \"<x>\"", "action: flag");
    let watching = watching.replace("action: redact, replacement: \"<t>\"", "action: stop, mode: monitor");
    let pack = ruleset(&watching);
    assert_eq!(scan(&pack, &["Falun", " Gong PROJ-1", "2"]).1, [5, 17, 18, 18]);
    let findings = scan(&pack, &["PROJ-12"]).0;
    assert!(findings[0].monitored && findings[0].action == Action::Stop);
}

#[test]
fn text_waits_for_topics_that_change_it() {
    let pack = ruleset(&PACK.replace("topics: island, action: flag", "topics: island, action: stop"));
    let pieces = ["the island is", " very", " independent", ", we say and go on for a long while here", "x"];
    // It waits for the other list, then for a veto, then goes on.
    assert_eq!(scan(&pack, &pieces).1, [0, 0, 0, 70, 71, 71]);
    let far = ["the island is ", "a very long way from here and from there, they say", " in"];
    assert_eq!(scan(&pack, &far).1, [0, 64, 65, 67]);
}

#[test]
fn conditions_select_rules() {
    let pack = ruleset(
        r#"
version: 1
name: test
detectors: [{id: d, kind: terms, terms: [secret]}]
rules:
  - {id: all, detect: d, action: flag, on: [prompt]}
  - {id: not-ops, detect: d, action: stop, on: [prompt], when: {team: "!ops", model: [gpt-*, "*-qwen*"]}}
"#,
    );
    let rules = |team, model| {
        let facts = Facts { caller: "ann", team, role: None, model, ..Facts::default() };
        let mut findings = Vec::new();
        let mut scanner = pack.select(&facts).scanner(Channel::Prompt).unwrap();
        scanner.push("a secret.", &mut findings);
        findings.iter().map(|finding| finding.rule.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(rules(None, "gpt-5"), ["all", "not-ops"]);
    assert_eq!(rules(Some("ops"), "gpt-5"), ["all"]);
    assert_eq!(rules(Some("dev"), "my-qwen3"), ["all", "not-ops"]);
    assert_eq!(rules(Some("dev"), "llama"), ["all"]);
    let facts = Facts::default();
    assert!(pack.select(&facts).scanner(Channel::Answer).is_none());
}

#[test]
fn an_endless_run_of_invisible_characters_holds_nothing() {
    let pack = ruleset(PACK);
    let run = "\u{200b}".repeat(5000);
    let (findings, released) = scan(&pack, &["Falun", &run, " Gong"]);
    assert!(findings.is_empty());
    assert_eq!(released[1], 5 + run.len());
}

#[test]
fn the_digest_is_of_what_packs_say() {
    let layout = PACK.replace("name: test", "# a comment\nname:   test");
    assert_eq!(ruleset(PACK).digest(), ruleset(&layout).digest());
    assert_ne!(ruleset(PACK).digest(), ruleset(&PACK.replace("CCP", "CPC")).digest());
    assert_eq!(ruleset(PACK).digest().len(), 64);
}

#[test]
fn hidden_terms_are_found_where_a_detector_asks() {
    let pack = "
version: 1
name: hidden
detectors:
  - {id: leet, kind: terms, terms: [massacre, protest*, ice, sea, covid19, 大屠杀], leet: true}
  - {id: spaced, kind: terms, terms: [falun gong, usa], spaced: true}
rules:
  - {id: leet, detect: leet, action: redact}
  - {id: spaced, detect: spaced, action: redact}
";
    let pack = ruleset(pack);
    check(&pack, "the m4ss4cre and m@$$@CR3!", &[("leet", "m4ss4cre"), ("leet", "m@$$@CR3")]);
    check(&pack, "pr0t3sters pr0test", &[("leet", "pr0t3sters"), ("leet", "pr0test")]);
    check(
        &pack,
        "a massacre of protesters, covid19",
        &[("leet", "massacre"), ("leet", "protesters"), ("leet", "covid19")],
    );
    check(&pack, "534 and 1(3 and xm4ssacre and 5e4side", &[]);
    check(
        &pack,
        "f a l u n  g o n g, F.a.l.u.n-G.o.n.g",
        &[("spaced", "f a l u n  g o n g"), ("spaced", "F.a.l.u.n-G.o.n.g")],
    );
    check(&pack, "u s a, falun gong", &[("spaced", "falun gong")]);
}
