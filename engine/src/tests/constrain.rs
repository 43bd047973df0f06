//! Answers of a given form, from models that say nothing sensible.

use serde_json::{Value, json};

use super::fixture::{self, Folder, TEMPLATE, THINK};
use super::serving::{Reply, ask, read};
use crate::{Constraint, Engine, Error, Finish, Prompt, Sampling, Settings};

fn load(name: &str, template: Option<&str>) -> (Engine, Folder) {
    let folder = Folder::new(name);
    fixture::write(&folder, &fixture::config(&json!({})), template, 3);
    let settings = Settings { model: folder.path().to_owned(), threads: Some(1), ..Settings::default() };
    (Engine::load(settings).unwrap(), folder)
}

/// A seeded draw that leaves whitespace and thinking alone, or there would be little else.
fn sampling(engine: &Engine, constraint: &Constraint, seed: u64) -> Sampling {
    let unwanted = [b' ', b'\n', b'\r', b'\t'].map(u32::from).into_iter().chain([THINK]);
    let logit_bias = unwanted.map(|token| (token, -50.0)).collect();
    let grammar = Some(engine.constrain(constraint).unwrap());
    Sampling { seed: Some(seed), logit_bias, grammar, ..Sampling::default() }
}

fn run(engine: &Engine, prompt: Prompt, constraint: &Constraint, seed: u64) -> Reply {
    read(engine.generate(prompt, sampling(engine, constraint, seed)).unwrap())
}

fn schema() -> Value {
    json!({
        "type": "object", "additionalProperties": false, "required": ["kind", "size", "tags"],
        "properties": {
            "kind": { "enum": ["big", "small"] },
            "size": { "type": "integer", "minimum": 1, "maximum": 99 },
            "tags": { "type": "array", "items": { "type": "boolean" }, "maxItems": 3 },
        },
    })
}

#[test]
fn every_answer_has_the_form_that_was_asked_for() {
    let (engine, _folder) = load("form", None);
    let check = |constraint: &Constraint, fits: &dyn Fn(&str) -> bool| {
        for seed in 0..12 {
            let reply = run(&engine, ask(&engine, "x"), constraint, seed);
            assert!(matches!(reply.end, Some(Ok((Finish::Stop, _)))), "{constraint:?}: {reply:?}");
            assert!(fits(&reply.answer), "{constraint:?}: {reply:?}");
        }
    };
    check(&Constraint::JsonSchema(schema().to_string()), &|answer| {
        let Ok(value) = serde_json::from_str::<Value>(answer) else { return false };
        let tags = value["tags"].as_array().is_some_and(|tags| tags.len() <= 3 && tags.iter().all(Value::is_boolean));
        let size = value["size"].as_u64().is_some_and(|size| (1..=99).contains(&size));
        tags && size && (value["kind"] == "big" || value["kind"] == "small")
    });
    check(&Constraint::Choice(vec!["yes".to_owned(), "no \"\u{e9}\"".to_owned()]), &|answer| {
        answer == "yes" || answer == "no \"\u{e9}\""
    });
    check(&Constraint::Regex("[0-9]{3}-[a-c]+z".to_owned()), &|answer| {
        answer.len() > 5 && answer.as_bytes()[3] == b'-' && answer.ends_with('z')
    });
    let sum = "start: sum\nsum: product | sum \"+\" product\nproduct: /[0-9]/ | \"(\" sum \")\"";
    check(&Constraint::Grammar(sum.to_owned()), &|answer| {
        answer.matches('(').count() == answer.matches(')').count() && !answer.contains("++") && !answer.ends_with('+')
    });
}

#[test]
fn an_object_without_a_schema_is_still_an_object() {
    let (engine, _folder) = load("object", None);
    for seed in 0..8 {
        let reply = run(&engine, ask(&engine, "x"), &Constraint::JsonObject, seed);
        assert!(reply.answer.starts_with('{'), "{reply:?}");
        if let Some(Ok((Finish::Stop, _))) = reply.end {
            // Numbers may be larger than any machine's.
            assert!(serde_json::from_str::<serde::de::IgnoredAny>(&reply.answer).is_ok(), "{reply:?}");
        }
    }
}

