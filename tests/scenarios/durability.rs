//! Nothing is lost: Postgres absent, stopped or killed, the gateway killed. Clients keep their own count of what they got.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::client::Client;
use crate::harness::database::Cluster;
use crate::harness::gateway::{Gateway, Setup};
use crate::harness::script::{DONE, Reply, Signal, Step, finish, say, send};
use crate::harness::upstream::Upstream;
use crate::harness::wait::until;
use crate::scenarios::evidence::{exported, sealed, verified};

fn ask(stream: bool) -> Value {
    json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "Hello"}]})
}

async fn upstream() -> Upstream {
    Upstream::answering(|request| {
        if String::from_utf8_lossy(&request.body).contains("\"stream\":true") {
            Reply::frames([say("Hello "), say("you"), finish(0, "stop"), DONE.to_owned()])
        } else {
            Reply::saying("Hello you")
        }
    })
    .await
}

/// Asks so many questions one after the other, streamed in turn; gives the ids of what was answered whole.
async fn questions(client: &Client, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..count {
        let answer = client.chat(&ask(number % 2 == 0)).await;
        assert_eq!(answer.status, 200, "question {number}");
        ids.push(answer.id());
        assert!(answer.text().await.contains("you"));
    }
    ids
}

/// Waits until every one of these is recorded, with its end; and each only once.
async fn all_recorded(gateway: &Gateway, ids: &[String]) -> Vec<Value> {
    let expected: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
    let records = until("all records to arrive", async || {
        let ran = gateway.candor(&["records", "list", "--limit", "10000", "--json"]).await;
        if ran.code != 0 {
            return None;
        }
        let records = ran.lines();
        let ended = records.iter().filter(|one| one["ending"].is_string()).filter_map(|one| one["exchange"].as_str());
        let ended: BTreeSet<&str> = ended.collect();
        expected.is_subset(&ended).then_some(records)
    })
    .await;
    let distinct: BTreeSet<&str> = records.iter().filter_map(|one| one["exchange"].as_str()).collect();
    assert_eq!(distinct.len(), records.len(), "a record stands twice");
    records
}

#[tokio::test]
async fn a_gateway_starts_and_serves_without_its_database() {
    let upstream = upstream().await;
    let mut cluster = Cluster::absent();
    let gateway = Setup::before(&upstream).database(&cluster.url("postgres")).start().await;
    let ids = questions(&gateway.client(), 6).await;
    cluster.start_again();
    let records = all_recorded(&gateway, &ids).await;
    assert_eq!(records.len(), ids.len());
}

#[tokio::test]
async fn records_wait_while_the_database_is_stopped() {
    let upstream = upstream().await;
    let mut cluster = Cluster::start();
    let mut gateway = Setup::before(&upstream).database(&cluster.url("postgres")).start().await;
    let mut ids = questions(&gateway.client(), 3).await;
    cluster.stop();
    ids.extend(questions(&gateway.client(), 5).await);
    // What waits outlives the gateway, too.
    gateway.stop().await;
    gateway.start_again().await;
    ids.extend(questions(&gateway.client(), 2).await);
    cluster.start_again();
    ids.extend(questions(&gateway.client(), 2).await);
    let records = all_recorded(&gateway, &ids).await;
    assert_eq!(records.len(), ids.len());
}

#[tokio::test]
async fn nothing_is_lost_while_the_database_is_slow_or_takes_no_writes() {
    let upstream = upstream().await;
    let cluster = Cluster::start();
    let gateway = Setup::before(&upstream).database(&cluster.url("postgres")).start().await;
    let mut ids = questions(&gateway.client(), 3).await;
    // Slow: somebody's transaction holds what every batch needs.
    let mut holder = cluster.connect().await;
    holder.run("BEGIN; LOCK TABLE stream, record_begin IN ACCESS EXCLUSIVE MODE").await;
    ids.extend(questions(&gateway.client(), 6).await);
    holder.run("COMMIT").await;
    all_recorded(&gateway, &ids).await;
    // A standby, or a disk that its operators froze.
    holder.run("ALTER SYSTEM SET default_transaction_read_only = on").await;
    holder.run("SELECT pg_reload_conf()").await;
    ids.extend(questions(&gateway.client(), 6).await);
    until("the gateway to notice", async || gateway.log().contains("read-only transaction").then_some(())).await;
    ids.extend(questions(&gateway.client(), 2).await);
    holder.run("SET default_transaction_read_only = off; ALTER SYSTEM RESET default_transaction_read_only").await;
    holder.run("SELECT pg_reload_conf()").await;
    let records = all_recorded(&gateway, &ids).await;
    assert_eq!(records.len(), ids.len());
}

#[tokio::test]
async fn records_survive_a_database_killed_under_load() {
    let upstream = upstream().await;
    let mut cluster = Cluster::start();
    let gateway = Setup::before(&upstream).database(&cluster.url("postgres")).start().await;
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let client = gateway.client();
            tokio::spawn(async move { questions(&client, 25).await })
        })
        .collect();
    upstream.asked(20).await;
    cluster.kill();
    upstream.asked(50).await;
    cluster.start_again();
    upstream.asked(60).await;
    cluster.kill();
    cluster.start_again();
    let mut ids = Vec::new();
    for client in clients {
        ids.extend(client.await.expect("a client"));
    }
    assert_eq!(ids.len(), 100);
    let records = all_recorded(&gateway, &ids).await;
    assert_eq!(records.len(), 100);
}

