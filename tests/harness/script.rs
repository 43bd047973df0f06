//! What an upstream will answer, as data: a head and steps. [`super::upstream`] plays it.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::watch;

/// One step of a body.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Send bytes in one write.
    Send(Bytes),
    /// Let time pass, where the passing of time is what is tested.
    Pause(Duration),
    /// Wait until the test says so.
    Hold(Signal),
    /// End the connection with a reset.
    Reset,
}

/// Lets a test hold a script up and release it.
#[derive(Debug, Clone)]
pub(crate) struct Signal(watch::Sender<bool>);

impl Signal {
    /// A signal that is not given yet.
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Gives the signal, for good.
    pub(crate) fn give(&self) {
        self.0.send_replace(true);
    }

    /// Waits for it.
    pub(crate) async fn given(&self) {
        let _ = self.0.subscribe().wait_for(|given| *given).await;
    }
}

/// A whole scripted answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) delay: Duration,
    pub(crate) steps: Vec<Step>,
    /// Announce a length instead of sending chunks.
    pub(crate) sized: bool,
    /// Close the connection without a word.
    pub(crate) mute: bool,
}

impl Reply {
    /// A whole body of JSON.
    pub(crate) fn json(status: u16, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers: vec![("content-type", "application/json".to_owned())],
            delay: Duration::ZERO,
            steps: vec![Step::Send(body.into())],
            sized: true,
            mute: false,
        }
    }

    /// An ordinary whole answer.
    pub(crate) fn saying(text: &str) -> Self {
        Self::json(200, whole(&json!({"role": "assistant", "content": text}), "stop"))
    }

    /// An event stream.
    pub(crate) fn stream(steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            status: 200,
            headers: vec![("content-type", "text/event-stream".to_owned())],
            delay: Duration::ZERO,
            steps: steps.into_iter().collect(),
            sized: false,
            mute: false,
        }
    }

    /// An event stream of given frames, a write each.
    pub(crate) fn frames<T: Into<Bytes>>(frames: impl IntoIterator<Item = T>) -> Self {
        Self::stream(frames.into_iter().map(|frame| Step::Send(frame.into())))
    }

    /// An event stream of given bytes, cut into writes of so many bytes.
    pub(crate) fn bytes_by(size: usize, bytes: &[u8]) -> Self {
        Self::frames(bytes.chunks(size).map(Bytes::copy_from_slice))
    }

    /// Nothing: the connection is closed.
    pub(crate) fn nothing() -> Self {
        Self { mute: true, ..Self::json(200, "") }
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Lets time pass before the head.
    pub(crate) fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

/// A step that sends a frame.
pub(crate) fn send(frame: impl Into<Bytes>) -> Step {
    Step::Send(frame.into())
}

/// A whole answer's body around a message.
pub(crate) fn whole(message: &Value, finish: &str) -> String {
    json!({
        "id": "chatcmpl-scripted", "object": "chat.completion", "created": 1_750_000_000, "model": "scripted-1",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
    })
    .to_string()
}

/// A frame around a payload.
pub(crate) fn frame(payload: &Value) -> String {
    format!("data: {payload}\n\n")
}

/// A frame with one choice's delta.
pub(crate) fn delta(choice: u32, delta: &Value) -> String {
    chunk(choice, delta, &Value::Null)
}

/// A frame of answer text.
pub(crate) fn say(text: &str) -> String {
    delta(0, &json!({"content": text}))
}

/// A frame of reasoning text.
pub(crate) fn think(text: &str) -> String {
    delta(0, &json!({"content": null, "reasoning_content": text}))
}

/// The frame that ends a choice.
pub(crate) fn finish(choice: u32, reason: &str) -> String {
    chunk(choice, &json!({}), &Value::from(reason))
}

/// The frame that carries usage.
pub(crate) fn usage(prompt: u32, completion: u32) -> String {
    frame(&json!({
        "id": "chatcmpl-scripted", "object": "chat.completion.chunk", "created": 1_750_000_000, "model": "scripted-1",
        "choices": [],
        "usage": {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion},
    }))
}

/// The last frame.
pub(crate) const DONE: &str = "data: [DONE]\n\n";

fn chunk(choice: u32, delta: &Value, finish: &Value) -> String {
    frame(&json!({
        "id": "chatcmpl-scripted", "object": "chat.completion.chunk", "created": 1_750_000_000, "model": "scripted-1",
        "choices": [{"index": choice, "delta": delta, "logprobs": null, "finish_reason": finish}],
    }))
}
