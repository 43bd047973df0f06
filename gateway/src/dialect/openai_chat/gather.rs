//! Puts the chunks of a Chat Completions stream together to the whole reply that they are of. It screens nothing.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::dialect::Error;

/// What has come of a stream.
#[derive(Debug, Default)]
pub struct Gathered {
    /// Everything of the first chunk but its choices: id, model, time and what vendors add.
    head: Map<String, Value>,
    choices: BTreeMap<u64, Choice>,
    usage: Option<Value>,
    error: Option<Value>,
}

/// One choice of the reply.
#[derive(Debug, Default)]
struct Choice {
    message: Map<String, Value>,
    /// Tool calls, each with the index that it came under: one is told apart by a new id, for some servers send the same
    /// index for all.
    calls: Vec<(u64, Map<String, Value>)>,
    /// Everything else that stands beside the message.
    beside: Map<String, Value>,
}

impl Gathered {
    /// Takes one chunk's payload; none is an empty one.
    ///
    /// # Errors
    /// It is no JSON.
    pub fn take(&mut self, payload: &[u8]) -> Result<(), Error> {
        if payload.is_empty() {
            return Ok(());
        }
        let Value::Object(chunk) = serde_json::from_slice(payload).map_err(Error::Malformed)? else { return Ok(()) };
        for (key, value) in chunk {
            match (key.as_str(), value) {
                ("choices", Value::Array(choices)) => {
                    for (choice, position) in choices.into_iter().zip(0..) {
                        self.choice(choice, position);
                    }
                }
                ("usage", value) if !value.is_null() => self.usage = Some(value),
                ("usage", _) => {}
                ("error", value) if !value.is_null() => self.error = Some(value),
                (_, value) => _ = self.head.entry(key).or_insert(value),
            }
        }
        Ok(())
    }

    /// An error that came in the stream, as a reply of its own.
    #[must_use]
    pub fn error(&self) -> Option<Bytes> {
        self.error.as_ref().map(|error| Bytes::from(json!({"error": error}).to_string()))
    }

    /// Whether every choice that began has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let ended = |choice: &Choice| choice.beside.get("finish_reason").is_some_and(|reason| !reason.is_null());
        !self.choices.is_empty() && self.choices.values().all(ended)
    }

    /// The whole reply.
    #[must_use]
    pub fn finish(mut self) -> Bytes {
        self.head.insert("object".to_owned(), Value::from("chat.completion"));
        let choices = self.choices.into_iter().map(|(index, choice)| choice.finish(index)).collect();
        self.head.insert("choices".to_owned(), Value::Array(choices));
        if let Some(usage) = self.usage {
            self.head.insert("usage".to_owned(), usage);
        }
        Bytes::from(Value::Object(self.head).to_string())
    }

    fn choice(&mut self, choice: Value, position: u64) {
        let Value::Object(mut choice) = choice else { return };
        let index = choice.remove("index").and_then(|index| index.as_u64()).unwrap_or(position);
        let usage = choice.remove("usage").filter(|usage| !usage.is_null());
        if self.usage.is_none() {
            self.usage = usage;
        }
        if let Some(error) = choice.remove("error").filter(|error| !error.is_null()) {
            self.error.get_or_insert(error);
        }
        let known = self.choices.entry(index).or_default();
        if let Some(Value::Object(delta)) = choice.remove("delta") {
            known.delta(delta);
        }
        for (key, value) in choice {
            join(&mut known.beside, key, value);
        }
    }
}

impl Choice {
    fn delta(&mut self, mut delta: Map<String, Value>) {
        let calls = match delta.remove("tool_calls") {
            Some(Value::Array(calls)) => calls,
            _ => Vec::new(),
        };
        for (call, position) in calls.into_iter().zip(0..) {
            let Value::Object(mut call) = call else { continue };
            let index = call.remove("index").and_then(|index| index.as_u64()).unwrap_or(position);
            let function = call.remove("function");
            let Some((_, known)) = self.call(index, call.get("id")) else { continue };
            // Ids and types are said once or again and again, never in pieces.
            known.extend(call.into_iter().filter(|(_, value)| !matches!(value, Value::Null) && value != ""));
            let inner = known.entry("function").or_insert_with(|| json!({}));
            if let (Value::Object(inner), Some(Value::Object(function))) = (inner, function) {
                for (key, value) in function {
                    join(inner, key, value);
                }
            }
        }
        for (key, value) in delta {
            match key.as_str() {
                "role" => _ = self.message.insert(key, value),
                _ => join(&mut self.message, key, value),
            }
        }
    }

    /// The call that a piece belongs to: the last of its index, or a new one where its id is another.
    fn call(&mut self, index: u64, id: Option<&Value>) -> Option<&mut (u64, Map<String, Value>)> {
        let id = id.filter(|id| id.as_str().is_some_and(|id| !id.is_empty()));
        let last = self.calls.iter().rposition(|(known, _)| *known == index);
        let same = |at: &usize| {
            let known = self.calls.get(*at).and_then(|(_, call)| call.get("id"));
            id.is_none() || known.is_none() || known == id
        };
        match last.filter(same) {
            Some(at) => self.calls.get_mut(at),
            None => {
                self.calls.push((index, Map::new()));
                self.calls.last_mut()
            }
        }
    }

