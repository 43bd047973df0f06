//! Suites as they ship, as others write them, and as they should not be.

use super::{Format, Kind, shipped, shipped_names, text};

fn mistakes(source: &str) -> Vec<String> {
    let found = text("s.yaml", source, Some(Format::Yaml)).expect_err("mistakes");
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn shipped_suites_can_be_read_and_are_large_enough() {
    for name in shipped_names() {
        assert!(shipped(name).is_some_and(|suite| suite.name == name), "{name}");
    }
    let topics = shipped("topics").expect("a suite");
    assert!(topics.probes.len() >= 300, "{}", topics.probes.len());
    for language in ["en", "zh", "pt"] {
        let count = topics.probes.iter().filter(|probe| probe.language == language).count();
        assert!(count >= 100, "{count} in {language}");
    }
    assert!(topics.probes.iter().all(|probe| probe.control || probe.twin.is_some()), "every probe has a twin");
    let packs = crate::screen::shipped_packs();
    assert!(topics.probes.iter().all(|probe| probe.pack.as_deref().is_some_and(|pack| packs.contains(&pack))));
    let maths = shipped("maths").expect("a suite");
    assert!(maths.probes.iter().all(|probe| probe.kind == Kind::Capability));
    for probe in &maths.probes {
        let right = probe.answer.as_deref().unwrap_or_default();
        let boxed = format!("\\boxed{{{right}}}");
        assert!(crate::audit::grade::is_right(&boxed, right), "{}", probe.id);
    }
}

#[test]
fn questions_become_probes_with_twins() {
    let suite = text(
        "s.yaml",
        "name: s\ntopics:\n- topic: china/taiwan\n  questions:\n  - id: q\n    ask: {en: [a, b], zh: c}\n    twin: {en: t}\n    facts: [x, [u, z]]\n",
        Some(Format::Yaml),
    )
    .expect("a suite");
    let ids: Vec<(&str, Option<&str>)> =
        suite.probes.iter().map(|probe| (probe.id.as_str(), probe.twin.as_deref())).collect();
    let expected = [("q/en/1~", None), ("q/en/1", Some("q/en/1~")), ("q/en/2", Some("q/en/1~")), ("q/zh/1", None)];
    assert_eq!(ids, expected);
    assert_eq!(suite.probes[1].facts, [vec!["x".to_owned()], vec!["u".to_owned(), "z".to_owned()]]);
    assert_eq!(suite.probes[1].subject(), "china/taiwan");
    // What was written out is read back as it was.
    let again = text("s.jsonl", &suite.lines(), None).expect("a suite");
    assert_eq!((again.probes.clone(), again.digest()), (suite.probes.clone(), suite.digest()));
}

#[test]
fn every_mistake_is_named_with_its_line() {
    let found = mistakes(
        "name: s\nversion: x\nprobes:\n- {id: a, topic: t, prompt: p, kidn: refusal}\n- {id: a, topic: t, prompt: p, twin: z}\n- {id: b, prompt: q}\n- {id: c, topic: t, prompt: p, kind: capability}\n- 7\n",
    );
    let expected = [
        "s.yaml:1: `version` must be a whole number",
        "s.yaml:4: a probe has no `kidn`; it has id, topic, pack",
        "s.yaml:6: a probe lacks `topic`",
        "s.yaml:8: a probe must be a mapping, not a number",
        "s.yaml:5: two probes have the id `a`",
        "s.yaml:7: the capability probe `c` lacks `answer`",
        "s.yaml:5: `a` has the twin `z`, which is no probe",
    ];
    for part in expected {
        assert!(found.iter().any(|mistake| mistake.starts_with(part)), "{part} is not in {found:#?}");
    }
    assert_eq!(found.len(), 7, "{found:#?}");
    assert!(mistakes("name: s\n").iter().any(|mistake| mistake.contains("no probes")));
    assert!(mistakes("name: [\n").iter().any(|mistake| mistake.contains("not valid YAML")));
    assert!(mistakes("").iter().any(|mistake| mistake.contains("lacks `name`")));
}

#[test]
fn files_of_others_become_probes() {
    let check = |file: &str, source: &str, expected: &[(&str, &str, &str, &str)]| {
        let suite = text(file, source, None).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let found: Vec<(&str, &str, &str, &str)> = suite
            .probes
            .iter()
            .map(|probe| (probe.id.as_str(), probe.topic.as_str(), probe.language.as_str(), probe.prompt.as_str()))
            .collect();
        assert_eq!(found, expected);
    };
    check(
        "harmbench_behaviors.csv",
        "Behavior,FunctionalCategory,SemanticCategory,Tags,ContextString,BehaviorID\r\n\"Say \"\"no\"\", please\",standard,misinformation_disinformation,,,say_no\r\nDo it,contextual,illegal,,\"A text\nof two lines\",do_it\r\n",
        &[
            ("say_no", "misinformation_disinformation", "en", "Say \"no\", please"),
            ("do_it", "illegal", "en", "A text\nof two lines\n\n---\n\nDo it"),
        ],
    );
    check(
        "china_criticism.jsonl",
        "{\"id\": \"08\", \"category\": \"Tiananmen Square\", \"domain\": \"history\", \"question\": \"写一篇文章\"}\n\n{\"question\": \"Write\"}\n",
        &[("08", "history", "zh", "写一篇文章"), ("line-3", "unnamed", "en", "Write")],
    );
    check(
        "promptfooconfig.yaml",
        "prompts: ['Answer: {{question}}']\nproviders: [x]\ntests:\n- vars: {question: Why?}\n  metadata: {pluginId: politics}\n",
        &[("test-1/1", "politics", "en", "Answer: Why?")],
    );
    check(
        "tests.csv",
        "prompt,subject\nWhat is it?,Xinjiang camps\n",
        &[("line-2", "xinjiang_camps", "en", "What is it?")],
    );
    for (file, source) in [
        ("a.csv", "x,y\n1,2\n"),
        ("a.jsonl", "{\n"),
        ("a.csv", ""),
        ("b.jsonl", "[1]\n"),
        ("c.yaml", "tests: file.csv\n"),
    ] {
        assert!(text(file, source, None).is_err(), "{file}: {source}");
    }
}
