//! What callers may take: rates, tokens, requests at once, models and money; by keys and certificates, over several
//! gateways and over restarts.

use serde_json::{Value, json};

use super::errors::envelope;
use crate::harness::certificates::Authority;
use crate::harness::client::Client;
use crate::harness::database;
use crate::harness::gateway::{Gateway, KEY, Setup};
use crate::harness::script::{DONE, Reply, Signal, Step, finish, say, send};
use crate::harness::upstream::Upstream;
use crate::harness::wait::until;

const OTHER: &str = "sk-candor-other-0123456789";

fn ask(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "Hello"}]})
}

/// A configuration whose one key has terms.
fn with_terms(upstream: &Upstream, terms: &Value) -> Setup {
    let mut key = json!({"caller": "alice", "team": "research", "key": KEY});
    for (name, value) in terms.as_object().expect("terms") {
        key[name] = value.clone();
    }
    let other = json!({"caller": "bob", "team": "research", "key": OTHER});
    // A prompt token costs a dollar, so that small replies spend much.
    let prices = json!([{"model": "*", "per_million": {"input": 1_000_000, "output": 0}}]);
    Setup::before(upstream).with(json!({"callers": {"keys": [key, other]}, "prices": prices}))
}

async fn told(client: &Client) -> (u16, String, String) {
    envelope(client.chat(&ask("m")).await).await
}

#[tokio::test]
async fn a_rate_is_kept_told_and_refused_in_openais_words() {
    let upstream = Upstream::always(Reply::saying("yes").header("x-ratelimit-remaining-requests", "9999")).await;
    let gateway = with_terms(&upstream, &json!({"requests_per_minute": 3})).start().await;
    for remaining in ["2", "1", "0"] {
        let answer = gateway.client().chat(&ask("m")).await;
        assert_eq!((answer.status, answer.header("x-ratelimit-limit-requests")), (200, "3".into()));
        assert_eq!(answer.header("x-ratelimit-remaining-requests"), remaining, "not the upstream's");
        assert!(answer.header("x-ratelimit-reset-requests").ends_with('s'));
    }
    let answer = gateway.client().chat(&ask("m")).await;
    let after: u64 = answer.header("retry-after").parse().expect("seconds");
    assert!((1..=20).contains(&after), "{after}");
    assert_eq!(envelope(answer).await, (429, "requests".to_owned(), "rate_limit_exceeded".to_owned()));
    assert_eq!(gateway.stranger().key(OTHER).chat(&ask("m")).await.status, 200, "others have limits of their own");
    assert_eq!(upstream.received().len(), 4);
}

#[tokio::test]
async fn tokens_are_set_aside_for_the_whole_answer_and_settled_by_what_was_used() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let gateway = with_terms(&upstream, &json!({"tokens_per_minute": 2000})).start().await;
    let mut body = ask("m");
    body["max_tokens"] = json!(1500);
    for used in [18, 36] {
        let answer = gateway.client().chat(&body).await;
        assert_eq!(answer.status, 200);
        let remaining: u64 = answer.header("x-ratelimit-remaining-tokens").parse().expect("tokens");
        assert!((2000 - used..=2000 - used + 8).contains(&remaining), "{remaining}");
    }
    body["messages"][0]["content"] = json!("word ".repeat(2000));
    let answer = envelope(gateway.client().chat(&body).await).await;
    assert_eq!(answer, (429, "tokens".to_owned(), "rate_limit_exceeded".to_owned()));
}

#[tokio::test]
async fn a_team_shares_its_limit() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let teams = json!({"teams": [{"name": "research", "requests_per_minute": 2, "models": ["m"]}]});
    let gateway = with_terms(&upstream, &json!({})).with(teams).start().await;
    assert_eq!(gateway.client().chat(&ask("m")).await.status, 200);
    assert_eq!(gateway.stranger().key(OTHER).chat(&ask("m")).await.status, 200);
    assert_eq!(told(&gateway.client()).await.0, 429);
}

#[tokio::test]
async fn only_allowed_models_are_served_and_listed() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let models = ["m-small", "m-large", "n"].map(|name| json!({"name": name, "candidates": [{"upstream": "up"}]}));
    let setup = with_terms(&upstream, &json!({"models": ["m-*"]})).with(json!({"models": models}));
    let gateway = setup.start().await;
    assert_eq!(gateway.client().chat(&ask("m-small")).await.status, 200);
    let answer = gateway.client().chat(&ask("n")).await;
    let id = answer.id();
    assert_eq!(envelope(answer).await, (403, "invalid_request_error".to_owned(), "model_not_allowed".to_owned()));
    assert_eq!(gateway.record(&id).await["ending"], "rejected");
    let listed = gateway.client().get("/v1/models").await.json().await;
    let names: Vec<&str> =
        listed["data"].as_array().expect("models").iter().filter_map(|one| one["id"].as_str()).collect();
    assert_eq!(names, ["m-small", "m-large"]);
    assert_eq!(gateway.client().get("/v1/models/n").await.status, 404);
    assert_eq!(gateway.client().get("/v1/models/m-large").await.status, 200);
    assert_eq!(gateway.stranger().key(OTHER).chat(&ask("n")).await.status, 200);
}

