//! Tokens counted before they are spent: under the same keys and rules as what would spend them.

use serde_json::{Value, json};

use crate::harness::gateway::{Gateway, KEY, Setup, remote};
use crate::harness::model;
use crate::harness::pack::{REDACTS, STOPS, pack};
use crate::harness::script::Reply;
use crate::harness::upstream::Upstream;

const PATH: &str = "/v1/messages/count_tokens";

fn ask(text: &str) -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": text}]})
}

async fn before(upstream: &Upstream, dialects: &Value) -> Gateway {
    let mut up = remote("up", &upstream.base_url());
    up["dialects"] = dialects.clone();
    let key = json!({"caller": "alice", "key": KEY, "models": ["m"], "requests_per_minute": 4});
    let prices = json!([{"model": "*", "per_million": {"input": 1_000_000, "output": 0}}]);
    let settings = json!({"upstreams": [up], "callers": {"keys": [key]}, "prices": prices});
    Setup::new().pack(&pack(&[REDACTS, STOPS])).with(settings).start().await
}

#[tokio::test]
async fn a_count_passes_by_the_rules_of_what_it_counts_and_costs_nothing() {
    let counted = r#"{"input_tokens": 14, "x":[ ]}"#;
    let upstream = Upstream::always(Reply::json(200, counted)).await;
    let gateway = before(&upstream, &json!(["anthropic"])).await;
    let client = gateway.client().header("anthropic-beta", "token-counting-1");
    let answer = client.post_to(PATH, &ask("my account is ACME-1234")).await;
    let id = answer.id();
    assert_eq!((answer.status, answer.text().await.as_str()), (200, counted));
    let received = upstream.only();
    assert_eq!(received.path, PATH);
    assert_eq!(received.body, ask("my account is [redacted]").to_string().as_bytes());
    assert_eq!(
        (received.header("anthropic-version"), received.header("anthropic-beta")),
        ("2023-06-01", "token-counting-1")
    );
    let record = gateway.record(&id).await;
    assert_eq!(
        (&record["dialect"], &record["upstream_dialect"]),
        (&json!("anthropic-count-tokens"), &json!("anthropic-count-tokens"))
    );
    assert_eq!(
        (&record["cost_nanos"], &record["prompt_tokens"], &record["outcome"]),
        (&json!(0), &json!(0), &Value::Null)
    );

    let stopped = client.post_to(PATH, &ask("about project bluebird")).await;
    assert_eq!((stopped.status, &stopped.json().await["type"]), (400, &json!("error")));
    let mut other = ask("hello");
    other["model"] = json!("other");
    assert_eq!(client.post_to(PATH, &other).await.status, 403);
    assert_eq!(client.post_to(PATH, &ask("hello")).await.status, 200);
    assert_eq!(client.post_to(PATH, &ask("hello")).await.status, 429, "the rate counts them");
    assert_eq!(gateway.stranger().post_to(PATH, &ask("hello")).await.status, 401);
    assert_eq!(upstream.received().len(), 2, "what may not leave has not left this way");
}

#[tokio::test]
async fn who_cannot_count_is_said_in_the_clients_envelope() {
    let upstream = Upstream::always(Reply::saying("never")).await;
    let gateway = before(&upstream, &json!(["openai-chat"])).await;
    let answer = gateway.client().post_to(PATH, &ask("hello")).await;
    assert_eq!(answer.status, 400);
    let told = answer.json().await;
    assert_eq!((&told["type"], &told["error"]["type"]), (&json!("error"), &json!("invalid_request_error")), "{told}");
    assert!(told["error"]["message"].as_str().is_some_and(|message| message.contains("cannot count tokens")), "{told}");
    assert!(upstream.received().is_empty());
}

#[tokio::test]
async fn a_local_model_counts_with_its_own_template_and_tokenizer() {
    let setup = Setup::new();
    model::write(&setup.path().join("model"));
    let local = json!({"path": "model", "context": 256, "threads": 1});
    let gateway = setup.with(json!({"upstreams": [{"name": "own", "local": local}]})).start().await;
    let mut body = ask("Hello");
    let counted = gateway.client().post_to(PATH, &body).await;
    assert_eq!(counted.status, 200);
    let counted = counted.json().await["input_tokens"].as_u64().expect("a count");
    body["max_tokens"] = json!(4);
    let answered = gateway.client().post_to("/v1/messages", &body).await.json().await;
    assert_eq!(answered["usage"]["input_tokens"], counted, "{answered}");
    assert!(counted > 5);
}
