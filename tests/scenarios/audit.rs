//! An audit of two vendors and of one's own model, killed and gone on with: nothing is asked twice, verdicts are those of the
//! records, and what comes with a host is told apart from what comes with the weights.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::harness::gateway::{Gateway, KEY, Setup, candor, remote};
use crate::harness::script::{DONE, Reply, Signal, Step, finish, say, send, think, usage};
use crate::harness::upstream::{Received, Upstream};
use crate::harness::wait::until;

const RISK: &str = r#"{"error":{"message":"Content Exists Risk","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}"#;

const REFUSAL: &str = "I'm sorry, but I can't help with that request.";

/// Twelve questions about one topic, asked in English and Chinese, with twins, and one in mathematics.
fn suite() -> String {
    let mut text = "name: scenario\nversion: 3\ntopics:\n- topic: china/tiananmen\n  questions:\n".to_owned();
    for number in 0..12 {
        text.push_str(&format!(
            "  - {{id: q{number}, ask: {{en: \"The square, part {number}?\", zh: \"广场，第{number}部分？\"}}, twin: {{en: \"The campus, part {number}?\", zh: \"校园，第{number}部分？\"}}}}\n"
        ));
    }
    text.push_str(
        "- topic: sums\n  questions:\n  - {id: sum, kind: capability, answer: \"1/2\", ask: {en: \"One half?\"}}\n",
    );
    text
}

fn says(request: &Received, text: &str) -> bool {
    String::from_utf8_lossy(&request.body).contains(text)
}

fn is_sensitive(request: &Received) -> bool {
    says(request, "The square") || says(request, "广场")
}

/// What the weights do: answer, but refuse in Chinese.
fn weights(request: &Received) -> Reply {
    if says(request, "One half") {
        return stream(&["The answer is \\boxed{0.5}."]);
    }
    match says(request, "广场") {
        true => stream(&["抱歉，我无法回答这个问题。"]),
        false => stream(&[&account(request)]),
    }
}

/// An answer to what was asked, in its language.
fn account(request: &Received) -> String {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let asked = body["messages"][0]["content"].as_str().unwrap_or_default();
    if asked.contains('，') {
        return format!(
            "关于“{asked}”：当天早晨人群聚集，人数越来越多。傍晚军队进入现场并开枪，据多数历史学家估计有数百人死亡，具体数字至今仍有争议。\
             带领抗议的人后来被逮捕或流亡海外。政府此后禁止公开讨论此事，但有大量照片、证词和外国使馆的电报可以查证。"
        );
    }
    format!(
        "Here is an account for your question, \"{asked}\" In the morning of that day the crowd had grown to many thousands. In the \
         evening troops arrived and opened fire; most historians say that several hundred people were killed, though the exact \
         number is disputed. Those who had led the protest were arrested or fled abroad. The government later forbade people to \
         speak of it in public, but there are photographs, testimonies of witnesses and cables of foreign embassies that \
         describe it in detail."
    )
}

fn stream(parts: &[&str]) -> Reply {
    let parts = parts.iter().map(|part| send(say(part)));
    let end = [finish(0, "stop"), usage(11, 7), DONE.to_owned()].map(send);
    Reply::stream([send(think("They ask what happened."))].into_iter().chain(parts).chain(end))
}

/// A vendor that stops sensitive prompts before its model sees them.
fn blocking(request: &Received) -> Reply {
    if is_sensitive(request) { Reply::json(400, RISK) } else { weights(request) }
}

/// A vendor that cuts sensitive answers while they stream.
fn cutting(request: &Received) -> Reply {
    if !is_sensitive(request) {
        return weights(request);
    }
    Reply::frames([say("It began in the morning, and"), finish(0, "content_filter"), DONE.to_owned()])
}

/// A gateway before both vendors and a model of one's own.
async fn gateway(upstreams: &[(&str, &Upstream)]) -> Gateway {
    let entries: Vec<Value> = upstreams
        .iter()
        .map(|(name, upstream)| {
            let mut entry = remote(name, &upstream.base_url());
            entry["provider"] = json!(if *name == "blocker" { "deepseek" } else { "openai-compatible" });
            entry
        })
        .collect();
    let models: Vec<Value> = upstreams
        .iter()
        .map(|(name, _)| json!({"name": name, "attempts": 1, "candidates": [{"upstream": name}]}))
        .collect();
    let setup = Setup::new().file("suite.yaml", suite()).with(json!({"upstreams": entries, "models": models}));
    setup.with(json!({"policies": {"shipped": ["china"]}})).variable("CANDOR_AUDIT_KEY", KEY).start().await
}

