//! Another upstream takes over while nothing with meaning has left, and never after.

use serde_json::{Value, json};

use super::errors::envelope;
use crate::harness::gateway::{Gateway, Setup, remote};
use crate::harness::script::{DONE, Reply, Step, delta, finish, say, send};
use crate::harness::sse::Events;
use crate::harness::upstream::{Upstream, nobody};

fn ask(stream: bool) -> Value {
    json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "Hello"}]})
}

async fn gateway(first: &str, second: &Upstream) -> Gateway {
    let upstreams = json!({"upstreams": [remote("first", first), remote("second", &second.base_url())]});
    Setup::new().with(upstreams).start().await
}

fn good() -> [String; 3] {
    [say("from the second"), finish(0, "stop"), DONE.to_owned()]
}

#[tokio::test]
async fn the_next_candidate_answers_for_one_that_cannot() {
    let role = delta(0, &json!({"role": "assistant", "content": ""}));
    let troubles = [
        ("500", Reply::json(500, "{}")),
        ("503", Reply::json(503, "{}")),
        ("429", Reply::json(429, r#"{"error":{"message":"slow down"}}"#).header("retry-after", "30")),
        ("silence", Reply::nothing()),
        ("a reset before any event", Reply::stream([Step::Reset])),
        ("a reset after comments and a role", Reply::stream([send(": hi\n\n"), send(role.clone()), Step::Reset])),
        ("an end after a role", Reply::frames([role])),
    ];
    for (what, trouble) in troubles {
        let first = Upstream::always(trouble).await;
        let second = Upstream::always(Reply::frames(good())).await;
        let gateway = gateway(&first.base_url(), &second).await;
        let answer = gateway.client().chat(&ask(true)).await;
        let id = answer.id();
        // Comments keep the client waiting and say nothing, so they may have left before.
        let text = answer.text().await;
        assert_eq!(text.trim_start_matches(": hi\n\n"), good().concat(), "{what}");
        let record = gateway.record(&id).await;
        assert_eq!((&record["ending"], &record["upstream"]), (&json!("complete"), &json!("second")), "{what}");
        let attempts = record["attempts"].as_array().unwrap_or_else(|| panic!("no attempts in {record}"));
        assert_eq!(attempts.len(), 2, "{what}: {record}");
    }
}

#[tokio::test]
async fn a_candidate_that_refuses_connections_is_passed_over() {
    let second = Upstream::always(Reply::saying("from the second")).await;
    let gateway = gateway(&nobody().await, &second).await;
    for _ in 0..8 {
        assert_eq!(gateway.client().chat(&ask(false)).await.status, 200);
    }
    assert_eq!(second.received().len(), 8);
}

#[tokio::test]
async fn nobody_takes_over_once_meaning_has_left() {
    let first = Upstream::always(Reply::stream([send(say("half an ans")), Step::Reset])).await;
    let second = Upstream::always(Reply::frames(good())).await;
    let gateway = gateway(&first.base_url(), &second).await;
    let answer = gateway.client().chat(&ask(true)).await;
    let id = answer.id();
    let text = answer.text().await;
    let events = Events::read(text.as_bytes());
    assert_eq!(events.text(0, "content"), "half an ans");
    assert_eq!(events.error().expect("an error")["type"], "upstream_error");
    assert!(second.received().is_empty());
    let record = gateway.record(&id).await;
    assert_eq!(record["ending"], "upstream_failed", "{record}");
    assert!(record["reply"].to_string().contains("half an ans"), "{record}");
}

#[tokio::test]
async fn a_callers_own_mistake_is_not_retried() {
    let mistake = r#"{"error":{"message":"temperature must be at most 2","type":"invalid_request_error"}}"#;
    let first = Upstream::always(Reply::json(400, mistake)).await;
    let second = Upstream::always(Reply::saying("from the second")).await;
    let gateway = gateway(&first.base_url(), &second).await;
    let answer = gateway.client().chat(&ask(false)).await;
    assert_eq!((answer.status, answer.text().await), (400, mistake.to_owned()));
    assert!(second.received().is_empty());
}

#[tokio::test]
async fn the_last_upstreams_refusal_is_passed_on() {
    let busy = r#"{"error":{"message":"slow down","type":"rate_limit_error","code":"rate_limit"}}"#;
    let upstream = Upstream::always(Reply::json(429, busy).header("retry-after", "7")).await;
    let models = json!([{"name": "*", "attempts": 1, "candidates": [{"upstream": "up"}]}]);
    let gateway = Setup::before(&upstream).with(json!({"models": models})).start().await;
    let answer = gateway.client().chat(&ask(true)).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, "7"));
    assert_eq!(answer.text().await, busy);
}

#[tokio::test]
async fn weights_share_and_priorities_order() {
    let upstreams = [
        Upstream::always(Reply::saying("a")).await,
        Upstream::always(Reply::saying("b")).await,
        Upstream::always(Reply::saying("spare")).await,
    ];
    let entries: Vec<Value> =
        ["a", "b", "spare"].iter().zip(&upstreams).map(|(name, one)| remote(name, &one.base_url())).collect();
    let candidates = json!([
        {"upstream": "a", "weight": 1}, {"upstream": "b", "weight": 1}, {"upstream": "spare", "priority": 1},
    ]);
    let models = json!([{"name": "*", "candidates": candidates}]);
    let gateway = Setup::new().with(json!({"upstreams": entries, "models": models})).start().await;
    for _ in 0..24 {
        assert_eq!(gateway.client().chat(&ask(false)).await.status, 200);
    }
    let counts = upstreams.map(|upstream| upstream.received().len());
    assert!(counts[0] > 0 && counts[1] > 0 && counts[2] == 0, "{counts:?}");
}

#[tokio::test]
async fn a_failing_upstream_of_every_kind_leaves_a_clear_error() {
    let gone = nobody().await;
    let upstreams = json!({"upstreams": [remote("first", &gone), remote("second", &gone)]});
    let gateway = Setup::new().with(upstreams).start().await;
    let answer = gateway.client().chat(&ask(true)).await;
    let (status, _, code) = envelope(answer).await;
    assert!(matches!(status, 502 | 503), "{status} {code}");
}
