//! Relays that stand before other vendors: they wrap their errors, and put those of a stream inside choices.

use super::vendor::{Block, Usage, Vendor};

const FLAGGED: &str = r#"{"error":{"code":403,"message":"Your chosen model requires moderation and your input was flagged","metadata":{"reasons":["violence"],"flagged_input":"..."}}}"#;
const INSIDE: &str = r#"{"id":"gen-1","choices":[{"index":0,"delta":{"content":""},"finish_reason":"error","error":{"code":502,"message":"Provider returned error","metadata":{"raw":"{\"error\":{\"code\":\"data_inspection_failed\",\"message\":\"Output data may contain inappropriate content.\"}}"}}}]}"#;
const BEHIND: &str = r#"{"error":{"message":"Content Exists Risk","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}"#;
const WRAPPED: &str = r#"{"error":{"message":"Provider error: {\"code\":\"data_inspection_failed\",\"message\":\"Input data may contain inappropriate content.\"}","type":"provider_error"}}"#;

pub(super) fn openrouter() -> Vendor {
    Vendor {
        thought: "reasoning_details",
        usage: Usage::Finish,
        alive: (": OPENROUTER PROCESSING\n\n", "\n         \n"),
        block: Some(Block::Both(403, FLAGGED, INSIDE)),
        ..Vendor::plain("OpenRouter", "openrouter", "deepseek/deepseek-r1")
    }
}

pub(super) fn huggingface() -> Vendor {
    let block = Some(Block::Status(400, WRAPPED));
    Vendor {
        thought: "reasoning",
        block,
        ..Vendor::plain("Hugging Face router", "huggingface", "Qwen/Qwen3-32B:novita")
    }
}

pub(super) fn generic() -> Vendor {
    let block = Some(Block::Status(400, BEHIND));
    Vendor { block, ..Vendor::plain("OpenAI-compatible", "openai-compatible", "any-model") }
}
