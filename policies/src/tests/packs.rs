//! The packs that are compiled in: they compile, and pass the tests they carry.

use std::sync::Arc;

use crate::{Pack, compile, shipped, shipped_names, usual_names};

#[test]
fn shipped_packs_pass_their_own_tests() {
    let ruleset = compile(&shipped()).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    let results = ruleset.run_tests();
    let failed: Vec<String> = results
        .iter()
        .filter(|result| !result.passed)
        .map(|result| format!("{} / {}: {}", result.pack, result.name, result.detail))
        .collect();
    assert!(failed.is_empty(), "{} of {}: {failed:#?}", failed.len(), results.len());
    for name in shipped_names() {
        assert!(results.iter().any(|result| *result.pack == *name), "{name} carries no test");
    }
}

#[test]
fn packs_are_named_as_their_files_and_few_are_in_force_unasked() {
    for pack in shipped() {
        assert!(pack.text.contains(&format!("\nname: {}\n", pack.name)), "{}", pack.name);
    }
    assert_eq!(usual_names(), ["china", "personal-data", "prompt-injection", "secrets"]);
    assert!(usual_names().iter().all(|name| shipped_names().contains(name)));
}

#[test]
fn an_operators_pack_raises_what_a_shipped_one_flags() {
    let own = "version: 1\nname: own\nrules:\n  - {id: hide, detect: [secrets/*], topics: [china/*], action: redact}\n";
    let mut packs = shipped();
    packs.push(Pack { name: "own.yaml".to_owned(), text: own.to_owned() });
    let ruleset = Arc::new(compile(&packs).unwrap_or_else(|mistakes| panic!("{mistakes:#?}")));
    let (findings, _) = super::scan(&ruleset, &["the Tiananmen Square massacre"]);
    let rules: Vec<&str> = findings.iter().map(|finding| &*finding.rule).collect();
    assert!(rules.contains(&"hide"), "{rules:?}");
}

#[test]
fn a_test_that_does_not_hold_says_why() {
    let text = "version: 1\nname: p\ndetectors: [{id: d, kind: terms, terms: [secret]}]\n\
        rules: [{id: r, detect: d, action: redact, replacement: X}]\n\
        tests: [{text: a secret, rules: []}, {text: a secret, redacted: a X}]\n";
    let ruleset = compile(&[Pack { name: "p".to_owned(), text: text.to_owned() }]).unwrap();
    let results = ruleset.run_tests();
    assert_eq!(results[0].detail, "rules [r], not []");
    assert!(results[1].passed, "{}", results[1].detail);
}
