//! Replies of Chat Completions, made of events.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};

use super::proof::Proof;
use super::stream::Start;
use super::told::{Event, Failure, Finish, Piece, Told};
use crate::dialect::Closing;
use crate::dialect::openai_chat::write::{self, usage_object};
use crate::exchange::Usage;

/// The state of a stream.
#[derive(Debug)]
pub(super) struct Telling {
    start: Start,
    /// Whether the client asked for usage.
    wants_usage: bool,
    /// Places of calls, by their keys.
    calls: BTreeMap<u32, usize>,
    /// The running stretch of reasoning, which goes out once more beside its proof.
    thought: String,
    /// How likely the tokens of the answer were that comes next.
    likelihoods: Vec<Value>,
    begun: bool,
    failed: bool,
    finish: Option<Finish>,
    usage: Usage,
    out: String,
}

impl Telling {
    pub(super) fn new(start: Start, wants_usage: bool) -> Self {
        Self {
            start,
            wants_usage,
            calls: BTreeMap::new(),
            thought: String::new(),
            likelihoods: Vec::new(),
            begun: false,
            failed: false,
            finish: None,
            usage: Usage::default(),
            out: String::new(),
        }
    }

    /// Takes an event, and writes what it comes to.
    pub(super) fn take(&mut self, event: Event, out: &mut String) {
        match event {
            Event::Begin { id, model } => {
                self.start.know(id, model);
                self.begun = true;
                self.delta(&json!({"role": "assistant", "content": ""}));
            }
            Event::Text(text) => self.say(&json!({"content": text})),
            Event::Likelihoods(list) => self.likelihoods.extend(list),
            Event::Refusal(text) => self.delta(&json!({"refusal": text})),
            Event::Thinking(text) => {
                self.delta(&json!({"reasoning_content": text}));
                self.thought.push_str(&text);
            }
            Event::Proof(proof) => {
                let text = std::mem::take(&mut self.thought);
                self.delta(&json!({"reasoning_details": [detail(&text, &proof)]}));
            }
            Event::Ends => self.thought.clear(),
            Event::Call { key, id, name } => {
                let index = self.calls.len();
                self.calls.insert(key, index);
                let function = json!({"name": name, "arguments": ""});
                let call = json!({"index": index, "id": id, "type": "function", "function": function});
                self.delta(&json!({"tool_calls": [call]}));
            }
            Event::Arguments { key, text } => {
                if let Some(index) = self.calls.get(&key) {
                    let call = json!({"index": index, "function": {"arguments": text}});
                    self.delta(&json!({"tool_calls": [call]}));
                }
            }
            Event::Finish(finish) => self.finish = Some(finish),
            Event::Usage(usage) => self.usage = usage.or(self.usage),
            Event::Failed(failure) => {
                self.failed = true;
                self.out.push_str(&format!("data: {}\n\n", envelope(&failure)));
            }
        }
        out.push_str(&std::mem::take(&mut self.out));
    }

    /// Says that nothing follows.
    pub(super) fn finish(&mut self) -> Closing {
        let mut body = String::new();
        if !self.likelihoods.is_empty() {
            self.say(&json!({}));
        }
        if let Some(finish) = &self.finish {
            self.delta_ending(&json!({}), Some(reason(finish)));
        }
        body.push_str(&std::mem::take(&mut self.out));
        // As at the vendor's, a stream that broke off tells no counts.
        if self.wants_usage && self.begun && !self.failed {
            body.push_str(&String::from_utf8_lossy(&write::usage_chunk(&self.start.head(), &self.usage)));
        }
        Closing { body: Bytes::from(body), last: write::done() }
    }

    fn say(&mut self, delta: &Value) {
        let mut choice = json!({"index": 0, "delta": delta, "finish_reason": null});
        if !self.likelihoods.is_empty() {
            choice["logprobs"] = logprobs(std::mem::take(&mut self.likelihoods));
        }
        self.out.push_str(&self.start.head().choice_chunk(choice));
    }

    fn delta(&mut self, delta: &Value) {
        self.delta_ending(delta, None);
    }

    fn delta_ending(&mut self, delta: &Value, finish: Option<&str>) {
        self.out.push_str(&self.start.head().chunk(0, delta, finish));
    }
}

/// A whole reply.
pub(super) fn whole(told: &Told, start: &Start) -> Value {
    if let Some(failure) = told.failed.as_ref().filter(|_| told.pieces.is_empty()) {
        return envelope(failure);
    }
    let (mut answer, mut thoughts, mut refusal, mut calls, mut details) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for piece in &told.pieces {
        match piece {
            Piece::Text(text) => answer.push(text.as_str()),
            Piece::Refusal(text) => refusal.push(text.as_str()),
            Piece::Thought { text, proof } => {
                thoughts.extend(Some(text.as_str()).filter(|text| !text.is_empty()));
                details.extend(proof.as_ref().map(|proof| detail(text, proof)));
            }
            Piece::Call { id, name, arguments, .. } => {
                let arguments = if arguments.is_empty() { "{}" } else { arguments.as_str() };
                let function = json!({"name": name, "arguments": arguments});
                calls.push(json!({"id": id, "type": "function", "function": function}));
            }
        }
    }
    let filled = |texts: Vec<&str>, between: &str| Some(texts.join(between)).filter(|text| !text.is_empty());
    let mut message = json!({"role": "assistant", "content": filled(answer, ""), "refusal": filled(refusal, "")});
    if let Some(thoughts) = filled(thoughts, "\n\n") {
        message["reasoning_content"] = thoughts.into();
    }
    for (name, list) in [("reasoning_details", details), ("tool_calls", calls)] {
        if !list.is_empty() {
            message[name] = list.into();
        }
    }
    let finish = told.finish.as_ref().map_or("stop", reason);
    let likely: Vec<Value> = told.likelihoods.values().flatten().cloned().collect();
    let likely = if likely.is_empty() { Value::Null } else { logprobs(likely) };
    let choices = json!([{"index": 0, "message": message, "finish_reason": finish, "logprobs": likely}]);
    let head = start.head();
    json!({
        "id": head.id, "object": "chat.completion", "created": head.created, "model": head.model,
        "choices": choices, "usage": usage_object(&told.usage),
    })
}

fn logprobs(list: Vec<Value>) -> Value {
    json!({"content": list, "refusal": null})
}

fn reason(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::Sequence(_) => "stop",
        Finish::Length => "length",
        Finish::Tools => "tool_calls",
        Finish::Refused => "content_filter",
    }
}

/// A stretch of reasoning as relays hand it out, so that clients which send it back give the vendor its proof.
fn detail(text: &str, proof: &Proof) -> Value {
    match proof {
        Proof::Signed(signature) => {
            json!({"type": "reasoning.text", "text": text, "signature": signature, "format": "anthropic-claude-v1"})
        }
        Proof::Redacted(data) => json!({"type": "reasoning.encrypted", "data": data, "format": "anthropic-claude-v1"}),
        Proof::Encrypted { id, content } => {
            json!({
                "type": "reasoning.encrypted", "id": id, "data": content, "summary": text, "format": "openai-responses-v1",
            })
        }
    }
}

/// The envelope of a failure.
pub(super) fn envelope(failure: &Failure) -> Value {
    let word = |text: &str| if text.is_empty() { Value::Null } else { text.into() };
    let kind = if failure.kind.is_empty() { "upstream_error" } else { failure.kind.as_str() };
    json!({"error": {"message": failure.message, "type": kind, "param": null, "code": word(&failure.code)}})
}
