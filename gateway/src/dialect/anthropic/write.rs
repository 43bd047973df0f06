//! What the gateway itself says in Messages: errors, stops, the list of models, and the events that these are made of.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::dialect::Closing;
use crate::dialect::write::Head;
use crate::exchange::Usage;
use crate::fault::Fault;
use crate::stream::sse::{Frames, Kind};

/// The envelope of a failure.
pub(in crate::dialect) fn error(fault: &Fault) -> Bytes {
    Bytes::from(envelope(kind_of(fault.status), &told(fault)).to_string())
}

/// The envelope around a type and a text.
pub(in crate::dialect) fn envelope(kind: &str, message: &str) -> Value {
    json!({"type": "error", "error": {"type": kind, "message": message}})
}

/// The dialect has no place for a parameter's name but the text.
fn told(fault: &Fault) -> String {
    match &fault.parameter {
        Some(parameter) if !fault.message.contains(parameter) => format!("{parameter}: {}", fault.message),
        _ => fault.message.clone(),
    }
}

/// The vendor's type for a status. Source: Anthropic, API reference, errors.
pub(in crate::dialect) fn kind_of(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        503 | 529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}

/// The list of models.
pub(in crate::dialect) fn models<'a>(models: impl Iterator<Item = &'a str>) -> Bytes {
    let data: Vec<Value> = models.map(model_object).collect();
    let id = |model: Option<&Value>| model.map_or(Value::Null, |model| model["id"].clone());
    let (first, last) = (id(data.first()), id(data.last()));
    Bytes::from(json!({"data": data, "has_more": false, "first_id": first, "last_id": last}).to_string())
}

/// One model.
pub(in crate::dialect) fn model(model: &str) -> Bytes {
    Bytes::from(model_object(model).to_string())
}

fn model_object(model: &str) -> Value {
    json!({"type": "model", "id": model, "display_name": model, "created_at": "1970-01-01T00:00:00Z"})
}

/// A whole reply that a rule stopped.
pub(in crate::dialect) fn stop_reply(head: &Head<'_>, message: Option<&str>) -> Bytes {
    let content: Vec<Value> = message.map(|text| json!({"type": "text", "text": text})).into_iter().collect();
    Bytes::from(reply(head, content, "refusal", &Usage::default()).to_string())
}

/// A whole reply.
pub(in crate::dialect) fn reply(head: &Head<'_>, content: Vec<Value>, stop: &str, usage: &Usage) -> Value {
    json!({
        "id": head.id, "type": "message", "role": "assistant", "model": head.model, "content": content,
        "stop_reason": stop, "stop_sequence": null, "usage": usage_object(usage),
    })
}

/// Token counts in the vendor's way: cached ones stand beside the prompt's, not among them.
pub(in crate::dialect) fn usage_object(usage: &Usage) -> Value {
    let (cached, written) = (usage.cached.unwrap_or(0), usage.written.unwrap_or(0));
    let mut object = json!({
        "input_tokens": usage.prompt.unwrap_or(0).saturating_sub(cached.saturating_add(written)),
        "output_tokens": usage.completion.unwrap_or(0),
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": written,
    });
    if let Some(thinking) = usage.reasoning {
        object["output_tokens_details"] = json!({"thinking_tokens": thinking});
    }
    object
}

/// How a stream ends that a rule stopped, after what was delivered of it: what is open is closed first.
pub(in crate::dialect) fn stop_frames(delivered: &[u8], head: &Head<'_>, message: Option<&str>) -> Closing {
    let progress = Progress::of(delivered);
    let mut body = String::new();
    if !progress.begun {
        body.push_str(&message_start(head, &Usage::default()));
    }
    if let Some(open) = progress.open {
        body.push_str(&block_stop(open));
    }
    if let Some(text) = message {
        body.push_str(&block_start(progress.next, &json!({"type": "text", "text": ""})));
        body.push_str(&block_delta(progress.next, &json!({"type": "text_delta", "text": text})));
        body.push_str(&block_stop(progress.next));
    }
    body.push_str(&message_delta("refusal", None, &Usage::default()));
    Closing { body: Bytes::from(body), last: message_stop() }
}

/// How a stream ends that failed on its way.
pub(in crate::dialect) fn error_frames(fault: &Fault) -> Closing {
    let last = event("error", &envelope(kind_of(fault.status), &told(fault)));
    Closing { body: Bytes::new(), last: Bytes::from(last) }
}

/// The event that opens a reply.
pub(in crate::dialect) fn message_start(head: &Head<'_>, usage: &Usage) -> String {
    let mut message = reply(head, Vec::new(), "", usage);
    message["stop_reason"] = Value::Null;
    event("message_start", &json!({"type": "message_start", "message": message}))
}

/// The event that opens a block.
pub(in crate::dialect) fn block_start(index: u32, block: &Value) -> String {
    event("content_block_start", &json!({"type": "content_block_start", "index": index, "content_block": block}))
}

/// The event that goes on with a block.
pub(in crate::dialect) fn block_delta(index: u32, delta: &Value) -> String {
    event("content_block_delta", &json!({"type": "content_block_delta", "index": index, "delta": delta}))
}

/// The event that closes a block.
pub(in crate::dialect) fn block_stop(index: u32) -> String {
    event("content_block_stop", &json!({"type": "content_block_stop", "index": index}))
}

/// The event that says why the reply ended.
pub(in crate::dialect) fn message_delta(stop: &str, sequence: Option<&str>, usage: &Usage) -> String {
    let delta = json!({"stop_reason": stop, "stop_sequence": sequence});
    event("message_delta", &json!({"type": "message_delta", "delta": delta, "usage": usage_object(usage)}))
}

/// The event that says all was sent.
pub(in crate::dialect) fn message_stop() -> Bytes {
    Bytes::from(event("message_stop", &json!({"type": "message_stop"})))
}

fn event(name: &str, value: &Value) -> String {
    format!("event: {name}\ndata: {value}\n\n")
}

/// How far a stream has come.
#[derive(Debug, Default)]
struct Progress {
    begun: bool,
    open: Option<u32>,
    /// The next block's number.
    next: u32,
}

#[derive(Deserialize)]
struct Step<'a> {
    #[serde(borrow, rename = "type")]
    kind: std::borrow::Cow<'a, str>,
    index: Option<u32>,
}

impl Progress {
    fn of(delivered: &[u8]) -> Self {
        let mut progress = Self::default();
        let mut frames = Frames::new(usize::MAX);
        frames.push(Bytes::copy_from_slice(delivered));
        while let Some(Ok(frame)) = frames.next() {
            let Kind::Data(span) = &frame.kind else { continue };
            let step = frame.bytes.get(span.clone()).and_then(|data| serde_json::from_slice::<Step<'_>>(data).ok());
            match step.as_ref().map(|step| (step.kind.as_ref(), step.index.unwrap_or(0))) {
                Some(("message_start", _)) => progress.begun = true,
                Some(("content_block_start", index)) => {
                    progress.open = Some(index);
                    progress.next = index.saturating_add(1);
                }
                Some(("content_block_stop", _)) => progress.open = None,
                _ => {}
            }
        }
        progress
    }
}
