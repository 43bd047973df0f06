//! Every provider of the catalogue against a double of it, feature by feature; the table in README says the same.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::client::Answer;
use crate::harness::gateway::{Setup, remote};
use crate::harness::sse::Events;
use crate::harness::upstream::Upstream;
use crate::harness::vendors::vendor::{ARGUMENTS, Block, TEXT, THOUGHT, Usage, Vendor};
use crate::harness::vendors::{Bench, all, money};

impl Bench<Vendor> {
    async fn ask(&self, model: &str, text: &str, more: Value) -> Answer {
        let mut body = json!({"model": model, "messages": []});
        let fields = more.as_object().cloned().unwrap_or_default();
        body.as_object_mut().expect("an object").extend(fields);
        body["messages"].as_array_mut().expect("messages").push(json!({"role": "user", "content": text}));
        self.gateway.client().chat(&body).await
    }

    /// Asks for a stream; gives its text and the record.
    async fn streamed(&self, model: &str, text: &str, more: Value) -> (u16, String, Value) {
        let mut more = more;
        more["stream"] = json!(true);
        let answer = self.ask(model, text, more).await;
        let (status, id) = (answer.status, answer.id());
        (status, answer.text().await, self.gateway.record(&id).await)
    }
}

/// All text of the reply on one channel, as the record has it.
fn said(record: &Value, channel: &str) -> Vec<String> {
    let reply = record["reply"].as_array().unwrap_or_else(|| panic!("no reply in {record}")).iter();
    reply
        .filter(|one| one["channel"] == channel)
        .filter_map(|one| one["text"].as_str().map(|text| text.trim().to_owned()))
        .filter(|text| !text.is_empty())
        .collect()
}

fn counts(record: &Value) -> Vec<u64> {
    ["prompt", "completion", "reasoning", "cached"]
        .into_iter()
        .filter_map(|name| record[format!("{name}_tokens")].as_u64())
        .collect()
}

/// An answer that is whole: what the client gets, where the thinking stands, what is counted.
async fn whole(bench: &Bench<Vendor>, vendor: &Vendor) -> [String; 2] {
    let answer = bench.ask(vendor.name, "Weather?", json!({})).await;
    let id = answer.id();
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"), "{}", vendor.name);
    let gathered = answer.header("x-candor-adapted").contains("gathered");
    assert_eq!(gathered, vendor.streams_only, "{}", vendor.name);
    let message = answer.json().await["choices"][0]["message"].clone();
    let record = bench.gateway.record(&id).await;
    assert_eq!(said(&record, "answer"), [TEXT], "{}: {record}", vendor.name);
    assert!(message["content"].as_str().is_some_and(|text| text.ends_with(TEXT)), "{message}");
    assert_eq!(counts(&record), [40, 25, 12, 30], "{}: {record}", vendor.name);
    assert_eq!(record["outcome"], "complied", "{}: {record}", vendor.name);
    let reasoning = if vendor.thought.is_empty() { "counted" } else { "screened" };
    let thoughts = said(&record, "reasoning");
    assert_eq!(thoughts, if vendor.thought.is_empty() { vec![] } else { vec![THOUGHT] }, "{}", vendor.name);
    [if gathered { "gathered" } else { "yes" }.to_owned(), reasoning.to_owned()]
}