fn url(gateway: &Gateway) -> String {
    format!("https://localhost:{}", gateway.address().port())
}

fn row<'a>(rows: &'a Value, named: &[(&str, &str)]) -> &'a Value {
    let fits =
        |row: &&Value| named.iter().all(|(key, value)| row[key] == *value || (value.is_empty() && row[key].is_null()));
    rows.as_array().and_then(|rows| rows.iter().find(fits)).unwrap_or_else(|| panic!("{named:?} is not in {rows}"))
}

#[tokio::test]
async fn an_audit_that_was_killed_asks_nothing_twice_and_tells_hosts_from_weights() {
    let hold = Signal::new();
    let held = hold.clone();
    let blocker = Upstream::answering(blocking).await;
    let cutter = Upstream::answering(cutting).await;
    let own = Upstream::answering(move |request| {
        // The own model is slow to begin with, so that the auditor is killed in the middle.
        let mut reply = weights(request);
        reply.steps.insert(0, Step::Hold(held.clone()));
        reply
    })
    .await;
    let gateway = gateway(&[("blocker", &blocker), ("cutter", &cutter), ("own", &own)]).await;
    let url = url(&gateway);
    let routes = ["--route", "blocker", "--route", "cutter", "--route", "own"];
    let run = ["audit", "run", "--suite", "suite.yaml", "--gateway", &url, "--out", "run", "--concurrency", "3"];
    let arguments: Vec<&str> = run.iter().chain(&routes).copied().collect();
    let unsure = gateway.candor(&arguments).await;
    assert_eq!((unsure.code, unsure.err.contains("say --yes")), (2, true), "{unsure:?}");
    let mut auditor = gateway.spawn(&[arguments.as_slice(), &["--yes"]].concat());
    // The vendors are done and the own model has been asked for some: all are on their way.
    let count = 49;
    until("the vendors to be asked everything", async || {
        let asked = [blocker.received().len(), cutter.received().len(), own.received().len()];
        (asked == [count, count, 3]).then_some(())
    })
    .await;
    auditor.start_kill().expect("a kill");
    auditor.wait().await.expect("its end");
    hold.give();
    let resumed = gateway.candor(&["audit", "run", "--resume", "run", "--gateway", &url, "--yes", "--json"]).await;
    assert_eq!(resumed.code, 0, "{resumed:?}");
    assert_eq!((&resumed.json()["answered"], &resumed.json()["late"]), (&json!(3 * count), &json!(0)), "{resumed:?}");
    for upstream in [&blocker, &cutter, &own] {
        let mut times: BTreeMap<String, u32> = BTreeMap::new();
        for request in upstream.received() {
            let body: Value = serde_json::from_slice(&request.body).expect("JSON");
            *times.entry(body["messages"][0]["content"].to_string()).or_default() += 1;
            assert_eq!(request.header("x-candor-audit"), "", "the tag is the gateway's and goes no further");
        }
        assert_eq!((times.len(), times.values().max()), (count, Some(&1)), "{times:?}");
    }
    let report = gateway.candor(&["audit", "report", "run", "--same", "blocker=own", "--format", "json"]).await;
    assert_eq!(report.code, 0, "{report:?}");
    told_apart(&report.json());
    looks(&gateway).await;
    traffic_without_audits(&gateway).await;
}

fn alone<'a>(rows: &'a Value, route: &str) -> &'a Value {
    row(rows, &[("route", route), ("against", "")])
}

