//! One and the same reply in each dialect, as an upstream sends it, and what a client of each dialect makes of one.

use serde_json::{Value, json};

use super::script::{DONE, Reply, delta, finish, say, think, usage, whole};

/// A dialect, by its name in configurations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spoken {
    pub(crate) name: &'static str,
    pub(crate) path: &'static str,
}

pub(crate) const CHAT: Spoken = Spoken { name: "openai-chat", path: "/v1/chat/completions" };
pub(crate) const RESPONSES: Spoken = Spoken { name: "openai-responses", path: "/v1/responses" };
pub(crate) const MESSAGES: Spoken = Spoken { name: "anthropic", path: "/v1/messages" };
pub(crate) const ALL: [Spoken; 3] = [CHAT, RESPONSES, MESSAGES];

/// What a reply says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) reasoning: String,
    pub(crate) answer: String,
    /// Of the one call, of a tool `weather`; empty where none is made.
    pub(crate) arguments: String,
}

impl Said {
    pub(crate) fn new(reasoning: &str, answer: &str, arguments: &str) -> Self {
        Self { reasoning: reasoning.to_owned(), answer: answer.to_owned(), arguments: arguments.to_owned() }
    }
}

/// What a client heard.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) said: Said,
    /// The dialect's word for why it ended.
    pub(crate) reason: String,
    /// Tokens of the prompt.
    pub(crate) prompt: u64,
    /// Id of the call.
    pub(crate) call: String,
    /// Whether the dialect's last event came, last.
    pub(crate) over: bool,
}

impl Spoken {
    /// A question with a tool, which all dialects can ask.
    pub(crate) fn ask(self, stream: bool) -> Value {
        let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
        match self.name {
            "openai-chat" => json!({
                "model": "m", "stream": stream, "stream_options": {"include_usage": true}, "max_tokens": 4000,
                "tools": [{"type": "function", "function": {"name": "weather", "parameters": schema}}],
                "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
            }),
            "openai-responses" => json!({
                "model": "m", "stream": stream, "max_output_tokens": 4000, "instructions": "Be brief.", "input": "Hello",
                "tools": [{"type": "function", "name": "weather", "parameters": schema, "strict": false}],
            }),
            _ => json!({
                "model": "m", "stream": stream, "max_tokens": 4000, "system": "Be brief.",
                "tools": [{"name": "weather", "input_schema": schema}],
                "messages": [{"role": "user", "content": "Hello"}],
            }),
        }
    }

    /// A reply of an upstream that speaks this, texts in pieces of three characters where it streams.
    pub(crate) fn reply(self, said: &Said, stream: bool) -> Reply {
        match (self.name, stream) {
            ("openai-chat", false) => Reply::json(200, chat_whole(said)),
            ("openai-chat", true) => Reply::frames(chat_frames(said)),
            ("openai-responses", false) => Reply::json(200, response(said, "completed").to_string()),
            ("openai-responses", true) => Reply::frames(events(response_events(said))),
            (_, false) => Reply::json(200, message(said).to_string()),
            (_, true) => Reply::frames(events(message_events(said))),
        }
    }

    /// What a client makes of a reply.
    pub(crate) fn hear(self, text: &str, stream: bool) -> Heard {
        if !stream {
            return self.hear_whole(&serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}")));
        }
        let mut heard = Heard::default();
        for data in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
            assert!(!heard.over, "something after the end: {text}");
            if data == "[DONE]" {
                heard.over = true;
                continue;
            }
            let event: Value = serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}"));
            match self.name {
                "openai-chat" => heard.chunk(&event),
                "openai-responses" => heard.event(&event, self),
                _ => heard.block(&event),
            }
        }
        heard
    }

    fn hear_whole(self, reply: &Value) -> Heard {
        let mut heard = Heard { over: true, ..Heard::default() };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match self.name {
            "openai-chat" => {
                let choice = &reply["choices"][0];
                let (message, call) = (&choice["message"], &choice["message"]["tool_calls"][0]);
                let said =
                    [&message["reasoning_content"], &message["content"], &call["function"]["arguments"]].map(text);
                let [reasoning, answer, arguments] = said;
                heard.said = Said { reasoning, answer, arguments };
                (heard.reason, heard.call) = (text(&choice["finish_reason"]), text(&call["id"]));
                heard.prompt = reply["usage"]["prompt_tokens"].as_u64().unwrap_or(0);
            }
            "openai-responses" => heard.items(reply),
            _ => {
                for block in reply["content"].as_array().into_iter().flatten() {
                    heard.said.reasoning.push_str(block["thinking"].as_str().unwrap_or_default());
                    heard.said.answer.push_str(block["text"].as_str().unwrap_or_default());
                    if block["type"] == "tool_use" {
                        heard.said.arguments = block["input"].to_string();
                        heard.call = text(&block["id"]);
                    }
                }
                heard.reason = text(&reply["stop_reason"]);
                heard.prompt = prompt_of(&reply["usage"]);
            }
        }
        heard
    }
}

