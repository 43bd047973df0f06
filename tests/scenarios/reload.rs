//! A configuration that changes while traffic runs: on a signal, by a changed file, on an admin's word.

use http::Method;
use http_body_util::Full;
use rustix::process::Signal as Kill;
use serde_json::{Value, json};

use crate::harness::certificates::Authority;
use crate::harness::client::Client;
use crate::harness::gateway::{Gateway, KEY, Setup, remote};
use crate::harness::script::{DONE, Reply, Signal, Step, finish, say, send};
use crate::harness::upstream::Upstream;
use crate::harness::wait::until;

fn asking(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "Hello"}]})
}

/// Waits until the log says something for the given time.
async fn logged(gateway: &Gateway, what: &str, times: usize) {
    until(what, async || (gateway.log().matches(what).count() >= times).then_some(())).await;
}

const TAKEN: &str = "the configuration was read again and is in force";
const REFUSED: &str = "the configuration cannot be taken";

#[tokio::test]
async fn a_reload_swaps_models_keys_and_rules_and_loses_no_stream() {
    let held = Signal::new();
    let steps = [send(say("old ")), Step::Hold(held.clone()), send(say("stays")), send(finish(0, "stop")), send(DONE)];
    let streaming = Reply::stream(steps);
    let old = Upstream::answering(move |request| match request.body.windows(6).any(|part| part == b"stream") {
        true => streaming.clone(),
        false => Reply::saying("from the old one"),
    })
    .await;
    let new = Upstream::always(Reply::saying("from the new one")).await;
    let mut gateway = Setup::before(&old).with(json!({"reload": {"watch": false}})).start().await;
    let client = gateway.client();
    let mut ask = asking("m");
    ask["stream"] = json!(true);
    let mut stream = client.chat(&ask).await;
    let held_id = stream.id();
    stream.read_until("old ").await;

    gateway.change(json!({
        "upstreams": [remote("new", &new.base_url())],
        "models": [{"name": "renamed", "candidates": [{"upstream": "new"}]}],
        "callers": {"keys": [{"caller": "carol", "key": "sk-candor-carol-0123456789"}]},
        "policies": {"shipped": ["secrets"]},
    }));
    gateway.signal(Kill::HUP);
    logged(&gateway, TAKEN, 1).await;
    assert_eq!(client.chat(&asking("m")).await.status, 401, "the old key is gone");
    let carol = gateway.stranger().key("sk-candor-carol-0123456789");
    assert_eq!(carol.chat(&asking("m")).await.status, 404, "the old name is gone");
    let answer = carol.chat(&asking("renamed")).await;
    let id = answer.id();
    assert_eq!((answer.status, new.received().len()), (200, 1));
    held.give();
    let text = stream.text().await;
    assert!(text.contains("stays") && text.contains("[DONE]"), "{text}");
    let (of_the_old, of_the_new) = (gateway.record(&held_id).await, gateway.record(&id).await);
    assert_ne!(of_the_old["snapshot"], of_the_new["snapshot"]);
    // The change is in the ledger, with what was in force before.
    let digest = |record: &Value| record["snapshot"].as_str().expect("a digest").to_owned();
    let (before, after) = (digest(&of_the_old), digest(&of_the_new));
    let told = format!(r#"\"before\":\"{before}\",\"after\":\"{after}\""#);
    until("the change to be sealed", async || {
        let bundle = gateway.data().join("bundle");
        let ran = gateway.candor(&["records", "export", "--all", "--bundle", &bundle.display().to_string()]).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        let text = std::fs::read_to_string(&bundle).expect("the bundle");
        std::fs::remove_file(&bundle).expect("the bundle");
        text.contains(&told).then_some(())
    })
    .await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_bad_configuration_is_refused_whole_and_a_changed_file_is_noticed() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let reload = json!({"reload": {"every": "20ms"}, "admin": {"address": "127.0.0.1:0"}});
    let mut gateway = Setup::before(&upstream).with(reload).start().await;
    let client = gateway.client();
    let serves = async |model: &str| client.chat(&asking(model)).await.status;
    let models = |names: &[&str]| {
        let model = |name: &&str| json!({"name": name, "candidates": [{"upstream": "up"}]});
        json!({"models": names.iter().map(model).collect::<Vec<Value>>()})
    };
    gateway.change(models(&["a", "b"]));
    logged(&gateway, TAKEN, 1).await;
    assert_eq!([serves("a").await, serves("m").await], [200, 404]);

    gateway.change(json!({"models": [{"name": "c", "candidates": [{"upstream": "nobody"}]}]}));
    logged(&gateway, REFUSED, 1).await;
    assert!(gateway.log().contains("no upstream is named `nobody`"));
    assert_eq!([serves("a").await, serves("c").await], [200, 404]);

    // What cannot change while it runs is said, and nothing else of the file is taken either.
    gateway.change(json!({"spool": {"batch_rows": 7}, "models": models(&["d"])["models"]}));
    logged(&gateway, "`spool` cannot change while the gateway runs", 1).await;
    assert_eq!([serves("a").await, serves("d").await], [200, 404]);

    gateway.change(json!({"spool": null}));
    logged(&gateway, TAKEN, 2).await;
    assert_eq!(serves("d").await, 200);

    // On an admin's word: the same once more is no change.
    let admin: std::net::SocketAddr =
        gateway.ready()["admin"].as_str().and_then(|text| text.parse().ok()).expect("an address");
    let admin = Client::new(admin, None);
    let request = admin.request(Method::POST, "/reload").body(Full::default()).expect("a request");
    let told = admin.send(request).await.json().await;
    assert_eq!(told["changed"], false, "{told}");
    let metrics = admin.get("/metrics").await.text().await;
    assert!(metrics.contains("candor_reloads_refused_total 2"), "{metrics}");
}

#[tokio::test]
async fn a_renewed_certificate_or_key_is_in_force_at_once_and_another_snapshot() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let names = ["localhost", "127.0.0.1"];
    let identity = first.identity(&names);
    let mut gateway = Setup::before(&upstream)
        .file("chain.pem", &identity.chain_pem)
        .file("key.pem", &identity.key_pem)
        .file("caller.key", KEY)
        .with(json!({
            "listen": {"tls": {"certificate": "chain.pem", "key": "key.pem"}},
            "reload": {"watch": false},
            "callers": {"keys": [{"caller": "alice", "key_file": "caller.key"}]},
        }))
        .start()
        .await;
    let address = gateway.address();
    let trusting = |authority: &Authority, key: &str| Client::new(address, Some(authority.pem())).key(key);
    let mut snapshots = Vec::new();
    let mut serves = async |gateway: &Gateway, client: Client| {
        let answer = client.chat(&asking("m")).await;
        assert_eq!(answer.status, 200);
        snapshots.push(gateway.record(&answer.id()).await["snapshot"].to_string());
    };
    serves(&gateway, trusting(&first, KEY)).await;
    let identity = second.identity(&names);
    gateway.write("chain.pem", &identity.chain_pem);
    gateway.write("key.pem", &identity.key_pem);
    gateway.signal(Kill::HUP);
    logged(&gateway, TAKEN, 1).await;
    serves(&gateway, trusting(&second, KEY)).await;
    let renewed = "sk-candor-renewed-0123456789";
    gateway.write("caller.key", renewed);
    gateway.signal(Kill::HUP);
    logged(&gateway, TAKEN, 2).await;
    serves(&gateway, trusting(&second, renewed)).await;
    gateway.signal(Kill::HUP);
    logged(&gateway, TAKEN, 3).await;
    serves(&gateway, trusting(&second, renewed)).await;
    // Each renewal is another state, though no setting says so, and reading the same again is none.
    assert_eq!(snapshots[2], snapshots[3]);
    snapshots.dedup();
    assert_eq!(snapshots.len(), 3, "{snapshots:?}");
    assert!(!gateway.log().contains(renewed));
    gateway.stop().await;
}

