//! Requests and replies read as they were sent, and broken ones refused.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;

use super::{reply, request};
use crate::exchange::{Channel, Observed};

fn read(text: &str) -> Result<crate::exchange::Request, String> {
    request::read(Bytes::copy_from_slice(text.as_bytes())).map_err(|error| error.to_string())
}

#[test]
fn every_text_of_a_request_is_found_where_it_stands() {
    let body = r#"{"model":"m\u0031","vendor_field":{"deep":[1]},"messages":[
        {"role":"system","content":"be\nnice"},
        {"role":"user","content":[{"type":"text","text":"look \u00e9"},{"type":"image_url","image_url":{"url":"data:x"}}]},
        {"role":"assistant","content":null,"reasoning_content":"hm","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},
        {"role":"tool","tool_call_id":"c","content":"7"}],"stream":true,"stream_options":{"include_usage":true},"stop":"x"}"#;
    let request = read(body).expect("valid");
    assert_eq!(request.model, "m1");
    assert_eq!(&body[request.model_at.clone()], r#""m\u0031""#);
    let texts: Vec<_> = request.messages.iter().flat_map(|m| &m.passages).map(|p| (p.role, p.text.as_str())).collect();
    let expected = [
        (Channel::Answer, "be\nnice"),
        (Channel::Answer, "look é"),
        (Channel::Reasoning, "hm"),
        (Channel::Tool, "{\"a\":1}"),
        (Channel::Answer, "7"),
    ];
    assert_eq!(texts, expected);
    for passage in request.messages.iter().flat_map(|m| &m.passages) {
        let token: String = serde_json::from_str(&body[passage.at.clone()]).expect("a JSON string");
        assert_eq!(token, passage.text);
    }
    assert!(request.stream && request.stream_usage);
    assert_eq!(request.sampling.stop, ["x"]);
}

#[test]
fn broken_requests_say_what_is_wrong_and_where() {
    let cases = [
        ("", "line 1 column 0"),
        ("{", "line 1 column 1"),
        ("[]", "expected an object at line 1 column 1"),
        ("\r\n  [\"m\"]", "expected an object at line 2 column 3"),
        ("7", "expected an object"),
        ("\u{feff}{}", "expected an object"),
        (r#"{"messages":[]}"#, "'model'"),
        (r#"{"model":"m"}"#, "'messages'"),
        (r#"{"model":7,"messages":[{"role":"user","content":"x"}]}"#, "'model'"),
        (r#"{"model":"m","messages":[]}"#, "'messages'"),
        (r#"{"model":"m","messages":{}}"#, "line 1"),
        (r#"{"model":"m","messages":[7]}"#, "messages[0]"),
        (r#"{"model":"m","messages":[{"content":"x"}]}"#, "messages[0].role"),
        (r#"{"model":"m","messages":[{"role":"user","content":7}]}"#, "messages[0].content"),
        (r#"{"model":"m","messages":[{"role":"user","content":"x"}],"n":0}"#, "'n'"),
        (r#"{"model":"m","messages":[{"role":"user","content":"x"}],"stream":"yes"}"#, "line 1"),
        (r#"{"model":"m","model":"k","messages":[{"role":"user","content":"x"}]}"#, "duplicate field"),
        (r#"{"model":"m","messages":[{"role":"user","content":"x","content":"y"}]}"#, "messages[0]"),
        (r#"{"model":"m","messages":[{"role":"user","content":"\ud800"}]}"#, "messages[0].content"),
    ];
    for (body, part) in cases {
        let told = read(body).expect_err(body);
        assert!(told.contains(part), "{body}: {told}");
    }
    assert!(request::read(Bytes::from_static(b"{\"model\":\"\xff\"}")).is_err());
    let deep = format!("{}{}", r#"{"model":"m","messages":"#, "[".repeat(100_000));
    assert!(read(&deep).is_err());
}

fn observed(value: &serde_json::Value) -> Observed {
    reply::read_whole(value.to_string().as_bytes()).expect("valid")
}

#[test]
fn every_text_of_a_chunk_is_found_on_its_channel() {
    let chunk = json!({"id": "i", "model": "m", "choices": [
        {"index": 1, "delta": {"content": "a", "reasoning_content": "t", "refusal": "no"}, "finish_reason": null},
        {"index": 0, "delta": {"tool_calls": [{"index": 2, "function": {"name": "f", "arguments": "{\"x\""}}]}, "finish_reason": "stop"},
    ]});
    let seen = observed(&chunk);
    let texts: Vec<_> = seen.deltas.iter().map(|d| (d.choice, d.channel, d.part, d.text.as_str())).collect();
    let expected = [
        (1, Channel::Reasoning, 0, "t"),
        (1, Channel::Answer, 0, "a"),
        (1, Channel::Refusal, 0, "no"),
        (0, Channel::Tool, 2, "{\"x\""),
    ];
    assert_eq!(texts, expected);
    assert_eq!(seen.finishes, [(0, "stop".to_owned())]);
    assert!(seen.semantic);
    let whole = chunk.to_string();
    for delta in &seen.deltas {
        assert_eq!(serde_json::from_str::<String>(&whole[delta.at.clone()]).expect("a string"), delta.text);
    }
}

#[test]
fn roles_and_usage_alone_carry_no_meaning() {
    assert!(!observed(&json!({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})).semantic);
    let usage = observed(&json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 5,
        "prompt_cache_hit_tokens": 2, "completion_tokens_details": {"reasoning_tokens": 4}}}));
    assert!(!usage.semantic);
    let tokens = usage.usage.expect("usage");
    assert_eq!(
        (tokens.prompt, tokens.completion, tokens.reasoning, tokens.cached),
        (Some(3), Some(5), Some(4), Some(2))
    );
    let nested = observed(&json!({"choices": [{"delta": {}, "error": {"code": 502}, "usage": {"prompt_tokens": 9}}]}));
    assert_eq!(nested.error.as_deref(), Some(r#"{"code":502}"#));
    assert_eq!(nested.usage.and_then(|usage| usage.prompt), Some(9));
}

#[test]
fn data_on_several_lines_keeps_its_places() {
    let mut frames = crate::stream::sse::Frames::new(1000);
    frames.push(Bytes::from_static(b"data: {\"choices\":[\ndata: {\"delta\":{\"content\":\"hi\"}}]}\n\n"));
    let frame = frames.next().expect("a frame").expect("within the limit");
    let seen = reply::read_frame(&frame).expect("valid");
    assert_eq!(&frame.bytes[seen.deltas[0].at.clone()], b"\"hi\"");
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,80}") {
        let _ = request::read(Bytes::from(bytes.clone()));
        let _ = reply::read_whole(&bytes);
        let _ = reply::read_whole(text.as_bytes());
        let odd = format!(r#"{{"model":"m","messages":[{{"role":"user","content":{text}}}],"choices":[{text}]}}"#);
        let _ = request::read(Bytes::from(odd.clone()));
        let _ = reply::read_whole(odd.as_bytes());
    }
}
