//! An event stream as a client reads it. The raw bytes are compared elsewhere; this looks inside.

use serde_json::Value;

/// The payloads of a stream.
#[derive(Debug)]
pub(crate) struct Events {
    pub(crate) payloads: Vec<Value>,
    /// Whether `[DONE]` came, and came last.
    pub(crate) done: bool,
}

impl Events {
    /// Reads a whole stream; data that is no JSON fails the test.
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let text = std::str::from_utf8(bytes).expect("a stream of UTF-8").replace("\r\n", "\n");
        let mut payloads = Vec::new();
        let mut done = false;
        for data in text.lines().filter_map(|line| line.strip_prefix("data:")) {
            assert!(!done, "data after [DONE]: {text}");
            match data.trim() {
                "[DONE]" => done = true,
                json => payloads.push(serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"))),
            }
        }
        Self { payloads, done }
    }

    /// All text of one delta field of one choice.
    pub(crate) fn text(&self, choice: u64, field: &str) -> String {
        self.of_choice(choice).filter_map(|part| part["delta"][field].as_str()).collect()
    }

    /// All argument text of a choice's first tool call.
    pub(crate) fn arguments(&self, choice: u64) -> String {
        let calls = self.of_choice(choice).filter_map(|part| part["delta"]["tool_calls"].as_array());
        calls.flatten().filter_map(|call| call["function"]["arguments"].as_str()).collect()
    }

    /// Why a choice ended.
    pub(crate) fn finish(&self, choice: u64) -> Option<&str> {
        self.of_choice(choice).filter_map(|part| part["finish_reason"].as_str()).last()
    }

    /// The error that a stream ends with.
    pub(crate) fn error(&self) -> Option<&Value> {
        self.payloads.iter().find_map(|payload| payload.get("error"))
    }

    fn of_choice(&self, choice: u64) -> impl Iterator<Item = &Value> {
        let choices = self.payloads.iter().filter_map(|payload| payload["choices"].as_array()).flatten();
        choices.filter(move |part| part["index"].as_u64() == Some(choice))
    }
}
