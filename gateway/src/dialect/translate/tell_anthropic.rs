//! Replies of Messages, made of events.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};

use super::proof::Proof;
use super::stream::Start;
use super::told::{Event, Failure, Finish, Piece, Told};
use crate::dialect::Closing;
use crate::dialect::anthropic::write::{self, block_delta, block_start, block_stop};
use crate::exchange::Usage;

/// What kind of block is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Text,
    Thinking,
    Call,
}

/// The state of a stream.
#[derive(Debug)]
pub(super) struct Telling {
    start: Start,
    begun: bool,
    open: Option<Open>,
    /// The number of the next block.
    next: u32,
    /// Numbers of calls' blocks, by the calls' keys.
    calls: BTreeMap<u32, u32>,
    refused: bool,
    failed: bool,
    finish: Option<Finish>,
    usage: Usage,
}

impl Telling {
    pub(super) fn new(start: Start) -> Self {
        Self {
            start,
            begun: false,
            open: None,
            next: 0,
            calls: BTreeMap::new(),
            refused: false,
            failed: false,
            finish: None,
            usage: Usage::default(),
        }
    }

    /// Takes an event, and writes what it comes to.
    pub(super) fn take(&mut self, event: Event, out: &mut String) {
        match event {
            Event::Begin { id, model } => {
                self.start.know(id, model);
                self.begin(out);
            }
            Event::Text(text) => self.say(&text, out),
            Event::Refusal(text) => {
                self.refused = true;
                self.say(&text, out);
            }
            Event::Thinking(text) => {
                self.go_on_with(Open::Thinking, &json!({"type": "thinking", "thinking": "", "signature": ""}), out);
                out.push_str(&block_delta(self.last(), &json!({"type": "thinking_delta", "thinking": text})));
            }
            Event::Proof(proof) => self.prove(&proof, out),
            Event::Ends => self.close(out),
            Event::Call { key, id, name } => {
                let block = json!({"type": "tool_use", "id": id, "name": name, "input": {}});
                self.close(out);
                self.go_on_with(Open::Call, &block, out);
                self.calls.insert(key, self.last());
            }
            Event::Arguments { key, text } => {
                if let Some(index) = self.calls.get(&key) {
                    out.push_str(&block_delta(*index, &json!({"type": "input_json_delta", "partial_json": text})));
                }
            }
            Event::Finish(finish) => self.finish = Some(finish),
            Event::Usage(usage) => self.usage = usage.or(self.usage),
            Event::Failed(failure) => {
                self.failed = true;
                out.push_str(&format!("event: error\ndata: {}\n\n", envelope(&failure, 500)));
            }
        }
    }

    /// Says that nothing follows.
    pub(super) fn finish(&mut self) -> Closing {
        if self.failed {
            return Closing { body: Bytes::new(), last: Bytes::new() };
        }
        let mut body = String::new();
        self.begin(&mut body);
        self.close(&mut body);
        let (stop, sequence) = reason(self.finish.as_ref(), self.refused);
        body.push_str(&write::message_delta(stop, sequence, &self.usage));
        Closing { body: Bytes::from(body), last: write::message_stop() }
    }

    fn begin(&mut self, out: &mut String) {
        if !std::mem::replace(&mut self.begun, true) {
            out.push_str(&write::message_start(&self.start.head(), &self.usage));
        }
    }

    fn say(&mut self, text: &str, out: &mut String) {
        self.go_on_with(Open::Text, &json!({"type": "text", "text": ""}), out);
        out.push_str(&block_delta(self.last(), &json!({"type": "text_delta", "text": text})));
    }

    fn prove(&mut self, proof: &Proof, out: &mut String) {
        if self.open == Some(Open::Thinking) && !matches!(proof, Proof::Redacted(_)) {
            let signed = json!({"type": "signature_delta", "signature": proof.signature()});
            out.push_str(&block_delta(self.last(), &signed));
            return self.close(out);
        }
        self.close(out);
        self.begin(out);
        out.push_str(&block_start(self.next, &hidden(proof)));
        out.push_str(&block_stop(self.next));
        self.next = self.next.saturating_add(1);
    }

    /// Opens a block, unless one of its kind is open.
    fn go_on_with(&mut self, kind: Open, block: &Value, out: &mut String) {
        if self.open == Some(kind) {
            return;
        }
        self.begin(out);
        self.close(out);
        out.push_str(&block_start(self.next, block));
        self.open = Some(kind);
        self.next = self.next.saturating_add(1);
    }

    fn close(&mut self, out: &mut String) {
        if self.open.take().is_some() {
            out.push_str(&block_stop(self.last()));
        }
    }

    fn last(&self) -> u32 {
        self.next.saturating_sub(1)
    }
}

/// Reasoning that only its vendor can read.
fn hidden(proof: &Proof) -> Value {
    let data = match proof {
        Proof::Redacted(data) => data.clone(),
        other => other.signature(),
    };
    json!({"type": "redacted_thinking", "data": data})
}

/// A whole reply.
pub(super) fn whole(told: &Told, start: &Start) -> Value {
    if let Some(failure) = told.failed.as_ref().filter(|_| told.pieces.is_empty()) {
        return envelope(failure, 500);
    }
    let content = told.pieces.iter().map(|piece| match piece {
        Piece::Text(text) | Piece::Refusal(text) => json!({"type": "text", "text": text}),
        Piece::Thought { text, proof: Some(proof) } if text.is_empty() || matches!(proof, Proof::Redacted(_)) => {
            hidden(proof)
        }
        Piece::Thought { text, proof } => {
            let signature = proof.as_ref().map(Proof::signature).unwrap_or_default();
            json!({"type": "thinking", "thinking": text, "signature": signature})
        }
        Piece::Call { id, name, arguments, .. } => {
            // What is no object reaches the client all the same.
            let input = match serde_json::from_str(arguments) {
                Ok(Value::Object(object)) => Value::Object(object),
                _ if arguments.trim().is_empty() => json!({}),
                _ => json!({"arguments": arguments}),
            };
            json!({"type": "tool_use", "id": id, "name": name, "input": input})
        }
    });
    let (stop, sequence) = reason(told.finish.as_ref(), told.refuses());
    let mut reply = write::reply(&start.head(), content.collect(), stop, &told.usage);
    reply["stop_sequence"] = sequence.into();
    reply
}

fn reason(finish: Option<&Finish>, refused: bool) -> (&'static str, Option<&str>) {
    match finish {
        Some(Finish::Stop) | None if refused => ("refusal", None),
        Some(Finish::Stop) | None => ("end_turn", None),
        Some(Finish::Sequence(sequence)) => ("stop_sequence", Some(sequence)),
        Some(Finish::Length) => ("max_tokens", None),
        Some(Finish::Tools) => ("tool_use", None),
        Some(Finish::Refused) => ("refusal", None),
    }
}

/// The envelope of a failure.
pub(super) fn envelope(failure: &Failure, status: u16) -> Value {
    write::envelope(write::kind_of(status), &failure.message)
}
