//! Every endpoint that speaks Responses or Messages against a double of it, feature by feature; the second table of
//! providers in README says the same.

use serde_json::{Value, json};

use super::providers::compare;
use crate::harness::client::Answer;
use crate::harness::dialects::{CHAT, MESSAGES, RESPONSES, Spoken};
use crate::harness::script::{Reply, Step};
use crate::harness::upstream::Upstream;
use crate::harness::vendors::speaker::{Speaker, Verdict, speakers};
use crate::harness::vendors::{Bench, Double, money};

impl Bench<Speaker> {
    /// Asks in a dialect.
    async fn ask(&self, spoken: Spoken, model: &str, text: &str, more: Value) -> Answer {
        let mut body = match spoken {
            RESPONSES => json!({"model": model, "input": text}),
            MESSAGES => json!({"model": model, "max_tokens": 4000, "messages": [{"role": "user", "content": text}]}),
            _ => json!({"model": model, "messages": [{"role": "user", "content": text}]}),
        };
        let fields = more.as_object().cloned().unwrap_or_default();
        body.as_object_mut().expect("an object").extend(fields);
        self.gateway.client().post_to(spoken.path, &body).await
    }
}

/// The name that it is served by.
fn served(speaker: &Speaker) -> String {
    speaker.served().name
}

fn bytes_of(reply: &Reply) -> String {
    let bytes = reply.steps.iter().map(|step| match step {
        Step::Send(bytes) => bytes.to_vec(),
        other => panic!("a step that sends nothing: {other:?}"),
    });
    String::from_utf8(bytes.collect::<Vec<_>>().concat()).expect("UTF-8")
}

/// An answer and calls of a tool, whole and streamed: every byte as the vendor sent it, all of it screened and counted.
async fn answers(bench: &Bench<Speaker>, speaker: &Speaker) -> [String; 5] {
    for (tools, stream) in [(false, false), (false, true), (true, false), (true, true)] {
        let (what, said) = (format!("{} {tools} {stream}", served(speaker)), speaker.said(tools));
        let text = if tools { "Use tools" } else { "Weather?" };
        let answer = bench.ask(speaker.spoken, &served(speaker), text, json!({"stream": stream})).await;
        let (status, id) = (answer.status, answer.id());
        let body = answer.text().await;
        assert_eq!((status, &body), (200, &bytes_of(&speaker.spoken.reply(&said, stream))), "{what}");
        let record = bench.gateway.record(&id).await;
        let on = |channel: &str| {
            let reply = record["reply"].as_array().unwrap_or_else(|| panic!("no reply in {record}")).iter();
            let texts = reply.filter(|one| one["channel"] == channel).filter_map(|one| one["text"].as_str());
            texts.collect::<String>()
        };
        assert_eq!((on("reasoning"), on("answer")), (said.reasoning.clone(), said.answer.clone()), "{what}: {record}");
        assert_eq!(on("tool"), said.arguments, "{what}: {record}");
        let counts = ["prompt_tokens", "completion_tokens", "cached_tokens"].map(|name| record[name].as_u64());
        assert_eq!(counts, [Some(11), Some(7), Some(3)], "{what}: {record}");
        assert_eq!(record["outcome"], "complied", "{what}: {record}");
    }
    let reasoning = if speaker.thinks { "screened" } else { "counted" };
    ["yes", "bytes as sent", reasoning, "always", "whole"].map(str::to_owned)
}

/// A content filter's verdict: never retried, and the vendor is asked again at once.
async fn block(bench: &Bench<Speaker>, speaker: &Speaker, upstream: &Upstream) -> String {
    let Some(block) = speaker.block else { return "no filter".to_owned() };
    let (outcome, what) = match (block, speaker.spoken) {
        (Verdict::Status(status, _), _) => ("blocked", status.to_string()),
        (Verdict::Failed(status, _), _) => ("blocked", format!("{status}, in stream")),
        (Verdict::Ended, MESSAGES) => ("refused", "stop reason".to_owned()),
        (Verdict::Ended, _) => ("blocked", "incomplete".to_owned()),
    };
    let before = upstream.received().len();
    for stream in [false, true, false] {
        let answer = bench.ask(speaker.spoken, &served(speaker), "Forbidden", json!({"stream": stream})).await;
        let id = answer.id();
        answer.bytes().await;
        let record = bench.gateway.record(&id).await;
        assert_eq!(record["outcome"], outcome, "{} {stream}: {record}", served(speaker));
    }
    assert_eq!(upstream.received().len() - before, 3, "{}: blocks are not retried", served(speaker));
    let after = bench.ask(speaker.spoken, &served(speaker), "Weather?", json!({})).await;
    assert_eq!(after.status, 200, "{}: blocks do not eject", served(speaker));
    what
}

