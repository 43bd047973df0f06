//! What the gateway itself says in Chat Completions: errors, stops, the list of models, and the engine's replies.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::dialect::Closing;
use crate::exchange::{Channel, Usage};
use crate::fault::Fault;

const DONE: &str = "data: [DONE]\n\n";

/// What every chunk and reply of one exchange repeats.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// Id of the reply.
    pub id: &'a str,
    /// Model that answers.
    pub model: &'a str,
    /// Seconds since 1970.
    pub created: i64,
}

impl Head<'_> {
    fn object(&self, object: &str) -> Map<String, Value> {
        let mut map = Map::new();
        map.insert("id".to_owned(), Value::from(self.id));
        map.insert("object".to_owned(), Value::from(object));
        map.insert("created".to_owned(), Value::from(self.created));
        map.insert("model".to_owned(), Value::from(self.model));
        map
    }

    pub(in crate::dialect) fn chunk(&self, choice: u32, delta: &Value, finish: Option<&str>) -> String {
        self.choice_chunk(json!({"index": choice, "delta": delta, "finish_reason": finish}))
    }

    pub(in crate::dialect) fn choice_chunk(&self, choice: Value) -> String {
        let mut map = self.object("chat.completion.chunk");
        map.insert("choices".to_owned(), Value::Array(vec![choice]));
        frame(&Value::Object(map))
    }
}

/// One choice of a whole reply.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// The thinking.
    pub reasoning: String,
    /// The answer.
    pub answer: String,
    /// Why it ended.
    pub finish: &'static str,
    /// How likely the tokens of both were, where asked for.
    pub logprobs: Option<Logprobs>,
}

/// How likely a reply's tokens were.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Logprobs {
    /// Those of the thinking.
    pub reasoning: Vec<Logprob>,
    /// Those of the answer.
    pub answer: Vec<Logprob>,
}

/// How likely one token was.
#[derive(Debug, Clone, PartialEq)]
pub struct Logprob {
    /// Its text.
    pub token: String,
    /// Its bytes, which may be a part of a character.
    pub bytes: Vec<u8>,
    /// The natural logarithm of its probability.
    pub logprob: f32,
    /// The likeliest tokens at its place; empty for one of those.
    pub top: Vec<Self>,
}

impl Logprobs {
    fn value(&self) -> Value {
        let list = |list: &[Logprob]| list.iter().map(Logprob::value).collect::<Vec<_>>();
        let mut value = json!({"content": list(&self.answer), "refusal": null});
        if !self.reasoning.is_empty() {
            // As DeepSeek says it.
            value["reasoning_content"] = list(&self.reasoning).into();
        }
        value
    }
}

impl Logprob {
    fn value(&self) -> Value {
        let mut value = self.short();
        value["top_logprobs"] = self.top.iter().map(Self::short).collect();
        value
    }

    fn short(&self) -> Value {
        // What cannot be has no number in JSON; the dialect writes this one.
        json!({"token": self.token, "logprob": self.logprob.max(-9999.0), "bytes": self.bytes})
    }
}

/// The envelope of a failure.
#[must_use]
pub fn error(fault: &Fault) -> Bytes {
    Bytes::from(envelope(fault).to_string())
}

fn envelope(fault: &Fault) -> Value {
    json!({"error": {
        "message": fault.message,
        "type": fault.kind,
        "param": fault.parameter,
        "code": fault.code,
    }})
}

/// The list of models.
#[must_use]
pub fn models<'a>(models: impl Iterator<Item = &'a str>) -> Bytes {
    let data: Vec<Value> = models.map(model_object).collect();
    Bytes::from(json!({"object": "list", "data": data}).to_string())
}

/// One model.
#[must_use]
pub fn model(model: &str) -> Bytes {
    Bytes::from(model_object(model).to_string())
}

fn model_object(model: &str) -> Value {
    json!({"id": model, "object": "model", "created": 0, "owned_by": "candor"})
}

/// The first chunk of a choice.
#[must_use]
pub fn role_chunk(head: &Head<'_>, choice: u32) -> Bytes {
    Bytes::from(head.chunk(choice, &json!({"role": "assistant", "content": ""}), None))
}

