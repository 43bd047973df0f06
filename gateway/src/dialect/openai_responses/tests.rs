//! Responses read as they were sent, repetitions told as such, and what the gateway says in the dialect.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{reply, request, write};
use crate::dialect::write::Head;
use crate::exchange::Channel;
use crate::stream::sse::Frames;

const BODY: &str = r#"{"model":"o","instructions":"be nice","stream":true,"max_output_tokens":9,"reasoning":{"effort":"low"},"input":[
  {"role":"user","content":[{"type":"input_text","text":"look"},{"type":"input_image","image_url":"https://x"}]},
  {"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":"zzz"},
  {"type":"function_call","call_id":"c1","name":"f","arguments":"{\"city\":\"Porto\"}"},
  {"type":"function_call_output","call_id":"c1","output":"7 degrees"}]}"#;

#[test]
fn every_text_of_a_request_is_found_where_it_stands() {
    let request = request::read(Bytes::from_static(BODY.as_bytes())).expect("valid");
    let passages: Vec<_> = request.messages.iter().flat_map(|message| &message.passages).collect();
    let texts: Vec<_> = passages.iter().map(|one| (one.role, one.text.as_str())).collect();
    let expected = [
        (Channel::Answer, "be nice"),
        (Channel::Answer, "look"),
        (Channel::Reasoning, "hm"),
        (Channel::Tool, "{\"city\":\"Porto\"}"),
        (Channel::Answer, "7 degrees"),
    ];
    assert_eq!(texts, expected);
    for passage in passages {
        assert_eq!(serde_json::from_str::<String>(&BODY[passage.at.clone()]).expect("a string"), passage.text);
    }
    let roles: Vec<_> = request.messages.iter().map(|message| message.role.as_str()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "assistant", "tool"]);
    assert_eq!(request.sampling.reasoning_effort.as_deref(), Some("low"));
    let plain = request::read(Bytes::from_static(br#"{"model":"o","input":"hi"}"#)).expect("valid");
    assert_eq!(plain.messages[0].passages[0].text, "hi");
}

#[test]
fn broken_requests_say_what_is_wrong() {
    for (body, part) in [
        (r#"{"input":"x"}"#, "'model'"),
        (r#"{"model":"m"}"#, "'input'"),
        (r#"{"model":"m","input":7}"#, "'input'"),
        (r#"{"model":"m","input":[7]}"#, "input[0]"),
        (r#"{"model":"m","input":[{"type":"message","content":"x"}]}"#, "input[0].role"),
        (r#"{"model":"m","input":[{"role":"user","content":7}]}"#, "input[0].content"),
    ] {
        let told = request::read(Bytes::from_static(body.as_bytes())).expect_err(body).to_string();
        assert!(told.contains(part), "{body}: {told}");
    }
}

fn frame(payload: &Value) -> crate::stream::sse::Frame {
    let mut frames = Frames::new(100_000);
    frames.push(Bytes::from(format!("data: {payload}\n\n")));
    frames.next().expect("a frame").expect("within the limit")
}

#[test]
fn pieces_and_repetitions_are_of_the_same_text() {
    let at = json!({"item_id": "i", "output_index": 1, "content_index": 0});
    let event = |kind: &str, name: &str, value: Value| {
        let mut event = at.clone();
        event["type"] = kind.into();
        event[name] = value;
        event
    };
    let part = json!({"type": "output_text", "text": "ab", "annotations": []});
    let item = json!({"type": "message", "content": [part]});
    for (event, repeats) in [
        (event("response.output_text.delta", "delta", "ab".into()), false),
        (event("response.output_text.done", "text", "ab".into()), true),
        (event("response.content_part.done", "part", part.clone()), true),
        (event("response.output_item.done", "item", item.clone()), true),
        (
            json!({"type": "response.completed", "response": {"status": "completed", "output": [{"type": "reasoning", "summary": []}, item]}}),
            true,
        ),
    ] {
        let seen = reply::read_frame(&frame(&event)).expect("valid");
        let told: Vec<_> =
            seen.deltas.iter().map(|one| (one.channel, one.part, one.text.as_str(), one.repeats)).collect();
        assert_eq!(told, [(Channel::Answer, 1, "ab", repeats)], "{event}");
    }
    let seen = reply::read_frame(&frame(&event("response.reasoning_text.delta", "delta", "t".into()))).expect("valid");
    assert_eq!(seen.deltas[0].channel, Channel::Reasoning);
    let seen = reply::read_frame(&frame(&event("response.refusal.delta", "delta", "no".into()))).expect("valid");
    assert_eq!(seen.deltas[0].channel, Channel::Refusal);
    let called = event("response.function_call_arguments.delta", "delta", "{".into());
    assert_eq!(reply::read_frame(&frame(&called)).expect("valid").deltas[0].channel, Channel::Tool);
}

#[test]
fn the_last_event_says_how_it_ended() {
    let over =
        |kind: &str, reply: Value| reply::read_frame(&frame(&json!({"type": kind, "response": reply}))).expect("valid");
    let done = over(
        "response.completed",
        json!({"id": "r", "model": "m", "status": "completed", "error": null,
        "usage": {"input_tokens": 4, "output_tokens": 5, "input_tokens_details": {"cached_tokens": 3}, "output_tokens_details": {"reasoning_tokens": 2}}}),
    );
    assert!(done.last && done.semantic);
    assert_eq!(done.finishes, [(0, "completed".to_owned())]);
    let usage = done.usage.expect("usage");
    assert_eq!((usage.prompt, usage.completion, usage.cached, usage.reasoning), (Some(4), Some(5), Some(3), Some(2)));
    let cut = over(
        "response.incomplete",
        json!({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}),
    );
    assert_eq!(cut.finishes, [(0, "max_output_tokens".to_owned())]);
    let failed = over("response.failed", json!({"status": "failed", "error": {"code": "server_error"}}));
    assert!(failed.last && failed.error.is_some() && failed.finishes.is_empty());
    assert!(!over("response.created", json!({"id": "r", "status": "in_progress", "output": []})).semantic);
}

#[test]
fn a_stopped_stream_closes_what_is_open_and_goes_on_counting() {
    let head = Head { id: "resp_1", model: "m", created: 0 };
    let begun = [
        json!({"type": "response.created", "sequence_number": 0, "response": {}}),
        json!({"type": "response.output_item.added", "sequence_number": 1, "output_index": 0,
            "item": {"id": "msg_1", "type": "message", "status": "in_progress", "role": "assistant", "content": []}}),
        json!({"type": "response.output_text.delta", "sequence_number": 2, "output_index": 0, "content_index": 0, "delta": "Yes, "}),
    ];
    let begun: String = begun.iter().map(|event| format!("data: {event}\n\n")).collect();
    let closing = write::stop_frames(begun.as_bytes(), &head, Some("No."));
    let all = [closing.body, closing.last].concat();
    let text = String::from_utf8(all).expect("text");
    let events: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).expect("JSON"))
        .collect();
    assert_eq!((&events[0]["type"], &events[0]["sequence_number"]), (&json!("response.output_item.done"), &json!(3)));
    let last = events.last().expect("an event");
    assert_eq!(last["response"]["incomplete_details"]["reason"], "content_filter");
    assert_eq!(last["response"]["output"][0]["content"][0]["text"], "Yes, ");
    assert_eq!(last["response"]["output"][1]["content"][0]["text"], "No.");
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,80}") {
        let _ = request::read(Bytes::from(bytes.clone()));
        let _ = reply::read_whole(&bytes);
        let odd = format!(r#"{{"model":"m","input":{text},"output":[{text}],"content":[{text}]}}"#);
        let _ = request::read(Bytes::from(odd.clone()));
        let _ = reply::read_whole(odd.as_bytes());
        let event = format!(r#"{{"type":"response.output_item.done","item":{text},"delta":{text}}}"#);
        let _ = write::stop_frames(format!("data: {event}\n\n").as_bytes(), &Head { id: "", model: "", created: 0 }, None);
    }
}
