//! What other rules would have done to recorded traffic is told before they are put in force.

use serde_json::{Value, json};

use crate::harness::gateway::{Gateway, Setup};
use crate::harness::pack::{FLAGS, REDACTS, Rule, STOPS, pack};
use crate::harness::script::Reply;
use crate::harness::upstream::Upstream;

/// Records four exchanges under rules that redact and flag; gives the gateway with a pack of others beside it.
async fn recorded(upstream: &Upstream, proposed: &[Rule]) -> (Gateway, String) {
    let setup = Setup::before(upstream).pack(&pack(&[REDACTS, FLAGS])).file("proposed.yaml", pack(proposed));
    let path = setup.path().join("proposed.yaml").display().to_string();
    let gateway = setup.start().await;
    for text in ["hello", "pay ACME-1234", "a heron flies", "tell me of project bluebird"] {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": text}]});
        let answer = gateway.client().chat(&body).await;
        assert_eq!(answer.status, 200);
        gateway.record(&answer.id()).await;
    }
    (gateway, path)
}

async fn replayed(gateway: &Gateway, more: &[&str]) -> Value {
    let ran = gateway.candor(&[&["policy", "replay", "--json"], more].concat()).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.json()
}

#[tokio::test]
async fn the_rules_in_force_make_no_difference() {
    let upstream = Upstream::always(Reply::saying("a heron, they say")).await;
    let (gateway, _) = recorded(&upstream, &[STOPS]).await;
    let said = replayed(&gateway, &[]).await;
    assert_eq!((&said["exchanges"], &said["changed"]), (&json!(4), &json!(0)), "{said}");
    assert_eq!(said["actions"]["redact"], json!({"before": 1, "after": 1}));
}

#[tokio::test]
async fn other_rules_are_compared_with_what_was_recorded() {
    let upstream = Upstream::always(Reply::saying("a heron, they say")).await;
    let (gateway, proposed) = recorded(&upstream, &[STOPS, REDACTS]).await;
    let said = replayed(&gateway, &["--pack", &proposed]).await;
    assert_eq!((&said["exchanges"], &said["changed"]), (&json!(4), &json!(4)), "{said}");
    assert_eq!(said["actions"]["stop"], json!({"before": 0, "after": 1}), "{said}");
    assert_eq!(said["actions"]["redact"], json!({"before": 1, "after": 1}), "{said}");
    assert_eq!(said["actions"]["untouched"], json!({"before": 0, "after": 2}), "{said}");
    let newest = &said["changes"][0];
    assert_eq!((&newest["before"], &newest["after"]), (&json!("flag"), &json!("stop")), "{said}");
    assert_eq!(newest["new"][0]["rule"], "no-bluebird");
    assert_eq!(newest["gone"][0]["rule"], "watch-heron");

    let ran = gateway.candor(&["policy", "replay", "--pack", &proposed, "--show", "1"]).await;
    assert!(ran.out.contains("4 would have gone another way") && ran.out.contains("and 3 more"), "{ran:?}");
}