#[tokio::test]
async fn a_spent_budget_stays_spent_over_a_restart_and_on_another_gateway() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let url = database::fresh().await;
    // Each answer takes 11 dollars.
    let setup = || with_terms(&upstream, &json!({})).database(&url);
    let mut gateway = setup().start().await;
    let made = gateway
        .candor(&[
            "keys",
            "create",
            "--caller",
            "cleo",
            "--budget-day",
            "20",
            "--rpm",
            "600",
            "--models",
            "m,n-*",
            "--json",
        ])
        .await
        .json();
    assert_eq!(
        (&made["budget_day"], &made["requests_per_minute"], &made["models"]),
        (&json!("20.00"), &json!(600), &json!(["m", "n-*"]))
    );
    let listed = gateway.candor(&["keys", "list"]).await.out;
    assert!(listed.contains("m n-*, 600 rpm, 20.00 USD/day"), "{listed}");
    let key = made["key"].as_str().expect("a key");
    let cleo = gateway.stranger().key(key);
    until("the key", async || (cleo.chat(&ask("m")).await.status == 200).then_some(())).await;
    assert_eq!(cleo.chat(&ask("m")).await.status, 200);
    let answer = cleo.chat(&ask("m")).await;
    assert_eq!(answer.header("x-should-retry"), "false");
    assert_eq!(envelope(answer).await, (429, "insufficient_quota".to_owned(), "insufficient_quota".to_owned()));
    let spent = |gateway: &Gateway| {
        let cleo = gateway.stranger().key(key);
        async move { until("the sums", async || (cleo.chat(&ask("m")).await.status == 429).then_some(())).await }
    };
    let beside = setup().start().await;
    spent(&beside).await;
    gateway.stop().await;
    gateway.start_again().await;
    spent(&gateway).await;
}

#[tokio::test]
async fn requests_at_once_are_limited_and_make_room_when_they_end() {
    let signal = Signal::new();
    let end = [send(finish(0, "stop")), send(DONE)];
    let steps = [send(say("on")), Step::Hold(signal.clone())].into_iter().chain(end);
    let upstream = Upstream::always(Reply::stream(steps)).await;
    let gateway = with_terms(&upstream, &json!({"concurrency": 1})).start().await;
    let mut body = ask("m");
    body["stream"] = json!(true);
    let first = gateway.client().chat(&body).await;
    let answer = envelope(gateway.client().chat(&body).await).await;
    assert_eq!(answer, (429, "requests".to_owned(), "concurrency_limit_exceeded".to_owned()));
    signal.give();
    first.bytes().await;
    until("room", async || (gateway.client().chat(&body).await.status == 200).then_some(())).await;
}

#[tokio::test]
async fn two_gateways_keep_one_rate_through_their_database() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let url = database::fresh().await;
    let setup = || with_terms(&upstream, &json!({"requests_per_minute": 30})).database(&url);
    let (one, two) = (setup().start().await, setup().start().await);
    let mut passed = 0;
    for _ in 0..30 {
        passed += usize::from(one.client().chat(&ask("m")).await.status == 200);
    }
    assert_eq!(passed, 30);
    // What one let in reaches the other within a turn or two; until then it lets in at most its own burst.
    until("the other to hear of it", async || (two.client().chat(&ask("m")).await.status == 429).then_some(())).await;
    assert!(upstream.received().len() < 60, "{}", upstream.received().len());
}

#[tokio::test]
async fn a_certificate_stands_for_a_caller_with_its_own_terms() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let clients = Authority::new("clients");
    let tls = json!({"client_certificates": "optional", "client_authorities": "clients.pem"});
    let known = json!({"subject": "CN=batch.example", "caller": "batch", "team": "night", "requests_per_minute": 1});
    let settings = json!({"listen": {"tls": tls}, "callers": {"certificates": [known]}});
    let gateway = Setup::before(&upstream).file("clients.pem", clients.pem()).with(settings).start().await;
    let ca = gateway.ca_pem().expect("a CA");
    let batch = gateway.stranger().with_identity(&ca, clients.identity(&["batch.example"]));
    let answer = batch.chat(&ask("m")).await;
    assert_eq!(answer.status, 200);
    let record = gateway.record(&answer.id()).await;
    assert_eq!((&record["caller"], &record["team"]), (&json!("batch"), &json!("night")), "{record}");
    assert_eq!(batch.chat(&ask("m")).await.status, 429);
    assert_eq!(
        gateway.stranger().with_identity(&ca, clients.identity(&["other.example"])).chat(&ask("m")).await.status,
        401
    );
    assert_eq!(batch.key(KEY).chat(&ask("m")).await.status, 200, "a key goes before a certificate");
}
