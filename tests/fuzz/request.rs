//! Requests of any form in every dialect: what is read stands where it is said to stand, the bytes are kept, and what they
//! come to in another dialect is a request of that dialect.

use bytes::Bytes;
use candor_gateway::dialect;
use candor_gateway::exchange::{Dialect, Request, Written};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Every place that a decoded request names holds the JSON string of the text that was read from it, or is it.
fn places_are_true(request: &Request) {
    let raw = &request.raw;
    let text_at = |at: std::ops::Range<usize>| serde_json::from_slice::<String>(&raw[at]).expect("a JSON string");
    assert_eq!(text_at(request.model_at.clone()), request.model);
    for passage in request.messages.iter().flat_map(|message| &message.passages) {
        match passage.written {
            Written::Quoted => assert_eq!(text_at(passage.at.clone()), passage.text),
            Written::Bare => assert_eq!(raw[passage.at.clone()], *passage.text.as_bytes()),
        }
    }
    let whole: Value = serde_json::from_slice(raw).expect("what was read is JSON");
    assert_eq!(whole["model"], request.model);
    if request.dialect == Dialect::OpenaiChat {
        assert_eq!(whole["messages"].as_array().map(Vec::len), Some(request.messages.len()));
    }
}

/// Reads bytes, where they are a request, and says them in every other dialect.
fn check(of: Dialect, raw: &[u8]) {
    let Ok(request) = dialect::read_request(of, Bytes::copy_from_slice(raw)) else { return };
    assert_eq!(request.raw, raw);
    places_are_true(&request);
    for to in Dialect::ALL.into_iter().filter(|to| *to != of) {
        match dialect::translate(&request, to) {
            Ok(translated) => {
                assert_eq!((translated.request.dialect, &translated.request.model), (to, &request.model));
                assert_eq!(translated.request.stream, request.stream);
                places_are_true(&translated.request);
                // They go into a header.
                assert!(translated.dropped.len() <= 32);
                assert!(translated.dropped.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_graphic())));
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

/// JSON that often is a request of Chat Completions, written in odd ways.
fn chats() -> impl Strategy<Value = String> {
    let text = "\\PC{0,12}|[\\\\\"{}\\[\\],: a-z]{0,12}".prop_map(|text: String| Value::from(text).to_string());
    let odd = prop_oneof![
        Just("null".to_owned()),
        Just("7".to_owned()),
        Just("[]".to_owned()),
        Just("\"\\u0041\"".to_owned())
    ];
    let value = prop_oneof![4 => text.clone(), 1 => odd];
    let message = (value.clone(), value.clone(), any::<bool>()).prop_map(|(role, content, parts)| match parts {
        true => format!("{{\"role\":{role}, \"content\":[{{\"type\":\"text\",\"text\":{content}}}]}}"),
        false => format!("{{ \"content\" :{content},\"role\":{role}}}"),
    });
    let messages = proptest::collection::vec(message, 0..4).prop_map(|messages| messages.join(" , "));
    (value, messages, any::<bool>()).prop_map(|(model, messages, first)| match first {
        true => format!("{{\"model\":{model},\"messages\":[{messages}]}}"),
        false => format!(" {{\"x\":1,\"messages\" : [{messages}], \"model\" :{model} }}\n"),
    })
}

/// A value where a text is expected: mostly one.
fn texts() -> impl Strategy<Value = Value> {
    let odd = prop_oneof![Just(Value::Null), Just(json!(7)), Just(json!([])), Just(json!({"type": "text"}))];
    prop_oneof![6 => "\\PC{0,10}|[\\\\\"{}\\[\\],: a-z]{0,10}".prop_map(Value::from), 1 => odd]
}

/// A piece of a conversation in any dialect, by the words of all of them.
fn pieces() -> impl Strategy<Value = Value> {
    let kind = prop_oneof![
        Just("text"),
        Just("input_text"),
        Just("output_text"),
        Just("refusal"),
        Just("image_url"),
        Just("input_image"),
        Just("image"),
        Just("thinking"),
        Just("redacted_thinking"),
        Just("tool_use"),
        Just("tool_result"),
        Just("document"),
        Just("input_file"),
        Just("reasoning"),
        Just("function_call"),
        Just("function_call_output"),
        Just("message"),
        Just("nonsense"),
    ];
    let role = prop_oneof![
        3 => Just("user"), 3 => Just("assistant"), 1 => Just("system"), 1 => Just("developer"), 1 => Just("tool"), 1 => Just("nobody"),
    ];
    (kind, role, texts(), texts(), any::<bool>()).prop_map(|(kind, role, text, more, nested)| {
        let part = json!({"type": kind, "text": text, "refusal": text, "thinking": text, "signature": more, "data": text,
            "image_url": if kind == "image_url" { json!({"url": text}) } else { text.clone() },
            "source": {"type": "base64", "media_type": "image/png", "data": text}, "file_data": text,
            "id": more, "name": more, "call_id": more, "tool_use_id": more, "tool_call_id": more,
            "input": {"k": text, "l": [text]}, "arguments": text, "output": text, "content": text,
            "encrypted_content": more, "summary": [{"type": "summary_text", "text": text}], "role": role});
        match nested {
            true => json!({"role": role, "content": [part], "tool_calls": [{"id": more, "function": {"name": "f", "arguments": text}}],
                "tool_call_id": more, "reasoning_content": text}),
            false => part,
        }
    })
}

/// A request that has the fields of all dialects, each sometimes of the wrong kind.
fn requests() -> impl Strategy<Value = Value> {
    (texts(), proptest::collection::vec(pieces(), 0..5), texts(), any::<bool>(), 0_u64..5000).prop_map(
        |(model, pieces, text, stream, tokens)| {
            json!({"model": model, "messages": pieces, "input": if tokens % 5 == 0 { text.clone() } else { json!(pieces) },
                "instructions": text, "system": text, "stream": stream, "max_tokens": tokens, "max_output_tokens": tokens,
                "tools": [{"type": "function", "name": text, "function": {"name": text}, "parameters": {}, "input_schema": {}}],
                "tool_choice": if tokens % 2 == 0 { json!("auto") } else { json!({"type": "auto"}) }, "stop": text, "odd": text})
        },
    )
}

fn dialects() -> impl Strategy<Value = Dialect> {
    proptest::sample::select(Dialect::ALL.to_vec())
}

proptest! {
    #[test]
    fn what_is_read_of_a_request_stands_where_it_is_said_to(request in chats()) {
        check(Dialect::OpenaiChat, request.as_bytes());
    }

    #[test]
    fn requests_of_all_dialects_are_read_truly_and_said_in_others(request in requests(), of in dialects(), without in 0_usize..16) {
        // Fields that are missing are the other half of what can be wrong.
        let mut request = request;
        let fields = request.as_object_mut().expect("an object");
        if let Some(name) = fields.keys().nth(without).filter(|_| without > 2).cloned() {
            fields.remove(&name);
        }
        check(of, request.to_string().as_bytes());
    }

    #[test]
    fn a_damaged_request_is_read_truly_or_not_at_all(
        request in prop_oneof![chats(), requests().prop_map(|request| request.to_string())],
        of in dialects(), at in any::<proptest::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = request.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        check(of, &bytes);
    }
}