fn prompt_of(usage: &Value) -> u64 {
    let count = |name: &str| usage[name].as_u64().unwrap_or(0);
    count("input_tokens") + count("cache_read_input_tokens") + count("cache_creation_input_tokens")
}

impl Heard {
    fn chunk(&mut self, chunk: &Value) {
        let choice = &chunk["choices"][0];
        let (delta, call) = (&choice["delta"], &choice["delta"]["tool_calls"][0]);
        self.said.reasoning.push_str(delta["reasoning_content"].as_str().unwrap_or_default());
        self.said.answer.push_str(delta["content"].as_str().unwrap_or_default());
        self.said.arguments.push_str(call["function"]["arguments"].as_str().unwrap_or_default());
        self.call.push_str(call["id"].as_str().unwrap_or_default());
        self.reason.push_str(choice["finish_reason"].as_str().unwrap_or_default());
        self.prompt = self.prompt.max(chunk["usage"]["prompt_tokens"].as_u64().unwrap_or(0));
    }

    fn block(&mut self, event: &Value) {
        let delta = &event["delta"];
        self.said.reasoning.push_str(delta["thinking"].as_str().unwrap_or_default());
        self.said.answer.push_str(delta["text"].as_str().unwrap_or_default());
        self.said.arguments.push_str(delta["partial_json"].as_str().unwrap_or_default());
        self.call.push_str(event["content_block"]["id"].as_str().unwrap_or_default());
        self.reason.push_str(delta["stop_reason"].as_str().unwrap_or_default());
        self.prompt = self.prompt.max(prompt_of(&event["usage"])).max(prompt_of(&event["message"]["usage"]));
        self.over = event["type"] == "message_stop" || event["type"] == "error";
    }

    /// Pieces are gathered; the last event, which repeats them, must say the same.
    fn event(&mut self, event: &Value, spoken: Spoken) {
        let piece = event["delta"].as_str().unwrap_or_default();
        match event["type"].as_str().unwrap_or_default() {
            "response.reasoning_text.delta" | "response.reasoning_summary_text.delta" => {
                self.said.reasoning.push_str(piece)
            }
            "response.output_text.delta" => self.said.answer.push_str(piece),
            "response.function_call_arguments.delta" => self.said.arguments.push_str(piece),
            "response.completed" | "response.incomplete" => {
                let whole = spoken.hear_whole(&event["response"]);
                if event["type"] == "response.completed" {
                    assert_eq!(whole.said, self.said, "the last event says something else: {event}");
                }
                *self = Self { said: std::mem::take(&mut self.said), ..whole };
            }
            "response.failed" | "error" => self.over = true,
            _ => {}
        }
    }

    fn items(&mut self, reply: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        for item in reply["output"].as_array().into_iter().flatten() {
            let parts = [&item["content"], &item["summary"]].into_iter().filter_map(Value::as_array).flatten();
            let said: String = parts.filter_map(|part| part["text"].as_str()).collect();
            match item["type"].as_str().unwrap_or_default() {
                "reasoning" => self.said.reasoning.push_str(&said),
                "message" => self.said.answer.push_str(&said),
                "function_call" => {
                    self.said.arguments = text(&item["arguments"]);
                    self.call = text(&item["call_id"]);
                }
                _ => {}
            }
        }
        let why = &reply["incomplete_details"]["reason"];
        self.reason = if why.is_string() { text(why) } else { text(&reply["status"]) };
        self.prompt = reply["usage"]["input_tokens"].as_u64().unwrap_or(0);
    }
}

fn pieces(text: &str) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    letters.chunks(3).map(|piece| piece.iter().collect()).collect()
}

fn events(events: Vec<Value>) -> Vec<String> {
    events
        .iter()
        .map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default()))
        .collect()
}

fn chat_whole(said: &Said) -> String {
    let mut message = json!({"role": "assistant", "content": said.answer, "reasoning_content": said.reasoning});
    if !said.arguments.is_empty() {
        let function = json!({"name": "weather", "arguments": said.arguments});
        message["tool_calls"] = json!([{"id": "call_1", "type": "function", "function": function}]);
    }
    whole(&message, if said.arguments.is_empty() { "stop" } else { "tool_calls" })
}

fn chat_frames(said: &Said) -> Vec<String> {
    let mut frames: Vec<String> = pieces(&said.reasoning).iter().map(|piece| think(piece)).collect();
    frames.extend(pieces(&said.answer).iter().map(|piece| say(piece)));
    if !said.arguments.is_empty() {
        let call = |value: Value| delta(0, &json!({"tool_calls": [value]}));
        let function = json!({"name": "weather", "arguments": ""});
        frames.push(call(json!({"index": 0, "id": "call_1", "type": "function", "function": function})));
        let piece = |text: &String| call(json!({"index": 0, "function": {"arguments": text}}));
        frames.extend(pieces(&said.arguments).iter().map(piece));
    }
    frames.push(finish(0, if said.arguments.is_empty() { "stop" } else { "tool_calls" }));
    frames.extend([usage(11, 7), DONE.to_owned()]);
    frames
}

