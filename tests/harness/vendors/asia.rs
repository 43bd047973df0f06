//! DashScope, which thinks only in streams, and Moonshot, which puts usage elsewhere and takes fixed sampling only.

use serde_json::{Value, json};

use super::deepseek::history;
use super::vendor::{Ask, Block, Usage, Vendor, error};
use crate::harness::script::Reply;

const INPUT: &str = r#"{"error":{"code":"data_inspection_failed","param":null,"message":"Input data may contain inappropriate content.","type":"data_inspection_failed"},"id":"chatcmpl-1","request_id":"r-1"}"#;
const OUTPUT: &str = r#"{"error":{"code":"data_inspection_failed","param":null,"message":"Output data may contain inappropriate content.","type":"data_inspection_failed"},"request_id":"r-2"}"#;
const RISK: &str = r#"{"error":{"message":"The request was rejected because it was considered high risk","type":"content_filter","param":"prompt"}}"#;

pub(super) fn dashscope() -> Vendor {
    Vendor {
        block: Some(Block::Both(400, INPUT, OUTPUT)),
        refuses: thinks_in_streams,
        foreign: || {
            let thought = json!({"role": "assistant", "reasoning_content": "hm", "content": "Yes."});
            json!({"temperature": 0.2, "max_tokens": 100, "messages": [{"role": "user", "content": "Well?"}, thought]})
        },
        adapted: "reasoning of earlier messages dropped, asked as a stream and gathered",
        streams_only: true,
        ..Vendor::plain("DashScope (Qwen)", "dashscope", "qwen3-32b")
    }
}

pub(super) fn moonshot() -> Vendor {
    Vendor {
        usage: Usage::Choice,
        block: Some(Block::Status(400, RISK)),
        refuses: fixed_sampling,
        foreign: || json!({"temperature": 0.2, "top_p": 0.5, "n": 1, "max_tokens": 100, "messages": history("reasoning")}),
        adapted: "temperature dropped, top_p dropped, reasoning sent as reasoning_content",
        ..Vendor::plain("Moonshot (Kimi)", "moonshot", "kimi-k2.5")
    }
}

fn thinks_in_streams(ask: &Ask) -> Option<Reply> {
    let thinks = ask.body["enable_thinking"] != false;
    (thinks && !ask.streams()).then(|| {
        let message = "parameter.enable_thinking must be set to false for non-streaming calls";
        error(400, message, "invalid_request_error", None, Some("invalid_parameter_error"))
    })
}

fn fixed_sampling(ask: &Ask) -> Option<Reply> {
    let invalid = |message: String| Some(error(400, &message, "invalid_request_error", None, None));
    for (name, fixed) in [("temperature", 1.0), ("top_p", 0.95), ("n", 1.0), ("presence_penalty", 0.0)] {
        if ask.body[name].as_f64().is_some_and(|value| value != fixed) {
            return invalid(format!("invalid {name}: only {fixed} is allowed for this model"));
        }
    }
    let lacks = |message: &Value| message["tool_calls"].is_array() && !message["reasoning_content"].is_string();
    let at = ask.message(lacks).filter(|_| ask.body["thinking"]["type"] != "disabled")?;
    invalid(format!(
        "thinking is enabled but reasoning_content is missing in assistant tool call message at index {at}"
    ))
}
