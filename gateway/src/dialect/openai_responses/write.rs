//! What the gateway itself says in Responses: stops and failures. Errors before a reply are those of Chat Completions.

use bytes::Bytes;
use serde_json::{Value, json};

use super::progress::Progress;
use crate::dialect::Closing;
use crate::dialect::write::Head;
use crate::exchange::Usage;
use crate::fault::Fault;

/// A whole reply that a rule stopped.
pub(in crate::dialect) fn stop_reply(head: &Head<'_>, message: Option<&str>) -> Bytes {
    let output: Vec<Value> = message.map(|text| message_item(&item_id("msg", head, 0), text)).into_iter().collect();
    let mut reply = reply(head, "incomplete", output, None);
    reply["incomplete_details"] = json!({"reason": "content_filter"});
    Bytes::from(reply.to_string())
}

/// A reply in any state.
pub(in crate::dialect) fn reply(head: &Head<'_>, status: &str, output: Vec<Value>, usage: Option<&Usage>) -> Value {
    json!({
        "id": head.id, "object": "response", "created_at": head.created, "status": status, "error": null,
        "incomplete_details": null, "instructions": null, "metadata": {}, "model": head.model, "output": output,
        "parallel_tool_calls": true, "previous_response_id": null, "store": false, "temperature": null,
        "tool_choice": "auto", "tools": [], "top_p": null, "usage": usage.map(usage_object),
    })
}

/// Token counts in the dialect's words.
pub(in crate::dialect) fn usage_object(usage: &Usage) -> Value {
    let (prompt, completion) = (usage.prompt.unwrap_or(0), usage.completion.unwrap_or(0));
    let mut input = json!({"cached_tokens": usage.cached.unwrap_or(0)});
    if let Some(written) = usage.written {
        input["cache_write_tokens"] = written.into();
    }
    json!({
        "input_tokens": prompt, "input_tokens_details": input, "output_tokens": completion,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning.unwrap_or(0)},
        "total_tokens": prompt.saturating_add(completion),
    })
}

/// An id of an item: that of the reply with the item's own beginning.
pub(in crate::dialect) fn item_id(kind: &str, head: &Head<'_>, index: usize) -> String {
    let own = head.id.split_once(['_', '-']).map_or(head.id, |(_, own)| own);
    format!("{kind}_{own}_{index}")
}

/// A message with one text.
pub(in crate::dialect) fn message_item(id: &str, text: &str) -> Value {
    json!({"id": id, "type": "message", "status": "completed", "role": "assistant", "content": [text_part(text)]})
}

/// A part of a message.
pub(in crate::dialect) fn text_part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

/// How a stream ends that a rule stopped, after what was delivered of it: what is open is closed first.
pub(in crate::dialect) fn stop_frames(delivered: &[u8], head: &Head<'_>, message: Option<&str>) -> Closing {
    let mut progress = Progress::of(delivered);
    let mut out = Events::after(progress.sequence);
    if !progress.begun {
        out.event("response.created", json!({"response": reply(head, "in_progress", Vec::new(), None)}));
    }
    for (index, item) in progress.close_open() {
        out.event("response.output_item.done", json!({"output_index": index, "item": item}));
    }
    let mut output: Vec<Value> = progress.items.into_values().map(|item| item.value).collect();
    if let Some(text) = message {
        let (id, index) = (item_id("msg", head, output.len()), output.len());
        let item = message_item(&id, text);
        out.message(&id, index, text, &item);
        output.push(item);
    }
    let mut reply = reply(head, "incomplete", output, None);
    reply["incomplete_details"] = json!({"reason": "content_filter"});
    let body = out.take();
    out.event("response.incomplete", json!({"response": reply}));
    Closing { body: Bytes::from(body), last: Bytes::from(out.take()) }
}

/// How a stream ends that failed on its way.
pub(in crate::dialect) fn error_frames(delivered: &[u8], head: &Head<'_>, fault: &Fault) -> Closing {
    let progress = Progress::of(delivered);
    let mut out = Events::after(progress.sequence);
    out.failed(head, fault.code, &fault.message);
    Closing { body: Bytes::new(), last: Bytes::from(out.take()) }
}

/// Events with running numbers.
#[derive(Debug)]
pub(in crate::dialect) struct Events {
    next: u64,
    text: String,
}

impl Events {
    /// The next event has this number.
    pub(in crate::dialect) fn after(next: u64) -> Self {
        Self { next, text: String::new() }
    }

    /// What was written since the last time.
    pub(in crate::dialect) fn take(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    /// Adds an event; `fields` is an object.
    pub(in crate::dialect) fn event(&mut self, kind: &str, fields: Value) {
        let mut fields = fields;
        fields["type"] = kind.into();
        fields["sequence_number"] = self.next.into();
        self.next = self.next.saturating_add(1);
        self.text.push_str(&format!("event: {kind}\ndata: {fields}\n\n"));
    }

    /// The event that says that the reply failed.
    pub(in crate::dialect) fn failed(&mut self, head: &Head<'_>, code: &str, message: &str) {
        let mut reply = reply(head, "failed", Vec::new(), None);
        reply["error"] = json!({"code": code, "message": message});
        self.event("response.failed", json!({"response": reply}));
    }

    /// A message that is said at once.
    fn message(&mut self, id: &str, index: usize, text: &str, item: &Value) {
        let opened = json!({"id": id, "type": "message", "status": "in_progress", "role": "assistant", "content": []});
        let place = json!({"item_id": id, "output_index": index, "content_index": 0});
        let with = |name: &str, value: Value| {
            let mut fields = place.clone();
            fields[name] = value;
            fields
        };
        self.event("response.output_item.added", json!({"output_index": index, "item": opened}));
        self.event("response.content_part.added", with("part", text_part("")));
        self.event("response.output_text.delta", with("delta", text.into()));
        self.event("response.output_text.done", with("text", text.into()));
        self.event("response.content_part.done", with("part", text_part(text)));
        self.event("response.output_item.done", json!({"output_index": index, "item": item}));
    }
}
