//! Who is asked: conversations that stay where their prefix is, and a second candidate beside one that says nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::gateway::{Gateway, Setup, remote};
use crate::harness::pack::{Rule, pack};
use crate::harness::script::{DONE, Reply, Signal, Step, delta, finish, say, send};
use crate::harness::upstream::Upstream;
use crate::harness::wait::until;

async fn gateway(upstreams: &[&Upstream], model: Value) -> Gateway {
    let upstreams = upstreams.iter().enumerate();
    let upstreams: Vec<Value> = upstreams.map(|(index, one)| remote(&format!("u{index}"), &one.base_url())).collect();
    let candidates = (0..upstreams.len()).map(|index| json!({"upstream": format!("u{index}")}));
    let mut entry = json!({"name": "m", "candidates": candidates.collect::<Vec<Value>>()});
    for (key, value) in model.as_object().expect("settings") {
        entry[key] = value.clone();
    }
    Setup::new().with(json!({"upstreams": upstreams, "models": [entry]})).start().await
}

#[tokio::test]
async fn the_turns_of_a_conversation_go_to_one_candidate() {
    let upstreams = [Upstream::always(Reply::saying("a")).await, Upstream::always(Reply::saying("b")).await];
    let gateway = gateway(&[&upstreams[0], &upstreams[1]], json!({"affinity": "conversation"})).await;
    let mut used = BTreeSet::new();
    for conversation in 0..12 {
        let mut messages = vec![json!({"role": "user", "content": format!("question {conversation}")})];
        let mut of_this = BTreeSet::new();
        for turn in 0..3 {
            let body = json!({"model": "m", "messages": messages});
            let answer = gateway.client().chat(&body).await.json().await;
            of_this.insert(answer["choices"][0]["message"]["content"].as_str().expect("an answer").to_owned());
            messages.push(json!({"role": "assistant", "content": format!("answer {turn}")}));
            messages.push(json!({"role": "user", "content": format!("and {turn}?")}));
        }
        assert_eq!(of_this.len(), 1, "conversation {conversation}");
        used.extend(of_this);
    }
    assert_eq!(used.len(), 2, "conversations are spread");
}

/// The first candidate behaves as told, the second answers; what the client gets, and the faults of the attempts.
async fn hedged(first: Reply, second: Reply) -> (String, Vec<Value>) {
    let (first, second) = (Upstream::always(first).await, Upstream::always(second).await);
    let model = json!({
        "hedge": "50ms",
        "candidates": [{"upstream": "u0"}, {"upstream": "u1", "priority": 1}],
    });
    let gateway = gateway(&[&first, &second], model).await;
    let body = json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "Hello"}]});
    let answer = gateway.client().chat(&body).await;
    let id = answer.id();
    let text = answer.text().await;
    let record = gateway.record(&id).await;
    assert_eq!(record["ending"], "complete", "{record}");
    let attempts = record["attempts"].as_array().expect("attempts");
    (text, attempts.iter().map(|attempt| json!([attempt["upstream"], attempt["fault"]])).collect())
}

fn good() -> [String; 3] {
    [say("from the second"), finish(0, "stop"), DONE.to_owned()]
}

const OUTRUN: &str = "given up: another candidate answered first";

#[tokio::test]
async fn a_second_candidate_is_asked_beside_one_that_says_nothing() {
    let role = delta(0, &json!({"role": "assistant", "content": ""}));
    let never = Signal::new();
    let silences = [
        ("no head", Reply::saying("late").after(Duration::from_secs(20))),
        ("a head and a role", Reply::stream([send(role.clone()), Step::Hold(never.clone())])),
        ("keep-alives", Reply::stream([send(": keep-alive\n\n"), Step::Hold(never.clone())])),
    ];
    for (what, silence) in silences {
        let (text, attempts) = hedged(silence, Reply::frames(good())).await;
        assert_eq!(text, good().concat(), "{what}");
        assert_eq!(attempts, [json!(["u0", OUTRUN]), json!(["u1", null])], "{what}");
    }
    // One that speaks in time is left alone, and one that is slow but sooner than the second answers itself.
    let (text, attempts) =
        hedged(Reply::frames([say("first"), finish(0, "stop"), DONE.to_owned()]), Reply::frames(good())).await;
    assert!(text.contains("first"), "{text}");
    assert_eq!(attempts, [json!(["u0", null])]);
    let slow = Reply::frames([say("first"), finish(0, "stop"), DONE.to_owned()]).after(Duration::from_millis(200));
    let (text, attempts) = hedged(slow, Reply::frames(good()).after(Duration::from_secs(20))).await;
    assert!(text.contains("first"), "{text}");
    assert_eq!(attempts, [json!(["u1", OUTRUN]), json!(["u0", null])]);
}

#[tokio::test]
async fn where_one_of_two_fails_the_other_is_waited_for() {
    let failing = Reply::json(503, "{}").after(Duration::from_millis(150));
    let (text, attempts) = hedged(failing, Reply::frames(good()).after(Duration::from_millis(400))).await;
    assert_eq!(text, good().concat());
    assert_eq!(attempts, [json!(["u0", "get an answer from the upstream: status 503"]), json!(["u1", null])]);
    let broken = Reply::stream([send(": hi\n\n"), Step::Pause(Duration::from_millis(150)), Step::Reset]);
    let (text, attempts) = hedged(broken, Reply::frames(good()).after(Duration::from_millis(400))).await;
    assert_eq!(text, good().concat());
    assert_eq!(attempts.len(), 2, "{attempts:?}");
}

