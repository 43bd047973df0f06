//! Replies of Chat Completions as events. Clients of other dialects get one choice, so the first is the one that counts.

use serde_json::Value;
use serde_json::value::to_raw_value;

use super::calls::Calls;
use super::proof::Proof;
use super::told::{Event, Failure, Finish};
use crate::dialect::openai_chat::reply::usage;
use crate::exchange::Channel;
use crate::stream::reasoning::{Piece, Splitter};

/// The state of a reply.
#[derive(Debug)]
pub(super) struct Hearing {
    begun: bool,
    calls: Calls,
    /// How likely the tokens of content were that is not told yet.
    likelihoods: Vec<Value>,
    /// Set where answers carry `<think>` marks.
    splitter: Option<Splitter>,
}

impl Hearing {
    /// `inline` is the channel that an answer opens in which may carry `<think>` marks.
    pub(super) fn new(inline: Option<Channel>) -> Self {
        Self { begun: false, calls: Calls::default(), likelihoods: Vec::new(), splitter: inline.map(Splitter::new) }
    }

    /// Takes a chunk, or a whole reply.
    pub(super) fn take(&mut self, chunk: &Value, out: &mut Vec<Event>) {
        if !self.begun {
            self.begun = true;
            out.push(Event::Begin { id: owned(&chunk["id"]), model: owned(&chunk["model"]) });
        }
        let choices = chunk["choices"].as_array().map(Vec::as_slice).unwrap_or_default();
        let first = choices.iter().find(|choice| choice["index"].as_u64().unwrap_or(0) == 0);
        if let Some(choice) = first {
            self.likelihoods.extend(choice["logprobs"]["content"].as_array().into_iter().flatten().cloned());
            for said in [&choice["delta"], &choice["message"]] {
                self.said(said, out);
            }
            if let Some(reason) = choice["finish_reason"].as_str() {
                self.end(out);
                out.push(Event::Finish(self.finish(reason)));
            }
            push_usage(&choice["usage"], out);
            fail(&choice["error"], out);
        }
        push_usage(&chunk["usage"], out);
        fail(&chunk["error"], out);
    }

    /// Says that nothing follows.
    pub(super) fn end(&mut self, out: &mut Vec<Event>) {
        let pieces = self.splitter.as_mut().map(Splitter::finish).unwrap_or_default();
        self.split(pieces, out);
        self.calls.end(out);
    }

    fn said(&mut self, said: &Value, out: &mut Vec<Event>) {
        // Relays tell the same reasoning under several names.
        let named = ["reasoning_content", "reasoning"].into_iter().filter_map(|name| text(&said[name]));
        out.extend(named.take(1).map(|text| Event::Thinking(text.to_owned())));
        for detail in said["reasoning_details"].as_array().into_iter().flatten() {
            out.extend(proof(detail).map(Event::Proof));
        }
        match &said["content"] {
            Value::Array(parts) => {
                for part in parts {
                    self.content(part["text"].as_str().unwrap_or_default(), out);
                }
            }
            content => self.content(content.as_str().unwrap_or_default(), out),
        }
        out.extend(text(&said["refusal"]).map(|text| Event::Refusal(text.to_owned())));
        for (call, position) in said["tool_calls"].as_array().into_iter().flatten().zip(0..) {
            self.calls.take(call, position, out);
        }
    }

    fn content(&mut self, text: &str, out: &mut Vec<Event>) {
        match &mut self.splitter {
            _ if text.is_empty() => {}
            None => {
                out.extend(likelihoods(&mut self.likelihoods));
                out.push(Event::Text(text.to_owned()));
            }
            Some(splitter) => {
                let pieces = splitter.push(text);
                self.split(pieces, out);
            }
        }
    }

    /// Tells content that had marks in it, or might have had. Which tokens are of the answer is known where all of it is.
    fn split(&mut self, pieces: Vec<Piece>, out: &mut Vec<Event>) {
        if pieces.iter().any(|piece| piece.channel == Channel::Reasoning) {
            self.likelihoods.clear();
        } else if !pieces.is_empty() {
            out.extend(likelihoods(&mut self.likelihoods));
        }
        out.extend(pieces.into_iter().map(|piece| of_channel(piece.channel, piece.text)));
    }

    /// A server that was told which tool to call, and some others, say of a call that they came to their end.
    fn finish(&self, reason: &str) -> Finish {
        match reason {
            "length" | "max_tokens" => Finish::Length,
            "tool_calls" | "function_call" => Finish::Tools,
            "content_filter" | "sensitive" | "refusal" => Finish::Refused,
            _ if self.calls.is_empty() => Finish::Stop,
            _ => Finish::Tools,
        }
    }
}

fn of_channel(channel: Channel, text: String) -> Event {
    if channel == Channel::Reasoning { Event::Thinking(text) } else { Event::Text(text) }
}

/// What a relay says of another vendor's reasoning.
fn proof(detail: &Value) -> Option<Proof> {
    let id = detail["id"].as_str().unwrap_or_default();
    match (detail["signature"].as_str(), detail["data"].as_str()) {
        (Some(signature), _) => Proof::of_signature(signature),
        (None, Some(data)) if detail["format"].as_str().is_some_and(|format| format.starts_with("anthropic")) => {
            Some(Proof::Redacted(data.to_owned()))
        }
        (None, Some(data)) => Proof::of_encrypted(id, data),
        (None, None) => None,
    }
}

/// How likely the tokens of the text were that comes next, where it was told.
fn likelihoods(list: &mut Vec<Value>) -> Option<Event> {
    (!list.is_empty()).then(|| Event::Likelihoods(std::mem::take(list)))
}

/// A text with something in it.
pub(super) fn text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty())
}

pub(super) fn owned(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn push_usage(value: &Value, out: &mut Vec<Event>) {
    let told = value.is_object().then(|| to_raw_value(value).ok()).flatten();
    out.extend(told.and_then(|raw| usage(&raw)).map(Event::Usage));
}

/// An error inside a reply, of any vendor.
pub(super) fn fail(error: &Value, out: &mut Vec<Event>) {
    if !error.is_null() {
        out.push(Event::Failed(failure(error)));
    }
}

/// What an error object says.
pub(super) fn failure(error: &Value) -> Failure {
    let word = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    let message = error["message"].as_str().or(error.as_str()).unwrap_or("The upstream failed.");
    Failure { kind: word(&error["type"]), code: word(&error["code"]), message: message.to_owned() }
}