#[tokio::test]
async fn the_room_for_exchanges_grows_and_shrinks_and_turns_nobody_out() {
    let held = Signal::new();
    let steps = [send(say("held ")), Step::Hold(held.clone()), send(say("on")), send(finish(0, "stop")), send(DONE)];
    let upstream = Upstream::always(Reply::stream(steps)).await;
    let limits = |exchanges: u32| json!({"limits": {"exchanges": exchanges}});
    let setup = Setup::before(&upstream).with(json!({"reload": {"watch": false}})).with(limits(2));
    let mut gateway = setup.start().await;
    let client = gateway.client();
    let mut ask = asking("m");
    ask["stream"] = json!(true);
    let mut held_up = Vec::new();
    let mut begin = async || {
        let mut stream = client.chat(&ask).await;
        if stream.status == 200 {
            stream.read_until("held ").await;
        }
        let status = stream.status;
        held_up.push(stream);
        status
    };
    assert_eq!([begin().await, begin().await, begin().await], [200, 200, 503]);
    gateway.change(limits(3));
    gateway.signal(Kill::HUP);
    logged(&gateway, TAKEN, 1).await;
    assert_eq!([begin().await, begin().await], [200, 503]);
    gateway.change(limits(1));
    gateway.signal(Kill::HUP);
    logged(&gateway, TAKEN, 2).await;
    assert_eq!(begin().await, 503);
    held.give();
    let mut whole = 0;
    for stream in held_up {
        if stream.status == 200 {
            assert!(stream.text().await.contains("[DONE]"));
            whole += 1;
        }
    }
    assert_eq!(whole, 3, "nobody was turned out");
    until("room for one", async || (client.chat(&asking("m")).await.status == 200).then_some(())).await;
}
