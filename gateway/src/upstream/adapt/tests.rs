//! What is changed, what is refused, and that every other byte stays.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::json;

use super::super::catalogue::{Catalogue, load};
use super::*;
use crate::exchange::Dialect;

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| load(None).unwrap_or_else(|mistakes| panic!("{mistakes:?}")));

/// A body as a provider's model gets it, and what was changed; or the parameter that it was refused for.
fn adapted(provider: &str, model: &str, body: &str) -> Result<(String, String), String> {
    adapted_in(Dialect::OpenaiChat, provider, model, body)
}

fn adapted_in(dialect: Dialect, provider: &str, model: &str, body: &str) -> Result<(String, String), String> {
    let quirks = CATALOGUE.entry(provider).and_then(|entry| entry.quirks(dialect, model)).expect("quirks");
    match adapt(Bytes::from(body.to_owned()), quirks) {
        Ok(adapted) => Ok((String::from_utf8(adapted.body.to_vec()).expect("UTF-8"), adapted.changes.join(", "))),
        Err(Error::Request { parameter, .. }) => Err(parameter.unwrap_or_default()),
        Err(error) => panic!("{error}"),
    }
}

fn check(provider: &str, model: &str, body: &str, expected: &str, changes: &str) {
    assert_eq!(adapted(provider, model, body), Ok((expected.to_owned(), changes.to_owned())), "{body}");
}

