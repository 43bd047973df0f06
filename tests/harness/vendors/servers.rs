//! Server programs for open weights. None filters; what differs is where the thinking stands.

use serde_json::json;

use super::vendor::{Usage, Vendor, error};

pub(super) fn vllm() -> Vendor {
    Vendor { thought: "reasoning", ..Vendor::plain("vLLM", "vllm", "Qwen/Qwen3-32B") }
}

pub(super) fn sglang() -> Vendor {
    Vendor::plain("SGLang", "sglang", "Qwen/Qwen3-32B")
}

/// As with `--reasoning-format none`.
pub(super) fn llama_cpp() -> Vendor {
    Vendor {
        thought: "<think>",
        usage: Usage::Finish,
        ..Vendor::plain("llama.cpp", "llama-cpp", "qwen3-32b-q4_k_m.gguf")
    }
}

pub(super) fn ollama() -> Vendor {
    Vendor {
        thought: "reasoning",
        refuses: |ask| {
            let empty = ask.body["model"].as_str().is_none_or(str::is_empty);
            empty.then(|| error(400, "model is required", "invalid_request_error", None, None))
        },
        foreign: || json!({"temperature": 0.2, "max_tokens": 100, "tool_choice": "auto", "logit_bias": {}}),
        ..Vendor::plain("Ollama", "ollama", "qwen3:32b")
    }
}
