//! Health tells the truth, and the counts add up.

use serde_json::json;

use crate::harness::client::Client;
use crate::harness::database::Cluster;
use crate::harness::gateway::{Gateway, Setup};
use crate::harness::pack::{FLAGS, pack};
use crate::harness::script::Reply;
use crate::harness::upstream::Upstream;
use crate::harness::wait::until;

#[tokio::test]
async fn a_serving_gateway_is_healthy_and_ready() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let gateway = Gateway::before(&upstream).await;
    assert_eq!(gateway.stranger().get("/healthz").await.status, 200);
    ready_becomes(&gateway, 200).await;
}

#[tokio::test]
async fn readiness_says_that_the_database_is_away() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let mut cluster = Cluster::start();
    let gateway = Setup::before(&upstream).database(&cluster.url("postgres")).start().await;
    ready_becomes(&gateway, 200).await;
    let text = gateway.stranger().get("/readyz").await.text().await;
    cluster.stop();
    until("readiness to notice", async || {
        let now = gateway.stranger().get("/readyz").await.text().await;
        (now != text).then_some(())
    })
    .await;
    assert_eq!(gateway.stranger().get("/healthz").await.status, 200, "it lives and serves all the same");
    cluster.start_again();
    ready_becomes(&gateway, 200).await;
}

#[tokio::test]
async fn metrics_count_exchanges_findings_and_verdicts() {
    let upstream = Upstream::always(Reply::saying("A heron.")).await;
    let gateway = Setup::before(&upstream).pack(&pack(&[FLAGS])).start().await;
    for _ in 0..3 {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "Hello"}]});
        gateway.client().chat(&body).await.bytes().await;
    }
    assert_eq!(gateway.stranger().post("{}").await.status, 401);
    let answer = gateway.stranger().get("/metrics").await;
    assert!(answer.header("content-type").contains("text"), "{:?}", answer.headers);
    let text = answer.text().await;
    assert_eq!(sum(&text, &["candor_exchanges_total", "complete"]), 3.0, "{text}");
    assert_eq!(sum(&text, &["candor_findings_total", "watch-heron"]), 3.0, "{text}");
    assert!(text.contains("complied") && text.contains("identify"), "{text}");
}

/// The sum of all samples whose line holds some parts.
fn sum(text: &str, parts: &[&str]) -> f64 {
    let lines = text.lines().filter(|line| !line.starts_with('#') && parts.iter().all(|part| line.contains(part)));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[tokio::test]
async fn counts_of_records_add_up() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let gateway = Gateway::before(&upstream).await;
    for body in ["{}", r#"{"model": "m", "messages": [{"role": "user", "content": "Hello"}]}"#] {
        gateway.client().post(body).await.bytes().await;
    }
    until("all records to be shipped", async || {
        let text = gateway.stranger().get("/metrics").await.text().await;
        let count = |name: &str| sum(&text, &[name]);
        let admitted = count("candor_records_admitted");
        let accounted = count("candor_records_recorded") + count("candor_records_lost") + count("candor_records_open");
        assert_eq!((admitted, accounted), (2.0, 2.0), "{text}");
        (count("candor_frames_spooled") == 0.0 && count("candor_frames_shipped") == 4.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_admin_address_answers_what_the_front_door_keeps_for_loopback() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let gateway = Setup::before(&upstream).with(json!({"admin": {"address": "127.0.0.1:0"}})).start().await;
    let address = gateway.ready()["admin"].as_str().and_then(|text| text.parse().ok());
    let admin = Client::new(address.unwrap_or_else(|| panic!("no admin in {}", gateway.ready())), None);
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(admin.get(path).await.status, 200, "{path}");
    }
    assert_eq!(admin.get("/v1/models").await.status, 404);
}

async fn ready_becomes(gateway: &Gateway, status: u16) {
    until("readiness", async || (gateway.stranger().get("/readyz").await.status == status).then_some(())).await;
}