#[tokio::test]
async fn a_copy_goes_to_another_upstream_and_delays_nobody() {
    let held = Signal::new();
    let first = Upstream::always(Reply::saying("from the first")).await;
    let steps =
        [Step::Hold(held.clone()), send(say("from the ")), send(say("shadow")), send(finish(0, "stop")), send(DONE)];
    let shadow = Upstream::always(Reply::stream(steps)).await;
    let rule = |id, pattern, action| Rule { id, channels: "prompt", pattern, action };
    let rules = pack(&[rule("no-codename", "[Bb]luebird", "redact"), rule("never", "forbidden", "stop")]);
    let gateway = Setup::new()
        .pack(&rules)
        .with(json!({
            "upstreams": [remote("up", &first.base_url()), remote("other", &shadow.base_url())],
            "models": [{
                "name": "m",
                "candidates": [{"upstream": "up"}],
                "shadow": {"upstream": "other", "model": "new-model", "sample": 1.0},
            }],
        }))
        .start()
        .await;
    let ask = async |text: &str| {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": text}]});
        gateway.client().header("x-request-id", "mine").chat(&body).await
    };
    // The copy hangs, and the caller has the answer.
    let answer = ask("About Bluebird").await;
    let id = answer.id();
    assert!(answer.text().await.contains("from the first"));
    held.give();
    assert_eq!(ask("forbidden").await.status, 400);
    let record = until("the copy to be recorded", async || {
        let record = gateway.record(&id).await;
        record["shadows"][0]["ending"].is_string().then_some(record)
    })
    .await;
    let copy = gateway.record(record["shadows"][0]["exchange"].as_str().expect("an id")).await;
    let told = [&copy["caller"], &copy["client_request_id"], &copy["upstream"], &copy["ending"], &copy["outcome"]];
    assert_eq!(told, ["candor-shadow", &id, "other", "complete", "complied"].map(|text| json!(text)).each_ref());
    assert_eq!(record["client_request_id"], "mine");
    assert!(copy["reply"].to_string().contains("from the shadow"), "{copy}");
    let received = shadow.received();
    assert_eq!(received.len(), 1, "what a rule stopped is not copied");
    let sent = String::from_utf8_lossy(&received[0].body).into_owned();
    assert!(sent.contains("new-model") && !sent.contains("Bluebird"), "{sent}");
    // Erasing an exchange erases its copy.
    let ran = gateway.candor(&["records", "erase", &id, "--by", "ana", "--why", "art. 17", "--json"]).await;
    assert_eq!((ran.code, ran.json()["erased"].as_array().map(Vec::len)), (0, Some(2)), "{ran:?}");
}

/// Candidates of one route, the first of which says that its rate is spent; who was asked how often.
async fn spent(headers: &[(&'static str, String)], more: Value) -> [usize; 2] {
    let reply = headers.iter().fold(Reply::saying("a"), |reply, (name, value)| reply.header(name, value));
    let upstreams = [Upstream::always(reply).await, Upstream::always(Reply::saying("b")).await];
    let candidates = json!([{"upstream": "u0"}, {"upstream": "u1", "priority": 1}]);
    let mut model = json!({"candidates": candidates});
    model.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    let gateway = gateway(&[&upstreams[0], &upstreams[1]], model).await;
    for _ in 0..3 {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "Hello"}]});
        assert_eq!(gateway.client().chat(&body).await.status, 200);
    }
    upstreams.map(|upstream| upstream.received().len())
}

#[tokio::test]
async fn who_says_that_its_rate_is_spent_is_avoided_and_still_asked_where_nobody_else_is() {
    let openai = |left: &str, reset: &str| {
        [("x-ratelimit-remaining-tokens", left.to_owned()), ("x-ratelimit-reset-tokens", reset.to_owned())]
    };
    let anthropic = |reset: &str| {
        [
            ("anthropic-ratelimit-output-tokens-remaining", "0".to_owned()),
            ("anthropic-ratelimit-output-tokens-reset", reset.to_owned()),
        ]
    };
    assert_eq!(spent(&openai("0", "6m0s"), json!({})).await, [1, 2]);
    assert_eq!(spent(&anthropic("2999-01-01T00:00:00Z"), json!({})).await, [1, 2]);
    assert_eq!(spent(&openai("1", "6m0s"), json!({})).await, [3, 0]);
    assert_eq!(spent(&openai("0", "soon"), json!({})).await, [3, 0]);
    assert_eq!(spent(&anthropic("1999-01-01T00:00:00Z"), json!({})).await, [3, 0]);
    let alone = json!({"candidates": [{"upstream": "u0"}]});
    assert_eq!(spent(&openai("0", "6m0s"), alone).await, [3, 0]);
    // Another model there has a rate of its own.
    let models = json!({"candidates": [
        {"upstream": "u0", "model": "one"}, {"upstream": "u0", "model": "two", "priority": 1},
        {"upstream": "u1", "priority": 2},
    ]});
    assert_eq!(spent(&openai("0", "6m0s"), models).await, [2, 1]);
}
