//! Doubles of endpoints that speak Responses or Messages. They refuse what the vendor refuses, in its words.

use serde_json::{Value, json};

use super::{Double, Served};
use crate::harness::dialects::{MESSAGES, RESPONSES, Said, Spoken};
use crate::harness::script::{Reply, Step};
use crate::harness::upstream::Received;

/// An endpoint in one dialect.
pub(crate) struct Speaker {
    /// Its row in tables.
    pub(crate) name: &'static str,
    /// Its entry in the catalogue.
    pub(crate) provider: &'static str,
    pub(crate) model: &'static str,
    pub(crate) spoken: Spoken,
    /// Whether its thinking is shown.
    pub(crate) thinks: bool,
    /// How its content filter speaks, where it has one.
    pub(crate) block: Option<Verdict>,
    /// Refuses what the vendor refuses.
    pub(crate) refuses: fn(&Value) -> Option<Reply>,
    /// Parameters that a client of another vendor would send.
    pub(crate) foreign: fn() -> Value,
    /// How the gateway says it changed them; empty where they pass.
    pub(crate) adapted: &'static str,
}

/// How a content filter speaks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Verdict {
    /// A status and a body.
    Status(u16, &'static str),
    /// As above, and `response.failed` with the error in a stream.
    Failed(u16, &'static str),
    /// Half of an answer and the dialect's word for its end.
    Ended,
}

const RISK: &str = r#"{"error":{"message":"Content Exists Risk","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}"#;
const FLAGGED: &str = r#"{"error":{"message":"Invalid prompt: your prompt was flagged as potentially violating our usage policy.","type":"invalid_request_error","param":null,"code":"invalid_prompt"}}"#;
const INSPECTED: &str = r#"{"error":{"code":"data_inspection_failed","message":"Input data may contain inappropriate content.","type":"data_inspection_failed"},"request_id":"r-1"}"#;
const HIGH: &str =
    r#"{"error":{"message":"The request was rejected because it was considered high risk","type":"content_filter"}}"#;

/// All of them, in the order of the catalogue.
pub(crate) fn speakers() -> Vec<Speaker> {
    let mut all: Vec<Speaker> = openai().into_iter().collect();
    all.extend(anthropic());
    let blocks = |block: Verdict, speaker: Speaker| Speaker { block: Some(block), ..speaker };
    all.extend([
        blocks(Verdict::Status(400, RISK), Speaker::plain("DeepSeek", "deepseek", "deepseek-v4-pro", MESSAGES)),
        blocks(Verdict::Status(400, INSPECTED), Speaker::plain("DashScope", "dashscope-intl", "qwen3-max", RESPONSES)),
        blocks(Verdict::Status(400, INSPECTED), Speaker::plain("DashScope", "dashscope-intl", "qwen-plus", MESSAGES)),
        blocks(Verdict::Status(400, HIGH), Speaker::plain("Moonshot", "moonshot", "kimi-k3", RESPONSES)),
        blocks(Verdict::Status(400, HIGH), Speaker::plain("Moonshot", "moonshot", "kimi-k3", MESSAGES)),
        blocks(
            Verdict::Status(400, INSPECTED),
            Speaker::plain("OpenRouter", "openrouter", "qwen/qwen3-32b", RESPONSES),
        ),
        blocks(Verdict::Status(400, RISK), Speaker::plain("OpenRouter", "openrouter", "qwen/qwen3-32b", MESSAGES)),
        blocks(Verdict::Status(400, RISK), Speaker::plain("Hugging Face router", "huggingface", "Qwen/Q3", RESPONSES)),
        Speaker::plain("vLLM", "vllm", "Qwen/Qwen3-32B", RESPONSES),
        Speaker::plain("vLLM", "vllm", "Qwen/Qwen3-32B", MESSAGES),
        Speaker::plain("SGLang", "sglang", "Qwen/Qwen3-32B", MESSAGES),
        Speaker::plain("llama.cpp", "llama-cpp", "qwen3.gguf", MESSAGES),
        Speaker::plain("Ollama", "ollama", "qwen3:32b", RESPONSES),
        Speaker::plain("Ollama", "ollama", "qwen3:32b", MESSAGES),
    ]);
    all
}

fn openai() -> [Speaker; 3] {
    let plain = |name, model| Speaker { thinks: false, ..Speaker::plain(name, "openai", model, RESPONSES) };
    [
        Speaker {
            block: Some(Verdict::Ended),
            refuses: |body| unsupported(body, &["reasoning"], "reasoning.effort"),
            foreign: || json!({"temperature": 0.2, "reasoning": {"effort": "low"}}),
            adapted: "reasoning dropped",
            ..plain("OpenAI GPT", "gpt-4.1")
        },
        Speaker {
            block: Some(Verdict::Failed(400, FLAGGED)),
            refuses: |body| unsupported(body, &["temperature", "top_p"], "temperature"),
            foreign: || json!({"temperature": 0.2, "top_p": 0.9, "reasoning": {"effort": "low"}}),
            adapted: "temperature dropped, top_p dropped",
            ..plain("OpenAI o-series, GPT-5", "o3")
        },
        Speaker {
            block: Some(Verdict::Failed(400, FLAGGED)),
            refuses: |body| match body["reasoning"]["effort"].as_str() {
                None | Some("none") => None,
                Some(_) => unsupported(body, &["temperature", "top_p"], "temperature"),
            },
            foreign: || json!({"temperature": 0.2, "reasoning": {"effort": "high"}}),
            adapted: "temperature dropped",
            ..plain("OpenAI GPT-5.2", "gpt-5.2")
        },
    ]
}

fn anthropic() -> [Speaker; 2] {
    [
        Speaker {
            block: Some(Verdict::Ended),
            refuses: |body| thinking_refuses(body).or_else(|| both_refused(body)),
            foreign: || {
                json!({"temperature": 0.2, "top_k": 5, "top_p": 0.5,
                    "thinking": {"type": "enabled", "budget_tokens": 2000}})
            },
            adapted: "temperature dropped, top_p dropped, top_k dropped",
            ..Speaker::plain("Anthropic", "anthropic", "claude-sonnet-4-5", MESSAGES)
        },
        Speaker {
            block: Some(Verdict::Ended),
            refuses: |body| {
                let said = ["temperature", "top_p", "top_k"].into_iter().find(|name| !body[*name].is_null());
                let kind = "\"thinking.type.enabled\" is not supported for this model. Use \"thinking.type.adaptive\".";
                let budget = (body["thinking"]["type"] == "enabled").then(|| invalid(kind));
                said.map(|name| invalid(&format!("`{name}` is deprecated for this model."))).or(budget)
            },
            foreign: || json!({"temperature": 0.2, "thinking": {"type": "enabled", "budget_tokens": 2000}}),
            adapted: r#"thinking set to {"type":"adaptive"}, temperature dropped"#,
            ..Speaker::plain("Anthropic Opus 4.7", "anthropic", "claude-opus-4-7", MESSAGES)
        },
    ]
}

/// An error of Messages.
fn invalid(message: &str) -> Reply {
    let error = json!({"type": "invalid_request_error", "message": message});
    Reply::json(400, json!({"type": "error", "error": error, "request_id": "req_1"}).to_string())
}

fn thinking_refuses(body: &Value) -> Option<Reply> {
    if !matches!(body["thinking"]["type"].as_str(), Some("enabled" | "adaptive")) {
        return None;
    }
    if body["temperature"].as_f64().is_some_and(|value| value != 1.0) {
        return Some(invalid("`temperature` may only be set to 1 when thinking is enabled or in adaptive mode."));
    }
    if body["top_p"].as_f64().is_some_and(|value| value < 0.95) {
        return Some(invalid("`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled."));
    }
    (!body["top_k"].is_null()).then(|| invalid("`top_k` must be unset when thinking is enabled."))
}

fn both_refused(body: &Value) -> Option<Reply> {
    let both = !body["temperature"].is_null() && !body["top_p"].is_null();
    both.then(|| invalid("`temperature` and `top_p` cannot both be specified for this model. Please use only one."))
}

fn unsupported(body: &Value, names: &[&str], told: &str) -> Option<Reply> {
    let found = names.iter().any(|name| !body[*name].is_null());
    let message = format!("Unsupported parameter: '{told}' is not supported with this model.");
    let error = json!({"message": message, "type": "invalid_request_error", "param": told, "code": null});
    found.then(|| Reply::json(400, json!({"error": error}).to_string()))
}

impl Speaker {
    /// An endpoint of an ordinary kind: no filter, nothing refused.
    fn plain(name: &'static str, provider: &'static str, model: &'static str, spoken: Spoken) -> Self {
        Self {
            name,
            provider,
            model,
            spoken,
            thinks: true,
            block: None,
            refuses: |_| None,
            foreign: || json!({"temperature": 0.2, "top_p": 0.9, "x_unknown": [1.50]}),
            adapted: "",
        }
    }

    /// What it answers to an ordinary question, or by calling a tool.
    pub(crate) fn said(&self, tools: bool) -> Said {
        let thought = if self.thinks { "They ask about Oslo." } else { "" };
        let (answer, arguments) = if tools { ("I look.", r#"{"city":"Oslo"}"#) } else { ("It is 12 degrees.", "") };
        Said::new(thought, answer, arguments)
    }

    /// Half of an answer, which a filter ended.
    fn ended(&self, stream: bool) -> Reply {
        let mut reply = self.spoken.reply(&Said::new("", "The events", ""), stream);
        let words: &[(&str, &str)] = match self.spoken {
            MESSAGES => &[(r#""stop_reason":"end_turn""#, r#""stop_reason":"refusal""#)],
            _ => &[
                (r#""status":"completed""#, r#""status":"incomplete""#),
                ("response.completed", "response.incomplete"),
                (r#""incomplete_details":null"#, r#""incomplete_details":{"reason":"content_filter"}"#),
            ],
        };
        for step in &mut reply.steps {
            if let Step::Send(bytes) = step {
                let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
                *bytes = words.iter().fold(text, |text, (from, to)| text.replace(from, to)).into();
            }
        }
        reply
    }
}

/// A stream of Responses that failed for an error.
fn failed(body: &str) -> Reply {
    let error = serde_json::from_str::<Value>(body).expect("JSON")["error"].clone();
    let reply = |status: &str, error: Value| json!({"id": "resp_1", "status": status, "error": error, "output": []});
    let created =
        json!({"type": "response.created", "response": reply("in_progress", Value::Null), "sequence_number": 0});
    let over = json!({"type": "response.failed", "response": reply("failed", error), "sequence_number": 1});
    let frame = |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default());
    Reply::frames([frame(&created), frame(&over)])
}

impl Double for Speaker {
    fn answer(&self, received: &Received) -> Reply {
        assert_eq!(received.path, self.spoken.path, "{}", self.name);
        let body: Value = serde_json::from_slice(&received.body).expect("JSON from the gateway");
        let asked = [&body["input"], &body["messages"]].map(Value::to_string).concat();
        if let Some(refusal) = (self.refuses)(&body) {
            return refusal;
        }
        let stream = body["stream"] == true;
        if asked.contains("No money") {
            return super::money::reply(self.provider);
        }
        for (text, status, message) in [("Too often", 429, "Slow down"), ("Overloaded", 503, "Busy")] {
            if asked.contains(text) {
                let error = json!({"type": "error", "error": {"type": "api_error", "message": message, "code": null}});
                let reply = Reply::json(status, error.to_string());
                return if status == 429 { reply.header("retry-after", "7") } else { reply };
            }
        }
        match self.block.filter(|_| asked.contains("Forbidden")) {
            None => self.spoken.reply(&self.said(asked.contains("Use tools")), stream),
            Some(Verdict::Failed(_, body)) if stream => failed(body),
            Some(Verdict::Status(status, body) | Verdict::Failed(status, body)) => Reply::json(status, body),
            Some(Verdict::Ended) => self.ended(stream),
        }
    }

    fn served(&self) -> Served<'_> {
        Served {
            name: format!("{}/{}", self.spoken.name, self.name),
            provider: self.provider,
            model: self.model,
            dialect: Some(self.spoken.name),
        }
    }
}
