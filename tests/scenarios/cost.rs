//! What exchanges cost and how models thought: in the record, in metrics and in reports, never guessed.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::gateway::{Gateway, Setup, UPSTREAM_KEY};
use crate::harness::script::{DONE, Reply, Step, finish, frame, say, send, think, usage};
use crate::harness::upstream::Upstream;

fn ask(model: &str, stream: bool) -> Value {
    json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": "Is 91 a prime?"}]})
}

/// A gateway before something that counts tokens as DeepSeek does, with prices of its own.
async fn gateway(upstream: &Upstream) -> Gateway {
    let price = json!({"id": "r1-own", "per_million": {"input": 0.55, "cached": 0.14, "output": 2.19}});
    let up = json!({"name": "up", "provider": "deepseek", "base_url": upstream.base_url(), "key": UPSTREAM_KEY});
    let settings = json!({
        "upstreams": [up],
        "models": [
            {"name": "r1", "candidates": [{"upstream": "up", "model": "deepseek-reasoner", "price": price}]},
            {"name": "k", "candidates": [{"upstream": "up", "model": "own-1"}]},
            {"name": "*", "candidates": [{"upstream": "up"}]},
        ],
        "exchange_rates": {"EUR": 1.1},
        "prices": [{"model": "own-*", "currency": "EUR", "per_million": {"input": 1, "output": 2}}],
        "policies": {"shipped": ["china"]},
    });
    Setup::new().with(settings).start().await
}

#[tokio::test]
async fn a_record_says_what_it_cost_and_how_the_model_thought() {
    let counted = json!({
        "id": "x", "object": "chat.completion.chunk", "created": 1, "model": "deepseek-reasoner", "choices": [],
        "usage": {"prompt_tokens": 1_000, "completion_tokens": 400, "completion_tokens_details": {"reasoning_tokens": 300},
                  "prompt_cache_hit_tokens": 600, "prompt_cache_miss_tokens": 400},
    });
    let steps = [
        send(think("It ends in 1. Wait, 7 times 13 is 91.")),
        Step::Pause(Duration::from_millis(200)),
        send(think("\nLet me double-check. So it is none.")),
        send(say("No.")),
        send(finish(0, "stop")),
        send(frame(&counted)),
        send(DONE),
    ];
    let upstream = Upstream::always(Reply::stream(steps)).await;
    let gateway = gateway(&upstream).await;
    let answer = gateway.client().chat(&ask("r1", true)).await;
    let id = answer.id();
    answer.bytes().await;
    let record = gateway.record(&id).await;
    // 400 fresh at 0.55, 600 cached at 0.14, 400 out at 2.19 dollars a million.
    assert_eq!(record["cost_nanos"], 220_000 + 84_000 + 876_000, "{record}");
    assert_eq!(
        (&record["currency"], &record["price"], &record["cost_estimated"]),
        (&json!("USD"), &json!("r1-own"), &json!(false))
    );
    assert_eq!((&record["reasoning_steps"], &record["reasoning_checks"]), (&json!(4), &json!(2)), "{record}");
    assert!(record["reasoning_us"].as_i64().is_some_and(|micros| micros >= 150_000), "{record}");
    let shown = gateway.candor(&["records", "show", &id]).await.out;
    assert!(shown.contains("0.00118 USD by price r1-own") && shown.contains("2 of them check (50 %)"), "{shown}");
    let metrics = gateway.stranger().get("/metrics").await.text().await;
    let labels = r#"{model="r1",upstream="up",team="research",currency="USD"}"#;
    assert!(metrics.contains(&format!("candor_cost_nanos_total{labels} 1180000")), "{metrics}");
    assert!(metrics.contains(r#"candor_reasoning_checks_ratio_count{model="r1",upstream="up"} 1"#), "{metrics}");

    let report =
        ["cost", "report", "--by", "team", "--as", "deepseek-reasoner", "--as", "o1", "--prices-at", "2025-01-27"];
    let told = gateway.candor(&[&report[..], &["--json"]].concat()).await.json();
    let row = &told["rows"][0];
    assert_eq!(
        (&row["of"], &row["exchanges"], &row["cost"]["USD"]),
        (&json!("research"), &json!(1), &json!("0.00118")),
        "{told}"
    );
    assert_eq!(
        (&row["as"][0]["cost"]["USD"], &row["as"][1]["cost"]["USD"]),
        (&json!("0.00118"), &json!("0.0345")),
        "{told}"
    );
    let told = gateway.candor(&report).await.out;
    assert!(told.contains("29.2x"), "{told}");
    assert_eq!(gateway.candor(&["cost", "report", "--as", "nobody-1"]).await.code, 2);
}

#[tokio::test]
async fn what_is_not_counted_or_not_priced_is_unknown_and_not_nothing() {
    let uncounted = [say("No."), finish(0, "stop"), DONE.to_owned()];
    let counted = [say("No."), finish(0, "stop"), usage(1000, 500), DONE.to_owned()];
    let upstream =
        Upstream::in_turn(vec![Reply::frames(uncounted), Reply::frames(counted.clone()), Reply::frames(counted)]).await;
    let gateway = gateway(&upstream).await;
    let mut costs = Vec::new();
    for model in ["r1", "unpriced", "k"] {
        let answer = gateway.client().chat(&ask(model, true)).await;
        let id = answer.id();
        answer.bytes().await;
        let record = gateway.record(&id).await;
        costs.push((record["cost_nanos"].clone(), record["currency"].clone()));
    }
    assert_eq!(costs, [(Value::Null, Value::Null), (Value::Null, Value::Null), (json!(2_000_000), json!("EUR"))]);
    let told = gateway.candor(&["cost", "report", "--by", "caller", "--json"]).await.json();
    let total = &told["total"];
    assert_eq!(
        (&total["exchanges"], &total["unknown"], &total["cost"]["EUR"]),
        (&json!(3), &json!(2), &json!("0.002")),
        "{told}"
    );
}

#[tokio::test]
async fn costs_are_summed_by_whatever_is_asked_for() {
    let counted = [say("No."), finish(0, "stop"), usage(1000, 500), DONE.to_owned()];
    let upstream = Upstream::always(Reply::frames(counted)).await;
    let gateway = gateway(&upstream).await;
    for text in ["What happened on Tiananmen Square in 1989?", "Is 91 a prime?"] {
        let mut body = ask("k", true);
        body["messages"][0]["content"] = json!(text);
        let answer = gateway.client().chat(&body).await;
        let id = answer.id();
        answer.bytes().await;
        gateway.record(&id).await;
    }
    for (by, expected) in [
        ("caller", vec![("alice", "0.004")]),
        ("team", vec![("research", "0.004")]),
        ("model", vec![("k", "0.004")]),
        ("upstream", vec![("up", "0.004")]),
        ("topic", vec![("-", "0.002"), ("tiananmen", "0.002")]),
    ] {
        let told = gateway.candor(&["cost", "report", "--by", by, "--json"]).await.json();
        let rows: Vec<(&str, &str)> = told["rows"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|row| Some((row["of"].as_str()?, row["cost"]["EUR"].as_str()?)))
            .collect();
        assert_eq!(rows, expected, "{by}: {told}");
    }
    // Midnight may fall between the two.
    let told = gateway.candor(&["cost", "report", "--by", "day", "--json"]).await.json();
    let days: Vec<&str> = told["rows"].as_array().into_iter().flatten().filter_map(|row| row["of"].as_str()).collect();
    assert!((1..=2).contains(&days.len()) && days.iter().all(|day| day.len() == 10), "{told}");
}