#[test]
fn reasoning_is_free_and_the_answer_follows_it() {
    let (engine, _folder) = load("reasoned", Some(TEMPLATE));
    let open = Sampling { logit_bias: vec![(THINK, 100.0)], ..sampling(&engine, &Constraint::JsonObject, 1) };
    let reply = read(engine.generate(engine.tokens(vec![1]).unwrap(), open).unwrap());
    let Some(Ok((_, usage))) = reply.end else { panic!("{reply:?}") };
    assert!(usage.reasoning_tokens > 0, "a model may open its thinking itself");
    for seed in 0..6 {
        let constraint = Constraint::JsonSchema(schema().to_string());
        let sampling = Sampling { max_reasoning_tokens: Some(20), ..sampling(&engine, &constraint, seed) };
        let reply = read(engine.generate(ask(&engine, "x"), sampling).unwrap());
        assert!(matches!(reply.end, Some(Ok((Finish::Stop, _)))), "{reply:?}");
        assert!(!reply.reasoning.is_empty() && serde_json::from_str::<Value>(&reply.answer).is_ok(), "{reply:?}");
    }
}

#[test]
fn constrained_replies_are_the_same_alone_and_beside_others() {
    let (engine, _folder) = load("beside", None);
    let constraint = Constraint::JsonSchema(schema().to_string());
    let alone = run(&engine, ask(&engine, "x"), &constraint, 5);
    let free = Sampling { seed: Some(1), max_tokens: Some(60), ..Sampling::default() };
    let others: Vec<_> = (0..3).map(|_| engine.generate(ask(&engine, "other"), free.clone()).unwrap()).collect();
    let beside = run(&engine, ask(&engine, "x"), &constraint, 5);
    assert_eq!(alone.answer, beside.answer);
    let others: Vec<Reply> = others.into_iter().map(read).collect();
    assert!(others.windows(2).all(|pair| pair[0].answer == pair[1].answer));
}

#[test]
fn what_cannot_be_followed_is_refused_with_its_cause() {
    let (engine, _folder) = load("hostile", None);
    let refused = |constraint: Constraint, cause: &str| match engine.constrain(&constraint) {
        Err(Error::Request(text)) => assert!(text.contains(cause) && text.len() < 500, "{constraint:?}: {text}"),
        other => panic!("{constraint:?}: {other:?}"),
    };
    let schema = |schema: Value| Constraint::JsonSchema(schema.to_string());
    refused(Constraint::JsonSchema("{".to_owned()), "no JSON");
    refused(schema(json!({ "type": "strange" })), "strange");
    refused(schema(json!({ "not": { "type": "string" } })), "not");
    refused(schema(json!({ "$ref": "https://example.com/schema" })), "example.com");
    refused(schema(json!({ "type": "string", "pattern": "(" })), "");
    refused(schema(json!({ "$ref": "#" })), "no answer");
    refused(schema(json!({ "type": "integer", "minimum": 2, "maximum": 1 })), "");
    refused(Constraint::Regex("(".repeat(5000)), "nested");
    refused(Constraint::JsonSchema("[".repeat(5000)), "nested");
    refused(Constraint::Regex("a".repeat(70_000)), "bytes");
    refused(Constraint::Regex("(a|b".to_owned()), "");
    refused(Constraint::Grammar("start: missing".to_owned()), "missing");
    refused(Constraint::Grammar("begin: \"a\"".to_owned()), "start");
    refused(Constraint::Choice(Vec::new()), "choice");
    let alternatives = |name: &str| -> Value {
        (0..12).map(|index| json!({ "properties": { (format!("{name}{index}")): { "type": "string" } } })).collect()
    };
    let product: Value = (0..12).map(|index| json!({ "anyOf": alternatives(&format!("p{index}")) })).collect();
    refused(schema(json!({ "type": "object", "allOf": product })), "too large");
    // Some are found out on the way.
    let endless = Constraint::Regex("((a{1,900}){1,900}){1,900}".to_owned());
    let reply = run(&engine, ask(&engine, "x"), &endless, 1);
    assert!(matches!(&reply.end, Some(Err(Error::Request(text))) if text.contains("too many")), "{reply:?}");
    // The engine is none the worse.
    let reply = run(&engine, ask(&engine, "x"), &Constraint::Choice(vec!["yes".to_owned()]), 1);
    assert_eq!(reply.answer, "yes");
}
