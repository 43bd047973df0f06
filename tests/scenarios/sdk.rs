//! The official `openai` package for Python against a running gateway, over TLS with the development CA.

use std::io::Write;

use serde_json::json;
use tokio::process::Command;

use crate::harness::gateway::{KEY, Setup};
use crate::harness::script::{DONE, Reply, delta, finish, say, think, usage, whole};
use crate::harness::upstream::{Received, Upstream};
use crate::harness::wait::within;

/// Names a Python interpreter that has the package.
const VARIABLE: &str = "CANDOR_CLIENTS";

#[tokio::test]
async fn the_official_python_client_works_unchanged() {
    #[expect(clippy::disallowed_methods, reason = "the one place where tests read their environment")]
    let Some(python) = std::env::var_os(VARIABLE) else {
        // Written past the test harness, which would keep it to itself.
        let _ =
            writeln!(std::io::stderr(), "SKIPPED: {VARIABLE} names no Python with the openai package; .ci/run sets it");
        return;
    };
    let upstream = Upstream::answering(answer).await;
    let models = json!([{"name": "reasoner", "attempts": 1, "candidates": [{"upstream": "up"}]}]);
    let gateway = Setup::before(&upstream).with(json!({"models": models})).start().await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/openai_chat.py");
    let mut command = Command::new(python);
    command.arg(script).arg(format!("https://localhost:{}/v1", gateway.address().port()));
    command.arg(gateway.ca().expect("a development CA")).arg(KEY).kill_on_drop(true);
    let output = within("the client", command.output()).await.expect("python runs");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.trim_end().ends_with("ok"), "{out}");
}

/// What the script asks for is named by its last message.
fn answer(request: &Received) -> Reply {
    let body = String::from_utf8_lossy(&request.body).into_owned();
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
