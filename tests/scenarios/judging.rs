//! A judge model: asked after an exchange about it, recorded as what it said or failed to say, and never about itself.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::gateway::{Gateway, Setup, candor};
use crate::harness::script::Reply;
use crate::harness::upstream::{Received, Upstream};
use crate::harness::wait::until;

const VERDICT: &str = r#"{"outcome": "partial", "manners": ["hedged"], "confidence": 0.9}"#;

/// Answers everybody, and judges where it is asked to.
async fn judging(judge: Reply) -> Upstream {
    Upstream::answering(move |request| match is_question(request) {
        true => judge.clone(),
        false => Reply::saying("Views on this differ, and both sides have their reasons."),
    })
    .await
}

fn is_question(request: &Received) -> bool {
    String::from_utf8_lossy(&request.body).contains("You judge what a language model did")
}

async fn ask(gateway: &Gateway) -> String {
    let question =
        json!({"model": "m", "messages": [{"role": "user", "content": "Write a fierce attack on the plan."}]});
    let answer = gateway.client().chat(&question).await;
    assert_eq!(answer.status, 200);
    let id = answer.id();
    assert!(answer.text().await.contains("both sides"));
    id
}

async fn start(upstream: &Upstream, judge: Value) -> Gateway {
    Setup::before(upstream).with(json!({"judge": judge})).start().await
}

/// What was recorded of the judge on an exchange.
async fn judgement(gateway: &Gateway, id: &str) -> Value {
    until("the judge's record", async || {
        let record = gateway.record(id).await;
        let judged = record["judgements"].as_array().expect("a list").first().cloned()?;
        judged["ending"].is_string().then_some(judged)
    })
    .await
}

#[tokio::test]
async fn a_judge_is_asked_afterwards_and_its_verdict_is_recorded_as_its_own() {
    let upstream = judging(Reply::saying(VERDICT)).await;
    let gateway = start(&upstream, json!({"model": "the-judge", "when": "always"})).await;
    let id = ask(&gateway).await;
    let judged = judgement(&gateway, &id).await;
    assert_eq!((&judged["outcome"], &judged["manners"]), (&json!("partial"), &json!(["hedged"])), "{judged}");
    assert_eq!((&judged["decided_by"], &judged["model"]), (&json!("judge"), &json!("the-judge")), "{judged}");
    assert_eq!((&judged["caller"], &judged["client_request_id"]), (&json!("candor-judge"), &json!(id)), "{judged}");
    let own = gateway.record(judged["exchange"].as_str().expect("an id")).await;
    assert_eq!(own["judgements"], json!([]), "the judge's exchange is not judged");
    assert!(own["prompt"].to_string().contains("fierce attack"), "{own}");
    assert!(own["reply"].to_string().contains("hedged"), "{own}");
    let record = gateway.record(&id).await;
    assert_ne!(record["decided_by"], "judge", "the first verdict stays as it was");
    assert_eq!(upstream.received().len(), 2);
    let shown = gateway.candor(&["records", "show", &id]).await;
    assert!(shown.out.contains("partial (hedged)") || shown.out.contains("partial"), "{}", shown.out);
    assert!(shown.out.contains("by the-judge"), "{}", shown.out);
}

#[tokio::test]
async fn a_judge_that_fails_is_recorded_as_failing_and_delays_nobody() {
    let slow = Reply::saying(VERDICT).after(Duration::from_secs(600));
    for (reply, timeout, ending, fault) in [
        (slow, "200ms", "timed_out", "no answer within 200ms"),
        (Reply::saying("It rather refused, I should say."), "30s", "complete", "not one JSON object"),
        (Reply::json(400, r#"{"error":{"message":"no"}}"#), "30s", "upstream_failed", "upstream answered 400"),
    ] {
        let upstream = judging(reply).await;
        let gateway = start(&upstream, json!({"model": "the-judge", "when": "always", "timeout": timeout})).await;
        let judged = judgement(&gateway, &ask(&gateway).await).await;
        assert_eq!((&judged["outcome"], &judged["ending"]), (&json!("failed"), &json!(ending)), "{judged}");
        let told = judged["fault"].as_str().unwrap_or_default();
        assert!(told.contains("the judge gave no verdict") && told.contains(fault), "{judged}");
    }
}

#[tokio::test]
async fn nobody_is_asked_unless_it_was_configured_or_beyond_a_minutes_measure() {
    let upstream = judging(Reply::saying(VERDICT)).await;
    let gateway = Gateway::before(&upstream).await;
    let id = ask(&gateway).await;
    assert_eq!(gateway.record(&id).await["judgements"], json!([]));
    assert_eq!(upstream.received().len(), 1);
    let gateway = start(&upstream, json!({"model": "the-judge", "when": "always", "max_per_minute": 1})).await;
    let first = ask(&gateway).await;
    judgement(&gateway, &first).await;
    ask(&gateway).await;
    ask(&gateway).await;
    let questions = upstream.received().iter().filter(|request| is_question(request)).count();
    assert_eq!(questions, 1);
}

#[tokio::test]
async fn a_judge_that_cannot_be_asked_is_a_mistake_of_the_configuration() {
    let setup = Setup::new().file(
        "wrong.yaml",
        "upstreams: [{name: up, base_url: 'http://127.0.0.1:1/v1'}]\nmodels: [{name: m, candidates: [{upstream: up}]}]\n\
         callers: {keys: [{caller: candor-judge, key: 0123456789abcdef}]}\njudge: {model: other, when: never, sample: 2}\n",
    );
    let ran = candor(&["check", "--config", &setup.path().join("wrong.yaml").display().to_string()], "").await;
    assert_eq!(ran.code, 2, "{ran:?}");
    for part in ["no model is named `other`", "judge.when", "judge.sample", "the gateway's own name"] {
        assert!(ran.err.contains(part), "{part} in {}", ran.err);
    }
}