/// What a client of another vendor sends, with and without adaptation; and a client of Chat Completions, whose request is
/// held against the upstream's dialect after its translation.
async fn parameters(bench: &Bench<Speaker>, speaker: &Speaker, upstream: &Upstream) -> [String; 2] {
    let name = served(speaker);
    let answer = bench.ask(speaker.spoken, &name, "And now?", (speaker.foreign)()).await;
    let (status, id, adapted) = (answer.status, answer.id(), answer.header("x-candor-adapted").to_owned());
    let text = answer.text().await;
    assert_eq!((status, adapted.as_str()), (200, speaker.adapted), "{name}: {text}");
    let record = bench.gateway.record(&id).await;
    let changes: Vec<&str> = record["adapted"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    assert_eq!(changes.join(", "), speaker.adapted, "{name}: {record}");
    let raw = bench.ask(speaker.spoken, &format!("raw/{name}"), "And now?", (speaker.foreign)()).await;
    assert_eq!((raw.status == 400, raw.header("x-candor-adapted")), (!speaker.adapted.is_empty(), ""), "{name}");
    let sent: Value = serde_json::from_slice(&upstream.received().last().expect("a request").body).expect("JSON");
    for (field, value) in (speaker.foreign)().as_object().expect("an object") {
        assert_eq!(sent[field], *value, "{name}");
    }

    let foreign = json!({"temperature": 0.2, "top_p": 0.9, "reasoning_effort": "high"});
    let raw = bench.ask(CHAT, &format!("raw/{name}"), "And now?", foreign.clone()).await;
    assert_eq!(raw.status == 400, !speaker.adapted.is_empty(), "{name}: {}", raw.text().await);
    let answer = bench.ask(CHAT, &name, "And now?", foreign).await;
    let (status, adapted) = (answer.status, !answer.header("x-candor-adapted").is_empty());
    let text = answer.text().await;
    assert_eq!((status, adapted), (200, !speaker.adapted.is_empty()), "{name}: {text}");
    assert_eq!(CHAT.hear(&text, false).said, speaker.said(false), "{name}: {text}");
    let word = |adapted: bool, other: &str| if adapted { "adapted".to_owned() } else { other.to_owned() };
    [word(!speaker.adapted.is_empty(), "as they are"), word(adapted, "translated")]
}

/// Quota, money and overload: whose fault, and what the client may read.
async fn troubles(bench: &Bench<Speaker>, speaker: &Speaker) -> String {
    for (text, status, after) in [("Too often", 429, "7"), ("No money", 502, ""), ("Overloaded", 503, "")] {
        let answer = bench.ask(speaker.spoken, &served(speaker), text, json!({"stream": true})).await;
        let id = answer.id();
        assert_eq!((answer.status, answer.header("retry-after")), (status, after), "{} {text}", served(speaker));
        let body = answer.text().await;
        if text == "No money" {
            money::check(speaker.provider, &body);
        }
        let record = bench.gateway.record(&id).await;
        let expected = (&json!("upstream_failed"), &json!("failed"));
        assert_eq!((&record["ending"], &record["outcome"]), expected, "{} {text}: {record}", served(speaker));
    }
    money::cell(speaker.provider)
}

const HEAD: &str = "| dialect | provider | whole | streamed | reasoning | usage | tool calls | content block | foreign parameters | asked in Chat | errors |\n\
                    |---|---|---|---|---|---|---|---|---|---|---|\n";

#[tokio::test]
async fn every_provider_of_another_dialect_is_served_as_the_table_in_readme_says() {
    let bench = Bench::start(speakers()).await;
    let catalogue = bench.gateway.candor(&["providers", "--json"]).await.lines();
    let mut table = HEAD.to_owned();
    for (speaker, upstream) in &bench.doubles {
        let entry = catalogue.iter().find(|entry| entry["name"] == speaker.provider);
        let entry = entry.unwrap_or_else(|| panic!("no {}", speaker.provider));
        let main = entry["dialect"] == speaker.spoken.name;
        assert!(main || entry["speaks"][speaker.spoken.name].is_string(), "{}: {entry}", served(speaker));
        let [whole, streamed, reasoning, usage, tools] = answers(&bench, speaker).await;
        let block = block(&bench, speaker, upstream).await;
        let [foreign, chat] = parameters(&bench, speaker, upstream).await;
        let troubles = troubles(&bench, speaker).await;
        let cells = [whole, streamed, reasoning, usage, tools, block, foreign, chat, troubles];
        let dialect = if speaker.spoken == MESSAGES { "Messages" } else { "Responses" };
        table.push_str(&format!("| {dialect} | {} | {} |\n", speaker.name, cells.join(" | ")));
    }
    compare(HEAD, &table);
}