#[tokio::test]
async fn a_killed_gateway_has_recorded_all_that_was_answered_and_closes_what_was_begun() {
    let signal = Signal::new();
    let hold = signal.clone();
    let upstream = Upstream::answering(move |request| {
        if String::from_utf8_lossy(&request.body).contains("held") {
            Reply::stream([send(say("never ")), Step::Hold(hold.clone()), send(DONE)])
        } else {
            Reply::frames([say("Hello "), say("you"), finish(0, "stop"), DONE.to_owned()])
        }
    })
    .await;
    let mut gateway = Setup::before(&upstream).start().await;
    let answered: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
    let mut begun = Vec::new();
    for round in 0..rounds() {
        let mut held = Vec::new();
        for _ in 0..3 {
            let client = gateway.client();
            let mut answer = client
                .chat(&json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "held"}]}))
                .await;
            answer.read_until("never").await;
            begun.push(answer.id());
            held.push(answer);
        }
        let loaders: Vec<_> =
            (0..3).map(|_| tokio::spawn(ask_until_it_fails(gateway.client(), answered.clone()))).collect();
        let goal = answered.lock().expect("no panic").len() + 10 + 7 * (round % 5);
        until("some answers", async || (answered.lock().expect("no panic").len() >= goal).then_some(())).await;
        gateway.kill().await;
        for loader in loaders {
            loader.await.expect("a client");
        }
        gateway.start_again().await;
    }
    let answered = answered.lock().expect("no panic").clone();
    let all: Vec<String> = answered.iter().chain(&begun).cloned().collect();
    let records = all_recorded(&gateway, &all).await;
    assert!(records.iter().all(|one| one["ending"].is_string()), "every begin is closed");
    let ending = |id: &str| records.iter().find(|one| one["exchange"] == id).map(|one| one["ending"].clone());
    for id in &answered {
        assert_eq!(ending(id), Some(json!("complete")), "{id} was answered whole");
    }
    for id in &begun {
        assert_ne!(ending(id), Some(json!("complete")), "{id} was not answered");
    }
    sealed(&gateway, all.len()).await;
    let bundle = exported(&gateway, "killed.jsonl").await;
    let (_, report) = verified(&bundle, &["--key", gateway.ready()["ledger"].as_str().expect("a key")]).await;
    assert_eq!(report["conclusion"], "verified", "{report}");
}

/// How often the gateway is killed: `TEST_KILLS` of three, where it is set.
fn rounds() -> usize {
    #[expect(clippy::disallowed_methods, reason = "the long version of one test is asked for by this variable")]
    let asked = std::env::var("TEST_KILLS").ok();
    asked.and_then(|count| count.parse().ok()).unwrap_or(3)
}

/// Asks for streams until the gateway is gone, and notes what was answered to the last frame.
async fn ask_until_it_fails(client: Client, answered: Arc<std::sync::Mutex<Vec<String>>>) {
    loop {
        let request = client.request(http::Method::POST, crate::harness::client::CHAT);
        let request = request.body(ask(true).to_string().into()).expect("a request");
        let Ok(mut answer) = client.try_send(request).await else { return };
        if answer.status != 200 {
            return;
        }
        while answer.read_more().await {}
        if answer.taken.ends_with(DONE.as_bytes()) {
            answered.lock().expect("no panic").push(answer.id());
        }
    }
}

#[tokio::test]
async fn best_effort_recording_serves_and_records_too() {
    let upstream = upstream().await;
    let models = json!([{"name": "*", "recording": "best_effort", "candidates": [{"upstream": "up"}]}]);
    let gateway = Setup::before(&upstream).with(json!({"models": models})).start().await;
    let ids = questions(&gateway.client(), 6).await;
    all_recorded(&gateway, &ids).await;
    assert_eq!(gateway.record(&ids[0]).await["recording"], "best_effort");
}

#[tokio::test]
async fn a_full_spool_refuses_required_records_and_only_those() {
    let upstream = upstream().await;
    let cluster = Cluster::absent();
    let candidates = json!([{"upstream": "up"}]);
    let setup = Setup::before(&upstream).database(&cluster.url("postgres")).with(json!({
        "spool": {"segment_bytes": "64KiB", "total_bytes": "256KiB"},
        "models": [
            {"name": "strict", "candidates": candidates},
            {"name": "loose", "recording": "best_effort", "candidates": candidates},
        ],
    }));
    let gateway = setup.start().await;
    // Random text, so that it is as large compressed.
    let noise: String = (0_u64..4000).map(|n| format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    let body = |model: &str| json!({"model": model, "messages": [{"role": "user", "content": noise}]});
    let refused = until("the spool to be full", async || {
        let answer = gateway.client().chat(&body("strict")).await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    assert_eq!(refused.status, 503);
    assert!(!refused.header("retry-after").is_empty());
    assert_eq!(gateway.client().chat(&body("loose")).await.status, 200);
}
