//! What all doubles share: how a request is read, and how a vendor's shape becomes bytes.

use serde_json::{Map, Value, json};

use super::{Double, Served};
use crate::harness::script::{DONE, Reply, frame};
use crate::harness::upstream::Received;

/// What every model answers, and what it thinks before.
pub(crate) const TEXT: &str = "It is 12 degrees in Oslo.";
pub(crate) const THOUGHT: &str = "They ask about Oslo. I know that.";
/// Arguments of the two tools that every model calls.
pub(crate) const ARGUMENTS: [&str; 2] = ["{\"city\": \"Oslo\"}", "{\"city\": \"Bergen\", \"days\": 2}"];

/// A vendor, or a server program.
pub(crate) struct Vendor {
    /// Its row in tables.
    pub(crate) name: &'static str,
    /// Its entry in the catalogue.
    pub(crate) provider: &'static str,
    pub(crate) model: &'static str,
    /// Field of the thinking; `<think>` stands in the answer, an empty one is only counted.
    pub(crate) thought: &'static str,
    pub(crate) usage: Usage,
    /// What it sends while it thinks: in streams, and before whole replies.
    pub(crate) alive: (&'static str, &'static str),
    /// How its content filter speaks, where it has one.
    pub(crate) block: Option<Block>,
    /// Refuses what the vendor refuses.
    pub(crate) refuses: fn(&Ask) -> Option<Reply>,
    /// Parameters and messages that a client of another vendor would send.
    pub(crate) foreign: fn() -> Value,
    /// How the gateway says it changed them; empty where they pass.
    pub(crate) adapted: &'static str,
    /// Whether a whole reply must be asked as a stream.
    pub(crate) streams_only: bool,
}

/// Where a vendor puts token counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Usage {
    /// In a chunk of their own where the client asks.
    Asked,
    /// In the chunk that finishes, always.
    Finish,
    /// As above, with DeepSeek's names for the cache.
    Cache,
    /// In `choices[0].usage`.
    Choice,
}