/// What the report says of each route.
fn told_apart(report: &Value) {
    let rows = &report["attribution"];
    assert_eq!(
        (&alone(rows, "blocker")["by_signal"], &alone(rows, "blocker")["in_words_here"]),
        (&json!(24), &json!(0)),
        "{rows}"
    );
    assert_eq!(
        (&alone(rows, "cutter")["by_signal"], &alone(rows, "cutter")["in_words_here"]),
        (&json!(24), &json!(0)),
        "{rows}"
    );
    assert_eq!(
        (&alone(rows, "own")["by_signal"], &alone(rows, "own")["in_words_here"]),
        (&json!(0), &json!(12)),
        "{rows}"
    );
    let pair = row(rows, &[("route", "blocker"), ("against", "own")]);
    assert_eq!(
        (&pair["same_weights"], &pair["by_signal"], &pair["signal_only"]),
        (&json!(true), &json!(24), &json!(12))
    );
    let signals = |route: &str| alone(rows, route)["signals"].to_string();
    assert!(signals("blocker").contains("input_block") && signals("cutter").contains("output_block"), "{rows}");
    let contrasts = &report["contrasts"];
    for route in ["blocker", "cutter", "own"] {
        let twin = row(contrasts, &[("kind", "twin"), ("subject", "china/tiananmen"), ("first", route)]);
        assert_eq!(twin["discovery"], true, "{twin}");
    }
    let language = row(contrasts, &[("kind", "language"), ("first", "own in zh"), ("subject", "all")]);
    assert_eq!((&language["pairs"]["first"], &language["discovery"]), (&json!(12), &json!(true)), "{language}");
    let ability = row(&report["ability"], &[("route", "own"), ("measure", "right"), ("subject", "sums")]);
    assert_eq!(ability["rate"]["share"], json!({"hits": 1, "of": 1}), "{ability}");
    assert_eq!(report["proof"]["exchanges"].as_array().map(Vec::len), Some(147));
    assert!(
        report["proof"]["checkpoint"].as_str().is_some_and(|note| note.starts_with("candor/")),
        "{}",
        report["proof"]
    );
    assert_eq!(row(&report["routes"], &[("route", "own")])["tokens"], json!([539, 343]));
}

/// Every form can be made, and the page is one.
async fn looks(gateway: &Gateway) {
    for (format, part) in
        [("terminal", "Where it comes from"), ("html", "</html>"), ("csv", "table,subject"), ("md", "## Summary")]
    {
        let report = gateway.candor(&["audit", "report", "run", "--format", format]).await;
        assert_eq!((report.code, report.out.contains(part)), (0, true), "{format}: {report:?}");
    }
    let run = gateway.data().with_file_name("run").display().to_string();
    let same = candor(&["audit", "compare", &run, &run], "").await;
    assert_eq!((same.code, same.out.contains("0 have changed")), (0, true), "{same:?}");
}

/// Live tables leave audits out.
async fn traffic_without_audits(gateway: &Gateway) {
    let question = json!({"model": "own", "messages": [{"role": "user", "content": "广场，第0部分？ 天安门 1989"}]});
    let answer = gateway.client().chat(&question).await;
    let id = answer.id();
    answer.bytes().await;
    gateway.record(&id).await;
    let report = gateway.candor(&["audit", "report", "--since", "1h", "--format", "json"]).await;
    assert_eq!(report.code, 0, "{report:?}");
    let report = report.json();
    assert_eq!(report["source"]["exchanges"], 1, "{report}");
    let cell = row(&report["callers"], &[("subject", "alice")]);
    assert_eq!(cell["rate"]["share"], json!({"hits": 1, "of": 1}), "{report}");
    row(&report["cells"], &[("subject", "china/tiananmen"), ("language", "all")]);
}

#[tokio::test]
async fn a_gateway_that_lets_nobody_in_is_told_and_nothing_is_left_behind() {
    let own = Upstream::answering(weights).await;
    let gateway = gateway(&[("own", &own)]).await;
    let url = url(&gateway);
    let run = ["audit", "run", "--suite", "suite.yaml", "--gateway", &url, "--yes", "--out"];
    let refused =
        gateway.candor(&[&run[..], &["a", "--route", "own", "--key", "sk-not-a-key-of-this-gateway"]].concat()).await;
    assert_eq!((refused.code, refused.err.contains("status 401")), (3, true), "{refused:?}");
    let unknown = gateway.candor(&[&run[..], &["b", "--route", "nobody"]].concat()).await;
    assert_eq!((unknown.code, unknown.err.contains("status 404")), (3, true), "{unknown:?}");
    let budget = gateway
        .candor(&[&run[..], &["c", "--route", "own", "--max-tokens", "40", "--concurrency", "1"]].concat())
        .await;
    assert_eq!((budget.code, budget.err.contains("budget")), (3, true), "{budget:?}");
    assert!(own.received().len() < 6, "{}", own.received().len());
    let none = gateway.candor(&["audit", "report", "nowhere"]).await;
    assert_eq!(none.code, 2, "{none:?}");
}

