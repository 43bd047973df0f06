//! What is said in one dialect means the same in another, however its bytes come.

mod round_trip;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Translation, translate};
use crate::dialect::write::Head;
use crate::dialect::{RequestError, read_request};
use crate::exchange::Dialect::{self, Anthropic, OpenaiChat as Chat, OpenaiResponses as Responses};

const HEAD: Head<'_> = Head { id: "resp_0", model: "asked", created: 7 };

fn put(from: Dialect, to: Dialect, body: &Value) -> Result<(Value, Vec<String>), RequestError> {
    let request = read_request(from, body.to_string().into())?;
    let translated = translate(&request, to)?;
    Ok((serde_json::from_slice(&translated.request.raw).expect("JSON"), translated.dropped))
}

fn must(from: Dialect, to: Dialect, body: &Value) -> Value {
    put(from, to, body).unwrap_or_else(|error| panic!("{error}: {body}")).0
}

fn chat() -> Value {
    json!({
        "model": "m", "stream": true, "max_tokens": 2000, "temperature": 0.5,
        "tools": [{"type": "function", "function": {"name": "weather", "description": "d", "parameters": {"type": "object", "properties": {}}}}],
        "tool_choice": {"type": "function", "function": {"name": "weather"}}, "parallel_tool_calls": false, "user": "u1",
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": true}},
        "messages": [
            {"role": "system", "content": "be kind"},
            {"role": "user", "content": [{"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
                {"type": "image_url", "image_url": {"url": "https://x/y.png"}}]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Porto\"}"}},
                {"id": "c2", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Faro\"}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "7"},
            {"role": "tool", "tool_call_id": "c2", "content": "9"},
            {"role": "user", "content": "and now?"},
        ],
    })
}

#[test]
fn a_conversation_is_said_in_messages() {
    let sent = must(Chat, Anthropic, &chat());
    assert_eq!(sent["system"], json!([{"type": "text", "text": "be kind"}]));
    assert_eq!(sent["max_tokens"], 2000);
    assert_eq!(sent["tool_choice"], json!({"type": "tool", "name": "weather", "disable_parallel_tool_use": true}));
    assert_eq!(sent["tools"][0]["input_schema"], json!({"type": "object", "properties": {}}));
    assert_eq!(sent["output_config"]["format"]["type"], "json_schema");
    assert_eq!(sent["metadata"]["user_id"], "u1");
    let blocks = &sent["messages"][0]["content"];
    assert_eq!(blocks[1]["source"], json!({"type": "base64", "media_type": "image/png", "data": "aGk="}));
    assert_eq!(blocks[2]["source"], json!({"type": "url", "url": "https://x/y.png"}));
    assert_eq!(
        sent["messages"][1]["content"][1],
        json!({"type": "tool_use", "id": "c2", "name": "weather", "input": {"city": "Faro"}})
    );
    // The answers to calls made at once stand in one turn, with what the user says then.
    let results = sent["messages"][2]["content"].as_array().expect("blocks");
    assert_eq!(
        results.iter().map(|one| one["type"].as_str().unwrap_or_default()).collect::<Vec<_>>(),
        ["tool_result", "tool_result", "text"]
    );
}

#[test]
fn a_conversation_is_said_in_responses() {
    let sent = must(Chat, Responses, &chat());
    let kinds: Vec<&str> =
        sent["input"].as_array().expect("items").iter().filter_map(|item| item["type"].as_str()).collect();
    let expected = [
        "message",
        "message",
        "function_call",
        "function_call",
        "function_call_output",
        "function_call_output",
        "message",
    ];
    assert_eq!(kinds, expected);
    assert_eq!((&sent["store"], &sent["max_output_tokens"]), (&json!(false), &json!(2000)));
    assert_eq!(sent["text"]["format"]["name"], "answer");
    assert_eq!(sent["tools"][0]["name"], "weather");
    assert_eq!(sent["input"][1]["content"][1]["image_url"], "data:image/png;base64,aGk=");
}

#[test]
fn there_and_back_a_conversation_means_the_same() {
    for through in [Anthropic, Responses] {
        let there = must(Chat, through, &chat());
        let back = must(through, Chat, &there);
        let original = chat();
        for field in
            ["model", "stream", "max_tokens", "temperature", "tools", "tool_choice", "parallel_tool_calls", "user"]
        {
            assert_eq!(back[field], original[field], "{field} through {}", through.name());
        }
        assert_eq!(back["response_format"]["json_schema"]["schema"], json!({"type": "object"}));
        assert_eq!(back["messages"], original["messages"], "through {}", through.name());
    }
}

#[test]
fn what_cannot_be_said_is_refused_by_name() {
    let with = |field: &str, value: Value| {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "x"}], "max_tokens": 5});
        body[field] = value;
        body
    };
    let input = |field: &str, value: Value| {
        let mut body = json!({"model": "m", "input": "x"});
        body[field] = value;
        body
    };
    for (from, to, body, parameter) in [
        (Chat, Anthropic, with("n", json!(2)), "n"),
        (Chat, Anthropic, with("logprobs", json!(true)), "logprobs"),
        (Chat, Anthropic, with("logit_bias", json!({"5": 1})), "logit_bias"),
        (Chat, Anthropic, with("temperature", json!(1.5)), "temperature"),
        (Chat, Anthropic, with("response_format", json!({"type": "json_object"})), "response_format"),
        (Chat, Anthropic, with("functions", json!([{"name": "f"}])), "functions"),
        (Chat, Responses, with("stop", json!(["x"])), "stop"),
        (Responses, Chat, input("previous_response_id", json!("r")), "previous_response_id"),
        (Responses, Chat, input("background", json!(true)), "background"),
        (Responses, Chat, input("store", json!(true)), "store"),
        (Responses, Anthropic, input("tools", json!([{"type": "web_search"}])), "tools[0].type"),
        (Anthropic, Chat, with("tools", json!([{"type": "web_search_20250305", "name": "w"}])), "tools[0].type"),
        (Anthropic, Chat, with("mcp_servers", json!([{"url": "x"}])), "mcp_servers"),
    ] {
        let error = put(from, to, &body).expect_err(parameter);
        assert_eq!(error.parameter(), Some(parameter), "{error}");
    }
}

