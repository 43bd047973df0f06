//! DeepSeek: R1 as it was served in 2025, and the API of 2026, which wants the opposite of reasoning that comes back.

use serde_json::{Value, json};

use super::vendor::{Ask, Block, Usage, Vendor, error};
use crate::harness::script::Reply;

const RISK: &str = r#"{"error":{"message":"Content Exists Risk","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}"#;
const ALIVE: (&str, &str) = (": keep-alive\n\n", "\n\n\n");

pub(super) fn today() -> Vendor {
    Vendor {
        usage: Usage::Cache,
        alive: ALIVE,
        block: Some(Block::Status(400, RISK)),
        refuses: |ask| role(ask).or_else(|| missing(ask)),
        foreign: || json!({"temperature": 0.2, "max_tokens": 100, "messages": history("reasoning")}),
        adapted: "role developer sent as system, reasoning sent as reasoning_content",
        ..Vendor::plain("DeepSeek (2026)", "deepseek", "deepseek-reasoner")
    }
}

pub(super) fn r1() -> Vendor {
    Vendor {
        usage: Usage::Cache,
        alive: ALIVE,
        block: Some(Block::Status(400, RISK)),
        refuses: |ask| role(ask).or_else(|| echoed(ask)),
        foreign: || {
            let thought = json!({"role": "assistant", "reasoning_content": "hm", "content": "Yes."});
            json!({"temperature": 0.2, "logprobs": false, "messages": [
                {"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Well?"}, thought]})
        },
        adapted: "role developer sent as system, reasoning of earlier messages dropped",
        ..Vendor::plain("DeepSeek R1 (2025)", "deepseek-r1", "deepseek-reasoner")
    }
}

/// A conversation in which a tool was called, with the reasoning under some name.
pub(super) fn history(field: &str) -> Value {
    let call = json!({"id": "call_0", "type": "function", "function": {"name": "weather", "arguments": "{}"}});
    json!([
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "And in Oslo?"},
        {"role": "assistant", "content": "", field: "I must look.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_0", "content": "12"},
    ])
}

fn role(ask: &Ask) -> Option<Reply> {
    let at = ask.message(|message| message["role"] == "developer")?;
    let message = format!(
        "Failed to deserialize the JSON body into the target type: messages[{at}].role: unknown variant `developer`, \
         expected one of `system`, `user`, `assistant`, `tool` at line 1 column 60"
    );
    Some(error(422, &message, "invalid_request_error", None, Some("invalid_request_error")))
}

fn missing(ask: &Ask) -> Option<Reply> {
    let thinks = ask.body["thinking"]["type"] != "disabled";
    let lacks = |message: &Value| message["tool_calls"].is_array() && !message["reasoning_content"].is_string();
    let at = ask.message(lacks).filter(|_| thinks)?;
    let message = format!("Missing `reasoning_content` field in the assistant message at message index {at}");
    Some(error(400, &message, "invalid_request_error", None, Some("invalid_request_error")))
}

fn echoed(ask: &Ask) -> Option<Reply> {
    let invalid = |message: &str| error(400, message, "invalid_request_error", None, Some("invalid_request_error"));
    if ask.message(|message| message.get("reasoning_content").is_some()).is_some() {
        return Some(invalid(
            "The reasoning_content is an intermediate result for display purposes only and will not be included in the \
             context for inference. Please remove the reasoning_content from your message to reduce network traffic.",
        ));
    }
    (ask.body["logprobs"] == true).then(|| invalid("deepseek-reasoner does not support the parameter `logprobs`"))
}