#[test]
fn parameters_are_dropped_and_renamed_in_place() {
    let o3 = |body: &str, expected: &str, changes: &str| check("openai", "o3-mini", body, expected, changes);
    o3(
        "{ \"temperature\": 0.70,\n\t\"model\":\"x\" , \"max_tokens\" : 5, \"top_p\":1.0,\"z\":[1, 2]}",
        "{ \"model\":\"x\" , \"max_completion_tokens\" : 5, \"top_p\":1.0,\"z\":[1, 2]}",
        "max_tokens sent as max_completion_tokens, temperature dropped",
    );
    o3(r#"{"temperature":0.1,"top_p":0.2}"#, "{}", "temperature dropped, top_p dropped");
    o3(r#"{"a":1,"temperature":0.1,"top_p":0.2}"#, r#"{"a":1}"#, "temperature dropped, top_p dropped");
    o3(r#"{"a":1,"temperature":0.1,"b":2}"#, r#"{"a":1,"b":2}"#, "temperature dropped");
    o3(r#"{"temp\u0065rature":0.1 ,"b":2}"#, r#"{"b":2}"#, "temperature dropped");
    o3(r#"{"max_tokens":5,"max_completion_tokens":6}"#, r#"{"max_completion_tokens":6}"#, "max_tokens dropped");
    for same in [r#" {"temperature":1.0,"top_p":null} "#, "{}", "[]", "7", "", "{", r#"{"x":{"temperature":0}}"#] {
        o3(same, same, "");
    }
    o3(r#"{"parallel_tool_calls":true}"#, "{}", "parallel_tool_calls dropped");
}

#[test]
fn what_would_ask_for_something_else_is_refused() {
    for (provider, model, body, parameter) in [
        ("openai", "o3", r#"{"logprobs":true}"#, "logprobs"),
        ("openai", "o3", r#"{"parallel_tool_calls":false}"#, "parallel_tool_calls"),
        ("openai", "gpt-5.2", r#"{"reasoning_effort":"low","logprobs":true}"#, "logprobs"),
        ("openai", "o1-mini", r#"{"response_format":{"type":"json_schema"}}"#, "response_format.type"),
        ("deepseek-r1", "deepseek-reasoner", r#"{"tools":[{}]}"#, "tools"),
        ("moonshot", "kimi-k3", r#"{"n":2}"#, "n"),
        ("ollama", "llama3", r#"{"n":3}"#, "n"),
    ] {
        assert_eq!(adapted(provider, model, body), Err(parameter.to_owned()), "{body}");
    }
    for same in
        [r#"{"logprobs":false}"#, r#"{"response_format":{"type":"text"}}"#, r#"{"tools":[]}"#, r#"{"tools":null}"#]
    {
        check("openai", "o1-mini", same, same, "");
    }
}

#[test]
fn reasoning_is_sent_back_as_the_model_wants_it() {
    let messages = |text: &str| format!(r#"{{"messages":[{text}],"model":"m"}}"#);
    let thought = r#"{"role":"user","content":"hi"},{"role":"assistant","reasoning_content":"hm","content":"a"}"#;
    let bare = r#"{"role":"user","content":"hi"},{"role":"assistant","content":"a"}"#;
    let dropped = "reasoning of earlier messages dropped";
    check("deepseek-r1", "r1", &messages(thought), &messages(bare), dropped);
    check("dashscope", "qwen-plus", &messages(thought), &messages(bare), dropped);
    check("deepseek", "deepseek-reasoner", &messages(thought), &messages(thought), "");
    let called = |field: &str| {
        format!(r#"{{"role":"user","content":"q"}},{{"role":"assistant",{field}"tool_calls":[{{"id":"1"}}]}}"#)
    };
    let right = messages(&called(r#""reasoning_content":"hm","#));
    check("deepseek", "deepseek-reasoner", &right, &right, "");
    let renamed = "reasoning sent as reasoning_content";
    for other in [r#""reasoning":"hm","#, r#""reasoning_content":null,"reasoning":"hm","#] {
        check("moonshot", "kimi-k3", &messages(&called(other)), &right, renamed);
    }
    let missing = messages(&called(""));
    let refused = Err("messages[1].reasoning_content".to_owned());
    assert_eq!(adapted("deepseek", "deepseek-reasoner", &missing), refused);
    assert_eq!(adapted("moonshot", "kimi-k2.5", &missing), refused);
    for fine in [
        missing.replace("\"model\"", r#""thinking":{"type":"disabled"},"model""#),
        missing.replace("}],\"model\"", r#"},{"role":"user","content":"next"}],"model""#),
    ] {
        check("moonshot", "kimi-k2.5", &fine, &fine, "");
    }
    check("deepseek", "deepseek-chat", &missing, &missing, "");
    let developer = messages(r#"{"content":"be kind","role":"developer"}"#);
    let system = messages(r#"{"content":"be kind","role":"system"}"#);
    check("deepseek", "deepseek-chat", &developer, &system, "role developer sent as system");
}

#[test]
fn thinking_that_is_refused_whole_is_asked_as_a_stream() {
    let stream = r#""stream":true,"stream_options":{"include_usage":true}"#;
    let gathered = "asked as a stream and gathered";
    let with = |rest: &str| format!("{{{stream},{rest}}}");
    for (model, rest) in [
        ("qwq-plus", r#""model":"m""#),
        ("qwen3-235b-a22b-thinking-2507", r#""enable_thinking":false"#),
        ("qwen3-32b", r#""model":"m""#),
        ("qwen-plus", r#""enable_thinking":true"#),
    ] {
        check("dashscope", model, &format!("{{{rest}}}"), &with(rest), gathered);
    }
    check(
        "dashscope",
        "qwq-plus",
        r#"{"stream":false}"#,
        r#"{"stream_options":{"include_usage":true},"stream":true}"#,
        gathered,
    );
    for (model, body) in [
        ("qwen3-32b", r#"{"enable_thinking":false}"#),
        ("qwen-plus", r#"{"model":"m"}"#),
        ("qwq-plus", r#"{"stream":true}"#),
    ] {
        check("dashscope", model, body, body, "");
    }
}

#[test]
fn what_stands_beside_a_parameter_decides() {
    let same = |dialect: Dialect, provider: &str, model: &str, body: &str| {
        assert_eq!(adapted_in(dialect, provider, model, body), Ok((body.to_owned(), String::new())), "{model}");
    };
    let check = |dialect: Dialect, provider: &str, model: &str, body: &str, expected: &str, changes: &str| {
        let expected = Ok((expected.to_owned(), changes.to_owned()));
        assert_eq!(adapted_in(dialect, provider, model, body), expected, "{body}");
    };
    let (sonnet, thinks) = ("claude-sonnet-4-5", r#""thinking":{"type":"enabled","budget_tokens":2048}"#);
    let messages = |rest: &str| format!("{{{thinks}{rest}}}");
    let anthropic = |rest: &str, left: &str, changes: &str| {
        check(Dialect::Anthropic, "anthropic", sonnet, &messages(rest), &messages(left), changes);
    };
    anthropic(r#","temperature":0.2"#, "", "temperature dropped");
    anthropic(r#","top_k":5, "top_p":0.5,"x":1"#, r#","x":1"#, "top_p dropped, top_k dropped");
    for fine in [r#","temperature":1.0"#, r#","top_p":0.97"#, r#","tool_choice":{"type":"auto"}"#] {
        same(Dialect::Anthropic, "anthropic", sonnet, &messages(fine));
    }
    let forced = messages(r#","tool_choice":{"type":"any"}"#);
    assert_eq!(adapted_in(Dialect::Anthropic, "anthropic", sonnet, &forced), Err("tool_choice.type".to_owned()));
    for off in [r#"{"temperature":0.2,"top_k":5}"#, r#"{"thinking":{"type":"disabled"},"top_p":0.2}"#] {
        same(Dialect::Anthropic, "anthropic", sonnet, off);
    }
    let both = r#"{"temperature":0.2,"top_p":0.9}"#;
    check(Dialect::Anthropic, "anthropic", sonnet, both, r#"{"temperature":0.2}"#, "top_p dropped");
    same(Dialect::Anthropic, "anthropic", "claude-3-5-sonnet-20241022", both);
    check(
        Dialect::Anthropic,
        "anthropic",
        "claude-opus-4-7",
        &messages(r#","temperature":1"#),
        r#"{"thinking":{"type":"adaptive"}}"#,
        r#"thinking set to {"type":"adaptive"}, temperature dropped"#,
    );
    same(Dialect::Anthropic, "anthropic", "claude-opus-4-7", r#"{"thinking":{"type":"adaptive"}}"#);
    same(Dialect::Anthropic, "anthropic", "claude-opus-4-7", "{}");
    let cold = r#"{"temperature":0.2}"#;
    check(Dialect::OpenaiResponses, "openai", "o3", cold, "{}", "temperature dropped");
    same(Dialect::OpenaiResponses, "openai", "gpt-5.2", cold);
    let hard = r#"{"reasoning":{"effort":"high"},"temperature":0.2}"#;
    let left = r#"{"reasoning":{"effort":"high"}}"#;
    check(Dialect::OpenaiResponses, "openai", "gpt-5.2", hard, left, "temperature dropped");
    check(Dialect::OpenaiResponses, "openai", "gpt-4.1", left, "{}", "reasoning dropped");
    same(Dialect::OpenaiChat, "openai", "gpt-5.1", r#"{"temperature":0.2,"reasoning_effort":"none"}"#);
    let state = r#"{"previous_response_id":"resp_1"}"#;
    let refused = Err("previous_response_id".to_owned());
    assert_eq!(adapted_in(Dialect::OpenaiResponses, "ollama", "qwen3", state), refused);
}

#[test]
fn nobody_else_says_what_was_changed() {
    let mut headers = HeaderMap::new();
    headers.insert(HEADER, HeaderValue::from_static("lies"));
    assert!(say(headers.clone(), &[]).is_empty());
    let said = say(headers, &["a dropped".to_owned(), "b set to 1".to_owned()]);
    assert_eq!(said.get(HEADER).and_then(|value| value.to_str().ok()), Some("a dropped, b set to 1"));
}

const NAMES: [&str; 8] =
    ["temperature", "top_p", "max_tokens", "n", "x", "messages", "presence_penalty", "max_completion_tokens"];

/// A body of some members in any order and spacing.
fn bodies() -> impl Strategy<Value = (Vec<(usize, Value)>, String)> {
    let value = prop_oneof![
        Just(json!(1)),
        Just(json!(0.5)),
        Just(json!(null)),
        "\\PC{0,6}".prop_map(Value::from),
        Just(json!({"temperature": 0.2, "a": ["}", ","]})),
        Just(json!([{"role": "developer", "content": "x"}, {"role": "assistant", "reasoning": "r"}])),
    ];
    let members = prop::collection::btree_map(0..NAMES.len(), value, 0..NAMES.len());
    (members, "[ \n\t]{0,2}").prop_map(|(members, space)| {
        let members: Vec<(usize, Value)> = members.into_iter().collect();
        let texts =
            members.iter().map(|(name, value)| format!("{space}\"{}\"{space}:{space}{value}{space}", NAMES[*name]));
        let text = format!("{space}{{{}}}{space}", texts.collect::<Vec<_>>().join(","));
        (members, text)
    })
}

proptest! {
    #[test]
    fn what_is_left_is_json_with_every_other_value_as_it_was((members, text) in bodies()) {
                let quirks = CATALOGUE.entry("openai").and_then(|entry| entry.quirks(Dialect::OpenaiChat, "o3")).expect("quirks");
        let adapted = adapt(Bytes::from(text.clone()), quirks).expect("nothing is refused");
        let left: Value = serde_json::from_slice(&adapted.body).expect("JSON");
        let has_new = members.iter().any(|(name, _)| NAMES[*name] == "max_completion_tokens");
        let mut expected = serde_json::Map::new();
        for (name, value) in &members {
            let taken = |number: f64| value.is_null() || value.as_f64() == Some(number);
            match NAMES[*name] {
                "temperature" | "top_p" if !taken(1.0) => {}
                "presence_penalty" if !taken(0.0) => {}
                "max_tokens" if !value.is_null() && has_new => {}
                "max_tokens" if !value.is_null() => _ = expected.insert("max_completion_tokens".into(), value.clone()),
                name => _ = expected.insert(name.to_owned(), value.clone()),
            }
        }
        prop_assert_eq!(left, Value::Object(expected));
        prop_assert_eq!(adapted.changes.is_empty(), adapted.body == text);
    }

    #[test]
    fn broken_bodies_stay_as_they_are_and_never_panic(body in prop::collection::vec(any::<u8>(), 0..64), cut in 0..40_usize) {
                let whole = r#"{"temperature":0.5,"messages":[{"role":"developer","content":"é"}]}"#.as_bytes();
        for body in [body.as_slice(), whole.get(..cut).unwrap_or_default()] {
            for provider in ["openai", "deepseek", "dashscope", "moonshot"] {
                let quirks = CATALOGUE.entry(provider).and_then(|entry| entry.models.first()).expect("quirks");
                if serde_json::from_slice::<Value>(body).is_err() {
                    let adapted = adapt(Bytes::copy_from_slice(body), quirks).expect("nothing is refused");
                    prop_assert_eq!(adapted.body, body);
                }
            }
        }
    }
}
