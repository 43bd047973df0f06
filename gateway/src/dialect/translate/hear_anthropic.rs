//! Replies of Messages as events.

use serde_json::Value;

use super::hear_chat::{fail, owned, text};
use super::proof::Proof;
use super::told::{Event, Finish};
use crate::dialect::anthropic::reply::usage;

/// Takes an event of a stream, or a whole reply.
pub(super) fn take(event: &Value, out: &mut Vec<Event>) {
    let index = event["index"].as_u64().and_then(|index| u32::try_from(index).ok()).unwrap_or(0);
    match event["type"].as_str().unwrap_or_default() {
        "message" => whole(event, out),
        "message_start" => {
            let message = &event["message"];
            out.push(Event::Begin { id: owned(&message["id"]), model: owned(&message["model"]) });
            push_usage(&message["usage"], out);
        }
        "content_block_start" => block(&event["content_block"], index, out),
        "content_block_delta" => change(&event["delta"], index, out),
        "content_block_stop" => out.push(Event::Ends),
        "message_delta" => {
            ends(&event["delta"], out);
            push_usage(&event["usage"], out);
        }
        "error" => fail(&event["error"], out),
        _ => {}
    }
}

fn whole(message: &Value, out: &mut Vec<Event>) {
    out.push(Event::Begin { id: owned(&message["id"]), model: owned(&message["model"]) });
    for (content, index) in message["content"].as_array().into_iter().flatten().zip(0..) {
        block(content, index, out);
        out.push(Event::Ends);
    }
    ends(message, out);
    push_usage(&message["usage"], out);
}

fn block(block: &Value, index: u32, out: &mut Vec<Event>) {
    match block["type"].as_str().unwrap_or_default() {
        "text" => out.extend(text(&block["text"]).map(|text| Event::Text(text.to_owned()))),
        "thinking" => {
            out.extend(text(&block["thinking"]).map(|text| Event::Thinking(text.to_owned())));
            out.extend(text(&block["signature"]).and_then(Proof::of_signature).map(Event::Proof));
        }
        "redacted_thinking" => out.extend(owned(&block["data"]).map(|data| Event::Proof(Proof::Redacted(data)))),
        "tool_use" => {
            let id = owned(&block["id"]).unwrap_or_default();
            out.push(Event::Call { key: index, id, name: owned(&block["name"]).unwrap_or_default() });
            if block["input"].as_object().is_some_and(|input| !input.is_empty()) {
                out.push(Event::Arguments { key: index, text: block["input"].to_string() });
            }
        }
        _ => {}
    }
}

fn change(delta: &Value, index: u32, out: &mut Vec<Event>) {
    match delta["type"].as_str().unwrap_or_default() {
        "text_delta" => out.extend(text(&delta["text"]).map(|text| Event::Text(text.to_owned()))),
        "thinking_delta" => out.extend(text(&delta["thinking"]).map(|text| Event::Thinking(text.to_owned()))),
        "signature_delta" => out.extend(text(&delta["signature"]).and_then(Proof::of_signature).map(Event::Proof)),
        "input_json_delta" => {
            let more = text(&delta["partial_json"]);
            out.extend(more.map(|text| Event::Arguments { key: index, text: text.to_owned() }));
        }
        _ => {}
    }
}

fn ends(said: &Value, out: &mut Vec<Event>) {
    let finish = match said["stop_reason"].as_str() {
        None => return,
        Some("max_tokens" | "model_context_window_exceeded") => Finish::Length,
        Some("tool_use") => Finish::Tools,
        Some("refusal") => Finish::Refused,
        Some("stop_sequence") => Finish::Sequence(owned(&said["stop_sequence"]).unwrap_or_default()),
        Some(_) => Finish::Stop,
    };
    out.push(Event::Finish(finish));
}

fn push_usage(value: &Value, out: &mut Vec<Event>) {
    if value.is_object() {
        out.extend(usage(&value.to_string()).map(Event::Usage));
    }
}
