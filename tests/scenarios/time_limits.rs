//! Time limits follow meaning: comments and empty frames keep nobody waiting for ever.

use std::time::Duration;

use serde_json::{Value, json};

use super::errors::envelope;
use crate::harness::dialects::{MESSAGES, Said};
use crate::harness::gateway::{Gateway, Setup, remote};
use crate::harness::script::{DONE, Reply, Step, delta, finish, say, send, whole};
use crate::harness::sse::Events;
use crate::harness::upstream::Upstream;

fn ask(stream: bool) -> Value {
    json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "Hello"}]})
}

/// A gateway with one time limit before an upstream that is tried once.
async fn limited(upstream: &Upstream, limit: &str, time: &str) -> Gateway {
    speaking(upstream, "openai-chat", json!({limit: time})).await
}

/// A gateway with time limits before an upstream that speaks a dialect and is tried once.
async fn speaking(upstream: &Upstream, dialect: &str, timeouts: Value) -> Gateway {
    let mut entry = remote("up", &upstream.base_url());
    (entry["timeouts"], entry["dialects"]) = (timeouts, json!([dialect]));
    let models = json!([{"name": "*", "attempts": 1, "candidates": [{"upstream": "up"}]}]);
    Setup::new().with(json!({"upstreams": [entry], "models": models})).start().await
}

/// A write, and the silence after it.
fn slowly(bytes: &str, silence: u64) -> [Step; 2] {
    [send(bytes.to_owned()), Step::Pause(Duration::from_millis(silence))]
}

/// Signs of life without meaning, for ever.
fn padding() -> impl Iterator<Item = Step> {
    let role = delta(0, &json!({"role": "assistant", "content": ""}));
    let beat = [send(": keep-alive\n\n"), Step::Pause(Duration::from_millis(60)), send(role)];
    beat.into_iter().chain([Step::Pause(Duration::from_millis(60))]).cycle().take(400)
}

#[tokio::test]
async fn an_upstream_that_never_answers_is_given_up() {
    let upstream = Upstream::always(Reply::saying("late").after(Duration::from_secs(600))).await;
    let gateway = limited(&upstream, "first_byte", "300ms").await;
    for stream in [false, true] {
        let answer = gateway.client().chat(&ask(stream)).await;
        let id = answer.id();
        let (status, _, _) = envelope(answer).await;
        assert_eq!(status, 504);
        assert_eq!(gateway.record(&id).await["ending"], "timed_out");
    }
}

#[tokio::test]
async fn keep_alive_comments_do_not_count_as_an_answer() {
    let upstream = Upstream::always(Reply::stream(padding())).await;
    let gateway = limited(&upstream, "first_event", "400ms").await;
    let answer = gateway.client().chat(&ask(true)).await;
    let id = answer.id();
    let status = answer.status;
    let text = answer.text().await;
    assert!(status == 504 || text.contains("upstream_timeout"), "{status} {text}");
    assert_eq!(gateway.record(&id).await["ending"], "timed_out");
    upstream.abandoned().await;
}

#[tokio::test]
async fn a_stream_that_falls_silent_ends_with_an_error_in_the_dialect() {
    let steps = [send(say("one")), send(say(" two"))].into_iter().chain(padding());
    let upstream = Upstream::always(Reply::stream(steps)).await;
    let gateway = limited(&upstream, "gap", "400ms").await;
    let answer = gateway.client().chat(&ask(true)).await;
    let id = answer.id();
    let events = Events::read(&answer.bytes().await);
    assert_eq!(events.text(0, "content"), "one two");
    assert_eq!(events.error().expect("an error")["code"], "upstream_timeout");
    assert_eq!(gateway.record(&id).await["ending"], "timed_out");
}

#[tokio::test]
async fn a_stream_may_not_last_longer_than_its_whole_time() {
    let steps = (0..400).flat_map(|_| [send(say("on ")), Step::Pause(Duration::from_millis(50))]);
    let upstream = Upstream::always(Reply::stream(steps)).await;
    let gateway = limited(&upstream, "total", "600ms").await;
    let answer = gateway.client().chat(&ask(true)).await;
    let id = answer.id();
    let events = Events::read(&answer.bytes().await);
    assert!(events.text(0, "content").starts_with("on on ") && events.error().is_some());
    assert_eq!(gateway.record(&id).await["ending"], "timed_out");
}

#[tokio::test]
async fn a_slow_but_steady_stream_meets_every_limit() {
    let words = (0..12).flat_map(|_| [send(say("on ")), Step::Pause(Duration::from_millis(60))]);
    let end = [send(finish(0, "stop")), send(DONE)];
    let upstream = Upstream::always(Reply::stream(words.chain(end))).await;
    let gateway = limited(&upstream, "gap", "500ms").await;
    let answer = gateway.client().chat(&ask(true)).await;
    let id = answer.id();
    let events = Events::read(&answer.bytes().await);
    assert!(events.done && events.error().is_none());
    assert_eq!(gateway.record(&id).await["ending"], "complete");
}

const PING: &str = "event: ping\ndata: {\"type\": \"ping\"}\n\n";