/// A stream: every byte as the vendor sent it.
async fn streamed(bench: &Bench<Vendor>, vendor: &Vendor) -> [String; 2] {
    let options = json!({"stream_options": {"include_usage": true}});
    let (status, text, record) = bench.streamed(vendor.name, "Weather?", options).await;
    assert_eq!((status, text.as_str()), (200, vendor.stream(false, true).as_str()), "{}", vendor.name);
    let thoughts = said(&record, "reasoning");
    // Where a vendor says it under two names, each is a text of its own.
    assert!(thoughts.iter().all(|thought| thought == THOUGHT), "{}: {record}", vendor.name);
    assert_eq!(thoughts.is_empty(), vendor.thought.is_empty(), "{}: {record}", vendor.name);
    assert_eq!((said(&record, "answer"), counts(&record)), (vec![TEXT.to_owned()], vec![40, 25, 12, 30]));
    // Where the client does not ask, the gateway does, and keeps that to itself; without adaptation nobody asks.
    let (_, text, unasked) = bench.streamed(vendor.name, "Weather?", json!({})).await;
    let always = vendor.usage != Usage::Asked;
    assert_eq!((text, counts(&unasked)), (vendor.stream(false, false), vec![40, 25, 12, 30]), "{}", vendor.name);
    let (_, _, unasked) = bench.streamed(&format!("raw/{}", vendor.name), "Weather?", json!({})).await;
    assert_eq!(!counts(&unasked).is_empty(), always, "{}: {unasked}", vendor.name);
    ["bytes as sent".to_owned(), if always { "always" } else { "where asked" }.to_owned()]
}

/// Two calls at once, whole and in pieces.
async fn tools(bench: &Bench<Vendor>, vendor: &Vendor) -> String {
    let with = json!({"tools": [{"type": "function", "function": {"name": "weather"}}]});
    if vendor.provider == "deepseek-r1" {
        let answer = bench.ask(vendor.name, "Use tools", with).await;
        let (status, body) = (answer.status, answer.json().await);
        assert_eq!((status, &body["error"]["param"]), (400, &json!("tools")), "{body}");
        return "refused, 400".to_owned();
    }
    let (_, text, record) = bench.streamed(vendor.name, "Use tools", with.clone()).await;
    assert_eq!(text, vendor.stream(true, false), "{}", vendor.name);
    assert_eq!(said(&record, "tool"), ARGUMENTS, "{}: {record}", vendor.name);
    assert_eq!(Events::read(text.as_bytes()).finish(0), Some("tool_calls"));
    let body = bench.ask(vendor.name, "Use tools", with).await.json().await;
    let calls = body["choices"][0]["message"]["tool_calls"].as_array().unwrap_or_else(|| panic!("no calls in {body}"));
    let arguments: Vec<&str> = calls.iter().filter_map(|call| call["function"]["arguments"].as_str()).collect();
    assert_eq!(arguments, ARGUMENTS, "{}", vendor.name);
    "whole".to_owned()
}

/// A content filter's verdict, asked for twice: never retried, and the vendor is asked again at once.
async fn block(bench: &Bench<Vendor>, vendor: &Vendor, upstream: &Upstream) -> String {
    let Some(block) = vendor.block else { return "no filter".to_owned() };
    let before = upstream.received().len();
    let mut told = Vec::new();
    for stream in [false, true, false] {
        let answer = bench.ask(vendor.name, "Forbidden", json!({"stream": stream})).await;
        let id = answer.id();
        let status = answer.status;
        answer.bytes().await;
        let record = bench.gateway.record(&id).await;
        told.push((status, record));
    }
    let (outcome, what) = match block {
        Block::Status(status, _) => ("blocked", status.to_string()),
        Block::Both(status, ..) => ("blocked", format!("{status}, in stream")),
        Block::Finish("refusal") => ("refused", "finish reason".to_owned()),
        Block::Finish(_) => ("blocked", "finish reason".to_owned()),
        Block::Field(_) => ("refused", "refusal field".to_owned()),
    };
    for (status, record) in &told {
        assert_eq!(record["outcome"], outcome, "{} {status}: {record}", vendor.name);
    }
    assert_eq!(upstream.received().len() - before, told.len(), "{}: blocks are not retried", vendor.name);
    assert_eq!(bench.ask(vendor.name, "Weather?", json!({})).await.status, 200, "{}: blocks do not eject", vendor.name);
    what
}

