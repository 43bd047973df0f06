//! Tells what an error of a vendor's means beside its status: a content block, an account without money. It decides nothing
//! about retries.

use serde_json::Value;

use crate::config::{Shared, Table};

/// How deep an error body is searched: relays wrap the error of the vendor behind them.
const DEPTH: u32 = 6;

/// What an error must look like to mean something; every part that is given must hold.
#[derive(Debug, Clone)]
pub struct Signal {
    /// Statuses, any of which will do; none means any.
    status: Vec<u16>,
    /// Codes, any of which will do.
    code: Vec<String>,
    /// Types, any of which will do.
    kind: Vec<String>,
    /// Parts of the message, any of which will do.
    message: Vec<String>,
}

impl Signal {
    /// Reads one of the catalogue's; it must ask for more than a status.
    pub(super) fn read(table: &mut Table, shared: &mut Shared<'_>) -> Option<Self> {
        let mut status = Vec::new();
        for text in table.texts("status", &[], shared) {
            match text.parse() {
                Ok(code @ 100..=599) => status.push(code),
                _ => shared.mistake(table.place_of("status"), format!("`{text}` is no HTTP status"), None),
            }
        }
        let [code, kind, message] = ["code", "type", "message"].map(|key| table.texts(key, &[], shared));
        if code.is_empty() && kind.is_empty() && message.is_empty() {
            shared.mistake(table.place(), "a signal needs a code, type or message", None);
            return None;
        }
        Some(Self { status, code, kind, message })
    }

    /// Whether an error reply shows any of the signals.
    #[must_use]
    pub fn any(signals: &[Self], status: u16, body: &[u8]) -> bool {
        let said = Said::of(body);
        signals.iter().any(|signal| signal.shows(status, &said))
    }

    /// Whether an error that came inside a reply shows any of the signals; it has no status of its own.
    #[must_use]
    pub fn any_within(signals: &[Self], error: &[u8]) -> bool {
        let said = Said::of(error);
        signals.iter().any(|signal| signal.is_said(&said))
    }

    fn shows(&self, status: u16, said: &Said) -> bool {
        (self.status.is_empty() || self.status.contains(&status)) && self.is_said(said)
    }

    fn is_said(&self, said: &Said) -> bool {
        let equal = |wanted: &[String], found: &[String]| {
            wanted.is_empty() || wanted.iter().any(|word| found.iter().any(|text| text.eq_ignore_ascii_case(word)))
        };
        equal(&self.code, &said.codes)
            && equal(&self.kind, &said.kinds)
            && (self.message.is_empty()
                || self.message.iter().any(|part| said.messages.contains(&part.to_ascii_lowercase())))
    }
}

/// What an error body says, wherever it says it.
#[derive(Debug, Default)]
struct Said {
    codes: Vec<String>,
    kinds: Vec<String>,
    /// All messages, in lower case.
    messages: String,
}

