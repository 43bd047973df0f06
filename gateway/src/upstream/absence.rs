//! Endpoints that are not there, as in older releases of server programs: how their answers are told from errors about a
//! request, and how long it is remembered. Pure.

use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::exchange::Dialect;

/// How long it is remembered; the upstream may be brought up to date.
const REMEMBERED: Duration = Duration::from_secs(300);

/// What servers say where nothing is served, by their frameworks: FastAPI (vLLM, SGLang), llama.cpp, Gin (Ollama); and Azure,
/// which of a deployment says that it does not exist.
const WORDS: [&str; 6] =
    ["not found", "file not found", "404 page not found", "404 not found", "method not allowed", "resource not found"];

/// What servers say of an address that they do not know, before the address.
const BEGINNINGS: [&str; 2] = ["invalid url", "unknown request url"];

#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    detail: Value,
    #[serde(default)]
    message: Value,
    #[serde(default)]
    error: Value,
}

/// Whether an answer says that nothing is served at its address. What is said of a model, or cannot be read for sure, is
/// an error about the request.
#[must_use]
pub(super) fn is_told(status: StatusCode, body: &[u8]) -> bool {
    match status {
        StatusCode::METHOD_NOT_ALLOWED => true,
        StatusCode::NOT_FOUND => std::str::from_utf8(body).is_ok_and(|body| says_nothing_else(body.trim())),
        _ => false,
    }
}

fn says_nothing_else(body: &str) -> bool {
    if !body.starts_with('{') {
        // A proxy's page speaks of no model.
        return body.starts_with('<') || is_said(body);
    }
    let Ok(Told { detail, message, error }) = serde_json::from_str(body) else { return false };
    let inner = error.get("message");
    let mut texts =
        [Some(&detail), Some(&message), Some(&error), inner].into_iter().flatten().filter_map(Value::as_str);
    texts.next().is_some_and(is_said) && texts.all(is_said)
}

fn is_said(text: &str) -> bool {
    let text = text.trim().trim_end_matches('.').to_ascii_lowercase();
    WORDS.contains(&text.as_str()) || BEGINNINGS.iter().any(|beginning| text.starts_with(beginning))
}

/// Dialects that one upstream turned out not to serve.
#[derive(Debug, Default)]
pub(super) struct Absences(Vec<(Dialect, Instant)>);

impl Absences {
    /// Whether a dialect is known not to be served.
    #[must_use]
    pub(super) fn holds(&self, dialect: Dialect, now: Instant) -> bool {
        self.0.iter().any(|(absent, until)| *absent == dialect && now < *until)
    }

    /// Takes note of one; tells whether that is news.
    pub(super) fn note(&mut self, dialect: Dialect, now: Instant) -> bool {
        let news = !self.holds(dialect, now);
        self.0.retain(|(absent, _)| *absent != dialect);
        self.0.push((dialect, now + REMEMBERED));
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_endpoint_is_no_missing_model() {
        let check = |status: u16, body: &str, expected: bool| {
            let status = StatusCode::from_u16(status).unwrap_or_default();
            assert_eq!(is_told(status, body.as_bytes()), expected, "{status} {body}");
        };
        for absent in [
            r#"{"detail":"Not Found"}"#,
            "404 page not found",
            "File Not Found\n",
            r#"{"error":{"code":404,"message":"File Not Found","type":"not_found_error"}}"#,
            r#"{"error":{"message":"Invalid URL (POST /v1/messages)","type":"invalid_request_error","code":null}}"#,
            r#"{"error":"Not found."}"#,
            r#"{"error":{"code":"404","message":"Resource not found"}}"#,
            "<html><head><title>404 Not Found</title></head></html>",
        ] {
            check(404, absent, true);
            check(400, absent, false);
        }
        check(405, r#"{"detail":"Method Not Allowed"}"#, true);
        check(405, "", true);
        for other in [
            r#"{"error":{"message":"The model `x` does not exist.","type":"NotFoundError","param":"model","code":404}}"#,
            r#"{"error":{"message":"model 'x' not found","type":"not_found_error"}}"#,
            r#"{"error":"Not Found","message":"no such model"}"#,
            r#"{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}"#,
            r#"{"type":"error","error":{"type":"not_found_error","message":"model: x"}}"#,
            r#"{"object":"error","message":"The model `x` does not exist.","code":404}"#,
            r#"{"detail":{"reason":"no such model"}}"#,
            r#"{"detail":"Not Found"#,
            "{}",
            "[]",
            "",
            "no such model",
        ] {
            check(404, other, false);
        }
        assert!(!is_told(StatusCode::NOT_FOUND, b"\xff\xfe"));
    }

    #[test]
    fn an_absence_is_news_once_and_is_forgotten() {
        let mut absences = Absences::default();
        let now = Instant::now();
        assert!(absences.note(Dialect::Anthropic, now));
        assert!(!absences.note(Dialect::Anthropic, now + REMEMBERED / 2));
        assert!(absences.holds(Dialect::Anthropic, now + REMEMBERED));
        assert!(!absences.holds(Dialect::OpenaiResponses, now));
        let later = now + REMEMBERED * 2;
        assert!(!absences.holds(Dialect::Anthropic, later) && absences.note(Dialect::Anthropic, later));
    }
}