/// How a content filter speaks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Block {
    /// A status and a body.
    Status(u16, &'static str),
    /// A status and a body; and in a stream that has begun, this payload.
    Both(u16, &'static str, &'static str),
    /// Half of an answer and this finish reason.
    Finish(&'static str),
    /// The vendor's own field for refusals.
    Field(&'static str),
}

/// A request as a vendor reads it.
pub(crate) struct Ask {
    pub(crate) body: Value,
    /// What the user said last.
    pub(crate) text: String,
}

impl Ask {
    fn of(received: &Received) -> Self {
        let body: Value = serde_json::from_slice(&received.body).expect("JSON from the gateway");
        let messages = body["messages"].as_array().expect("messages").iter().rev();
        let mut said = messages.filter(|message| message["role"] == "user");
        let text = said.next().and_then(|message| message["content"].as_str()).unwrap_or_default().to_owned();
        Self { body, text }
    }

    pub(crate) fn streams(&self) -> bool {
        self.body["stream"] == true
    }

    pub(crate) fn has(&self, parameter: &str) -> bool {
        !self.body[parameter].is_null()
    }

    /// The place of the first message for which something holds.
    pub(crate) fn message(&self, holds: impl Fn(&Value) -> bool) -> Option<usize> {
        self.body["messages"].as_array().expect("messages").iter().position(holds)
    }

    fn calls(&self) -> bool {
        self.body["tools"].as_array().is_some_and(|tools| !tools.is_empty()) && self.text.contains("tools")
    }
}

impl Double for Vendor {
    fn answer(&self, received: &Received) -> Reply {
        self.reply_to(&Ask::of(received))
    }

    fn served(&self) -> Served<'_> {
        Served { name: self.name.to_owned(), provider: self.provider, model: self.model, dialect: None }
    }
}

/// An error in OpenAI's envelope, which most vendors share.
pub(crate) fn error(status: u16, message: &str, kind: &str, parameter: Option<&str>, code: Option<&str>) -> Reply {
    let error = json!({"message": message, "type": kind, "param": parameter, "code": code});
    Reply::json(status, json!({"error": error}).to_string())
}

impl Vendor {
    /// A server of an ordinary kind: no filter, nothing refused, usage where it is asked for.
    pub(crate) fn plain(name: &'static str, provider: &'static str, model: &'static str) -> Self {
        Self {
            name,
            provider,
            model,
            thought: "reasoning_content",
            usage: Usage::Asked,
            alive: ("", ""),
            block: None,
            refuses: |_| None,
            foreign: || json!({"temperature": 0.2, "top_p": 0.9, "max_tokens": 100, "x_unknown": [1.50]}),
            adapted: "",
            streams_only: false,
        }
    }

    /// The bytes of the stream that an ordinary question gets.
    pub(crate) fn stream(&self, tools: bool, usage: bool) -> String {
        let mut body = json!({"stream": true, "messages": [{"role": "user", "content": "Use tools"}]});
        if tools {
            body["tools"] = json!([{}]);
        }
        if usage {
            body["stream_options"] = json!({"include_usage": true});
        }
        self.frames(&Ask { text: if tools { "Use tools" } else { "" }.to_owned(), body }).concat()
    }

    fn reply_to(&self, ask: &Ask) -> Reply {
        if let Some(refusal) = (self.refuses)(ask) {
            return refusal;
        }
        match ask.text.as_str() {
            "Too often" => return busy(429).header("retry-after", "7").header("x-ratelimit-remaining-requests", "0"),
            "No money" => return super::money::reply(self.provider),
            "Overloaded" => return busy(503),
            "Forbidden" => {
                if let Some(block) = self.block {
                    return self.blocked(block, ask);
                }
            }
            _ => {}
        }
        if ask.streams() { Reply::frames(self.frames(ask)) } else { Reply::json(200, self.whole(ask)) }
    }

    fn blocked(&self, block: Block, ask: &Ask) -> Reply {
        let half = || [self.chunk(json!({"content": "The events"}), None)];
        match block {
            Block::Both(_, _, payload) if ask.streams() => {
                Reply::frames(half().into_iter().chain([format!("data: {payload}\n\n")]))
            }
            Block::Status(status, body) | Block::Both(status, body, _) => Reply::json(status, body),
            Block::Finish(reason) if ask.streams() => {
                Reply::frames(half().into_iter().chain([self.chunk(json!({}), Some(reason)), DONE.to_owned()]))
            }
            Block::Finish(reason) => {
                Reply::json(200, self.reply(json!({"role": "assistant", "content": "The events"}), reason).to_string())
            }
            Block::Field(refusal) if ask.streams() => {
                let said = self.chunk(json!({"content": null, "refusal": refusal}), None);
                Reply::frames([said, self.chunk(json!({}), Some("stop")), DONE.to_owned()])
            }
            Block::Field(refusal) => {
                let message = json!({"role": "assistant", "content": null, "refusal": refusal});
                Reply::json(200, self.reply(message, "stop").to_string())
            }
        }
    }

    fn frames(&self, ask: &Ask) -> Vec<String> {
        let piece = |field: &str, text: &str| self.chunk(json!({field: text}), None);
        let mut frames = vec![self.chunk(json!({"role": "assistant", "content": ""}), None)];
        frames.extend((!self.alive.0.is_empty()).then(|| self.alive.0.to_owned()));
        let (first, second) = THOUGHT.split_at(12);
        match self.thought {
            "" => {}
            "<think>" => {
                let texts = ["<th", "ink>\n", first, second, "\n</thi", "nk>\n\n"];
                frames.extend(texts.map(|text| piece("content", text)));
            }
            // Both names at once, as OpenRouter sends it.
            "reasoning_details" => frames.extend([first, second].map(|text| {
                let details = json!([{"type": "reasoning.text", "text": text, "index": 0}]);
                self.chunk(json!({"content": "", "reasoning": text, "reasoning_details": details}), None)
            })),
            field => frames.extend([first, second].map(|text| self.chunk(json!({"content": null, field: text}), None))),
        }
        let finish = if ask.calls() { "tool_calls" } else { "stop" };
        if ask.calls() {
            for (arguments, index) in ARGUMENTS.iter().zip(0..) {
                frames.extend(self.call(index, arguments));
            }
        } else {
            let (first, second) = TEXT.split_at(8);
            frames.extend([first, second].map(|text| piece("content", text)));
        }
        let asked = ask.body["stream_options"]["include_usage"] == true;
        let mut last = self.payload(json!({}), Some(finish));
        match self.usage {
            Usage::Asked => frames.push(frame(&last)),
            Usage::Finish | Usage::Cache => {
                last["usage"] = self.counts();
                frames.push(frame(&last));
            }
            Usage::Choice => {
                last["choices"][0]["usage"] = self.counts();
                frames.push(frame(&last));
            }
        }
        if self.usage == Usage::Asked && asked {
            let mut counts = self.payload(json!({}), None);
            counts["choices"] = json!([]);
            counts["usage"] = self.counts();
            frames.push(frame(&counts));
        }
        frames.push(DONE.to_owned());
        frames
    }

    /// One tool call: its name first, then its arguments in pieces.
    fn call(&self, index: u32, arguments: &str) -> [String; 3] {
        let part = |call: Value| self.chunk(json!({"tool_calls": [call]}), None);
        let (first, second) = arguments.split_at(6);
        [
            part(json!({"index": index, "id": format!("call_{index}"), "type": "function",
                "function": {"name": "weather", "arguments": ""}})),
            part(json!({"index": index, "function": {"arguments": first}})),
            part(json!({"index": index, "function": {"arguments": second}})),
        ]
    }

    fn whole(&self, ask: &Ask) -> String {
        let mut message = Map::new();
        message.insert("role".to_owned(), json!("assistant"));
        match self.thought {
            "" => _ = message.insert("content".to_owned(), json!(TEXT)),
            "<think>" => {
                _ = message.insert("content".to_owned(), json!(format!("<think>\n{THOUGHT}\n</think>\n\n{TEXT}")));
            }
            field => {
                let field = if field == "reasoning_details" { "reasoning" } else { field };
                message.insert("content".to_owned(), json!(TEXT));
                message.insert(field.to_owned(), json!(THOUGHT));
            }
        }
        if ask.calls() {
            let calls = ARGUMENTS.iter().zip(0..).map(|(arguments, index)| {
                json!({"id": format!("call_{index}"), "type": "function",
                    "function": {"name": "weather", "arguments": arguments}})
            });
            message.insert("content".to_owned(), Value::Null);
            message.insert("tool_calls".to_owned(), calls.collect());
        }
        let finish = if ask.calls() { "tool_calls" } else { "stop" };
        let mut reply = self.reply(Value::Object(message), finish);
        reply["usage"] = self.counts();
        format!("{}{reply}", self.alive.1)
    }

    fn reply(&self, message: Value, finish: &str) -> Value {
        json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1_760_000_000, "model": self.model,
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        })
    }

    fn chunk(&self, delta: Value, finish: Option<&str>) -> String {
        frame(&self.payload(delta, finish))
    }

    fn payload(&self, delta: Value, finish: Option<&str>) -> Value {
        json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_760_000_000, "model": self.model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        })
    }

    fn counts(&self) -> Value {
        let mut counts = json!({"prompt_tokens": 40, "completion_tokens": 25, "total_tokens": 65});
        match self.usage {
            Usage::Cache => {
                counts["prompt_cache_hit_tokens"] = json!(30);
                counts["prompt_cache_miss_tokens"] = json!(10);
            }
            Usage::Asked | Usage::Finish | Usage::Choice => {
                counts["prompt_tokens_details"] = json!({"cached_tokens": 30});
            }
        }
        counts["completion_tokens_details"] = json!({"reasoning_tokens": 12});
        counts
    }
}

fn busy(status: u16) -> Reply {
    error(status, "The engine is currently overloaded, please try again later", "rate_limit_error", None, None)
}