fn message(said: &Said) -> Value {
    let mut content = vec![
        json!({"type": "thinking", "thinking": said.reasoning, "signature": "c2lnbmVk"}),
        json!({"type": "text", "text": said.answer}),
    ];
    if !said.arguments.is_empty() {
        let input: Value = serde_json::from_str(&said.arguments).expect("JSON");
        content.push(json!({"type": "tool_use", "id": "toolu_1", "name": "weather", "input": input}));
    }
    json!({
        "id": "msg_scripted", "type": "message", "role": "assistant", "model": "scripted-1", "content": content,
        "stop_reason": if said.arguments.is_empty() { "end_turn" } else { "tool_use" }, "stop_sequence": null,
        "usage": {"input_tokens": 8, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 0, "output_tokens": 7},
    })
}

fn message_events(said: &Said) -> Vec<Value> {
    let whole = message(said);
    let mut start = whole.clone();
    (start["content"], start["stop_reason"]) = (json!([]), Value::Null);
    let mut events = vec![json!({"type": "message_start", "message": start}), json!({"type": "ping"})];
    let blocks = [
        ("thinking_delta", "thinking", json!({"type": "thinking", "thinking": "", "signature": ""}), &said.reasoning),
        ("text_delta", "text", json!({"type": "text", "text": ""}), &said.answer),
        (
            "input_json_delta",
            "partial_json",
            json!({"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}),
            &said.arguments,
        ),
    ];
    for (index, (kind, field, block, text)) in blocks.into_iter().enumerate().filter(|(_, block)| !block.3.is_empty()) {
        events.push(json!({"type": "content_block_start", "index": index, "content_block": block}));
        let change = |delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
        events.extend(pieces(text).into_iter().map(|piece| change(json!({"type": kind, field: piece}))));
        if kind == "thinking_delta" {
            events.push(change(json!({"type": "signature_delta", "signature": "c2lnbmVk"})));
        }
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    let delta = json!({"stop_reason": whole["stop_reason"], "stop_sequence": null});
    events.push(json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 7}}));
    events.push(json!({"type": "message_stop"}));
    events
}

fn output(said: &Said) -> Vec<Value> {
    let mut output = vec![
        json!({"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "hidden",
            "content": [{"type": "reasoning_text", "text": said.reasoning}]}),
        json!({"id": "msg_1", "type": "message", "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": said.answer, "annotations": [], "logprobs": []}]}),
    ];
    if !said.arguments.is_empty() {
        output.push(json!({"id": "fc_1", "type": "function_call", "status": "completed", "call_id": "call_1",
            "name": "weather", "arguments": said.arguments}));
    }
    output
}

fn response(said: &Said, status: &str) -> Value {
    json!({
        "id": "resp_scripted", "object": "response", "created_at": 1_750_000_000, "model": "scripted-1", "status": status,
        "error": null, "incomplete_details": null, "output": output(said), "parallel_tool_calls": true,
        "tool_choice": "auto", "tools": [],
        "usage": {"input_tokens": 11, "input_tokens_details": {"cached_tokens": 3}, "output_tokens": 7,
            "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 18},
    })
}

fn response_events(said: &Said) -> Vec<Value> {
    let mut begun = response(said, "in_progress");
    (begun["output"], begun["usage"]) = (json!([]), Value::Null);
    let mut events = vec![json!({"type": "response.created", "response": begun})];
    for (index, item) in output(said).into_iter().enumerate() {
        let mut opened = item.clone();
        opened["content"] = json!([]);
        let (kind, field, text) = match item["type"].as_str().unwrap_or_default() {
            "reasoning" => ("reasoning_text", "text", &item["content"][0]["text"]),
            "message" => ("output_text", "text", &item["content"][0]["text"]),
            _ => {
                opened["arguments"] = "".into();
                ("function_call_arguments", "arguments", &item["arguments"])
            }
        };
        events.push(json!({"type": "response.output_item.added", "output_index": index, "item": opened}));
        let at = json!({"item_id": item["id"], "output_index": index, "content_index": 0});
        let with = |kind: String, field: &str, value: Value| {
            let mut event = at.clone();
            (event["type"], event[field]) = (kind.into(), value);
            event
        };
        let deltas = pieces(text.as_str().unwrap_or_default());
        events.extend(deltas.into_iter().map(|piece| with(format!("response.{kind}.delta"), "delta", piece.into())));
        events.push(with(format!("response.{kind}.done"), field, text.clone()));
        if item["type"] != "function_call" {
            events.push(with("response.content_part.done".to_owned(), "part", item["content"][0].clone()));
        }
        events.push(json!({"type": "response.output_item.done", "output_index": index, "item": item}));
    }
    events.push(json!({"type": "response.completed", "response": response(said, "completed")}));
    for (number, event) in events.iter_mut().enumerate() {
        event["sequence_number"] = number.into();
    }
    events
}
