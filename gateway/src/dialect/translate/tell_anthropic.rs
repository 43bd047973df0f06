//! Replies of Messages, made of events.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use serde_json::{Value, json};

use super::proof::Proof;
use super::stream::Start;
use super::told::{Event, Failure, Finish, Piece, Told};
use crate::dialect::Closing;
use crate::dialect::anthropic::write::{self, block_delta, block_start, block_stop};
use crate::dialect::extent::Extent;
use crate::exchange::Usage;

/// What kind of block is open.
#[derive(Debug)]
enum Open {
    Text,
    Thinking,
    /// A call, by its key.
    Call(u32, Extent),
}

/// A call that waits for the one before it to be whole: blocks come one after the other in this dialect, and its clients
/// take a block for whole when the next one begins.
#[derive(Debug)]
struct Waiting {
    key: u32,
    id: String,
    name: String,
    arguments: String,
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
    waiting: VecDeque<Waiting>,
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
            waiting: VecDeque::new(),
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
                if !matches!(self.open, Some(Open::Thinking)) {
                    self.open(Open::Thinking, &json!({"type": "thinking", "thinking": "", "signature": ""}), out);
                }
                out.push_str(&block_delta(self.last(), &json!({"type": "thinking_delta", "thinking": text})));
            }
            Event::Proof(proof) => self.prove(&proof, out),
            Event::Ends => {
                // What is open may be another call than the one that has ended; a call that is not whole goes on.
                if !self.call_runs() {
                    self.close(out);
                    self.advance(out);
                }
            }
            Event::Call { key, id, name } => {
                self.waiting.push_back(Waiting { key, id, name, arguments: String::new() });
                self.advance(out);
            }
            Event::Arguments { key, text } => self.argue(key, &text, out),
            // Whoever asked for them was refused.
            Event::Likelihoods(_) => {}
            Event::Finish(finish) => self.finish = Some(finish),
            Event::Usage(usage) => self.usage = usage.or(self.usage),
            Event::Failed(failure) => {
                self.failed = true;
                let status = if failure.says("rate_limit") { 429 } else { 500 };
                let status = if failure.says("overloaded") { 529 } else { status };
                out.push_str(&format!("event: error\ndata: {}\n\n", envelope(&failure, status)));
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
        self.close_all(&mut body);
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
        if !matches!(self.open, Some(Open::Text)) {
            self.open(Open::Text, &json!({"type": "text", "text": ""}), out);
        }
        out.push_str(&block_delta(self.last(), &json!({"type": "text_delta", "text": text})));
    }

    fn prove(&mut self, proof: &Proof, out: &mut String) {
        match (proof, &self.open) {
            (Proof::Redacted(_), _) => {}
            (_, Some(Open::Thinking)) => return self.sign(proof, out),
            (Proof::Signed(_), _) => {
                // The vendor may leave the text out and still sign it.
                self.open(Open::Thinking, &json!({"type": "thinking", "thinking": "", "signature": ""}), out);
                return self.sign(proof, out);
            }
            (Proof::Encrypted { .. }, _) => {}
        }
        self.begin(out);
        self.close_all(out);
        out.push_str(&block_start(self.next, &hidden(proof)));
        out.push_str(&block_stop(self.next));
        self.next = self.next.saturating_add(1);
    }

    fn sign(&mut self, proof: &Proof, out: &mut String) {
        let signed = json!({"type": "signature_delta", "signature": proof.signature()});
        out.push_str(&block_delta(self.last(), &signed));
        self.close(out);
    }

    fn argue(&mut self, of: u32, text: &str, out: &mut String) {
        if let Some(waiting) = self.waiting.iter_mut().find(|waiting| waiting.key == of) {
            return waiting.arguments.push_str(text);
        }
        if let Some(Open::Call(key, extent)) = &mut self.open
            && *key == of
        {
            extent.push(text);
        }
        if let Some(index) = self.calls.get(&of) {
            out.push_str(&block_delta(*index, &json!({"type": "input_json_delta", "partial_json": text})));
        }
        self.advance(out);
    }

    /// Whether a call is open that is not whole.
    fn call_runs(&self) -> bool {
        matches!(&self.open, Some(Open::Call(_, extent)) if !extent.is_whole())
    }

    /// Opens the calls that wait, as long as the one that is open is whole.
    fn advance(&mut self, out: &mut String) {
        while !self.call_runs()
            && let Some(call) = self.waiting.pop_front()
        {
            self.call(call, out);
        }
    }

    fn call(&mut self, call: Waiting, out: &mut String) {
        let Waiting { key, id, name, arguments } = call;
        self.begin(out);
        self.close(out);
        let mut extent = Extent::default();
        out.push_str(&block_start(self.next, &json!({"type": "tool_use", "id": id, "name": name, "input": {}})));
        if !arguments.is_empty() {
            let delta = json!({"type": "input_json_delta", "partial_json": extent.push(&arguments)});
            out.push_str(&block_delta(self.next, &delta));
        }
        self.calls.insert(key, self.next);
        self.open = Some(Open::Call(key, extent));
        self.next = self.next.saturating_add(1);
    }

    /// Opens a block behind all others.
    fn open(&mut self, kind: Open, block: &Value, out: &mut String) {
        self.begin(out);
        self.close_all(out);
        out.push_str(&block_start(self.next, block));
        self.open = Some(kind);
        self.next = self.next.saturating_add(1);
    }

    fn close(&mut self, out: &mut String) {
        if self.open.take().is_some() {
            out.push_str(&block_stop(self.last()));
        }
    }

    /// Closes what is open, and every call that waited for it.
    fn close_all(&mut self, out: &mut String) {
        self.close(out);
        while let Some(call) = self.waiting.pop_front() {
            self.call(call, out);
            self.close(out);
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
        Piece::Thought { proof: Some(proof @ Proof::Redacted(_)), .. } => hidden(proof),
        Piece::Thought { text, proof: Some(proof @ Proof::Encrypted { .. }) } if text.is_empty() => hidden(proof),
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
