//! A reply put into another dialect, event by event or whole.

use bytes::Bytes;
use serde_json::Value;

use super::lost::Lost;
use super::told::{Event, Told};
use super::{hear_anthropic, hear_chat, hear_responses, tell_anthropic, tell_chat, tell_responses};
use crate::dialect::write::Head;
use crate::dialect::{Closing, id_prefix};
use crate::exchange::{Channel, Dialect};
use crate::stream::sse::{Frames, Kind};

/// What the head of a reply says.
#[derive(Debug, Clone)]
pub(super) struct Start {
    dialect: Dialect,
    id: String,
    model: String,
    created: i64,
}

impl Start {
    pub(super) fn head(&self) -> Head<'_> {
        Head { id: &self.id, model: &self.model, created: self.created }
    }

    /// Takes what the upstream says of it: its own id goes on, under the beginning that the client's dialect has.
    pub(super) fn know(&mut self, id: Option<String>, model: Option<String>) {
        if let Some(id) = id.filter(|id| !id.is_empty()) {
            let own = Dialect::ALL.iter().find_map(|dialect| id.strip_prefix(id_prefix(*dialect))).unwrap_or(&id);
            self.id = format!("{}{own}", id_prefix(self.dialect));
        }
        self.model = model.filter(|model| !model.is_empty()).unwrap_or_else(|| std::mem::take(&mut self.model));
    }
}

/// The state of one reply.
#[derive(Debug)]
pub struct Translation {
    frames: Frames,
    from: Dialect,
    hearing: Hearing,
    start: Start,
    telling: Telling,
    lost: Lost,
}

#[derive(Debug)]
enum Hearing {
    Chat(hear_chat::Hearing),
    Responses(hear_responses::Hearing),
    Anthropic(hear_anthropic::Hearing),
}

#[derive(Debug)]
enum Telling {
    Chat(Box<tell_chat::Telling>),
    Responses(Box<tell_responses::Telling>),
    Anthropic(Box<tell_anthropic::Telling>),
}

impl Translation {
    /// Nothing is said yet. `head` is what is said of the reply where the upstream says nothing; `inline` is the channel
    /// that an answer opens in which may carry `<think>` marks.
    #[must_use]
    pub fn new((from, to): (Dialect, Dialect), head: &Head<'_>, wants_usage: bool, inline: Option<Channel>) -> Self {
        let start = Start { dialect: to, id: head.id.to_owned(), model: head.model.to_owned(), created: head.created };
        let hearing = match from {
            Dialect::OpenaiChat | Dialect::OpenaiEmbeddings => Hearing::Chat(hear_chat::Hearing::new(inline)),
            Dialect::OpenaiResponses => Hearing::Responses(hear_responses::Hearing::default()),
            Dialect::Anthropic | Dialect::AnthropicCount => Hearing::Anthropic(hear_anthropic::Hearing::default()),
        };
        let telling = match to {
            Dialect::OpenaiChat | Dialect::OpenaiEmbeddings => {
                Telling::Chat(Box::new(tell_chat::Telling::new(start.clone(), wants_usage)))
            }
            Dialect::OpenaiResponses => Telling::Responses(Box::new(tell_responses::Telling::new(start.clone()))),
            Dialect::Anthropic | Dialect::AnthropicCount => {
                Telling::Anthropic(Box::new(tell_anthropic::Telling::new(start.clone())))
            }
        };
        // The frames were within their bound when they came.
        Self { frames: Frames::new(usize::MAX), from, hearing, start, telling, lost: Lost::default() }
    }

    /// Takes frames of the upstream's, and gives what they come to.
    pub fn push(&mut self, bytes: Bytes) -> Bytes {
        let mut out = String::new();
        self.frames.push(bytes);
        while let Some(Ok(frame)) = self.frames.next() {
            match &frame.kind {
                Kind::Data(span) => self.hear(frame.bytes.get(span.clone()).unwrap_or_default(), &mut out),
                Kind::Lines(spans) => {
                    let lines: Vec<&[u8]> = spans.iter().filter_map(|span| frame.bytes.get(span.clone())).collect();
                    self.hear(&lines.join(&b'\n'), &mut out);
                }
                Kind::Done => {}
                // A sign of life is one in every dialect.
                Kind::Other => out.push_str(": keep-alive\n\n"),
            }
        }
        Bytes::from(out)
    }

    /// Says that all has come.
    pub fn finish(&mut self) -> Closing {
        let mut body = String::new();
        if let Some(tail) = self.frames.finish()
            && let Kind::Data(span) = &tail.kind
        {
            self.hear(tail.bytes.get(span.clone()).unwrap_or_default(), &mut body);
        }
        let mut events = Vec::new();
        if let Hearing::Chat(hearing) = &mut self.hearing {
            hearing.end(&mut events);
        }
        self.tell(events, &mut body);
        body.extend(self.lost.comment());
        let closing = match &mut self.telling {
            Telling::Chat(telling) => telling.finish(),
            Telling::Responses(telling) => telling.finish(),
            Telling::Anthropic(telling) => telling.finish(),
        };
        body.push_str(std::str::from_utf8(&closing.body).unwrap_or_default());
        Closing { body: Bytes::from(body), last: closing.last }
    }

    /// A whole reply, with the names of what has no place in it.
    #[must_use]
    pub fn whole(mut self, body: &[u8]) -> (Bytes, Vec<String>) {
        let Ok(reply) = serde_json::from_slice::<Value>(body) else {
            return (Bytes::copy_from_slice(body), Vec::new());
        };
        self.lost.note(self.from, &reply);
        let mut events = Vec::new();
        match &mut self.hearing {
            Hearing::Chat(hearing) => {
                hearing.take(&reply, &mut events);
                hearing.end(&mut events);
            }
            Hearing::Responses(hearing) => hearing.whole(&reply, &mut events),
            Hearing::Anthropic(hearing) => hearing.take(&reply, &mut events),
        }
        let mut told = Told::of(events);
        self.start.know(told.id.take(), told.model.take());
        let value = match self.telling {
            Telling::Chat(_) => tell_chat::whole(&told, &self.start),
            Telling::Responses(_) => tell_responses::whole(&told, &self.start),
            Telling::Anthropic(_) => tell_anthropic::whole(&told, &self.start),
        };
        (Bytes::from(value.to_string()), self.lost.into_names())
    }

    fn hear(&mut self, data: &[u8], out: &mut String) {
        // What cannot be read had no text that could be screened either; it never comes so far where a rule enforces.
        let Ok(value) = serde_json::from_slice::<Value>(data) else { return };
        self.lost.note(self.from, &value);
        let mut events = Vec::new();
        match &mut self.hearing {
            Hearing::Chat(hearing) => hearing.take(&value, &mut events),
            Hearing::Responses(hearing) => hearing.take(&value, &mut events),
            Hearing::Anthropic(hearing) => {
                if value["type"] == "ping" {
                    out.push_str(": ping\n\n");
                }
                hearing.take(&value, &mut events);
            }
        }
        self.tell(events, out);
    }

    fn tell(&mut self, events: Vec<Event>, out: &mut String) {
        for event in events {
            match &mut self.telling {
                Telling::Chat(telling) => telling.take(event, out),
                Telling::Responses(telling) => telling.take(event, out),
                Telling::Anthropic(telling) => telling.take(event, out),
            }
        }
    }
}
