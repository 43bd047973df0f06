//! Usage of a stream that its client did not ask for: the gateway asks, and the client gets what it asked for alone.

use serde_json::{Value, json};

use crate::harness::gateway::{Gateway, Setup, remote};
use crate::harness::script::{DONE, Reply, finish, frame, say, usage};
use crate::harness::upstream::{Received, Upstream};

/// A stream as a vendor sends it that tells usage where it is asked to.
fn stream(request: &Received, heeds: bool) -> Vec<String> {
    let body: Value = serde_json::from_slice(&request.body).expect("JSON");
    let asked = heeds && body["stream_options"]["include_usage"] == true;
    let counts = asked.then(|| usage(1000, 500));
    [say("No."), finish(0, "stop")].into_iter().chain(counts).chain([DONE.to_owned()]).collect()
}

async fn before(upstream: &Upstream, more: &Value) -> Gateway {
    let mut up = remote("up", &upstream.base_url());
    up.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    let prices = json!([{"model": "*", "per_million": {"input": 1, "output": 2}}]);
    Setup::new().with(json!({"upstreams": [up], "prices": prices})).start().await
}

/// What the upstream and the client got, and the record.
async fn asked(heeds: bool, entry: Value, body: &str) -> (String, String, Value) {
    let upstream = Upstream::answering(move |request| Reply::frames(stream(request, heeds))).await;
    let gateway = before(&upstream, &entry).await;
    let answer = gateway.client().post(body.to_owned()).await;
    let id = answer.id();
    let text = answer.text().await;
    let record = gateway.record(&id).await;
    assert_eq!((&record["ending"], record["delivered_bytes"].is_null()), (&json!("complete"), true), "{record}");
    (String::from_utf8(upstream.only().body.to_vec()).expect("text"), text, record)
}

const ASK: &str = r#"{ "model":"m","stream":true,"messages":[{"role":"user","content":"caf\u00e9"}]}"#;

#[tokio::test]
async fn what_the_client_did_not_ask_for_is_asked_for_recorded_and_withheld() {
    let plain = [say("No."), finish(0, "stop"), DONE.to_owned()].concat();
    let (sent, text, record) = asked(true, json!({}), ASK).await;
    let expected = ASK.replacen('{', r#"{"stream_options":{"include_usage":true},"#, 1);
    assert_eq!((sent, text.as_str()), (expected, plain.as_str()));
    assert_eq!((&record["prompt_tokens"], &record["cost_nanos"]), (&json!(1000), &json!(2_000_000)), "{record}");
    assert_eq!(record["adapted"], json!(["usage of the stream asked for", "its chunk withheld"]), "{record}");

    let (_, text, record) = asked(false, json!({}), ASK).await;
    assert_eq!((text, &record["prompt_tokens"]), (plain.clone(), &Value::Null), "an upstream that ignores it");
    assert_eq!(record["adapted"], json!(["usage of the stream asked for"]), "{record}");
}

#[tokio::test]
async fn what_the_client_asked_for_passes_and_nothing_is_asked_where_nothing_may_be() {
    let with = ASK.replacen('{', r#"{"stream_options":{"include_usage":true},"#, 1);
    let (sent, text, record) = asked(true, json!({}), &with).await;
    let counted = [say("No."), finish(0, "stop"), usage(1000, 500), DONE.to_owned()].concat();
    assert_eq!((sent, text), (with, counted));
    assert_eq!(record["completion_tokens"], 500);

    for entry in [json!({"stream_usage": "as_sent"}), json!({"adapt": "off"}), json!({"provider": "openrouter"})] {
        let (sent, _, record) = asked(true, entry, ASK).await;
        assert_eq!((sent.as_str(), &record["prompt_tokens"]), (ASK, &Value::Null));
    }
    let whole = ASK.replace("true", "false");
    let upstream = Upstream::always(Reply::saying("No.")).await;
    let gateway = before(&upstream, &json!({})).await;
    assert_eq!(gateway.client().post(whole.clone()).await.status, 200);
    assert_eq!(upstream.only().body, whole.as_bytes());
}

#[tokio::test]
async fn usage_beside_a_choice_passes_though_nobody_asked() {
    let last = frame(&json!({
        "id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 7, "completion_tokens": 2},
    }));
    let frames = [say("No."), last, DONE.to_owned()];
    let upstream = Upstream::always(Reply::frames(frames.clone())).await;
    let gateway = before(&upstream, &json!({})).await;
    let answer = gateway.client().post(ASK).await;
    let id = answer.id();
    assert_eq!(answer.text().await, frames.concat());
    let record = gateway.record(&id).await;
    assert_eq!((&record["prompt_tokens"], &record["upstream_dialect"]), (&json!(7), &json!("openai-chat")), "{record}");
}