/// What a client of another vendor sends, with and without adaptation.
async fn parameters(bench: &Bench<Vendor>, vendor: &Vendor, upstream: &Upstream) -> String {
    let answer = bench.ask(vendor.name, "And now?", (vendor.foreign)()).await;
    let (status, id) = (answer.status, answer.id());
    let adapted = answer.header("x-candor-adapted").to_owned();
    let text = answer.text().await;
    assert_eq!((status, adapted.as_str()), (200, vendor.adapted), "{}: {text}", vendor.name);
    let record = bench.gateway.record(&id).await;
    let changes: Vec<&str> = record["adapted"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    assert_eq!(changes.join(", "), vendor.adapted, "{}: {record}", vendor.name);
    let raw = format!("raw/{}", vendor.name);
    let answer = bench.ask(&raw, "And now?", (vendor.foreign)()).await;
    assert_eq!(answer.header("x-candor-adapted"), "");
    let sent: Value = serde_json::from_slice(&upstream.received().last().expect("a request").body).expect("JSON");
    for (name, value) in
        (vendor.foreign)().as_object().expect("an object").iter().filter(|(name, _)| *name != "messages")
    {
        assert_eq!(sent[name], *value, "{}", vendor.name);
    }
    if vendor.adapted.is_empty() {
        assert_eq!(answer.status, 200, "{}", vendor.name);
        return "as they are".to_owned();
    }
    assert!(matches!(answer.status, 400 | 422), "{}: {}", vendor.name, answer.status);
    "adapted".to_owned()
}

/// Quota, money and overload: whose fault, and what the client may read.
async fn troubles(bench: &Bench<Vendor>, vendor: &Vendor) -> String {
    for (text, status, after, stream) in
        [("Too often", 429, "7", true), ("No money", 502, "", false), ("Overloaded", 503, "", true)]
    {
        let answer = bench.ask(vendor.name, text, json!({"stream": stream})).await;
        let id = answer.id();
        assert_eq!((answer.status, answer.header("retry-after")), (status, after), "{} {text}", vendor.name);
        let body = answer.text().await;
        if text == "No money" {
            money::check(vendor.provider, &body);
        }
        let record = bench.gateway.record(&id).await;
        let expected = (&json!("upstream_failed"), &json!("failed"));
        assert_eq!((&record["ending"], &record["outcome"]), expected, "{} {text}: {record}", vendor.name);
    }
    money::cell(vendor.provider)
}

const HEAD: &str = "| dialect | provider | whole | streamed | reasoning | usage | tool calls | content block | foreign parameters | errors |\n\
                    |---|---|---|---|---|---|---|---|---|---|\n";

#[tokio::test]
async fn every_provider_is_served_as_the_table_in_readme_says() {
    let bench = Bench::start(all()).await;
    let catalogue = bench.gateway.candor(&["providers", "--json"]).await.lines();
    let mut table = HEAD.to_owned();
    for (vendor, upstream) in &bench.doubles {
        agrees(vendor, &catalogue);
        let [whole, reasoning] = whole(&bench, vendor).await;
        let [streamed, usage] = streamed(&bench, vendor).await;
        let tools = tools(&bench, vendor).await;
        let block = block(&bench, vendor, upstream).await;
        let parameters = parameters(&bench, vendor, upstream).await;
        let troubles = troubles(&bench, vendor).await;
        let cells = [whole, streamed, reasoning, usage, tools, block, parameters, troubles];
        table.push_str(&format!("| Chat | {} | {} |\n", vendor.name, cells.join(" | ")));
    }
    compare(HEAD, &table);
}

/// A double behaves as the catalogue says of the vendor.
fn agrees(vendor: &Vendor, catalogue: &[Value]) {
    let entry = catalogue.iter().find(|entry| entry["name"] == vendor.provider);
    let entry = entry.unwrap_or_else(|| panic!("no {}", vendor.provider));
    let usage = match vendor.usage {
        Usage::Asked => "asked",
        Usage::Finish | Usage::Cache => "always",
        Usage::Choice => "choice",
    };
    assert_eq!(entry["usage"], usage, "{}", vendor.name);
    let habits: Vec<&str> = [(vendor.alive.0, "comments"), (vendor.alive.1, "empty_lines")]
        .into_iter()
        .filter_map(|(bytes, habit)| (!bytes.is_empty()).then_some(habit))
        .collect();
    assert_eq!(entry["keep_alive"], json!(habits), "{}", vendor.name);
    let reasoning = &entry["reasoning"];
    match vendor.thought {
        "" => assert_eq!(reasoning["exposed"], "never", "{}", vendor.name),
        "<think>" => assert_eq!(reasoning["inline"], true, "{}", vendor.name),
        field => assert!(reasoning["fields"].to_string().contains(field), "{}: {reasoning}", vendor.name),
    }
}

/// Holds a table against README's, by its head. Where they differ, it is said in which rows, and then, between two lines
/// and with nothing else there, the table to put there.
pub(super) fn compare(head: &str, table: &str) {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let text = std::fs::read_to_string(&readme).expect("README");
    let found = text.find(head).map_or("", |start| {
        let end = text[start..].find("\n\n").map_or(text.len(), |end| start + end + 1);
        &text[start..end]
    });
    let beside = |sign: char, one: &str, other: &str| -> String {
        let rows = one.lines().filter(|row| !other.lines().any(|known| known == *row));
        rows.map(|row| format!("{sign} {row}\n")).collect()
    };
    let (gone, new, line) = (beside('-', found, table), beside('+', table, found), "=".repeat(40));
    assert!(found == table, "README's table differs:\n{gone}{new}\nIt must be\n{line}\n{table}{line}\n");
}

#[tokio::test]
async fn catalogues_of_ones_own_are_checked_and_shown() {
    let upstream = Upstream::always(crate::harness::script::Reply::saying("yes")).await;
    let mut entry = remote("up", &upstream.base_url());
    entry["provider"] = json!("ours");
    let settings = json!({"upstreams": [entry], "catalogue": "providers.yaml"});
    let good = "providers:\n  - name: ours\n    dialect: openai-chat\n    checked: 2026-11-26\n    source: our own\n    \
                models: [{match: [\"*\"], parameters: [{drop: seed}]}]\n";
    let gateway = Setup::new().with(settings.clone()).file("providers.yaml", good).start().await;
    let body = json!({"model": "m", "seed": 7, "messages": [{"role": "user", "content": "Hello"}]});
    assert_eq!(gateway.client().chat(&body).await.header("x-candor-adapted"), "seed dropped");
    let sent: Value = serde_json::from_slice(&upstream.only().body).expect("JSON");
    assert_eq!(sent, json!({"model": "m", "messages": [{"role": "user", "content": "Hello"}]}));
    let listed = gateway.candor(&["providers", "--json"]).await.lines();
    let ours = listed.iter().find(|one| one["name"] == "ours").expect("our own provider");
    assert_eq!((&ours["dialect"], &ours["checked"]), (&json!("openai-chat"), &json!("2026-11-26")));
    assert!(listed.iter().any(|one| one["name"] == "deepseek"));
    let shown = gateway.candor(&["providers", "deepseek"]).await;
    assert!(
        shown.out.contains("reasoning must come back with tool calls") && shown.out.contains("0.55 in"),
        "{shown:?}"
    );
    assert_eq!(gateway.candor(&["providers", "nobody"]).await.code, 1);
    let checked = gateway.candor(&["check", "--json"]).await.json();
    assert_eq!(checked["config"]["upstreams"][0]["applies"], json!(["*: seed dropped"]));

    let bad =
        "providers:\n  - name: ours\n    dialect: openai-chat\n    checked: lately\n    models: [{parameters: [{}]}]\n";
    let mut setup = Setup::new().with(settings).file("providers.yaml", bad);
    setup.settle().await;
    let ran = setup.candor(&["check"]).await;
    assert_eq!(ran.code, 2, "{ran:?}");
    for part in ["providers.yaml:4:14", "lacks `source`", "no model is matched", "exactly one thing"] {
        assert!(ran.err.contains(part), "{part}: {ran:?}");
    }
}
