//! What a client reads when something is wrong: OpenAI's envelope, and ids that lead to the record.

use http::Method;
use serde_json::{Value, json};

use crate::harness::client::{Answer, CHAT};
use crate::harness::gateway::{Gateway, Setup, UPSTREAM_KEY, remote};
use crate::harness::script::Reply;
use crate::harness::upstream::{Upstream, nobody};

/// Reads an error's envelope and checks its form; gives status, type and code.
pub(super) async fn envelope(answer: Answer) -> (u16, String, String) {
    let status = answer.status;
    assert_eq!(answer.header("content-type"), "application/json");
    let body = answer.json().await;
    let error = body["error"].as_object().unwrap_or_else(|| panic!("no error in {body}"));
    let text = |key: &str| error[key].as_str().map(str::to_owned).unwrap_or_else(|| panic!("no {key} in {body}"));
    assert!(!text("message").is_empty());
    assert!(error["param"].is_null() || error["param"].is_string(), "{body}");
    (status, text("type"), text("code"))
}

#[tokio::test]
async fn errors_come_in_the_vendors_envelope() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let models = json!({"models": [{"name": "known", "candidates": [{"upstream": "up"}]}]});
    let gateway = Setup::before(&upstream).with(models).start().await;
    let message = json!([{"role": "user", "content": "Hello"}]);
    let cases: [(Value, u16, &str); 6] = [
        (json!({"messages": message}), 400, "missing_required_parameter"),
        (json!({"model": "known"}), 400, "missing_required_parameter"),
        (json!({"model": "known", "messages": []}), 400, "invalid_value"),
        (json!({"model": "known", "messages": message, "n": 0}), 400, "invalid_value"),
        (json!({"model": "known", "messages": [{"content": "no role"}]}), 400, "invalid_value"),
        (json!({"model": "other", "messages": message}), 404, "model_not_found"),
    ];
    for (body, status, code) in cases {
        let answer = gateway.client().chat(&body).await;
        let id = answer.id();
        assert_eq!(envelope(answer).await, (status, "invalid_request_error".to_owned(), code.to_owned()), "{body}");
        let record = gateway.record(&id).await;
        assert_eq!(record["ending"], "rejected", "{record}");
        assert_eq!((&record["outcome"], &record["manners"]), (&json!("failed"), &json!([])), "{record}");
    }
    assert!(upstream.received().is_empty());
}

#[tokio::test]
async fn paths_and_methods_that_do_not_exist_say_so() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let gateway = Gateway::before(&upstream).await;
    for (method, path, status, code) in [
        (Method::GET, CHAT, 405, "method_not_allowed"),
        (Method::DELETE, "/v1/models", 405, "method_not_allowed"),
        (Method::POST, "/v1/audio/speech", 404, "unknown_url"),
        (Method::GET, "/", 404, "unknown_url"),
    ] {
        let request = gateway.client().request(method, path).body(Default::default()).expect("a request");
        let (found, _, found_code) = envelope(gateway.client().send(request).await).await;
        assert_eq!((found, found_code.as_str()), (status, code), "{path}");
    }
}

#[tokio::test]
async fn ids_go_both_ways() {
    let upstream = Upstream::always(Reply::saying("yes").header("x-request-id", "theirs-1")).await;
    let gateway = Gateway::before(&upstream).await;
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "Hello"}]});
    let answer = gateway.client().header("x-request-id", "mine-1").chat(&body).await;
    assert_eq!(answer.header("x-client-request-id"), "mine-1");
    assert_eq!(answer.header("x-upstream-request-id"), "theirs-1");
    let record = gateway.record(&answer.id()).await;
    assert_eq!(record["client_request_id"], "mine-1", "{record}");
    let other = gateway.client().chat(&body).await;
    assert_ne!(answer.id(), other.id());
    assert_eq!(other.header("x-client-request-id"), "");
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_named_as_the_fault() {
    let entry = crate::harness::gateway::remote("gone", &nobody().await);
    let gateway = Setup::new().with(json!({"upstreams": [entry]})).start().await;
    for stream in [false, true] {
        let body = json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "Hello"}]});
        let answer = gateway.client().chat(&body).await;
        let id = answer.id();
        let (status, kind, _) = envelope(answer).await;
        assert!(matches!(status, 502 | 503), "{status}");
        assert!(matches!(kind.as_str(), "upstream_error" | "server_error"), "{kind}");
        let record = gateway.record(&id).await;
        assert_eq!((&record["ending"], &record["outcome"]), (&json!("upstream_failed"), &json!("failed")));
    }
}

#[tokio::test]
async fn models_are_listed_as_the_vendor_lists_them() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let candidates = json!([{"upstream": "up"}]);
    let models = json!({"models": [
        {"name": "r1", "candidates": candidates}, {"name": "small", "candidates": candidates},
    ]});
    let gateway = Setup::before(&upstream).with(models).start().await;
    let list = gateway.client().get("/v1/models").await.json().await;
    let ids: Vec<&str> = list["data"].as_array().expect("data").iter().filter_map(|one| one["id"].as_str()).collect();
    assert_eq!((list["object"].as_str(), ids), (Some("list"), vec!["r1", "small"]));
    assert!(list["data"][0]["object"] == "model" && list["data"][0]["created"].is_number());
    assert_eq!(gateway.stranger().get("/v1/models").await.status, 401);
    assert!(upstream.received().is_empty(), "who names all models asks nobody for more");
}

#[tokio::test]
async fn where_any_name_passes_the_upstreams_names_are_listed() {
    let listing = |names: &'static [&'static str]| {
        Upstream::answering(move |received| {
            assert_eq!((&received.method, received.path.as_str()), (&Method::GET, "/v1/models"));
            assert_eq!(received.header("authorization"), format!("Bearer {UPSTREAM_KEY}"));
            let data: Vec<Value> = names.iter().map(|name| json!({"id": name, "object": "model"})).collect();
            Reply::json(200, json!({"object": "list", "data": data}).to_string())
        })
    };
    let (vendor, own) = (listing(&["gpt-5", "o3", "text-embedding-3"]).await, listing(&["qwen", "llama"]).await);
    let upstreams =
        json!([remote("vendor", &vendor.base_url()), remote("own", &own.base_url()), remote("away", &nobody().await)]);
    let only = |upstream: &str| json!([{"upstream": upstream}]);
    let models = json!([
        {"name": "qwen", "candidates": only("vendor")},
        {"name": "o*", "candidates": [{"upstream": "vendor"}, {"upstream": "own", "model": "llama"}]},
        {"name": "x-*", "candidates": only("away")},
        {"name": "*", "candidates": only("own")},
    ]);
    let gateway = Setup::new().with(json!({"upstreams": upstreams, "models": models})).start().await;
    for _ in 0..3 {
        let list = gateway.client().get("/v1/models").await.json().await;
        let ids: Vec<&str> =
            list["data"].as_array().expect("data").iter().filter_map(|one| one["id"].as_str()).collect();
        assert_eq!(ids, ["qwen", "llama", "o3"], "{list}");
    }
    assert_eq!((vendor.received().len(), own.received().len()), (1, 1), "lists are kept for a while");
}