/// A chunk of text, with the likelihoods of its tokens where asked for.
#[must_use]
pub fn text_chunk(head: &Head<'_>, choice: u32, channel: Channel, text: &str, logprobs: Option<&Logprobs>) -> Bytes {
    let field = if channel == Channel::Reasoning { "reasoning_content" } else { "content" };
    let mut choice = json!({"index": choice, "delta": {field: text}, "finish_reason": null});
    if let Some(logprobs) = logprobs {
        choice["logprobs"] = logprobs.value();
    }
    Bytes::from(head.choice_chunk(choice))
}

/// The last chunk of a choice.
#[must_use]
pub fn finish_chunk(head: &Head<'_>, choice: u32, finish: &str) -> Bytes {
    Bytes::from(head.chunk(choice, &json!({}), Some(finish)))
}

/// The chunk that carries usage.
#[must_use]
pub fn usage_chunk(head: &Head<'_>, usage: &Usage) -> Bytes {
    let mut map = head.object("chat.completion.chunk");
    map.insert("choices".to_owned(), json!([]));
    map.insert("usage".to_owned(), usage_object(usage));
    Bytes::from(frame(&Value::Object(map)))
}

/// The frame that ends a stream.
#[must_use]
pub fn done() -> Bytes {
    Bytes::from_static(DONE.as_bytes())
}

/// A whole reply.
#[must_use]
pub fn reply(head: &Head<'_>, said: &[Said], usage: &Usage) -> Bytes {
    let mut map = head.object("chat.completion");
    let choices = said.iter().zip(0..).map(|(said, index): (&Said, u32)| {
        let mut message = json!({"role": "assistant", "content": said.answer});
        if !said.reasoning.is_empty()
            && let Value::Object(message) = &mut message
        {
            message.insert("reasoning_content".to_owned(), Value::from(said.reasoning.clone()));
        }
        let mut choice = json!({"index": index, "message": message, "finish_reason": said.finish});
        if let Some(logprobs) = &said.logprobs {
            choice["logprobs"] = logprobs.value();
        }
        choice
    });
    map.insert("choices".to_owned(), Value::Array(choices.collect()));
    map.insert("usage".to_owned(), usage_object(usage));
    Bytes::from(Value::Object(map).to_string())
}

pub(in crate::dialect) fn usage_object(usage: &Usage) -> Value {
    let prompt = usage.prompt.unwrap_or(0);
    let completion = usage.completion.unwrap_or(0);
    let mut details = json!({"cached_tokens": usage.cached.unwrap_or(0)});
    if let Some(written) = usage.written {
        details["cache_write_tokens"] = written.into();
    }
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt.saturating_add(completion),
        "prompt_tokens_details": details,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning.unwrap_or(0)},
    })
}

/// How a stream ends that a rule stopped: every choice closes with `content_filter`.
#[must_use]
pub fn stop_frames(head: &Head<'_>, choices: &[u32], message: Option<&str>) -> Closing {
    let mut body = String::new();
    let choices = if choices.is_empty() { &[0][..] } else { choices };
    for choice in choices {
        if let Some(message) = message {
            body.push_str(&head.chunk(*choice, &json!({"content": message}), None));
        }
        body.push_str(&head.chunk(*choice, &json!({}), Some("content_filter")));
    }
    Closing { body: Bytes::from(body), last: done() }
}

/// A whole reply that a rule stopped.
#[must_use]
pub fn stop_reply(head: &Head<'_>, message: Option<&str>) -> Bytes {
    let mut map = head.object("chat.completion");
    let message = json!({"role": "assistant", "content": message.unwrap_or_default()});
    map.insert("choices".to_owned(), json!([{"index": 0, "message": message, "finish_reason": "content_filter"}]));
    Bytes::from(Value::Object(map).to_string())
}

/// How a stream ends that failed on its way.
#[must_use]
pub fn error_frames(fault: &Fault) -> Closing {
    Closing { body: Bytes::from(frame(&envelope(fault))), last: done() }
}

fn frame(value: &Value) -> String {
    format!("data: {value}\n\n")
}
