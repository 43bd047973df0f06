//! Replies of Responses, made of events.

use bytes::Bytes;
use serde_json::{Value, json};

use super::proof::Proof;
use super::stream::Start;
use super::told::{Event, Failure, Finish, Piece, Told};
use crate::dialect::Closing;
use crate::dialect::openai_responses::write::{self, Events, item_id, text_part};
use crate::exchange::Usage;

/// An item that is being told.
#[derive(Debug)]
enum Item {
    Message { text: String, refusal: bool, likelihoods: Vec<Value> },
    Reasoning { text: String, proof: Option<Proof> },
    Call { key: u32, id: String, name: String, arguments: String },
}

/// The state of a stream.
#[derive(Debug)]
pub(super) struct Telling {
    start: Start,
    events: Events,
    begun: bool,
    failed: bool,
    /// Whether nothing more comes of the last item; it is closed when the next one begins or it is known how all ends.
    ended: bool,
    /// Items in their order, and whether they are whole.
    items: Vec<(Item, bool)>,
    /// How likely the tokens of the answer were that comes next.
    likelihoods: Vec<Value>,
    finish: Option<Finish>,
    usage: Usage,
}

impl Telling {
    pub(super) fn new(start: Start) -> Self {
        let events = Events::after(0);
        let (items, likelihoods, usage) = (Vec::new(), Vec::new(), Usage::default());
        Self { start, events, begun: false, failed: false, ended: false, items, likelihoods, finish: None, usage }
    }

    /// Takes an event, and writes what it comes to.
    pub(super) fn take(&mut self, event: Event, out: &mut String) {
        if matches!(event, Event::Text(_) | Event::Refusal(_) | Event::Thinking(_) | Event::Proof(_)) && self.ended {
            self.close_last();
        }
        match event {
            Event::Begin { id, model } => {
                self.start.know(id, model);
                self.begin();
            }
            Event::Text(text) => self.say(&text, false),
            Event::Refusal(text) => self.say(&text, true),
            Event::Likelihoods(list) => self.likelihoods.extend(list),
            Event::Thinking(more) => self.think(&more),
            Event::Proof(given) => {
                if !matches!(self.items.last(), Some((Item::Reasoning { proof: None, .. }, false))) {
                    self.close_last();
                    self.open(Item::Reasoning { text: String::new(), proof: None });
                }
                if let Some((Item::Reasoning { proof, .. }, _)) = self.items.last_mut() {
                    *proof = Some(given);
                }
                self.ended = true;
            }
            Event::Ends => self.ended = true,
            Event::Call { key, id, name } => {
                self.close_last();
                self.open(Item::Call { key, id, name, arguments: String::new() });
            }
            Event::Arguments { key, text } => self.argue(key, &text),
            Event::Finish(finish) => self.finish = Some(finish),
            Event::Usage(usage) => self.usage = usage.or(self.usage),
            Event::Failed(failure) => {
                self.failed = true;
                self.events.failed(&self.start.head(), code(&failure), &failure.message);
            }
        }
        out.push_str(&self.events.take());
    }

    /// Says that nothing follows.
    pub(super) fn finish(&mut self) -> Closing {
        if self.failed {
            return Closing { body: Bytes::new(), last: Bytes::new() };
        }
        self.begin();
        if let Some((Item::Message { likelihoods, refusal: false, .. }, false)) = self.items.last_mut() {
            likelihoods.append(&mut self.likelihoods);
        }
        let last = last_status(self.finish.as_ref());
        let ends = self.items.len().saturating_sub(1);
        for index in 0..self.items.len() {
            self.close(index, if index == ends { last } else { COMPLETED });
        }
        let output = self
            .items
            .iter()
            .enumerate()
            .map(|(index, (item, _))| item.value(&self.start, index, if index == ends { last } else { COMPLETED }));
        let (reply, kind) = ended(&self.start, output.collect(), self.finish.as_ref(), &self.usage);
        let body = self.events.take();
        self.events.event(kind, json!({"response": reply}));
        Closing { body: Bytes::from(body), last: Bytes::from(self.events.take()) }
    }