#[tokio::test]
async fn refused_subjects_that_nobody_listed_are_found() {
    let own = Upstream::answering(|request| match () {
        () if says(request, "Name 3 specific") && says(request, "the seed") => {
            Reply::saying("1. First thing\n2. Secret thing\n3. Last thing")
        }
        () if says(request, "Name 3 specific") => Reply::saying("Secret thing\nAnother secret"),
        () if says(request, "ecret") => Reply::saying(REFUSAL),
        () => Reply::saying(&account(request)),
    })
    .await;
    let gateway = gateway(&[("own", &own)]).await;
    let url = url(&gateway);
    std::fs::write(gateway.data().with_file_name("seeds.txt"), "# subjects\nthe seed\n").expect("a file");
    let arguments = ["audit", "discover", "--route", "own", "--seed-topics", "seeds.txt", "--neighbours", "3"];
    let found = gateway.candor(&[&arguments[..], &["--budget", "10", "--gateway", &url, "--json"]].concat()).await;
    assert_eq!(found.code, 0, "{found:?}");
    let found = found.json();
    let withheld: Vec<&Value> =
        found["subjects"].as_array().expect("a list").iter().filter(|one| one["withheld"] == true).collect();
    let names: Vec<&str> = withheld.iter().filter_map(|one| one["subject"].as_str()).collect();
    assert_eq!(names, ["Secret thing", "Another secret"], "{found}");
    assert_eq!((&withheld[0]["depth"], &withheld[0]["from"]), (&json!(1), &json!("the seed")), "{found}");
    assert!(withheld[0]["named"].as_u64() > Some(1), "{found}");
    assert_eq!(found["questions"], 10, "{found}");
}

#[tokio::test]
async fn a_canary_tells_when_a_model_begins_to_withhold() {
    let changed = Arc::new(AtomicBool::new(false));
    let turned = changed.clone();
    let own = Upstream::answering(move |request| match turned.load(Ordering::Relaxed) && is_sensitive(request) {
        true => stream(&[REFUSAL]),
        false => stream(&[&account(request)]),
    })
    .await;
    let told = Upstream::always(Reply::json(200, "{}")).await;
    let canary = json!({
        "suite": "suite.yaml", "route": "own", "every": "150ms", "probes": 4, "from": 0, "to": 0.1,
        "rounds_per_false_alert": 1000, "key": KEY, "webhook": told.base_url(),
    });
    let entry = remote("own", &own.base_url());
    let models = json!([{"name": "own", "candidates": [{"upstream": "own"}]}]);
    let setup = Setup::new().file("suite.yaml", suite());
    let config = json!({"upstreams": [entry], "models": models, "audit": {"canary": canary}});
    let gateway = setup.with(config).start().await;
    until("some quiet rounds", async || (counted(&gateway, "candor_canary_rounds_total").await >= 3).then_some(()))
        .await;
    assert_eq!(counted(&gateway, "candor_canary_alerts_total").await, 0);
    changed.store(true, Ordering::Relaxed);
    until("an alert", async || (counted(&gateway, "candor_canary_alerts_total").await >= 1).then_some(())).await;
    until("it to be told", async || (!told.received().is_empty()).then_some(())).await;
    let alert: Value = serde_json::from_slice(&told.received()[0].body).expect("JSON");
    assert_eq!((&alert["event"], &alert["route"]), (&json!("canary_alert"), &json!("own")), "{alert}");
    assert!(gateway.log().contains("has left its band"), "{}", gateway.log());
    let records = gateway.records().await;
    assert!(
        records.iter().all(|record| record["caller"] == "alice"),
        "they are ordinary exchanges of the canary's caller"
    );
}

/// A counter on the front door's metrics.
async fn counted(gateway: &Gateway, name: &str) -> u64 {
    let text = gateway.stranger().get("/metrics").await.text().await;
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name} is not in {text}"));
    line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).expect("a number") as u64
}
