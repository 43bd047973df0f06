//! What is told to an OpenTelemetry collector: names of the GenAI conventions, and never what people said.

use serde_json::json;

use crate::harness::gateway::{KEY, Setup, UPSTREAM_KEY};
use crate::harness::script::{DONE, Reply, finish, say, usage};
use crate::harness::upstream::{Received, Upstream};
use crate::harness::wait::until;

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn traces_and_metrics_reach_a_collector_without_any_text_of_an_exchange() {
    let collector = Upstream::always(Reply::json(200, "").header("x-collector", "yes")).await;
    let frames = [say("a secretive answer"), finish(0, "stop"), usage(11, 7), DONE.to_owned()];
    let upstream = Upstream::always(Reply::frames(frames)).await;
    let endpoint = collector.base_url().trim_end_matches("/v1").to_owned();
    let otlp = json!({"observe": {"otlp": {"endpoint": endpoint, "headers": {"x-tenant": "t-1"}}}});
    let mut gateway = Setup::before(&upstream).with(otlp).start().await;
    let body = json!({"model": "m-observed", "stream": true, "messages": [{"role": "user", "content": "a secretive question"}]});
    gateway.client().chat(&body).await.bytes().await;
    // Leaving flushes what is still to be told.
    gateway.stop().await;
    let of = |path: &str| collector.received().into_iter().filter(|one| one.path == path).collect::<Vec<Received>>();
    until("a trace", async || (!of("/v1/traces").is_empty() && !of("/v1/metrics").is_empty()).then_some(())).await;
    let all: Vec<u8> = collector.received().iter().flat_map(|one| one.body.to_vec()).collect();
    for name in ["gen_ai.request.model", "m-observed", "gen_ai.usage.output_tokens", "service.name", "candor"] {
        assert!(holds(&all, name), "{name} is not told");
    }
    for text in ["secretive", KEY, UPSTREAM_KEY] {
        assert!(!holds(&all, text), "{text} is told");
    }
    assert!(collector.received().iter().all(|one| one.header("x-tenant") == "t-1"));
}

#[tokio::test]
async fn a_collector_that_is_not_there_disturbs_nobody() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let endpoint = crate::harness::upstream::nobody().await.trim_end_matches("/v1").to_owned();
    let otlp = json!({"observe": {"otlp": {"endpoint": endpoint}}});
    let mut gateway = Setup::before(&upstream).with(otlp).start().await;
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "Hello"}]});
    assert_eq!(gateway.client().chat(&body).await.status, 200);
    gateway.stop().await;
}

#[tokio::test]
async fn logs_are_json_where_it_is_asked_and_hold_no_text_of_an_exchange() {
    let upstream = Upstream::always(Reply::saying("a secretive answer")).await;
    let log = json!({"observe": {"log": {"filter": "debug", "format": "json"}}});
    let mut gateway = Setup::before(&upstream).with(log).start().await;
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "a secretive question"}]});
    gateway.client().chat(&body).await.bytes().await;
    gateway.stop().await;
    let log = gateway.log();
    assert!(!log.is_empty() && !log.contains("secretive"), "{log}");
    for line in log.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
    }
}