    fn begin(&mut self) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        let reply = write::reply(&self.start.head(), "in_progress", Vec::new(), None);
        self.events.event("response.created", json!({"response": reply}));
        self.events.event("response.in_progress", json!({"response": reply}));
    }

    fn say(&mut self, more: &str, refuses: bool) {
        let goes_on = matches!(self.items.last(), Some((Item::Message { refusal, .. }, false)) if *refusal == refuses);
        if !goes_on {
            self.close_last();
            self.open(Item::Message { text: String::new(), refusal: refuses, likelihoods: Vec::new() });
        }
        let likely = if refuses { Vec::new() } else { std::mem::take(&mut self.likelihoods) };
        if let Some((Item::Message { text, likelihoods, .. }, _)) = self.items.last_mut() {
            text.push_str(more);
            likelihoods.extend_from_slice(&likely);
        }
        let kind = if refuses { "response.refusal.delta" } else { "response.output_text.delta" };
        let mut fields = self.place_of_last();
        fields["delta"] = more.into();
        if !refuses {
            fields["logprobs"] = likely.into();
        }
        self.events.event(kind, fields);
    }

    fn think(&mut self, more: &str) {
        if !matches!(self.items.last(), Some((Item::Reasoning { .. }, false))) {
            self.close_last();
            self.open(Item::Reasoning { text: String::new(), proof: None });
        }
        let Some((Item::Reasoning { text, .. }, _)) = self.items.last_mut() else { return };
        let first = text.is_empty();
        text.push_str(more);
        let mut fields = self.place_of_last();
        if first {
            let mut opened = fields.clone();
            opened["part"] = json!({"type": "reasoning_text", "text": ""});
            self.events.event("response.content_part.added", opened);
        }
        fields["delta"] = more.into();
        self.events.event("response.reasoning_text.delta", fields);
    }

    fn argue(&mut self, of: u32, more: &str) {
        let mut calls = self.items.iter_mut().enumerate().rev();
        let known = calls.find_map(|(index, (item, _))| match item {
            Item::Call { key, arguments, .. } if *key == of => {
                arguments.push_str(more);
                Some(index)
            }
            _ => None,
        });
        if let Some(index) = known {
            let id = self.items.get(index).map(|(item, _)| item.id(&self.start, index));
            let fields = json!({"item_id": id, "output_index": index, "delta": more});
            self.events.event("response.function_call_arguments.delta", fields);
        }
    }

    fn open(&mut self, item: Item) {
        self.begin();
        let index = self.items.len();
        if !matches!(item, Item::Call { .. }) {
            // Who says something else has made all calls before it.
            (0..index).for_each(|call| self.close(call, COMPLETED));
        }
        let mut opened = item.value(&self.start, index, IN_PROGRESS);
        if let Item::Message { refusal, .. } = item {
            let part = if refusal { json!({"type": "refusal", "refusal": ""}) } else { likely_part("", &[]) };
            opened["content"] = json!([]);
            self.events.event("response.output_item.added", json!({"output_index": index, "item": opened}));
            self.items.push((item, false));
            let mut fields = self.place_of_last();
            fields["part"] = part;
            return self.events.event("response.content_part.added", fields);
        }
        self.events.event("response.output_item.added", json!({"output_index": index, "item": opened}));
        self.items.push((item, false));
    }

    /// Closes what came last; calls stay open, since what they are called with may come in turns, until it is said that
    /// nothing more comes.
    fn close_last(&mut self) {
        let ended = std::mem::take(&mut self.ended);
        let Some((item, _)) = self.items.last() else { return };
        if ended || !matches!(item, Item::Call { .. }) {
            self.close(self.items.len().saturating_sub(1), COMPLETED);
        }
    }

    fn close(&mut self, index: usize, status: &str) {
        let Some((item, whole)) = self.items.get_mut(index) else { return };
        if std::mem::replace(whole, true) {
            return;
        }
        let place = json!({"item_id": item.id(&self.start, index), "output_index": index});
        let with = |name: &str, value: Value| {
            let mut fields = place.clone();
            fields[name] = value;
            fields
        };
        let within = |name: &str, value: Value| {
            let mut fields = with(name, value);
            fields["content_index"] = 0.into();
            fields
        };
        match &item {
            Item::Message { text, refusal: false, likelihoods } => {
                let mut done = within("text", text.as_str().into());
                done["logprobs"] = likelihoods.as_slice().into();
                self.events.event("response.output_text.done", done);
                self.events.event("response.content_part.done", within("part", likely_part(text, likelihoods)));
            }
            Item::Message { text, refusal: true, .. } => {
                self.events.event("response.refusal.done", within("refusal", text.as_str().into()));
                let part = json!({"type": "refusal", "refusal": text});
                self.events.event("response.content_part.done", within("part", part));
            }
            Item::Reasoning { text, .. } if !text.is_empty() => {
                self.events.event("response.reasoning_text.done", within("text", text.as_str().into()));
                let part = json!({"type": "reasoning_text", "text": text});
                self.events.event("response.content_part.done", within("part", part));
            }
            Item::Reasoning { .. } => {}
            Item::Call { arguments, name, .. } => {
                let arguments = if arguments.is_empty() { "{}" } else { arguments.as_str() };
                let mut done = with("arguments", arguments.into());
                done["name"] = name.as_str().into();
                self.events.event("response.function_call_arguments.done", done);
            }
        }
        let item = item.value(&self.start, index, status);
        self.events.event("response.output_item.done", json!({"output_index": index, "item": item}));
    }

    fn place_of_last(&self) -> Value {
        let index = self.items.len().saturating_sub(1);
        let id = self.items.last().map(|(item, _)| item.id(&self.start, index));
        json!({"item_id": id, "output_index": index, "content_index": 0})
    }
}

