//! Time limits follow meaning: comments and empty frames keep nobody waiting for ever.

use std::time::Duration;

use serde_json::{Value, json};

use super::errors::envelope;
use crate::harness::gateway::{Gateway, Setup, remote};
use crate::harness::script::{DONE, Reply, Step, delta, finish, say, send};
use crate::harness::sse::Events;
use crate::harness::upstream::Upstream;

fn ask(stream: bool) -> Value {
    json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "Hello"}]})
}

/// A gateway with one time limit before an upstream that is tried once.
async fn limited(upstream: &Upstream, limit: &str, time: &str) -> Gateway {
    let mut entry = remote("up", &upstream.base_url());
    entry["timeouts"] = json!({limit: time});
    let models = json!([{"name": "*", "attempts": 1, "candidates": [{"upstream": "up"}]}]);
    Setup::new().with(json!({"upstreams": [entry], "models": models})).start().await
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
