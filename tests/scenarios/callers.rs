//! Who may ask: keys of the configuration and of the database, and where no key may ever be seen.

use serde_json::{Value, json};

use super::errors::envelope;
use crate::harness::client::Client;
use crate::harness::gateway::{Gateway, KEY, Setup, UPSTREAM_KEY};
use crate::harness::script::{DONE, Reply, finish, say};
use crate::harness::upstream::Upstream;
use crate::harness::wait::until;

fn hello() -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": "Hello"}]})
}

async fn status_becomes(client: &Client, status: u16) {
    until("a key to be known as it now is", async || (client.chat(&hello()).await.status == status).then_some(()))
        .await;
}

#[tokio::test]
async fn an_unknown_key_is_turned_away_in_the_dialect() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let gateway = Gateway::before(&upstream).await;
    let nobody = gateway.stranger();
    status_becomes(&nobody.clone().key("sk-unknown-0123456789"), 401).await;
    for client in [nobody.clone(), nobody.clone().key("sk-unknown"), nobody.header("authorization", "Basic x")] {
        let (status, kind, code) = envelope(client.chat(&hello()).await).await;
        assert_eq!((status, kind.as_str(), code.as_str()), (401, "invalid_request_error", "invalid_api_key"));
    }
    assert!(upstream.received().is_empty());
}

#[tokio::test]
async fn a_key_may_come_in_either_header() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let gateway = Gateway::before(&upstream).await;
    assert_eq!(gateway.stranger().key(KEY).chat(&hello()).await.status, 200);
    let answer = gateway.stranger().header("api-key", KEY).chat(&hello()).await;
    let record = gateway.record(&answer.id()).await;
    assert_eq!((&record["caller"], &record["team"]), (&json!("alice"), &json!("research")), "{record}");
}

#[tokio::test]
async fn anonymous_callers_are_let_in_only_where_it_is_said() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let gateway = Setup::before(&upstream).with(json!({"callers": {"anonymous": true}})).start().await;
    let answer = gateway.stranger().chat(&hello()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(gateway.record(&answer.id()).await["caller"], "anonymous");
}

#[tokio::test]
async fn a_created_key_works_until_it_is_revoked() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let mut gateway = Gateway::before(&upstream).await;
    let made = gateway.candor(&["keys", "create", "--caller", "bob", "--team", "sales", "--json"]).await;
    assert_eq!(made.code, 0, "{made:?}");
    let made = made.json();
    let (key, id) = (made["key"].as_str().expect("a key"), made["id"].as_str().expect("an id"));
    let bob = gateway.stranger().key(key);
    status_becomes(&bob, 200).await;

    let listed = gateway.candor(&["keys", "list", "--json"]).await;
    assert!(listed.out.contains(id) && listed.out.contains("bob"), "{listed:?}");
    assert!(!listed.out.contains(key), "a key is shown once");
    for file in files_under(&gateway.data()) {
        let bytes = std::fs::read(&file).unwrap_or_default();
        assert!(!contains(&bytes, key), "the key stands in {}", file.display());
    }
    let record = gateway.record(&bob.chat(&hello()).await.id()).await;
    assert_eq!((&record["caller"], &record["key_id"]), (&json!("bob"), &json!(id)));

    // A known key stays good over a restart.
    gateway.stop().await;
    gateway.start_again().await;
    status_becomes(&gateway.stranger().key(key), 200).await;

    assert_eq!(gateway.candor(&["keys", "revoke", id]).await.code, 0);
    status_becomes(&gateway.stranger().key(key), 401).await;
    assert_ne!(gateway.candor(&["keys", "revoke", "no-such-id"]).await.code, 0);
    assert_eq!(gateway.candor(&["keys", "revoke", id]).await.code, 0);

    // Both are in the ledger, once each, and the key is not.
    let told = gateway.candor(&["ledger", "events", "--kind", "key_create", "--kind", "key_revoke", "--json"]).await;
    let events = told.lines();
    let kinds: Vec<&Value> = events.iter().map(|event| &event["kind"]).collect();
    assert_eq!(kinds, ["key_revoke", "key_create"], "{told:?}");
    assert_eq!((&events[1]["what"]["key"], &events[1]["what"]["team"]), (&json!(id), &json!("sales")));
    assert!(!told.out.contains(key) && events[0]["what"]["database_user"].is_string(), "{told:?}");
    let shown = gateway.candor(&["ledger", "events"]).await;
    assert!(shown.out.contains("policy_change") && shown.out.contains("caller: bob, team: sales"), "{shown:?}");
    assert_eq!(gateway.candor(&["ledger", "events", "--kind", "rumour"]).await.code, 2);
}

#[tokio::test]
async fn a_key_ends_when_it_was_said_to_end() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let gateway = Gateway::before(&upstream).await;
    let made = gateway.candor(&["keys", "create", "--caller", "bob", "--expires", "3s", "--json"]).await.json();
    let bob = gateway.stranger().key(made["key"].as_str().expect("a key"));
    status_becomes(&bob, 200).await;
    status_becomes(&bob, 401).await;
}

#[tokio::test]
async fn no_key_appears_in_logs_records_or_on_disk() {
    let frames = [say("fine"), finish(0, "stop"), DONE.to_owned()];
    let refused = r#"{"error":{"message":"Incorrect API key provided: sk-upst***3210","code":"invalid_api_key"}}"#;
    let upstream =
        Upstream::in_turn(vec![Reply::saying("yes"), Reply::frames(frames), Reply::json(401, refused)]).await;
    let setup = Setup::before(&upstream).with(json!({"observe": {"log": {"filter": "trace", "format": "json"}}}));
    let mut gateway = setup.start().await;
    let mut ids = Vec::new();
    for stream in [false, true, false] {
        let mut body = hello();
        body["stream"] = json!(stream);
        let answer = gateway.client().header("x-api-key", KEY).chat(&body).await;
        ids.push((answer.status, answer.id()));
        let text = answer.text().await;
        assert!(!text.contains("sk-upst"), "{text}");
    }
    assert_eq!(ids.iter().map(|(status, _)| *status).collect::<Vec<_>>(), [200, 200, 502]);
    for (_, id) in ids {
        gateway.record(&id).await;
        for form in [&["records", "show", &id, "--raw"][..], &["records", "show", &id, "--raw", "--json"]] {
            let shown = gateway.candor(form).await;
            assert!(!shown.out.contains(KEY) && !shown.out.contains(UPSTREAM_KEY), "{shown:?}");
        }
    }
    gateway.stop().await;
    let log = gateway.log();
    assert!(!log.contains(KEY) && !log.contains(UPSTREAM_KEY), "{log}");
    for file in files_under(&gateway.data()) {
        let bytes = std::fs::read(&file).unwrap_or_default();
        assert!(!contains(&bytes, KEY) && !contains(&bytes, UPSTREAM_KEY), "a key stands in {}", file.display());
    }
}

fn files_under(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { files.extend(files_under(&path)) } else { files.push(path) }
    }
    files
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