#[test]
fn what_is_lost_without_harm_is_named() {
    let body = json!({"model": "m", "max_tokens": 5, "seed": 4, "presence_penalty": 0.5, "odd_field": 1, "store": false, "logprobs": false,
        "messages": [{"role": "user", "content": "x"}]});
    assert_eq!(put(Chat, Anthropic, &body).expect("fits").1, ["odd_field", "presence_penalty", "seed"]);
    let body = json!({"model": "m", "max_tokens": 5, "top_k": 4, "messages": [{"role": "user", "content":
        [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]}]});
    assert_eq!(put(Anthropic, Responses, &body).expect("fits").1, ["cache_control", "top_k"]);
}

#[test]
fn signatures_come_back_to_whom_they_belong() {
    let thought = json!({"type": "thinking", "thinking": "hm", "signature": "c2ln"});
    let reply = json!({"type": "message", "id": "msg_1", "model": "c", "content": [thought, {"type": "text", "text": "hi"}],
        "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 2}});
    let user = json!({"role": "user", "content": "x"});
    // To a client of Chat Completions and back.
    let said = whole(Anthropic, Chat, &reply);
    let mut message = said["choices"][0]["message"].clone();
    assert_eq!((&message["reasoning_content"], &message["content"]), (&json!("hm"), &json!("hi")));
    message["role"] = "assistant".into();
    let back = must(Chat, Anthropic, &json!({"model": "m", "messages": [user, message, user]}));
    assert_eq!(back["messages"][1]["content"][0], thought);
    // To a client of Responses and back.
    let said = whole(Anthropic, Responses, &reply);
    assert_eq!(said["output"][0]["content"][0]["text"], "hm");
    let mut input = said["output"].as_array().expect("items").clone();
    input.insert(0, user.clone());
    let back = must(Responses, Anthropic, &json!({"model": "m", "input": input}));
    assert_eq!(back["messages"][1]["content"][0], thought);
    // OpenAI's hidden reasoning through a client of Messages.
    let item = json!({"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "zzz"});
    let reply = json!({"id": "resp_1", "model": "o", "status": "completed", "output": [item,
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hi"}]}]});
    let said = whole(Responses, Anthropic, &reply);
    let turn = json!({"role": "assistant", "content": said["content"]});
    let back = must(Anthropic, Responses, &json!({"model": "m", "max_tokens": 5, "messages": [user, turn, user]}));
    assert_eq!(back["input"][1], item);
    // What nobody signed is not sent to who would refuse it.
    let unsigned = json!({"role": "assistant", "content": "hi", "reasoning_content": "hm"});
    let (back, dropped) = put(Chat, Anthropic, &json!({"model": "m", "messages": [user, unsigned]})).expect("fits");
    assert_eq!(
        (back["messages"][1]["content"].as_array().map(Vec::len), dropped),
        (Some(1), vec!["reasoning".to_owned()])
    );
}

fn whole(from: Dialect, to: Dialect, reply: &Value) -> Value {
    let translation = Translation::new((from, to), &HEAD, true, None);
    serde_json::from_slice(&translation.whole(reply.to_string().as_bytes()).0).expect("JSON")
}

#[test]
fn whole_replies_keep_texts_calls_reasons_and_counts() {
    let reply = json!({"id": "chatcmpl-9", "model": "g", "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
        "role": "assistant", "content": "Let me see.", "reasoning_content": "hm", "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}},
            {"id": "c2", "type": "function", "function": {"name": "g", "arguments": ""}}]}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 2}}});
    let said = whole(Chat, Anthropic, &reply);
    assert_eq!((&said["id"], &said["stop_reason"]), (&json!("msg_9"), &json!("tool_use")));
    assert_eq!(said["content"][2], json!({"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}}));
    assert_eq!((&said["usage"]["input_tokens"], &said["usage"]["cache_read_input_tokens"]), (&json!(6), &json!(4)));
    let said = whole(Chat, Responses, &reply);
    let kinds: Vec<&str> =
        said["output"].as_array().expect("items").iter().filter_map(|item| item["type"].as_str()).collect();
    assert_eq!(kinds, ["reasoning", "message", "function_call", "function_call"]);
    assert_eq!((&said["status"], &said["usage"]["input_tokens"]), (&json!("completed"), &json!(10)));
    assert_eq!(said["output"][2]["call_id"], "c1");
    for (reason, stop, status) in [
        ("length", "max_tokens", "incomplete"),
        ("content_filter", "refusal", "incomplete"),
        ("stop", "end_turn", "completed"),
    ] {
        let reply = json!({"choices": [{"message": {"content": "x"}, "finish_reason": reason}]});
        assert_eq!(whole(Chat, Anthropic, &reply)["stop_reason"], stop);
        assert_eq!(whole(Chat, Responses, &reply)["status"], status);
    }
}

/// All that a reply can hold, as a whole reply of Messages.
fn replies() -> impl Strategy<Value = Value> {
    let text = || "[a-zé \\n\"\\\\<]{1,12}";
    let block = prop_oneof![
        text().prop_map(|text| json!({"type": "text", "text": text})),
        text().prop_map(|text| json!({"type": "thinking", "thinking": text, "signature": "c2ln"})),
        Just(json!({"type": "redacted_thinking", "data": "xyz"})),
        (text(), "[a-z]{1,6}").prop_map(
            |(value, name)| json!({"type": "tool_use", "id": format!("c_{name}"), "name": name, "input": {"k": value}})
        ),
    ];
    let stop = prop_oneof![Just("end_turn"), Just("max_tokens"), Just("refusal")];
    (proptest::collection::vec(block, 0..5), stop, 0_u64..99).prop_map(|(mut content, stop, tokens)| {
        // Two texts in a row are one to whoever reads them.
        content.dedup_by(|a, b| a["type"] == b["type"] && a["type"] == "text");
        let stop = if content.iter().any(|block| block["type"] == "tool_use") { "tool_use" } else { stop };
        let usage = json!({"input_tokens": tokens, "output_tokens": 3, "cache_read_input_tokens": 1, "cache_creation_input_tokens": 0});
        json!({"id": "msg_7", "type": "message", "role": "assistant", "model": "claude", "content": content,
            "stop_reason": stop, "stop_sequence": null, "usage": usage})
    })
}

/// A whole reply of Messages as the events of a stream.
fn events(reply: &Value) -> String {
    let mut out = String::new();
    let mut event = |value: Value| {
        out.push_str(&format!("event: {}\ndata: {value}\n\n", value["type"].as_str().unwrap_or_default()))
    };
    let mut start = reply.clone();
    start["content"] = json!([]);
    start["stop_reason"] = Value::Null;
    event(json!({"type": "message_start", "message": start}));
    for (block, index) in reply["content"].as_array().into_iter().flatten().zip(0..) {
        let change = |delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
        let mut opened = block.clone();
        let mut changes = Vec::new();
        match block["type"].as_str().unwrap_or_default() {
            "text" => {
                opened["text"] = "".into();
                changes.push(change(json!({"type": "text_delta", "text": block["text"]})));
            }
            "thinking" => {
                (opened["thinking"], opened["signature"]) = ("".into(), "".into());
                changes.push(change(json!({"type": "thinking_delta", "thinking": block["thinking"]})));
                changes.push(change(json!({"type": "signature_delta", "signature": block["signature"]})));
            }
            "tool_use" => {
                opened["input"] = json!({});
                let text = block["input"].to_string();
                let (a, b) = text.split_at(text.char_indices().nth(3).map_or(0, |(at, _)| at));
                changes.push(change(json!({"type": "input_json_delta", "partial_json": a})));
                changes.push(change(json!({"type": "input_json_delta", "partial_json": b})));
            }
            _ => {}
        }
        event(json!({"type": "content_block_start", "index": index, "content_block": opened}));
        changes.into_iter().for_each(&mut event);
        event(json!({"type": "content_block_stop", "index": index}));
    }
    event(
        json!({"type": "message_delta", "delta": {"stop_reason": reply["stop_reason"], "stop_sequence": null}, "usage": reply["usage"]}),
    );
    event(json!({"type": "message_stop"}));
    out
}

fn streamed(from: Dialect, to: Dialect, stream: &[u8], size: usize) -> String {
    let mut translation = Translation::new((from, to), &HEAD, true, None);
    let mut out = Vec::new();
    for chunk in stream.chunks(size) {
        out.extend(translation.push(Bytes::copy_from_slice(chunk)));
    }
    let closing = translation.finish();
    out.extend(closing.body);
    out.extend(closing.last);
    String::from_utf8(out).expect("text")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_chunking_of_a_stream_says_the_same(reply in replies(), size in 1_usize..60) {
        let stream = events(&reply);
        for to in [Chat, Responses] {
            let at_once = streamed(Anthropic, to, stream.as_bytes(), stream.len());
            prop_assert_eq!(streamed(Anthropic, to, stream.as_bytes(), size), at_once);
        }
    }

    #[test]
    fn a_stream_there_and_back_is_the_same_stream(reply in replies()) {
        let stream = events(&reply);
        for through in [Chat, Responses] {
            let there = streamed(Anthropic, through, stream.as_bytes(), stream.len());
            let back = streamed(through, Anthropic, there.as_bytes(), there.len());
            let expected = joined(&reply);
            prop_assert_eq!(joined(&said(&back)), expected, "through {}: {}", through.name(), there);
        }
    }

    #[test]
    fn a_whole_reply_there_and_back_is_the_same(reply in replies()) {
        let through = whole(Responses, Anthropic, &whole(Anthropic, Responses, &reply));
        prop_assert_eq!(joined(&through), joined(&reply));
    }

    #[test]
    fn broken_streams_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,60}") {
        for from in [Chat, Responses, Anthropic] {
            for to in [Chat, Responses, Anthropic] {
                let odd = format!("data: {{\"type\":{text},\"choices\":[{{\"delta\":{text}}}]}}\n\ndata: {text}\n\n");
                let _ = streamed(from, to, odd.as_bytes(), 7);
                let _ = streamed(from, to, &bytes, 7);
                let _ = Translation::new((from, to), &HEAD, true, None).whole(&bytes);
            }
        }
    }
}

/// A stream of Messages as the reply that a client makes of it.
fn said(stream: &str) -> Value {
    let (mut content, mut stop, mut usage): (Vec<Value>, Value, Value) = (Vec::new(), Value::Null, Value::Null);
    for data in stream.lines().filter_map(|line| line.strip_prefix("data: ")) {
        let event: Value = serde_json::from_str(data).expect("JSON");
        let index = event["index"].as_u64().and_then(|index| usize::try_from(index).ok()).unwrap_or(0);
        match event["type"].as_str().unwrap_or_default() {
            "content_block_start" => {
                assert_eq!(index, content.len(), "blocks are numbered as they come");
                content.push(event["content_block"].clone());
            }
            "content_block_delta" => {
                let block = &mut content[index];
                for (field, name) in
                    [("text", "text"), ("thinking", "thinking"), ("signature", "signature"), ("partial_json", "json")]
                {
                    if let Some(more) = event["delta"][field].as_str() {
                        block[name] = format!("{}{more}", block[name].as_str().unwrap_or_default()).into();
                    }
                }
            }
            "message_delta" => (stop, usage) = (event["delta"]["stop_reason"].clone(), event["usage"].clone()),
            _ => {}
        }
    }
    for block in &mut content {
        if let Some(json) = block["json"].as_str() {
            block["input"] = serde_json::from_str(json).expect("JSON");
        }
    }
    json!({"content": content, "stop_reason": stop, "usage": usage})
}

/// What a reply means: its blocks in order, texts in a row as one, why it ended, and what it took.
fn joined(reply: &Value) -> (Vec<String>, Value, Value) {
    let mut blocks: Vec<(String, String)> = Vec::new();
    for block in reply["content"].as_array().into_iter().flatten() {
        let kind = block["type"].as_str().unwrap_or_default().to_owned();
        let meaning =
            ["text", "thinking", "signature", "data", "name", "input"].map(|field| block[field].to_string()).concat();
        match blocks.last_mut() {
            Some((last, said)) if *last == kind && kind == "text" => said.push_str(&meaning),
            _ => blocks.push((kind, meaning)),
        }
    }
    let blocks = blocks.into_iter().map(|(kind, said)| format!("{kind}:{said}")).collect();
    (blocks, reply["stop_reason"].clone(), reply["usage"]["input_tokens"].clone())
}
