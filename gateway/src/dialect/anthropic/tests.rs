//! Messages read as they were sent, and what the gateway says in the dialect.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{reply, request, write};
use crate::dialect::write::Head;
use crate::exchange::{Channel, Written};
use crate::stream::sse::Frames;

const BODY: &str = r#"{"model":"claude-x","max_tokens":100,"system":[{"type":"text","text":"be\nnice"}],"stream":true,
  "stop_sequences":["END"],"messages":[
  {"role":"user","content":[{"type":"text","text":"look"},{"type":"image","source":{"type":"url","url":"https://x"}},
    {"type":"document","title":"paper","source":{"type":"text","media_type":"text/plain","data":"inside"}}]},
  {"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"c2ln"},
    {"type":"redacted_thinking","data":"xxx"},{"type":"tool_use","id":"t1","name":"f","input":{"city":"Porto"}}]},
  {"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":[{"type":"text","text":"7 degrees"}]}]}]}"#;

#[test]
fn every_text_of_a_request_is_found_where_it_stands() {
    let request = request::read(Bytes::from_static(BODY.as_bytes())).expect("valid");
    assert_eq!((request.model.as_str(), request.stream), ("claude-x", true));
    assert_eq!(request.sampling.stop, ["END"]);
    let passages: Vec<_> = request.messages.iter().flat_map(|message| &message.passages).collect();
    let texts: Vec<_> = passages.iter().map(|one| (one.role, one.text.as_str())).collect();
    let expected = [
        (Channel::Answer, "be\nnice"),
        (Channel::Answer, "look"),
        (Channel::Answer, "paper"),
        (Channel::Answer, "inside"),
        (Channel::Reasoning, "hm"),
        (Channel::Tool, r#"{"city":"Porto"}"#),
        (Channel::Answer, "7 degrees"),
    ];
    assert_eq!(texts, expected);
    for passage in passages {
        let stands = &BODY[passage.at.clone()];
        match passage.written {
            Written::Bare => assert_eq!(stands, passage.text),
            Written::Quoted => assert_eq!(serde_json::from_str::<String>(stands).expect("a string"), passage.text),
        }
    }
}

#[test]
fn broken_requests_say_what_is_wrong() {
    for (body, part) in [
        (r#"{"messages":[]}"#, "'model'"),
        (r#"{"model":"m"}"#, "'messages'"),
        (r#"{"model":"m","messages":[]}"#, "'messages'"),
        (r#"{"model":"m","messages":[{"content":"x"}]}"#, "messages[0].role"),
        (r#"{"model":"m","messages":[{"role":"user","content":7}]}"#, "messages[0].content"),
        (r#"{"model":"m","system":7,"messages":[{"role":"user","content":"x"}]}"#, "'system'"),
        (
            r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a","text":"b"}]}]}"#,
            "messages[0]",
        ),
    ] {
        let told = request::read(Bytes::from_static(body.as_bytes())).expect_err(body).to_string();
        assert!(told.contains(part), "{body}: {told}");
    }
}

fn frame(payload: &Value) -> crate::stream::sse::Frame {
    let mut frames = Frames::new(100_000);
    let kind = payload["type"].as_str().unwrap_or_default();
    frames.push(Bytes::from(format!("event: {kind}\ndata: {payload}\n\n")));
    frames.next().expect("a frame").expect("within the limit")
}

#[test]
fn events_carry_text_on_their_channels() {
    let change = |delta: Value| json!({"type": "content_block_delta", "index": 2, "delta": delta});
    for (event, channel, text) in [
        (change(json!({"type": "text_delta", "text": "a"})), Channel::Answer, "a"),
        (change(json!({"type": "thinking_delta", "thinking": "t"})), Channel::Reasoning, "t"),
        (change(json!({"type": "input_json_delta", "partial_json": "{\"x\""})), Channel::Tool, "{\"x\""),
    ] {
        let frame = frame(&event);
        let seen = reply::read_frame(&frame).expect("valid");
        assert_eq!((seen.deltas[0].channel, seen.deltas[0].text.as_str(), seen.deltas[0].part), (channel, text, 2));
        assert!(seen.semantic && !seen.last);
        let stands: String = serde_json::from_slice(&frame.bytes[seen.deltas[0].at.clone()]).expect("a string");
        assert_eq!(stands, text);
    }
    let silent = [change(json!({"type": "signature_delta", "signature": "s"})), json!({"type": "ping"})];
    for event in silent {
        let seen = reply::read_frame(&frame(&event)).expect("valid");
        assert!(seen.deltas.is_empty() && !seen.semantic, "{event}");
    }
    let usage =
        json!({"input_tokens": 5, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 2, "output_tokens": 1});
    let start = json!({"type": "message_start", "message": {"id": "i", "model": "m", "content": [], "usage": usage}});
    let seen = reply::read_frame(&frame(&start)).expect("valid");
    let counts = seen.usage.expect("usage");
    assert_eq!((counts.prompt, counts.cached, counts.written), (Some(10), Some(3), Some(2)));
    let end = json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}});
    assert_eq!(reply::read_frame(&frame(&end)).expect("valid").finishes, [(0, "tool_use".to_owned())]);
    assert!(reply::read_frame(&frame(&json!({"type": "message_stop"}))).expect("valid").last);
    let failed =
        reply::read_frame(&frame(&json!({"type": "error", "error": {"type": "overloaded_error"}}))).expect("valid");
    assert!(failed.last && failed.semantic && failed.error.is_some());
}

#[test]
fn a_whole_replys_tool_input_is_read_as_json() {
    let body = r#"{"type":"message","id":"i","model":"m","content":[{"type":"thinking","thinking":"t","signature":"s"},
        {"type":"tool_use","id":"c","name":"f","input":{"a":"b"}}],"stop_reason":"tool_use","usage":{"input_tokens":1,"output_tokens":2}}"#;
    let seen = reply::read_whole(body.as_bytes()).expect("valid");
    let texts: Vec<_> = seen.deltas.iter().map(|one| (one.channel, one.text.as_str(), one.written)).collect();
    let input = (Channel::Tool, r#"{"a":"b"}"#, Written::Bare);
    assert_eq!(texts, [(Channel::Reasoning, "t", Written::Quoted), input]);
    assert_eq!(&body[seen.deltas[1].at.clone()], r#"{"a":"b"}"#);
}

#[test]
fn a_stopped_stream_closes_what_is_open() {
    let head = Head { id: "msg_1", model: "m", created: 0 };
    let begun = write::message_start(&head, &crate::exchange::Usage::default())
        + &write::block_start(0, &json!({"type": "text", "text": ""}));
    let closing = write::stop_frames(begun.as_bytes(), &head, Some("No."));
    let body = String::from_utf8(closing.body.to_vec()).expect("text");
    let kinds: Vec<&str> = body.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    let expected =
        ["content_block_stop", "content_block_start", "content_block_delta", "content_block_stop", "message_delta"];
    assert_eq!(kinds, expected);
    assert!(body.contains(r#""index":1"#) && body.contains("refusal"), "{body}");
    assert!(closing.last.starts_with(b"event: message_stop"));
    let from_nothing = write::stop_frames(b"", &head, None);
    assert!(from_nothing.body.starts_with(b"event: message_start"));
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,80}") {
        let _ = request::read(Bytes::from(bytes.clone()));
        let _ = reply::read_whole(&bytes);
        let odd = format!(r#"{{"model":"m","messages":[{{"role":"user","content":{text}}}],"content":[{text}],"delta":{text}}}"#);
        let _ = request::read(Bytes::from(odd.clone()));
        let _ = reply::read_whole(odd.as_bytes());
        let _ = write::stop_frames(&bytes, &Head { id: "", model: "", created: 0 }, None);
    }
}
