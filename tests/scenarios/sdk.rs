//! Official clients against a running gateway, over TLS with the development CA. The upstream speaks Chat Completions, so
//! those of other dialects are served by translation.

use std::io::Write;

use serde_json::json;
use tokio::process::Command;

use crate::harness::gateway::{Gateway, KEY, Setup, remote};
use crate::harness::script::{DONE, Reply, delta, finish, say, think, usage, whole};
use crate::harness::upstream::{Received, Upstream};
use crate::harness::wait::within;

/// Names a Python interpreter that has the packages.
const VARIABLE: &str = "CANDOR_CLIENTS";
/// Names a folder whose `node_modules` has the package for Node.
const NODE: &str = "CANDOR_NODE_CLIENTS";

#[tokio::test]
async fn the_official_python_client_works_unchanged() {
    python("openai_chat.py").await;
}

#[tokio::test]
async fn the_official_python_client_works_by_responses() {
    python("openai_responses.py").await;
}

#[tokio::test]
async fn anthropics_python_client_works_unchanged() {
    python("anthropic_messages.py").await;
}

#[tokio::test]
async fn langchains_chat_model_works_unchanged() {
    python("langchain_chat.py").await;
}

#[tokio::test]
async fn litellm_works_as_a_client() {
    python("litellm_client.py").await;
}

#[tokio::test]
async fn the_official_node_client_works_unchanged() {
    let Some(folder) = named(NODE) else { return };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/openai_chat.mjs");
    // Node looks for packages beside the script.
    let copy = std::path::Path::new(&folder).join("openai_chat.mjs");
    std::fs::copy(script, &copy).expect("a copy of the script");
    let (gateway, _upstream) = gateway().await;
    let mut command = Command::new("node");
    command.env("NODE_EXTRA_CA_CERTS", gateway.ca().expect("a development CA"));
    command.arg(copy).arg(base_url(&gateway)).arg(KEY);
    run(command).await;
}

/// The value of a variable; without one the scenario is skipped, and says so.
fn named(variable: &str) -> Option<std::ffi::OsString> {
    #[expect(clippy::disallowed_methods, reason = "the one place where tests read their environment")]
    let value = std::env::var_os(variable);
    if value.is_none() {
        // Written past the test harness, which would keep it to itself.
        let _ = writeln!(std::io::stderr(), "SKIPPED: {variable} names no place of official clients; .ci/run sets it");
    }
    value
}

async fn gateway() -> (Gateway, Upstream) {
    let upstream = Upstream::answering(answer).await;
    let models = json!([{"name": "reasoner", "attempts": 1, "candidates": [{"upstream": "up"}]}]);
    let dialects = ["openai-chat", "openai-embeddings", "anthropic-count-tokens"];
    let mut up = remote("up", &upstream.base_url());
    up["dialects"] = json!(dialects);
    (Setup::new().with(json!({"upstreams": [up], "models": models})).start().await, upstream)
}

fn base_url(gateway: &Gateway) -> String {
    format!("https://localhost:{}/v1", gateway.address().port())
}

async fn python(script: &str) {
    let Some(python) = named(VARIABLE) else { return };
    let (gateway, _upstream) = gateway().await;
    let mut command = Command::new(python);
    command.arg(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(script));
    command.arg(base_url(&gateway)).arg(gateway.ca().expect("a development CA")).arg(KEY);
    run(command).await;
}

async fn run(mut command: Command) {
    let output = within("the client", command.kill_on_drop(true).output()).await.expect("the client runs");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.trim_end().ends_with("ok"), "{out}");
}

/// What the script asks for is named by its last message.
fn answer(request: &Received) -> Reply {
    let body = String::from_utf8_lossy(&request.body).into_owned();
    if request.path.ends_with("/count_tokens") {
        return Reply::json(200, r#"{"input_tokens":11}"#);
    }
    let stream = body.contains("\"stream\":true") || body.contains("\"stream\": true");
    if body.contains("limit me") {
        let limited = r#"{"error":{"message":"slow down","type":"rate_limit_error","param":null,"code":"rate_limit"}}"#;
        return Reply::json(429, limited).header("retry-after", "0");
    }
    let call = json!({"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\": \"Porto\"}"}});
    match (body.contains("use the tool"), stream) {
        (true, false) => {
            let message = json!({"role": "assistant", "content": null, "tool_calls": [call]});
            Reply::json(200, whole(&message, "tool_calls"))
        }
        (true, true) => {
            let part = |value| delta(0, &json!({"tool_calls": [value]}));
            Reply::frames([
                part(
                    json!({"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}}),
                ),
                part(json!({"index": 0, "function": {"arguments": "{\"city\": "}})),
                part(json!({"index": 0, "function": {"arguments": "\"Porto\"}"}})),
                finish(0, "tool_calls"),
                DONE.to_owned(),
            ])
        }
        (false, false) => {
            let message = json!({"role": "assistant", "reasoning_content": "Thinking.", "content": "Olá, mundo"});
            Reply::json(200, whole(&message, "stop"))
        }
        (false, true) => Reply::frames([
            ": keep-alive\n\n".to_owned(),
            think("Think"),
            think("ing."),
            say("Olá, "),
            say("mundo"),
            finish(0, "stop"),
            usage(11, 7),
            DONE.to_owned(),
        ]),
    }
}
