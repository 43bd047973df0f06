//! Rules hold: in prompts, whole replies and streams, on every channel; and what no rule concerns stays as it was.

use serde_json::{Value, json};

use super::errors::envelope;
use crate::harness::gateway::{Gateway, Setup};
use crate::harness::pack::{FLAGS, REDACTS, STOPS, pack};
use crate::harness::script::{DONE, Reply, delta, finish, say, think, usage, whole};
use crate::harness::sse::Events;
use crate::harness::upstream::Upstream;

async fn gateway(upstream: &Upstream) -> Gateway {
    Setup::before(upstream).pack(&pack(&[REDACTS, STOPS, FLAGS])).start().await
}

fn ask(text: &str, stream: bool) -> Value {
    let messages = json!([{"role": "user", "content": text}]);
    json!({"model": "m", "stream": stream, "stream_options": {"include_usage": true}, "messages": messages})
}

/// Asks for a stream; gives its bytes and its record.
async fn streamed(gateway: &Gateway) -> (String, Value) {
    let answer = gateway.client().chat(&ask("Hello", true)).await;
    assert_eq!(answer.status, 200);
    let id = answer.id();
    (answer.text().await, gateway.record(&id).await)
}

fn finding<'a>(record: &'a Value, rule: &str) -> &'a Value {
    let findings = record["findings"].as_array().unwrap_or_else(|| panic!("no findings in {record}"));
    findings.iter().find(|one| one["rule"] == rule).unwrap_or_else(|| panic!("no {rule} in {record}"))
}

#[tokio::test]
async fn a_redaction_in_a_prompt_changes_only_its_span() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let gateway = gateway(&upstream).await;
    let body = "{\"model\":\"m\", \"x\":\"ACME-9999\",\"messages\":[{\"role\":\"system\",\"content\":\"be\\u0020kind\"},\
                {\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"pay \\u0041CME-1234 now\\n\"}]}]}";
    let answer = gateway.client().post(body).await;
    assert_eq!(answer.status, 200);
    let sent = body.replace("\\u0041CME-1234", "[redacted]");
    assert_eq!(String::from_utf8_lossy(&upstream.only().body), sent);
    let record = gateway.record(&answer.id()).await;
    let found = finding(&record, "no-account-numbers");
    assert_eq!((&found["channel"], &found["enforced"]), (&json!("prompt"), &json!("applied")), "{found}");
}

#[tokio::test]
async fn a_stop_in_a_prompt_never_reaches_an_upstream() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let gateway = gateway(&upstream).await;
    for stream in [false, true] {
        let answer = gateway.client().chat(&ask("tell me of project bluebird", stream)).await;
        let id = answer.id();
        let (status, _, code) = envelope(answer).await;
        assert_eq!((status, code.as_str()), (400, "content_policy_violation"));
        let record = gateway.record(&id).await;
        assert_eq!(record["ending"], "stopped");
        assert_eq!(finding(&record, "no-bluebird")["enforced"], "applied");
        assert!(record["manners"].to_string().contains("own_policy"), "{record}");
    }
    assert!(upstream.received().is_empty());
}

#[tokio::test]
async fn a_whole_reply_is_redacted_in_place() {
    let message = json!({
        "role": "assistant", "reasoning_content": "it is ACME-1111", "content": "yours is ACME-2222, good",
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{\"n\":\"ACME-3333\"}"}}],
    });
    let body = whole(&message, "tool_calls");
    let upstream = Upstream::always(Reply::json(200, body.clone())).await;
    let gateway = gateway(&upstream).await;
    let answer = gateway.client().chat(&ask("Hello", false)).await;
    let id = answer.id();
    let expected =
        body.replace("ACME-1111", "[redacted]").replace("ACME-2222", "[redacted]").replace("ACME-3333", "[redacted]");
    assert_eq!(answer.text().await, expected);
    let record = gateway.record(&id).await;
    let mut channels: Vec<&str> =
        record["findings"].as_array().expect("findings").iter().filter_map(|one| one["channel"].as_str()).collect();
    channels.sort_unstable();
    assert_eq!(channels, ["answer", "reasoning", "tool"]);
}

#[tokio::test]
async fn a_whole_reply_is_stopped_with_the_dialects_word_for_it() {
    let upstream = Upstream::always(Reply::saying("this is project bluebird")).await;
    let gateway = gateway(&upstream).await;
    let answer = gateway.client().chat(&ask("Hello", false)).await;
    let id = answer.id();
    assert_eq!(answer.status, 200);
    let text = answer.text().await;
    assert!(!text.contains("bluebird"), "{text}");
    let reply: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(reply["choices"][0]["finish_reason"], "content_filter");
    assert_eq!(gateway.record(&id).await["ending"], "stopped");
}