impl Item {
    fn id(&self, start: &Start, index: usize) -> String {
        match self {
            Self::Message { .. } => item_id("msg", &start.head(), index),
            Self::Reasoning { .. } => item_id("rs", &start.head(), index),
            Self::Call { .. } => item_id("fc", &start.head(), index),
        }
    }

    fn value(&self, start: &Start, index: usize, status: &str) -> Value {
        let (id, whole) = (self.id(start, index), status != IN_PROGRESS);
        match self {
            Self::Message { text, refusal, likelihoods } => {
                let refused = || json!({"type": "refusal", "refusal": text});
                let part = if *refusal { refused() } else { likely_part(text, likelihoods) };
                json!({"id": id, "type": "message", "status": status, "role": "assistant", "content": [part]})
            }
            Self::Reasoning { text, proof } => {
                let known = proof.as_ref().map(Proof::encrypted);
                let own = known.as_ref().and_then(|(id, _)| *id).map_or(id, str::to_owned);
                let mut item = json!({"id": own, "type": "reasoning", "summary": [], "status": status});
                if !text.is_empty() {
                    item["content"] = json!([{"type": "reasoning_text", "text": text}]);
                }
                if let Some((_, content)) = known {
                    item["encrypted_content"] = content.into();
                }
                item
            }
            Self::Call { id: call, name, arguments, .. } => {
                let arguments = if whole && arguments.is_empty() { "{}" } else { arguments.as_str() };
                json!({
                    "id": id, "type": "function_call", "status": status, "call_id": call, "name": name,
                    "arguments": arguments,
                })
            }
        }
    }
}

fn likely_part(text: &str, likelihoods: &[Value]) -> Value {
    let mut part = text_part(text);
    part["logprobs"] = likelihoods.into();
    part
}

/// The state of the last item of a reply that has ended.
fn last_status(finish: Option<&Finish>) -> &'static str {
    match finish {
        Some(Finish::Length | Finish::Refused) => INCOMPLETE,
        _ => COMPLETED,
    }
}

/// The vendor's code for a failure.
fn code(failure: &Failure) -> &str {
    match failure.code.as_str() {
        "" if failure.says("rate_limit") => "rate_limit_exceeded",
        "" => "server_error",
        code => code,
    }
}

/// A reply that has ended, and the event that says so.
fn ended(start: &Start, output: Vec<Value>, finish: Option<&Finish>, usage: &Usage) -> (Value, &'static str) {
    let why = match finish {
        Some(Finish::Length) => Some("max_output_tokens"),
        Some(Finish::Refused) => Some("content_filter"),
        _ => None,
    };
    let (status, kind) =
        if why.is_some() { ("incomplete", "response.incomplete") } else { ("completed", "response.completed") };
    let mut reply = write::reply(&start.head(), status, output, Some(usage));
    if let Some(why) = why {
        reply["incomplete_details"] = json!({"reason": why});
    }
    (reply, kind)
}

/// States of an item.
const IN_PROGRESS: &str = "in_progress";
const COMPLETED: &str = "completed";
const INCOMPLETE: &str = "incomplete";

/// A whole reply.
pub(super) fn whole(told: &Told, start: &Start) -> Value {
    if let Some(failure) = &told.failed {
        let mut reply = write::reply(&start.head(), "failed", Vec::new(), None);
        reply["error"] = json!({"code": code(failure), "message": failure.message});
        return reply;
    }
    let items = told.pieces.iter().enumerate().map(|(place, piece)| match piece {
        Piece::Text(text) => {
            let likelihoods = told.likelihoods.get(&place).cloned().unwrap_or_default();
            Item::Message { text: text.clone(), refusal: false, likelihoods }
        }
        Piece::Refusal(text) => Item::Message { text: text.clone(), refusal: true, likelihoods: Vec::new() },
        Piece::Thought { text, proof } => Item::Reasoning { text: text.clone(), proof: proof.clone() },
        Piece::Call { key, id, name, arguments } => {
            Item::Call { key: *key, id: id.clone(), name: name.clone(), arguments: arguments.clone() }
        }
    });
    let (last, ends) = (last_status(told.finish.as_ref()), told.pieces.len().saturating_sub(1));
    let output =
        items.enumerate().map(|(index, item)| item.value(start, index, if index == ends { last } else { COMPLETED }));
    let output = output.collect();
    ended(start, output, told.finish.as_ref(), &told.usage).0
}
