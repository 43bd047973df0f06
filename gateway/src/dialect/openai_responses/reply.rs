//! Responses replies, whole and as events. Events that close a text, a part, an item or the reply repeat what came
//! before piece by piece; such texts are told as repetitions.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::{Error, place};
use crate::exchange::{Channel, Delta, Observed, Usage, Written};
use crate::stream::sse::Frame;

/// An event of a stream.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    response: Option<&'a RawValue>,
    #[serde(default)]
    output_index: Option<u32>,
    #[serde(default)]
    content_index: Option<u32>,
    #[serde(default)]
    summary_index: Option<u32>,
    #[serde(borrow, default)]
    item: Option<Item<'a>>,
    #[serde(borrow, default)]
    part: Option<Part<'a>>,
    #[serde(borrow, default)]
    delta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
    #[serde(borrow, default)]
    code: Option<&'a RawValue>,
    #[serde(borrow, default)]
    logprobs: Option<&'a RawValue>,
}

/// A reply, whole or as far as it has come.
#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    status: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    incomplete_details: Option<Why<'a>>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    output: Option<Vec<Item<'a>>>,
    #[serde(default)]
    usage: Option<RawUsage>,
}

#[derive(Deserialize)]
struct Why<'a> {
    #[serde(borrow, default)]
    reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    content: Option<Vec<Part<'a>>>,
    #[serde(borrow, default)]
    summary: Option<Vec<Part<'a>>>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
    #[serde(borrow, default)]
    code: Option<&'a RawValue>,
    #[serde(borrow, default)]
    action: Option<&'a RawValue>,
    /// What a tool of the vendor's own gave.
    #[serde(borrow, default)]
    output: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow, default)]
    logprobs: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawUsage {
    #[serde(default)]
    input_tokens: Option<u64>,
    #[serde(default)]
    output_tokens: Option<u64>,
    #[serde(default)]
    input_tokens_details: Option<Details>,
    #[serde(default)]
    output_tokens_details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    #[serde(default)]
    cached_tokens: Option<u64>,
    #[serde(default)]
    cache_write_tokens: Option<u64>,
    #[serde(default)]
    reasoning_tokens: Option<u64>,
}

impl RawUsage {
    fn counts(&self) -> Usage {
        let input = self.input_tokens_details.as_ref();
        Usage {
            prompt: self.input_tokens,
            completion: self.output_tokens,
            reasoning: self.output_tokens_details.as_ref().and_then(|details| details.reasoning_tokens),
            cached: input.and_then(|details| details.cached_tokens),
            written: input.and_then(|details| details.cache_write_tokens),
        }
    }
}

/// Set in the number of a part that is of a reasoning item's summary.
const SUMMARY: u32 = 1 << 15;

/// Reads one event of a stream; places are in the frame's bytes.
pub(crate) fn read_frame(frame: &Frame) -> Result<Observed, Error> {
    place::read_frame(frame, read_event)
}

/// Reads a whole reply; places are in its bytes.
pub(crate) fn read_whole(body: &[u8]) -> Result<Observed, Error> {
    let reply: Reply<'_> = serde_json::from_slice(body).map_err(Error::Malformed)?;
    let mut reader = Reader::new(body, false);
    reader.reply(reply, true)?;
    Ok(reader.observed())
}

/// Token counts; `None` where they are told in no way that is known.
pub(in crate::dialect) fn usage(raw: &str) -> Option<Usage> {
    serde_json::from_str::<RawUsage>(raw).ok().map(|usage| usage.counts())
}

fn read_event(whole: &[u8], json: &[u8]) -> Result<Observed, Error> {
    let event: Event<'_> = serde_json::from_slice(json).map_err(Error::Malformed)?;
    let kind = event.kind.as_deref().unwrap_or_default();
    let mut reader = Reader::new(whole, !kind.ends_with(".delta"));
    let over = matches!(kind, "response.completed" | "response.incomplete" | "response.failed");
    if let Some(response) = event.response {
        reader.reply(serde_json::from_str(response.get()).map_err(Error::Malformed)?, over)?;
    }
    let item = event.output_index.unwrap_or(0);
    let part = numbered(item, event.content_index.unwrap_or(0));
    let thought = event.summary_index.map_or(part, |index| numbered(item, index) | SUMMARY);
    let thinks = kind.starts_with("response.reasoning");
    let channel = if thinks { Channel::Reasoning } else { Channel::Answer };
    if let Some(item) = &event.item {
        reader.item(item, event.output_index.unwrap_or(0))?;
    }
    if let Some(part) = &event.part {
        reader.part(part, channel, thought)?;
    }
    let (of_delta, at) = match kind {
        _ if thinks => (Channel::Reasoning, thought),
        "response.refusal.delta" => (Channel::Refusal, part),
        _ if kind.contains("arguments") || kind.contains("input") || kind.contains("code") => (Channel::Tool, item),
        _ => (Channel::Answer, part),
    };
    // A sound or a picture comes in pieces too, and is no text.
    if !kind.contains("audio.") && !kind.contains("image") {
        reader.text(event.delta, of_delta, at)?;
    }
    reader.text(event.text, channel, thought)?;
    reader.text(event.refusal, Channel::Refusal, part)?;
    for called in [event.arguments, event.input, event.code] {
        reader.text(called, Channel::Tool, item)?;
    }
    reader.echo(event.logprobs);
    if kind == "error" {
        let text = std::str::from_utf8(json).unwrap_or_default().trim();
        reader.observed.error.get_or_insert_with(|| text.to_owned());
    }
    let mut observed = reader.observed();
    observed.last = over || kind == "error";
    Ok(observed)
}

