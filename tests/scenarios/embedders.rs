//! Every endpoint for embeddings against a double of it, feature by feature; the third table of providers in README says
//! the same.

use serde_json::{Value, json};

use super::providers::compare;
use crate::harness::client::Answer;
use crate::harness::upstream::Upstream;
use crate::harness::vendors::embedder::{Embedder, PATH, embedders};
use crate::harness::vendors::{Bench, money};

impl Bench<Embedder> {
    async fn ask(&self, model: &str, input: Value, more: Value) -> Answer {
        let mut body = json!({"model": model, "input": input});
        let fields = more.as_object().cloned().unwrap_or_default();
        body.as_object_mut().expect("an object").extend(fields);
        self.gateway.client().post_to(PATH, &body).await
    }

    /// Asks for the vectors of so many texts; gives the status, the body and the record.
    async fn embed(&self, embedder: &Embedder, texts: usize) -> (u16, String, Value) {
        let input = match texts {
            1 => json!("Oslo"),
            _ => (0..texts).map(|number| format!("Town {number}")).collect(),
        };
        let answer = self.ask(embedder.name, input, json!({})).await;
        let (status, id) = (answer.status, answer.id());
        (status, answer.text().await, self.gateway.record(&id).await)
    }
}

/// One text and many: every byte as the vendor sent it, all tokens counted.
async fn vectors(bench: &Bench<Embedder>, embedder: &Embedder) -> [String; 3] {
    let name = embedder.name;
    for texts in [1, embedder.most.unwrap_or(12)] {
        let (status, body, record) = bench.embed(embedder, texts).await;
        assert_eq!((status, &body), (200, &embedder.reply(texts)), "{name}");
        assert_eq!(record["dialect"], "openai-embeddings", "{name}: {record}");
        assert_eq!(record["prompt_tokens"], 4 * texts, "{name}: {record}");
        assert_eq!((&record["ending"], &record["status"]), (&json!("complete"), &json!(200)), "{name}: {record}");
    }
    let batch = match embedder.most {
        None => "whole".to_owned(),
        Some(most) => {
            let (status, body, _) = bench.embed(embedder, most + 1).await;
            assert_eq!(status, 400, "{name}: {body}");
            assert!(body.contains("batch size is invalid"), "the vendor says why: {body}");
            assert_eq!(bench.embed(embedder, 1).await.0, 200, "{name}: such a refusal does not eject");
            format!("up to {most}, then its 400")
        }
    };
    ["bytes as sent".to_owned(), batch, "always".to_owned()]
}

/// What a client of another model sends, with and without adaptation.
async fn parameters(bench: &Bench<Embedder>, embedder: &Embedder, upstream: &Upstream) -> String {
    let (name, foreign) = (embedder.name, json!({"dimensions": 256, "encoding_format": "base64", "user": "someone"}));
    let raw = bench.ask(&format!("raw/{name}"), json!("Oslo"), foreign.clone()).await;
    let status = raw.status;
    let said = raw.text().await;
    let sent: Value = serde_json::from_slice(&upstream.received().last().expect("a request").body).expect("JSON");
    for (field, value) in foreign.as_object().expect("an object") {
        assert_eq!(sent[field], *value, "{name}");
    }
    let asked = upstream.received().len();
    let answer = bench.ask(name, json!("Oslo"), foreign).await;
    let (adapted, id) = (answer.status, answer.id());
    let body = answer.text().await;
    if embedder.one_size.is_none() {
        assert_eq!((status, adapted, &body), (200, 200, &embedder.reply(1)), "{name}: {said}");
        return "as they are".to_owned();
    }
    assert_eq!((status, adapted), (400, 400), "{name}: {said} {body}");
    if body == said {
        // Which models the server has is not known beforehand.
        return "as they are, `dimensions` its 400".to_owned();
    }
    let error = &serde_json::from_str::<Value>(&body).expect("JSON")["error"];
    assert_eq!((&error["param"], &error["code"]), (&json!("dimensions"), &json!("unsupported_parameter")), "{body}");
    assert_eq!(upstream.received().len(), asked, "{name} is not asked in vain");
    assert_eq!(bench.gateway.record(&id).await["status"], 400, "{name}");
    "`dimensions` refused, 400".to_owned()
}

/// Quota, money and overload: whose fault, and what the client may read.
async fn troubles(bench: &Bench<Embedder>, embedder: &Embedder) -> String {
    for (text, status, after) in [("Too often", 429, "7"), ("No money", 502, ""), ("Overloaded", 503, "")] {
        let answer = bench.ask(embedder.name, json!(text), json!({})).await;
        let id = answer.id();
        assert_eq!((answer.status, answer.header("retry-after")), (status, after), "{} {text}", embedder.name);
        let body = answer.text().await;
        if text == "No money" {
            money::check(embedder.provider, &body);
        }
        let record = bench.gateway.record(&id).await;
        assert_eq!(record["ending"], "upstream_failed", "{} {text}: {record}", embedder.name);
    }
    money::cell(embedder.provider)
}

const HEAD: &str = "| embeddings | whole | batch of inputs | usage | foreign parameters | errors |\n\
                    |---|---|---|---|---|---|\n";

#[tokio::test]
async fn every_provider_of_embeddings_is_served_as_the_table_in_readme_says() {
    let bench = Bench::start(embedders()).await;
    let catalogue = bench.gateway.candor(&["providers", "--json"]).await.lines();
    let mut table = HEAD.to_owned();
    for (embedder, upstream) in &bench.doubles {
        let entry = catalogue.iter().find(|entry| entry["name"] == embedder.provider);
        let entry = entry.unwrap_or_else(|| panic!("no {}", embedder.provider));
        assert!(entry["speaks"]["openai-embeddings"].is_string(), "{}: {entry}", embedder.name);
        let [whole, batch, usage] = vectors(&bench, embedder).await;
        let parameters = parameters(&bench, embedder, upstream).await;
        let troubles = troubles(&bench, embedder).await;
        let cells = [whole, batch, usage, parameters, troubles];
        table.push_str(&format!("| {} | {} |\n", embedder.name, cells.join(" | ")));
    }
    compare(HEAD, &table);
}