#[tokio::test]
async fn pings_are_no_answer_and_fill_no_gap() {
    let pings = || (0..400).flat_map(|_| slowly(PING, 50));
    let spoken = MESSAGES.reply(&Said::new("", "half of it", ""), true).steps;
    let end =
        spoken.iter().position(|step| matches!(step, Step::Send(bytes) if bytes.starts_with(b"event: message_delta")));
    let half: Vec<Step> = spoken.into_iter().take(end.expect("an end")).collect();
    for (limit, steps, expected) in [
        ("first_event", pings().collect::<Vec<Step>>(), ""),
        ("gap", half.into_iter().chain(pings()).collect(), "half of it"),
    ] {
        let upstream = Upstream::always(Reply::stream(steps)).await;
        let gateway = speaking(&upstream, "anthropic", json!({limit: "400ms"})).await;
        let answer = gateway.client().post_to(MESSAGES.path, &MESSAGES.ask(true)).await;
        let id = answer.id();
        let (status, text) = (answer.status, answer.text().await);
        assert!(text.contains("in time"), "{limit}: {status} {text}");
        if status == 200 {
            assert_eq!(MESSAGES.hear(&text, true).said.answer, expected, "{limit}: {text}");
        }
        let record = gateway.record(&id).await;
        assert_eq!(record["ending"], "timed_out", "{limit}: {record}");
        assert!(record["fault"].as_str().is_some_and(|fault| fault.contains(limit)), "{limit}: {record}");
        upstream.abandoned().await;
    }
}

#[tokio::test]
async fn a_model_that_thinks_in_silence_is_waited_for() {
    // As DeepSeek's Messages: nothing at all while it thinks, be it before the first event or after the opening ones.
    let said = Said::new("A long thought.", "An answer.", "");
    let reply = MESSAGES.reply(&said, true);
    let frames: Vec<Step> = reply.steps.clone();
    let gap = "500ms";
    for silent_after in [0, 1, 2, 3] {
        let (begun, rest) = frames.split_at(silent_after);
        let silence = Step::Pause(Duration::from_millis(1200));
        let steps = begun.iter().cloned().chain([silence]).chain(rest.iter().cloned());
        let upstream = Upstream::always(Reply::stream(steps)).await;
        let gateway =
            speaking(&upstream, "anthropic", json!({"first_byte": gap, "gap": gap, "first_event": "20s"})).await;
        let answer = gateway.client().post_to(MESSAGES.path, &MESSAGES.ask(true)).await;
        let id = answer.id();
        let (status, text) = (answer.status, answer.text().await);
        let heard = MESSAGES.hear(&text, true);
        assert_eq!((status, &heard.said, heard.over), (200, &said, true), "silent after {silent_after} events: {text}");
        assert_eq!(gateway.record(&id).await["ending"], "complete", "silent after {silent_after} events");
    }
}

#[tokio::test]
async fn comments_end_by_their_meaning_however_many_bytes_they_are() {
    // Before any event and after the opening one; more bytes than one event, or a kept reply, may have.
    let role = delta(0, &json!({"role": "assistant", "content": ""}));
    let comment = format!(": {}\n\n", "keep-alive ".repeat(400));
    for opening in ["", &role] {
        let comments = (0..200).flat_map(|_| slowly(&comment, 25));
        let upstream = Upstream::always(Reply::stream(slowly(opening, 0).into_iter().chain(comments))).await;
        let mut entry = remote("up", &upstream.base_url());
        entry["timeouts"] = json!({"first_event": "1500ms"});
        let models = json!([{"name": "*", "attempts": 1, "candidates": [{"upstream": "up"}]}]);
        let limits = json!({"event_bytes": "16KiB", "reply_bytes": "32KiB"});
        let gateway =
            Setup::new().with(json!({"upstreams": [entry], "models": models, "limits": limits})).start().await;
        let answer = gateway.client().chat(&ask(true)).await;
        let id = answer.id();
        let (status, text) = (answer.status, answer.text().await);
        assert!(status == 504 || text.contains("upstream_timeout"), "{status} {text}");
        let record = gateway.record(&id).await;
        assert_eq!(record["ending"], "timed_out", "{record}");
        assert!(record["fault"].as_str().is_some_and(|fault| fault.contains("first_event")), "{record}");
    }
}

#[tokio::test]
async fn empty_lines_before_a_whole_reply_are_waited_through_and_passed() {
    let whole = whole(&json!({"role": "assistant", "content": "at last"}), "stop");
    let lines = (0..12).flat_map(|_| slowly("\n", 60));
    let reply = Reply::stream(lines.chain([send(whole.clone())]));
    let reply = Reply { headers: vec![("content-type", "application/json".to_owned())], ..reply };
    let upstream = Upstream::always(reply).await;
    let gateway =
        speaking(&upstream, "openai-chat", json!({"first_byte": "400ms", "gap": "400ms", "first_event": "20s"})).await;
    let answer = gateway.client().chat(&ask(false)).await;
    let id = answer.id();
    let (status, text) = (answer.status, answer.text().await);
    assert_eq!((status, text), (200, format!("{}{whole}", "\n".repeat(12))));
    let record = gateway.record(&id).await;
    assert_eq!((&record["ending"], &record["outcome"]), (&json!("complete"), &json!("complied")), "{record}");
}
