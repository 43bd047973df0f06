//! OpenAI's models without and with reasoning, and Anthropic's over its Chat Completions endpoint. Their thinking is only
//! counted.

use serde_json::json;

use super::vendor::{Ask, Block, Usage, Vendor, error};
use crate::harness::script::Reply;

pub(super) fn gpt() -> Vendor {
    Vendor {
        thought: "",
        block: Some(Block::Finish("content_filter")),
        ..Vendor::plain("OpenAI GPT", "openai", "gpt-4o")
    }
}

pub(super) fn o3() -> Vendor {
    Vendor {
        thought: "",
        block: Some(Block::Field("I'm sorry, I can't assist with that.")),
        refuses: reasoning_refuses,
        foreign: || {
            json!({"temperature": 0.2, "top_p": 0.9, "presence_penalty": 0.5, "max_tokens": 100, "logprobs": false,
                "parallel_tool_calls": true})
        },
        adapted: "max_tokens sent as max_completion_tokens, temperature dropped, top_p dropped, \
                  presence_penalty dropped, parallel_tool_calls dropped",
        ..Vendor::plain("OpenAI o-series", "openai", "o3-mini")
    }
}

pub(super) fn anthropic() -> Vendor {
    Vendor {
        thought: "",
        usage: Usage::Finish,
        block: Some(Block::Finish("refusal")),
        refuses: |ask| {
            let many = ask.has("n") && ask.body["n"] != 1;
            many.then(|| error(400, "n: must be 1", "invalid_request_error", None, None))
        },
        ..Vendor::plain("Anthropic (Chat endpoint)", "anthropic", "claude-sonnet-4-5")
    }
}

fn reasoning_refuses(ask: &Ask) -> Option<Reply> {
    let invalid = "invalid_request_error";
    for name in ["temperature", "top_p", "presence_penalty", "frequency_penalty"] {
        let usual = if name.ends_with("penalty") { 0.0 } else { 1.0 };
        if ask.body[name].as_f64().is_some_and(|value| value != usual) {
            let message = format!(
                "Unsupported value: '{name}' does not support {} with this model. Only the default ({usual}) value is supported.",
                ask.body[name]
            );
            return Some(error(400, &message, invalid, Some(name), Some("unsupported_value")));
        }
    }
    let unsupported = ["max_tokens", "logit_bias", "parallel_tool_calls"].into_iter().find(|name| ask.has(name))?;
    let message = format!("Unsupported parameter: '{unsupported}' is not supported with this model.");
    Some(error(400, &message, invalid, Some(unsupported), Some("unsupported_parameter")))
}
