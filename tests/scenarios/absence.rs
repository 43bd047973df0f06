//! Server programs of older releases, which do not serve every dialect that the catalogue says of their provider.

use serde_json::{Value, json};

use crate::harness::dialects::{CHAT, MESSAGES, RESPONSES, Said, Spoken};
use crate::harness::gateway::{Gateway, Setup, remote};
use crate::harness::script::Reply;
use crate::harness::upstream::Upstream;

/// What a program says where it serves nothing: its provider, a status, a type and a body.
type Nothing = (&'static str, u16, &'static str, &'static str);

const JSON: &str = "application/json";
const FASTAPI: &str = r#"{"detail":"Not Found"}"#;
const PROGRAMS: [Nothing; 6] = [
    ("vllm", 404, JSON, FASTAPI),
    ("vllm", 405, JSON, r#"{"detail":"Method Not Allowed"}"#),
    ("sglang", 404, JSON, FASTAPI),
    ("llama-cpp", 404, "text/plain", "File Not Found"),
    ("llama-cpp", 404, JSON, r#"{"error":{"code":404,"message":"File Not Found","type":"not_found_error"}}"#),
    ("ollama", 404, "text/plain", "404 page not found"),
];

fn said() -> Said {
    Said::new("They ask.", "It is 12 degrees.", "")
}

/// Serves Chat Completions alone.
async fn older((_, status, kind, body): Nothing) -> Upstream {
    Upstream::answering(move |received| {
        if received.path == CHAT.path {
            let body: Value = serde_json::from_slice(&received.body).expect("JSON from the gateway");
            return CHAT.reply(&said(), body["stream"] == true);
        }
        Reply { headers: vec![("content-type", kind.to_owned())], ..Reply::json(status, body) }
    })
    .await
}

async fn before(upstream: &Upstream, provider: &str, dialects: &[&str]) -> Gateway {
    let mut entry = remote("up", &upstream.base_url());
    (entry["provider"], entry["dialects"]) = (json!(provider), json!(dialects));
    Setup::new().with(json!({"upstreams": [entry]})).start().await
}

fn ask(spoken: Spoken, stream: bool) -> Value {
    let mut body = spoken.ask(stream);
    body.as_object_mut().expect("an object").remove("tools");
    body
}

#[tokio::test]
async fn a_dialect_that_is_not_there_is_translated_and_remembered() {
    for program in PROGRAMS {
        for spoken in [RESPONSES, MESSAGES] {
            let what = format!("{program:?} {}", spoken.name);
            let upstream = older(program).await;
            let gateway = before(&upstream, program.0, &["openai-chat", spoken.name]).await;
            for stream in [false, true] {
                let answer = gateway.client().post_to(spoken.path, &ask(spoken, stream)).await;
                let (status, id) = (answer.status, answer.id());
                let told = answer.header("x-candor-adapted").to_owned();
                let text = answer.text().await;
                assert_eq!(status, 200, "{what}: {text}");
                assert_eq!(spoken.hear(&text, stream).said, said(), "{what}: {text}");
                let because = format!("asked in openai-chat because {} is not served", spoken.name);
                assert!(told.contains(&because), "{what}: {told}");
                let record = gateway.record(&id).await;
                assert_eq!(record["upstream_dialect"], "openai-chat", "{what}: {record}");
                assert!(record["adapted"].to_string().contains(&because), "{what}: {record}");
            }
            let paths: Vec<String> = upstream.received().into_iter().map(|received| received.path).collect();
            assert_eq!(paths, [spoken.path, CHAT.path, CHAT.path], "{what}: asked there once");
            let log = gateway.log();
            let warnings: Vec<&str> = log.lines().filter(|line| line.contains("does not serve a dialect")).collect();
            assert!(warnings.len() == 1 && warnings[0].contains("`dialects`"), "{what}: {log}");
        }
    }
}

#[tokio::test]
async fn where_nothing_else_is_spoken_the_error_says_what_to_do() {
    for spoken in [RESPONSES, MESSAGES] {
        let upstream = older(PROGRAMS[0]).await;
        let gateway = before(&upstream, "vllm", &[spoken.name]).await;
        for stream in [false, true] {
            let answer = gateway.client().post_to(spoken.path, &ask(spoken, stream)).await;
            let (status, id) = (answer.status, answer.id());
            let text = answer.text().await;
            assert_eq!(status, 502, "{text}");
            assert!(text.contains("`dialects`") && !text.contains("not_found"), "{text}");
            let record = gateway.record(&id).await;
            let fault = record["fault"].as_str().unwrap_or_default();
            assert!(fault.contains("`dialects`") && fault.contains("status 404"), "{record}");
            assert_eq!(record["ending"], "upstream_failed", "{record}");
        }
        assert!(gateway.log().contains("does not serve a dialect"));
    }
}

#[tokio::test]
async fn another_candidate_takes_over_from_one_that_lacks_the_endpoint() {
    let (older, newer) = (older(PROGRAMS[0]).await, Upstream::always(MESSAGES.reply(&said(), false)).await);
    let mut entries = [remote("older", &older.base_url()), remote("newer", &newer.base_url())];
    for entry in &mut entries {
        entry["dialects"] = json!(["anthropic"]);
    }
    let candidates = json!([{"upstream": "older"}, {"upstream": "newer", "priority": 1}]);
    let models = json!([{"name": "m", "candidates": candidates}]);
    let gateway = Setup::new().with(json!({"upstreams": entries, "models": models})).start().await;
    let answer = gateway.client().post_to(MESSAGES.path, &ask(MESSAGES, false)).await;
    let (status, text) = (answer.status, answer.text().await);
    assert_eq!((status, MESSAGES.hear(&text, false).said), (200, said()), "{text}");
    assert_eq!((older.received().len(), newer.received().len()), (1, 1));
}

#[tokio::test]
async fn a_model_that_is_not_there_is_told_as_it_came() {
    for (spoken, body) in [
        (
            RESPONSES,
            r#"{"error":{"message":"The model `m` does not exist.","type":"NotFoundError","param":"model","code":404}}"#,
        ),
        (MESSAGES, r#"{"type":"error","error":{"type":"not_found_error","message":"model 'm' not found"}}"#),
    ] {
        let upstream = Upstream::always(Reply::json(404, body)).await;
        let gateway = before(&upstream, "vllm", &["openai-chat", spoken.name]).await;
        let answer = gateway.client().post_to(spoken.path, &ask(spoken, false)).await;
        assert_eq!((answer.status, answer.text().await.as_str()), (404, body));
        assert_eq!(upstream.only().path, spoken.path);
    }
}