#[tokio::test]
async fn a_match_across_frames_is_redacted_and_other_frames_stay_as_they_were() {
    let before = [think("hm"), say("Your number "), say("is ")];
    let matched = [say("AC"), say("ME-12"), say("34")];
    let after = [say(" and "), say("that is all"), finish(0, "stop"), usage(3, 9), DONE.to_owned()];
    let frames = [&before[..], &matched[..], &after[..]].concat();
    let upstream = Upstream::always(Reply::frames(frames)).await;
    let gateway = gateway(&upstream).await;
    let (text, record) = streamed(&gateway).await;
    let events = Events::read(text.as_bytes());
    assert_eq!(events.text(0, "content"), "Your number is [redacted] and that is all");
    assert!(events.done);
    assert!(text.starts_with(&before.concat()), "{text}");
    assert!(text.ends_with(&after[1..].concat()), "{text}");
    assert_eq!(finding(&record, "no-account-numbers")["enforced"], "applied");
    assert!(record["reply"].to_string().contains("ACME-1234"), "the record holds what the model wrote: {record}");
}

#[tokio::test]
async fn a_stop_ends_the_stream_properly_and_mid_word() {
    let upstream = Upstream::always(Reply::frames([
        say("We call it pro"),
        say("ject blue"),
        say("bird, and more"),
        finish(0, "stop"),
        DONE.to_owned(),
    ]))
    .await;
    let gateway = gateway(&upstream).await;
    let (text, record) = streamed(&gateway).await;
    let events = Events::read(text.as_bytes());
    assert!(!events.text(0, "content").contains("project") && !text.contains("more"), "{text}");
    assert_eq!((events.finish(0), events.done), (Some("content_filter"), true));
    assert_eq!(record["ending"], "stopped");
    assert_eq!(finding(&record, "no-bluebird")["enforced"], "applied");
}

#[tokio::test]
async fn reasoning_is_screened_as_the_answer_is() {
    for field in ["reasoning_content", "reasoning"] {
        let part = |text: &str| delta(0, &json!({field: text}));
        let upstream = Upstream::always(Reply::frames([
            part("number ACME"),
            part("-4321 it is"),
            say("done"),
            finish(0, "stop"),
            DONE.to_owned(),
        ]))
        .await;
        let gateway = gateway(&upstream).await;
        let (text, record) = streamed(&gateway).await;
        let events = Events::read(text.as_bytes());
        assert_eq!(events.text(0, field), "number [redacted] it is");
        assert_eq!(events.text(0, "content"), "done");
        assert_eq!(finding(&record, "no-account-numbers")["channel"], "reasoning");
    }
}

#[tokio::test]
async fn tool_arguments_are_screened_and_stay_json() {
    let part = |text: &str| delta(0, &json!({"tool_calls": [{"index": 0, "function": {"arguments": text}}]}));
    let upstream = Upstream::always(Reply::frames([
        delta(0, &json!({"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "pay", "arguments": ""}}]})),
        part("{\"to\": \"AC"),
        part("ME-00"),
        part("77\", \"sum\": 5}"),
        finish(0, "tool_calls"),
        DONE.to_owned(),
    ]))
    .await;
    let gateway = gateway(&upstream).await;
    let (text, record) = streamed(&gateway).await;
    let arguments: Value = serde_json::from_str(&Events::read(text.as_bytes()).arguments(0)).expect("JSON");
    assert_eq!(arguments, json!({"to": "[redacted]", "sum": 5}));
    assert_eq!(finding(&record, "no-account-numbers")["channel"], "tool");
}

#[tokio::test]
async fn choices_are_screened_apart() {
    let of = |choice: u32, text: &str| delta(choice, &json!({"content": text}));
    let upstream = Upstream::always(Reply::frames([
        of(0, "ACME"),
        of(1, "-1234"),
        of(0, "-55"),
        of(1, " and ACME-7777"),
        of(0, "66."),
        of(1, "."),
        finish(0, "stop"),
        finish(1, "stop"),
        DONE.to_owned(),
    ]))
    .await;
    let gateway = gateway(&upstream).await;
    let mut body = ask("Hello", true);
    body["n"] = json!(2);
    let answer = gateway.client().chat(&body).await;
    let id = answer.id();
    let events = Events::read(&answer.bytes().await);
    assert_eq!(events.text(0, "content"), "[redacted].");
    assert_eq!(events.text(1, "content"), "-1234 and [redacted].");
    let record = gateway.record(&id).await;
    let choices: Vec<u64> =
        record["findings"].as_array().expect("findings").iter().filter_map(|one| one["choice"].as_u64()).collect();
    assert_eq!(choices.len(), 2, "{record}");
    assert!(choices.contains(&0) && choices.contains(&1));
}

#[tokio::test]
async fn a_flag_is_noted_and_changes_nothing() {
    let frames = [say("a he"), say("ron stands"), finish(0, "stop"), DONE.to_owned()];
    let upstream = Upstream::always(Reply::frames(frames.clone())).await;
    let gateway = gateway(&upstream).await;
    let (text, record) = streamed(&gateway).await;
    assert_eq!(text, frames.concat());
    let found = finding(&record, "watch-heron");
    assert_eq!((&found["action"], &found["enforced"]), (&json!("flag"), &json!("observed")));
}

#[tokio::test]
async fn the_shipped_packs_find_secrets_in_prompts() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let gateway = Setup::before(&upstream).with(json!({"policies": {"shipped": ["secrets"]}})).start().await;
    let key = ["AKIA", "IOSFODNN7QRSTUVW"].concat();
    let answer = gateway.client().chat(&ask(&format!("is {key} yours?"), false)).await;
    let record = gateway.record(&answer.id()).await;
    assert!(record["findings"].as_array().is_some_and(|found| !found.is_empty()), "{record}");
}
