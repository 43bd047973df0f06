//! What vendors answer where the account that calls them has no money left, in their words.

use crate::harness::script::Reply;

const DEEPSEEK: &str = r#"{"error":{"message":"Insufficient Balance","type":"unknown_error","param":null,"code":"invalid_request_error"}}"#;
// OpenHands/OpenHands#998.
const OPENAI: &str = r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#;
// hsliuping/TradingAgents-CN#170; the status in QwenLM/qwen-code#54.
const DASHSCOPE: &str = r#"{"error":{"code":"Arrearage","param":null,"message":"Access denied, please make sure your account is in good standing.","type":"Arrearage"},"id":"chatcmpl-3","request_id":"r-3"}"#;
// MoonshotAI/kimi-code#1857.
const MOONSHOT: &str = r#"{"error":{"message":"Your account org-1 <ak-1> is suspended due to insufficient balance, please recharge your account or check your plan and billing details","type":"exceeded_current_quota_error"}}"#;
// anthropics/claude-code#66314.
const ANTHROPIC: &str = r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits."},"request_id":"req_3"}"#;

/// The status and the body.
pub(crate) fn answer(provider: &str) -> (u16, &'static str) {
    match provider {
        "openai" => (429, OPENAI),
        "dashscope" | "dashscope-intl" => (400, DASHSCOPE),
        "moonshot" => (429, MOONSHOT),
        "anthropic" | "anthropic-chat" => (400, ANTHROPIC),
        _ => (402, DEEPSEEK),
    }
}

/// As a reply.
pub(super) fn reply(provider: &str) -> Reply {
    let (status, body) = answer(provider);
    Reply::json(status, body)
}

/// What a client must be told of it: nothing but that it is not the client's fault.
pub(crate) fn check(provider: &str, told: &str) {
    let (_, body) = answer(provider);
    let message = body.split("\"message\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a message");
    assert!(told.contains("the gateway's own credentials or account"), "{provider}: {told}");
    assert!(!told.contains(message), "{provider}: the gateway's account is nobody's business: {told}");
}

/// How trouble is written in a table: the statuses of a rate, of no money, of too much load.
pub(crate) fn cell(provider: &str) -> String {
    match answer(provider) {
        (402, _) => "429, 402, 503".to_owned(),
        (status, _) => format!("429, {status} without money, 503"),
    }
}
