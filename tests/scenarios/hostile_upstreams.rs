//! Upstreams that send what no upstream should: the client gets a clear end in its dialect, and the record says which.

use std::time::Duration;

use serde_json::{Value, json};

use super::errors::envelope;
use crate::harness::gateway::{Gateway, Setup};
use crate::harness::pack::{STOPS, pack};
use crate::harness::script::{DONE, Reply, Step, finish, frame, say, send, usage};
use crate::harness::sse::Events;
use crate::harness::upstream::Upstream;

/// A gateway before an upstream that is tried once.
async fn before(reply: Reply) -> (Gateway, Upstream) {
    let upstream = Upstream::always(reply).await;
    let models = json!([{"name": "*", "attempts": 1, "candidates": [{"upstream": "up"}]}]);
    (Setup::before(&upstream).with(json!({"models": models})).start().await, upstream)
}

fn ask(stream: bool) -> Value {
    let messages = json!([{"role": "user", "content": "Hello"}]);
    json!({"model": "m", "stream": stream, "stream_options": {"include_usage": true}, "messages": messages})
}

/// Asks for a stream; gives the bytes and the record.
async fn streamed(gateway: &Gateway) -> (Vec<u8>, Value) {
    let answer = gateway.client().chat(&ask(true)).await;
    assert_eq!(answer.status, 200);
    let id = answer.id();
    (answer.bytes().await, gateway.record(&id).await)
}

fn pause() -> Step {
    Step::Pause(Duration::from_millis(30))
}

#[tokio::test]
async fn a_stream_that_is_reset_ends_with_an_error_in_the_dialect() {
    let (gateway, _upstream) = before(Reply::stream([send(say("half")), pause(), Step::Reset])).await;
    let (bytes, record) = streamed(&gateway).await;
    let events = Events::read(&bytes);
    assert_eq!(events.text(0, "content"), "half");
    assert_eq!(events.error().expect("an error")["type"], "upstream_error");
    assert_eq!((&record["ending"], &record["status"]), (&json!("upstream_failed"), &json!(200)));
}

#[tokio::test]
async fn a_stream_without_a_last_event_is_not_taken_for_a_whole_one() {
    let (gateway, _upstream) = before(Reply::frames([say("half"), say(" and")])).await;
    let (bytes, record) = streamed(&gateway).await;
    assert!(Events::read(&bytes).error().is_some());
    assert_eq!(record["ending"], "upstream_failed");
}

#[tokio::test]
async fn a_stream_that_finishes_without_done_is_whole() {
    let frames = [say("all"), finish(0, "stop"), usage(1, 2)];
    let (gateway, _upstream) = before(Reply::frames(frames.clone())).await;
    let (bytes, record) = streamed(&gateway).await;
    assert!(bytes.starts_with(frames.concat().as_bytes()));
    assert!(Events::read(&bytes).error().is_none());
    assert_eq!((&record["ending"], &record["completion_tokens"]), (&json!("complete"), &json!(2)));
}

#[tokio::test]
async fn an_event_that_is_no_json_ends_the_stream_with_an_error() {
    for bad in ["data: {not json\n\n", "data: {\"choices\":[{\"delta\":{\"content\":\"ha\n\n", "data: \u{fffd}\n\n"] {
        let frames = [say("before"), bad.to_owned(), say(" after"), finish(0, "stop"), DONE.to_owned()];
        let (gateway, _upstream) = before(Reply::frames(frames)).await;
        let (bytes, record) = streamed(&gateway).await;
        let events = Events::read(&bytes);
        assert_eq!((events.text(0, "content").as_str(), events.error().is_some()), ("before", true), "{bad}");
        assert_eq!(record["ending"], "upstream_failed", "{bad}");
    }
}

/// Events that are JSON and make no sense, and lines that are no events.
const STRANGE: &str = "data: [1,2]\n\ndata: {\"choices\":7}\n\ndata: \"text\"\n\nbogus line\n\ndata\n\nid: 7\n\n";

