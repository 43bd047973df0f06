//! How far a stream of Responses has come, read back from what was delivered of it. It is needed only where the gateway
//! ends a stream itself.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::stream::sse::{Frames, Kind};

/// How far a stream has come.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Whether the reply was announced.
    pub begun: bool,
    /// The next event's number.
    pub sequence: u64,
    /// Items by their place.
    pub items: BTreeMap<u64, Item>,
}

/// One item of the output.
#[derive(Debug)]
pub(super) struct Item {
    /// As it was told, with the text that came.
    pub value: Value,
    open: bool,
}

impl Progress {
    /// Reads what was delivered.
    pub(super) fn of(delivered: &[u8]) -> Self {
        let mut progress = Self::default();
        let mut frames = Frames::new(usize::MAX);
        frames.push(Bytes::copy_from_slice(delivered));
        while let Some(Ok(frame)) = frames.next() {
            let Kind::Data(span) = &frame.kind else { continue };
            let event = frame.bytes.get(span.clone()).and_then(|data| serde_json::from_slice(data).ok());
            if let Some(event) = event {
                progress.take(&event);
            }
        }
        progress
    }

    /// Closes what is open, and gives it.
    pub(super) fn close_open(&mut self) -> Vec<(u64, Value)> {
        let mut closed = Vec::new();
        for (index, item) in &mut self.items {
            if std::mem::take(&mut item.open) {
                item.value["status"] = "incomplete".into();
                closed.push((*index, item.value.clone()));
            }
        }
        closed
    }

    fn take(&mut self, event: &Value) {
        self.begun = true;
        if let Some(number) = event["sequence_number"].as_u64() {
            self.sequence = number.saturating_add(1);
        }
        let index = event["output_index"].as_u64().unwrap_or(0);
        let kind = event["type"].as_str().unwrap_or_default();
        let delta = event["delta"].as_str().unwrap_or_default();
        match kind {
            "response.output_item.added" => _ = self.put(index, &event["item"], true),
            "response.output_item.done" => _ = self.put(index, &event["item"], false),
            "response.output_text.delta" => self.grow(index, event, ("output_text", "text"), delta),
            "response.refusal.delta" => self.grow(index, event, ("refusal", "refusal"), delta),
            "response.reasoning_text.delta" => self.grow(index, event, ("reasoning_text", "text"), delta),
            "response.function_call_arguments.delta" => {
                if let Some(item) = self.items.get_mut(&index) {
                    append(&mut item.value["arguments"], delta);
                }
            }
            _ => {}
        }
    }

    fn put(&mut self, index: u64, item: &Value, open: bool) -> Option<Item> {
        // An item that is none could not be given out again.
        if !item.is_object() {
            return None;
        }
        self.items.insert(index, Item { value: item.clone(), open })
    }

    fn grow(&mut self, index: u64, event: &Value, (kind, field): (&str, &str), delta: &str) {
        let Some(item) = self.items.get_mut(&index) else { return };
        let place = event["content_index"].as_u64().and_then(|place| usize::try_from(place).ok()).unwrap_or(0);
        let Some(content) = item.value["content"].as_array_mut() else { return };
        if place == content.len() {
            content.push(match kind {
                "output_text" => super::write::text_part(""),
                _ => json!({"type": kind, field: ""}),
            });
        }
        if let Some(part) = content.get_mut(place).filter(|part| part.is_object()) {
            append(&mut part[field], delta);
        }
    }
}

fn append(value: &mut Value, more: &str) {
    match value {
        Value::String(text) => text.push_str(more),
        other => *other = more.into(),
    }
}