    fn finish(mut self, index: u64) -> Value {
        self.calls.sort_by_key(|(index, _)| *index);
        self.message.entry("role").or_insert_with(|| Value::from("assistant"));
        self.message.entry("content").or_insert(Value::Null);
        if !self.calls.is_empty() {
            let calls = self.calls.into_iter().map(|(_, call)| Value::Object(call)).collect();
            self.message.insert("tool_calls".to_owned(), Value::Array(calls));
        }
        self.beside.insert("index".to_owned(), Value::from(index));
        self.beside.insert("message".to_owned(), Value::Object(self.message));
        Value::Object(self.beside)
    }
}

/// Joins what came with what comes: texts and lists grow, mappings are joined key by key, nothing yields to null.
fn join(map: &mut Map<String, Value>, key: String, value: Value) {
    match (map.get_mut(&key), value) {
        (Some(Value::String(known)), Value::String(more)) if key != "finish_reason" => known.push_str(&more),
        (Some(Value::Array(known)), Value::Array(more)) => known.extend(more),
        (Some(Value::Object(known)), Value::Object(more)) => {
            more.into_iter().for_each(|(key, value)| join(known, key, value));
        }
        (Some(_), Value::Null) => {}
        (_, value) => _ = map.insert(key, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_come_together_to_the_reply_they_are_of() {
        let chunks = [
            json!({"id": "c", "model": "m", "object": "chat.completion.chunk", "x": [1],
                "choices": [{"index": 0, "delta": {"role": "assistant", "content": null, "reasoning_content": "Hm"}}]}),
            json!({"choices": [{"index": 1, "delta": {"role": "assistant", "content": "two"}}]}),
            json!({"choices": [{"index": 0, "delta": {"content": null, "reasoning_content": ", so"},
                "logprobs": {"content": [{"token": "a"}]}}], "usage": null}),
            json!({"choices": [{"index": 0, "delta": {"content": "o", "tool_calls": [
                {"index": 0, "id": "t0", "type": "function", "function": {"name": "f", "arguments": ""}}]}}]}),
            json!({"choices": [{"index": 0, "delta": {"content": "ne", "tool_calls": [
                {"index": 1, "id": "t1", "type": "function", "function": {"name": "g", "arguments": "{}"}},
                {"index": 0, "id": "", "function": {"name": null, "arguments": "{\"a\""}}]},
                "logprobs": {"content": [{"token": "b"}]}}]}),
            json!({"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]},
                "finish_reason": "tool_calls"}]}),
            json!({"choices": [{"index": 1, "delta": {}, "finish_reason": "stop"}]}),
            json!({"choices": [], "usage": {"prompt_tokens": 3}}),
        ];
        let mut gathered = Gathered::default();
        for (chunk, index) in chunks.iter().zip(0..) {
            assert_eq!(gathered.is_finished(), index > 6, "{index}");
            gathered.take(chunk.to_string().as_bytes()).expect("JSON");
        }
        assert!(gathered.error().is_none());
        let whole: Value = serde_json::from_slice(&gathered.finish()).expect("JSON");
        assert_eq!(
            whole,
            json!({
                "id": "c", "model": "m", "object": "chat.completion", "x": [1], "usage": {"prompt_tokens": 3},
                "choices": [
                    {"index": 0, "finish_reason": "tool_calls", "logprobs": {"content": [{"token": "a"}, {"token": "b"}]},
                     "message": {"role": "assistant", "content": "one", "reasoning_content": "Hm, so", "tool_calls": [
                        {"id": "t0", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}},
                        {"id": "t1", "type": "function", "function": {"name": "g", "arguments": "{}"}},
                    ]}},
                    {"index": 1, "finish_reason": "stop", "message": {"role": "assistant", "content": "two"}},
                ],
            })
        );
    }

    #[test]
    fn calls_that_share_an_index_stay_apart() {
        let call = |id: &str, arguments: &str| {
            let call = json!({"index": 0, "id": id, "function": {"arguments": arguments}});
            json!({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}).to_string()
        };
        let mut gathered = Gathered::default();
        for chunk in [call("a", "{"), call("", "}"), call("b", "{\"x\""), call("b", ":1}")] {
            gathered.take(chunk.as_bytes()).expect("JSON");
        }
        let whole: Value = serde_json::from_slice(&gathered.finish()).expect("JSON");
        let calls = whole["choices"][0]["message"]["tool_calls"].as_array().expect("calls").iter();
        let arguments: Vec<&str> = calls.filter_map(|call| call["function"]["arguments"].as_str()).collect();
        assert_eq!(arguments, ["{}", "{\"x\":1}"]);
    }

    #[test]
    fn odd_chunks_do_no_harm_and_errors_are_kept() {
        let mut gathered = Gathered::default();
        for chunk in
            ["", "7", "{}", r#"{"choices":[7,{"delta":7,"index":-1},{"delta":{"tool_calls":[7,{"function":7}]}}]}"#]
        {
            gathered.take(chunk.as_bytes()).expect("JSON");
        }
        assert!(gathered.take(b"{").is_err());
        gathered.take(br#"{"choices":[{"error":{"code":1}}]}"#).expect("JSON");
        assert_eq!(gathered.error().expect("an error"), r#"{"error":{"code":1}}"#);
        assert!(serde_json::from_slice::<Value>(&gathered.finish()).is_ok());
    }
}