impl Said {
    fn of(body: &[u8]) -> Self {
        let mut said = Self::default();
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => said.search(&value, DEPTH),
            Err(_) => said.add_message(&String::from_utf8_lossy(body)),
        }
        said
    }

    fn search(&mut self, value: &Value, depth: u32) {
        let Some(depth) = depth.checked_sub(1) else { return };
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.search(item, depth)),
            Value::Object(fields) => {
                for (name, value) in fields {
                    match (name.as_str(), value) {
                        ("code" | "status_code", Value::String(code)) => self.codes.push(code.clone()),
                        ("code" | "status_code", Value::Number(code)) => self.codes.push(code.to_string()),
                        ("type", Value::String(kind)) => self.kinds.push(kind.clone()),
                        ("message" | "msg" | "status_msg" | "detail" | "error" | "raw", Value::String(text)) => {
                            self.add_message(text);
                        }
                        _ => self.search(value, depth),
                    }
                }
            }
            _ => {}
        }
    }

    fn add_message(&mut self, text: &str) {
        self.messages.push_str(&text.to_ascii_lowercase());
        self.messages.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use crate::upstream::catalogue::load;

    use super::*;

    fn check(provider: &str, status: u16, body: &str, expected: bool) {
        let catalogue = load(None).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let entry = catalogue.entry(provider).unwrap_or_else(|| panic!("no {provider}"));
        assert_eq!(Signal::any(&catalogue.blocks(entry), status, body.as_bytes()), expected, "{provider} {body}");
    }

    #[test]
    fn a_vendors_content_block_is_recognised() {
        let deepseek = r#"{"error":{"message":"Content Exists Risk","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}"#;
        check("deepseek", 400, deepseek, true);
        check("openai-compatible", 400, deepseek, true);
        let dashscope = r#"{"error":{"code":"data_inspection_failed","message":"Input data may contain inappropriate content.","type":"data_inspection_failed"},"request_id":"x"}"#;
        check("dashscope", 400, dashscope, true);
        check("openrouter", 502, dashscope, true);
        check("dashscope", 400, r#"{"code":"DataInspectionFailed","message":"Output data may contain"}"#, true);
        check(
            "moonshot",
            400,
            r#"{"error":{"message":"The request was rejected because it was considered high risk","type":"content_filter"}}"#,
            true,
        );
        check(
            "azure-openai",
            400,
            r#"{"error":{"code":"content_filter","message":"x","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
            true,
        );
        check(
            "zhipu",
            400,
            r#"{"error":{"code":"1301","message":"系统检测到输入或生成内容可能包含不安全或敏感内容"}}"#,
            true,
        );
        check("zhipu", 400, r#"{"error":{"code":1301,"message":"x"}}"#, true);
        check("openai", 400, r#"{"error":{"code":"content_policy_violation","message":"x"}}"#, true);
        for provider in ["openai", "azure-openai", "openai-compatible", "openrouter"] {
            check(provider, 400, r#"{"error":{"code":"invalid_prompt","message":"x"}}"#, true);
        }
        check("openai-compatible", 400, r#"{"error":{"code":"content_filter","message":"x"}}"#, true);
        let anthropic = r#"{"type":"error","error":{"type":"invalid_request_error","message":"Output blocked by content filtering policy"}}"#;
        check("anthropic", 400, anthropic, true);
        check(
            "openrouter",
            403,
            r#"{"error":{"code":403,"message":"Input was flagged by moderation","metadata":{"reasons":["x"],"flagged_input":"y"}}}"#,
            true,
        );
        check(
            "openrouter",
            502,
            r#"{"error":{"code":502,"message":"Provider returned error","metadata":{"raw":"{\"error\":{\"code\":\"data_inspection_failed\"}}"}}}"#,
            true,
        );
    }

    #[test]
    fn an_account_without_money_is_recognised_and_no_rate() {
        let catalogue = load(None).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let check = |provider: &str, status: u16, error: &str, expected: bool| {
            let entry = catalogue.entry(provider).unwrap_or_else(|| panic!("no {provider}"));
            let body = format!("{{\"error\":{error}}}");
            let found = Signal::any(&catalogue.unpaid(entry), status, body.as_bytes());
            assert_eq!(found, expected, "{provider} {error}");
        };
        let openai = r#"{"message":"You exceeded your current quota","type":"insufficient_quota","code":null}"#;
        let suspended = r#"{"message":"Your account org-1 is suspended due to insufficient balance, please recharge"}"#;
        let wrapped = r#"{"code":429,"message":"x","metadata":{"raw":"{\"error\":{\"message\":\"Your account org-1 is suspended due to insufficient balance\"}}"}}"#;
        for (provider, status, error) in [
            ("openai", 429, openai),
            ("azure-openai", 429, openai),
            ("openai-compatible", 429, openai),
            ("openai-compatible", 403, r#"{"code":"insufficient_user_quota","message":"x"}"#),
            ("dashscope", 400, r#"{"code":"Arrearage","message":"Access denied","type":"Arrearage"}"#),
            ("dashscope-intl", 400, r#"{"code":"Arrearage"}"#),
            ("moonshot", 429, r#"{"message":"x","type":"exceeded_current_quota_error"}"#),
            ("moonshot", 429, suspended),
            ("openrouter", 429, wrapped),
            (
                "anthropic",
                400,
                r#"{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API. Please"}"#,
            ),
            ("zhipu", 429, r#"{"code":"1113","message":"x"}"#),
        ] {
            check(provider, status, error, true);
        }
        let rate = r#"{"message":"Rate limit reached for gpt-4o","type":"tokens","code":"rate_limit_exceeded"}"#;
        let often =
            r#"{"message":"Your account org-1 request reached max request: 3","type":"rate_limit_reached_error"}"#;
        let asked = r#"{"message":"messages.0: Your text is empty","type":"invalid_request_error"}"#;
        // A caller must not be able to have an upstream ejected by what it calls a model.
        let named = r#"{"message":"Not found the model is suspended due to insufficient balance","type":"resource_not_found_error"}"#;
        for entry in catalogue.providers() {
            for (status, error) in [(429, rate), (429, often), (400, asked), (404, named)] {
                check(&entry.name, status, error, false);
            }
        }
    }

    #[test]
    fn other_errors_are_no_blocks() {
        let plain =
            r#"{"error":{"message":"Invalid value for 'temperature'","type":"invalid_request_error","code":null}}"#;
        for provider in ["deepseek", "dashscope", "moonshot", "openai", "openrouter", "openai-compatible", "zhipu"] {
            check(provider, 400, plain, false);
            check(provider, 429, r#"{"error":{"message":"Rate limit reached","code":"rate_limit_exceeded"}}"#, false);
            check(provider, 500, "Internal Server Error", false);
            check(provider, 400, "", false);
        }
        check("deepseek", 500, r#"{"error":{"message":"Content Exists Risk"}}"#, false);
        check("zhipu", 400, r#"{"error":{"code":"1214","message":"x"}}"#, false);
    }

    #[test]
    fn a_deep_or_odd_body_does_no_harm() {
        let deep = "[".repeat(100) + &"]".repeat(100);
        for body in [deep.as_str(), "{\"error\":[1,null]}", "\u{0}", "{\"code\":true}"] {
            check("openrouter", 400, body, false);
        }
    }
}
