//! Replies of Messages as events.

use serde_json::Value;

use super::hear_chat::{fail, owned, text};
use super::proof::Proof;
use super::told::{Event, Finish};
use crate::dialect::anthropic::reply::usage;

/// The state of a reply.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    /// What a call began with, and its block: what comes in pieces takes its place.
    input: Option<(u32, String)>,
    /// What the running stretch of reasoning is known again by. As in the vendor's own clients, the last one given holds.
    proof: Option<Proof>,
}

impl Hearing {
    /// Takes an event of a stream, or a whole reply.
    pub(super) fn take(&mut self, event: &Value, out: &mut Vec<Event>) {
        let index = event["index"].as_u64().and_then(|index| u32::try_from(index).ok()).unwrap_or(0);
        match event["type"].as_str().unwrap_or_default() {
            "message" => self.whole(event, out),
            "message_start" => {
                let message = &event["message"];
                out.push(Event::Begin { id: owned(&message["id"]), model: owned(&message["model"]) });
                push_usage(&message["usage"], out);
            }
            "content_block_start" => self.block(&event["content_block"], index, out),
            "content_block_delta" => self.change(&event["delta"], index, out),
            "content_block_stop" => self.stop(out),
            "message_delta" => {
                ends(&event["delta"], out);
                push_usage(&event["usage"], out);
            }
            "error" => fail(&event["error"], out),
            _ => {}
        }
    }

    fn whole(&mut self, message: &Value, out: &mut Vec<Event>) {
        out.push(Event::Begin { id: owned(&message["id"]), model: owned(&message["model"]) });
        for (content, index) in message["content"].as_array().into_iter().flatten().zip(0..) {
            self.block(content, index, out);
            self.stop(out);
        }
        ends(message, out);
        push_usage(&message["usage"], out);
    }

    fn block(&mut self, block: &Value, index: u32, out: &mut Vec<Event>) {
        match block["type"].as_str().unwrap_or_default() {
            "text" => out.extend(text(&block["text"]).map(|text| Event::Text(text.to_owned()))),
            "thinking" => {
                out.extend(text(&block["thinking"]).map(|text| Event::Thinking(text.to_owned())));
                self.proof = text(&block["signature"]).and_then(Proof::of_signature);
            }
            "redacted_thinking" => out.extend(owned(&block["data"]).map(|data| Event::Proof(Proof::of_redacted(data)))),
            "tool_use" => {
                let id = owned(&block["id"]).unwrap_or_default();
                out.push(Event::Call { key: index, id, name: owned(&block["name"]).unwrap_or_default() });
                let given = block["input"].as_object().filter(|input| !input.is_empty());
                self.input = given.map(|_| (index, block["input"].to_string()));
            }
            _ => {}
        }
    }

    fn change(&mut self, delta: &Value, index: u32, out: &mut Vec<Event>) {
        match delta["type"].as_str().unwrap_or_default() {
            "text_delta" => out.extend(text(&delta["text"]).map(|text| Event::Text(text.to_owned()))),
            "thinking_delta" => out.extend(text(&delta["thinking"]).map(|text| Event::Thinking(text.to_owned()))),
            "signature_delta" => self.proof = text(&delta["signature"]).and_then(Proof::of_signature),
            "input_json_delta" => {
                let Some(more) = text(&delta["partial_json"]) else { return };
                self.input = None;
                out.push(Event::Arguments { key: index, text: more.to_owned() });
            }
            _ => {}
        }
    }

    fn stop(&mut self, out: &mut Vec<Event>) {
        out.extend(self.input.take().map(|(key, text)| Event::Arguments { key, text }));
        out.extend(self.proof.take().map(Event::Proof));
        out.push(Event::Ends);
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