#[tokio::test]
async fn strange_events_pass_where_no_rule_could_have_changed_them() {
    let frames = [say("before"), STRANGE.to_owned(), say(" after"), finish(0, "stop"), DONE.to_owned()];
    let (gateway, _upstream) = before(Reply::frames(frames.clone())).await;
    let (bytes, record) = streamed(&gateway).await;
    assert_eq!(String::from_utf8_lossy(&bytes), frames.concat());
    assert_eq!(record["ending"], "complete");
    assert!(record["reply"].to_string().contains("before after"), "{record}");
}

#[tokio::test]
async fn strange_events_do_not_slip_past_a_rule_that_enforces() {
    for strange in [STRANGE, "project bluebird\n\n"] {
        let frames = [say("before"), strange.to_owned(), say(" after"), finish(0, "stop"), DONE.to_owned()];
        let upstream = Upstream::always(Reply::frames(frames)).await;
        let gateway = Setup::before(&upstream).pack(&pack(&[STOPS])).start().await;
        let (bytes, record) = streamed(&gateway).await;
        assert!(Events::read(&bytes).error().is_some() && !String::from_utf8_lossy(&bytes).contains("bluebird"));
        assert_eq!(record["ending"], "upstream_failed");
    }
}

#[tokio::test]
async fn an_event_of_ten_megabytes_passes_whole() {
    let frames = [say(&"long ".repeat(2 << 20)), finish(0, "stop"), DONE.to_owned()];
    let whole = frames.concat();
    let (gateway, _upstream) = before(Reply::bytes_by(64 << 10, whole.as_bytes())).await;
    let (bytes, record) = streamed(&gateway).await;
    assert!(bytes == whole.as_bytes(), "{} of {} bytes", bytes.len(), whole.len());
    assert_eq!(record["ending"], "complete");
}

#[tokio::test]
async fn an_event_longer_than_the_limit_ends_the_stream() {
    let frames = [say("short"), say(&"long ".repeat(40_000)), finish(0, "stop"), DONE.to_owned()];
    let upstream = Upstream::always(Reply::frames(frames)).await;
    let gateway = Setup::before(&upstream).with(json!({"limits": {"event_bytes": "64KiB"}})).start().await;
    let (bytes, record) = streamed(&gateway).await;
    let events = Events::read(&bytes);
    assert_eq!(events.text(0, "content"), "short");
    assert!(events.error().is_some());
    assert_eq!(record["ending"], "upstream_failed");
}

#[tokio::test]
async fn characters_split_between_packets_arrive_whole() {
    let text = "日本語 and 🤔 naïve";
    let stream = [say(text), finish(0, "stop"), DONE.to_owned()].concat();
    let steps = stream.as_bytes().chunks(1).flat_map(|byte| [send(byte.to_vec())]);
    let (gateway, _upstream) = before(Reply::stream(steps)).await;
    let (bytes, record) = streamed(&gateway).await;
    assert_eq!(bytes, stream.as_bytes());
    assert!(record["reply"].to_string().contains(text), "{record}");
}

#[tokio::test]
async fn nothing_at_all_is_an_upstreams_fault() {
    let replies = [
        ("a closed connection", Reply::nothing()),
        ("an empty stream", Reply::stream([])),
        ("only comments", Reply::frames([": hi\n\n", ": bye\n\n"])),
        ("only [DONE]", Reply::frames([DONE])),
    ];
    for (what, reply) in replies {
        let (gateway, _upstream) = before(reply).await;
        let answer = gateway.client().chat(&ask(true)).await;
        let (id, status) = (answer.id(), answer.status);
        let text = answer.text().await;
        if what != "only [DONE]" {
            assert!(status >= 500 || text.contains("\"error\""), "{what}: {status} {text}");
        }
        let record = gateway.record(&id).await;
        assert_eq!(record["ending"], if what == "only [DONE]" { "complete" } else { "upstream_failed" }, "{what}");
    }
}