/// Items are numbered as they stand; further parts of one are far away from other items.
fn numbered(item: u32, part: u32) -> u32 {
    item | part << 16
}

/// Gathers what an event or a reply carries.
struct Reader<'a> {
    whole: &'a [u8],
    repeats: bool,
    tools: bool,
    observed: Observed,
}

impl<'a> Reader<'a> {
    fn new(whole: &'a [u8], repeats: bool) -> Self {
        Self { whole, repeats, tools: false, observed: Observed::default() }
    }

    fn observed(self) -> Observed {
        let mut observed = self.observed;
        observed.semantic = self.tools
            || observed.error.is_some()
            || !observed.finishes.is_empty()
            || observed.deltas.iter().any(|delta| !delta.text.is_empty());
        observed
    }

    /// A reply; one that is over says how it ended.
    fn reply(&mut self, reply: Reply<'_>, over: bool) -> Result<(), Error> {
        self.observed.id = reply.id.map(Cow::into_owned);
        self.observed.model = reply.model.map(Cow::into_owned);
        self.observed.usage = reply.usage.as_ref().map(RawUsage::counts);
        self.observed.error = reply.error.filter(|error| error.get() != "null").map(|error| error.get().to_owned());
        for (item, index) in reply.output.iter().flatten().zip(0..) {
            self.item(item, index)?;
        }
        if over && self.observed.error.is_none() {
            let reason = reply.incomplete_details.and_then(|why| why.reason).or(reply.status);
            self.observed.finishes.extend(reason.map(|reason| (0, reason.into_owned())));
        }
        Ok(())
    }

    fn item(&mut self, item: &Item<'_>, index: u32) -> Result<(), Error> {
        let kind = item.kind.as_deref().unwrap_or_default();
        self.tools |= kind.ends_with("_call");
        let channel = if kind == "reasoning" { Channel::Reasoning } else { Channel::Answer };
        for (part, place) in item.summary.iter().flatten().zip(0..) {
            self.part(part, channel, numbered(index, place) | SUMMARY)?;
        }
        for (part, place) in item.content.iter().flatten().zip(0..) {
            self.part(part, channel, numbered(index, place))?;
        }
        for called in [item.arguments, item.input, item.code] {
            self.text(called, Channel::Tool, index)?;
        }
        self.bare(item.action, numbered(index, 1));
        match item.output {
            Some(output) if output.get().starts_with('"') => self.text(Some(output), Channel::Tool, numbered(index, 2)),
            output => {
                self.bare(output, numbered(index, 2));
                Ok(())
            }
        }
    }

    fn part(&mut self, part: &Part<'_>, channel: Channel, number: u32) -> Result<(), Error> {
        let thinks = part.kind.as_deref() == Some("reasoning_text");
        self.text(part.text, if thinks { Channel::Reasoning } else { channel }, number)?;
        self.text(part.refusal, Channel::Refusal, number)?;
        self.echo(part.logprobs);
        Ok(())
    }

    fn text(&mut self, value: Option<&RawValue>, channel: Channel, part: u32) -> Result<(), Error> {
        let Some(value) = value else { return Ok(()) };
        let Some(text) = place::text(value) else { return Ok(()) };
        let text = text.map_err(Error::Malformed)?;
        if !text.is_empty() {
            let (at, written, repeats) = (place::of(value, self.whole), Written::Quoted, self.repeats);
            self.observed.deltas.push(Delta { choice: 0, channel, part, text, at, written, repeats });
        }
        Ok(())
    }

    /// JSON that is read as such.
    fn bare(&mut self, value: Option<&RawValue>, part: u32) {
        let Some(value) = value.filter(|value| !matches!(value.get(), "{}" | "null" | "[]")) else { return };
        let (text, at, repeats) = (value.get().to_owned(), place::of(value, self.whole), self.repeats);
        let (channel, written) = (Channel::Tool, Written::Bare);
        self.observed.deltas.push(Delta { choice: 0, channel, part, text, at, written, repeats });
    }

    /// The texts once more, token by token.
    fn echo(&mut self, value: Option<&RawValue>) {
        let value = value.filter(|value| !matches!(value.get(), "null" | "[]"));
        self.observed.echoes.extend(value.map(|value| place::of(value, self.whole)));
    }
}
