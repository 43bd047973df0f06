//! What the model did, read from shapes that vendors really send.

use serde_json::{Value, json};

use crate::harness::gateway::{Gateway, Setup, remote};
use crate::harness::script::{DONE, Reply, delta, finish, say, think, whole};
use crate::harness::upstream::Upstream;

const RISK: &str = r#"{"error":{"message":"Content Exists Risk","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}"#;
const DEFLECTION: &str = "I am sorry, I cannot answer that question. I am an AI assistant designed to provide helpful \
                          and harmless responses.";

fn ask(text: &str, stream: bool) -> Value {
    json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": text}]})
}

/// The record, and with it the verdict, of a question asked of a gateway.
async fn verdict(gateway: &Gateway, question: &str, stream: bool) -> Value {
    let answer = gateway.client().chat(&ask(question, stream)).await;
    let id = answer.id();
    answer.bytes().await;
    gateway.record(&id).await
}

fn manners(verdict: &Value) -> Vec<&str> {
    verdict["manners"].as_array().expect("manners").iter().filter_map(Value::as_str).collect()
}

#[tokio::test]
async fn a_vendors_input_block_is_a_verdict_and_no_fault_of_the_backend() {
    let first = Upstream::answering(|request| match String::from_utf8_lossy(&request.body).contains("1989") {
        true => Reply::json(400, RISK),
        false => Reply::saying("Gladly."),
    })
    .await;
    let second = Upstream::always(Reply::saying("I answer everything.")).await;
    let mut vendor = remote("vendor", &first.base_url());
    vendor["provider"] = json!("deepseek");
    let upstreams = json!({"upstreams": [vendor, remote("other", &second.base_url())]});
    let gateway = Setup::new().with(upstreams).start().await;
    for _ in 0..6 {
        let answer = gateway.client().chat(&ask("What happened in Beijing in 1989?", true)).await;
        let id = answer.id();
        assert_eq!((answer.status, answer.text().await), (400, RISK.to_owned()));
        let record = gateway.record(&id).await;
        assert_eq!((&record["outcome"], manners(&record)), (&json!("blocked"), vec!["input_block"]), "{record}");
        assert!(record["signal"].to_string().contains("Content Exists Risk"), "{record}");
    }
    assert_eq!((first.received().len(), second.received().len()), (6, 0), "blocks are not retried");
    let answer = gateway.client().chat(&ask("And the weather?", false)).await;
    assert!(answer.text().await.contains("Gladly"), "blocks do not eject");
}

#[tokio::test]
async fn a_stream_cut_by_the_vendors_filter_is_blocked() {
    let frames = [say("The events of"), finish(0, "content_filter"), DONE.to_owned()];
    let upstream = Upstream::always(Reply::frames(frames)).await;
    let gateway = Gateway::before(&upstream).await;
    let verdict = verdict(&gateway, "What happened?", true).await;
    assert_eq!(verdict["outcome"], "blocked", "{verdict}");
    assert!(manners(&verdict).contains(&"output_block"), "{verdict}");
}

#[tokio::test]
async fn an_empty_thought_before_a_fixed_line_is_read_as_what_it_is() {
    let inline = format!("<think>\n\n</think>\n\n{DEFLECTION}");
    let thoughtful = "<think>\nThe user asks for a sum. Two and two make four.\n</think>\n\nFour.";
    let upstream = Upstream::answering(move |request| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let text = if body.contains("square") { inline.clone() } else { thoughtful.to_owned() };
        if body.contains("\"stream\":true") {
            let cut = text.len() / 2;
            Reply::frames([say(&text[..cut]), say(&text[cut..]), finish(0, "stop"), DONE.to_owned()])
        } else {
            Reply::json(200, whole(&json!({"role": "assistant", "content": text}), "stop"))
        }
    })
    .await;
    let mut entry = remote("own-vllm", &upstream.base_url());
    entry["provider"] = json!("vllm");
    let gateway = Setup::new().with(json!({"upstreams": [entry]})).start().await;
    for stream in [false, true] {
        let fine = verdict(&gateway, "What is two and two?", stream).await;
        assert_eq!(fine["outcome"], "complied", "{fine}");
        let found = verdict(&gateway, "What happened on the square in 1989?", stream).await;
        assert_eq!(found["outcome"], "refused", "{found}");
        let manners = manners(&found);
        assert!(manners.contains(&"canned_deflection") && manners.contains(&"empty_reasoning"), "{found}");
    }
}

#[tokio::test]
async fn refusals_failures_and_answers_are_told_apart() {
    let refusal = json!({"role": "assistant", "content": null, "refusal": "I'm sorry, I can't assist with that."});
    let answer =
        json!({"role": "assistant", "reasoning_content": "Easy.", "content": "Paris is the capital of France."});
    let cases = [
        (Reply::json(200, whole(&refusal, "stop")), "refused"),
        (Reply::json(500, r#"{"error":{"message":"internal error","type":"server_error"}}"#), "failed"),
        (Reply::json(200, whole(&answer, "stop")), "complied"),
        (Reply::saying("I'm sorry, but I can't help with that request."), "refused"),
        (Reply::saying("抱歉,我无法回答这个问题。"), "refused"),
        (Reply::saying("Desculpe, não posso ajudar com esse pedido."), "refused"),
    ];
    for (reply, outcome) in cases {
        let upstream = Upstream::always(reply).await;
        let models = json!([{"name": "*", "attempts": 1, "candidates": [{"upstream": "up"}]}]);
        let gateway = Setup::before(&upstream).with(json!({"models": models})).start().await;
        let verdict = verdict(&gateway, "What is the capital of France?", false).await;
        assert_eq!(verdict["outcome"], outcome, "{verdict}");
        assert!(verdict["detector"].is_string() && verdict["decided_by"].is_string(), "{verdict}");
    }
}

#[tokio::test]
async fn a_streamed_answer_gets_the_verdict_of_the_same_answer_whole() {
    let cut = DEFLECTION.len() / 3;
    let upstream = Upstream::answering(move |request| {
        if String::from_utf8_lossy(&request.body).contains("\"stream\":true") {
            let role = delta(0, &json!({"role": "assistant"}));
            let parts = [role, think("Hm."), say(&DEFLECTION[..cut]), say(&DEFLECTION[cut..]), finish(0, "stop")];
            Reply::frames(parts.into_iter().chain([DONE.to_owned()]))
        } else {
            let message = json!({"role": "assistant", "reasoning_content": "Hm.", "content": DEFLECTION});
            Reply::json(200, whole(&message, "stop"))
        }
    })
    .await;
    let gateway = Gateway::before(&upstream).await;
    let whole = verdict(&gateway, "What happened?", false).await;
    assert_eq!(whole["outcome"], "refused", "{whole}");
    let streamed = verdict(&gateway, "What happened?", true).await;
    for part in ["outcome", "manners", "decided_by", "confidence", "language", "evidence", "signal", "detector"] {
        assert_eq!(whole[part], streamed[part], "{part}");
    }
}