#[tokio::test]
async fn whole_replies_that_are_none_are_an_upstreams_fault() {
    let page = "<html><body>502 Bad Gateway</body></html>";
    let replies = [
        ("nothing", Reply::json(200, "")),
        ("a page", Reply { headers: vec![("content-type", "text/html".to_owned())], ..Reply::json(200, page) }),
        ("half of JSON", Reply::json(200, r#"{"choices":[{"message":{"content":"ha"#)),
        ("a cut body", Reply::stream([send("{\"choices\":["), pause(), Step::Reset])),
        ("no text", Reply::json(200, b"{\"choices\":[{\"message\":{\"content\":\"\xff\xfe\"}}]}".to_vec())),
    ];
    for (what, mut reply) in replies {
        if what == "a cut body" {
            reply.headers = vec![("content-type", "application/json".to_owned())];
        }
        let (gateway, _upstream) = before(reply).await;
        let answer = gateway.client().chat(&ask(false)).await;
        let id = answer.id();
        let (status, kind, _) = envelope(answer).await;
        assert_eq!((status, kind.as_str()), (502, "upstream_error"), "{what}");
        let record = gateway.record(&id).await;
        assert_eq!((&record["ending"], &record["outcome"]), (&json!("upstream_failed"), &json!("failed")), "{what}");
    }
}

#[tokio::test]
async fn a_whole_reply_beyond_the_bound_is_refused() {
    let upstream = Upstream::always(Reply::saying(&"long ".repeat(100_000))).await;
    let gateway = Setup::before(&upstream).with(json!({"limits": {"reply_bytes": "64KiB"}})).start().await;
    let (status, _, code) = envelope(gateway.client().chat(&ask(false)).await).await;
    assert_eq!((status, code.as_str()), (502, "upstream_reply_too_large"));
}

#[tokio::test]
async fn an_error_inside_a_stream_reaches_the_client_and_the_record() {
    let error = frame(&json!({"error": {"message": "overloaded", "type": "server_error", "code": "overloaded"}}));
    let frames = [say("half"), error, DONE.to_owned()];
    let (gateway, _upstream) = before(Reply::frames(frames.clone())).await;
    let (bytes, record) = streamed(&gateway).await;
    assert_eq!(String::from_utf8_lossy(&bytes), frames.concat());
    assert_ne!(record["outcome"], "complied", "{record}");
}

#[tokio::test]
async fn a_stream_that_was_not_asked_for_and_one_that_was_not_given_still_pass() {
    let (gateway, _upstream) = before(Reply::frames([say("hi"), finish(0, "stop"), DONE.to_owned()])).await;
    let answer = gateway.client().chat(&ask(false)).await;
    assert_eq!(Events::read(&answer.bytes().await).text(0, "content"), "hi");
    let (gateway, _upstream) = before(Reply::saying("hi")).await;
    let answer = gateway.client().chat(&ask(true)).await;
    assert_eq!(answer.json().await["choices"][0]["message"]["content"], "hi");
}

#[tokio::test]
async fn a_reply_that_is_compressed_without_being_asked_is_refused_and_not_passed_on_as_text() {
    let packed =
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\x48\xcd\xc9\xc9\x07\x00\x86\xa6\x10\x36\x05\x00\x00\x00";
    for stream in [false, true] {
        let mut reply = Reply::json(200, packed.to_vec()).header("content-encoding", "gzip");
        if stream {
            reply.headers[0].1 = "text/event-stream".to_owned();
        }
        let (gateway, _upstream) = before(reply).await;
        let (status, kind, _) = envelope(gateway.client().chat(&ask(stream)).await).await;
        assert_eq!((status, kind.as_str()), (502, "upstream_error"), "streamed: {stream}");
    }
}
