//! Messages replies, whole and as events.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::{Error, place};
use crate::exchange::{Channel, Delta, Observed, Usage, Written};
use crate::stream::sse::Frame;

/// An event of a stream, or a whole reply, which has the fields of the message itself.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    message: Option<Said<'a>>,
    #[serde(default)]
    index: Option<u32>,
    #[serde(borrow, default)]
    content_block: Option<Block<'a>>,
    #[serde(borrow, default)]
    delta: Option<Change<'a>>,
    #[serde(default)]
    usage: Option<RawUsage>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    content: Option<Vec<Block<'a>>>,
    #[serde(borrow, default)]
    stop_reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    content: Option<Vec<Block<'a>>>,
    #[serde(borrow, default)]
    stop_reason: Option<Cow<'a, str>>,
    #[serde(default)]
    usage: Option<RawUsage>,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
    /// What a tool of the vendor's own gave.
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    citations: Option<Vec<Citation<'a>>>,
}

#[derive(Deserialize)]
struct Change<'a> {
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow, default)]
    partial_json: Option<&'a RawValue>,
    #[serde(borrow, default)]
    citation: Option<Citation<'a>>,
    #[serde(borrow, default)]
    stop_reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Citation<'a> {
    #[serde(borrow, default)]
    cited_text: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct RawUsage {
    #[serde(default)]
    input_tokens: Option<u64>,
    #[serde(default)]
    output_tokens: Option<u64>,
    #[serde(default)]
    cache_read_input_tokens: Option<u64>,
    #[serde(default)]
    cache_creation_input_tokens: Option<u64>,
    #[serde(default)]
    output_tokens_details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    #[serde(default)]
    thinking_tokens: Option<u64>,
}

impl RawUsage {
    /// The vendor counts cached tokens beside the prompt's; here they are among them.
    fn counts(&self) -> Usage {
        let beside =
            self.cache_read_input_tokens.unwrap_or(0).saturating_add(self.cache_creation_input_tokens.unwrap_or(0));
        Usage {
            prompt: self.input_tokens.map(|tokens| tokens.saturating_add(beside)),
            completion: self.output_tokens,
            reasoning: self.output_tokens_details.as_ref().and_then(|details| details.thinking_tokens),
            cached: self.cache_read_input_tokens,
            written: self.cache_creation_input_tokens,
        }
    }
}

/// Set in the number of a part that is a quotation of the part's source.
const CITED: u32 = 1 << 16;

/// Reads one event of a stream; places are in the frame's bytes.
pub(crate) fn read_frame(frame: &Frame) -> Result<Observed, Error> {
    place::read_frame(frame, read_within)
}

/// Reads a whole reply; places are in its bytes.
pub(crate) fn read_whole(body: &[u8]) -> Result<Observed, Error> {
    read_within(body, body)
}

/// Token counts; `None` where they are told in no way that is known.
pub(in crate::dialect) fn usage(raw: &str) -> Option<Usage> {
    serde_json::from_str::<RawUsage>(raw).ok().map(|usage| usage.counts())
}

fn read_within(whole: &[u8], json: &[u8]) -> Result<Observed, Error> {
    let event: Event<'_> = serde_json::from_slice(json).map_err(Error::Malformed)?;
    let mut reader = Reader { whole, observed: Observed::default(), tools: false };
    let index = event.index.unwrap_or(0);
    if let Some(message) = event.message {
        reader.head(message.id, message.model);
        reader.ends(message.stop_reason);
        reader.blocks(message.content)?;
        reader.observed.usage = message.usage.as_ref().map(RawUsage::counts);
    }
    reader.head(event.id, event.model);
    reader.blocks(event.content)?;
    if let Some(block) = &event.content_block {
        reader.block(block, index)?;
    }
    if let Some(delta) = event.delta {
        reader.change(&delta, index)?;
        reader.ends(delta.stop_reason);
    }
    reader.ends(event.stop_reason);
    let mut observed = reader.observed;
    observed.usage = event.usage.as_ref().map(RawUsage::counts).or(observed.usage);
    observed.error = event.error.filter(|error| error.get() != "null").map(|error| error.get().to_owned());
    observed.last = matches!(event.kind.as_deref(), Some("message_stop" | "error"));
    observed.semantic = reader.tools
        || observed.error.is_some()
        || !observed.finishes.is_empty()
        || observed.deltas.iter().any(|delta| !delta.text.is_empty());
    Ok(observed)
}

/// Gathers what an event carries.
struct Reader<'a> {
    whole: &'a [u8],
    observed: Observed,
    tools: bool,
}

impl Reader<'_> {
    fn head(&mut self, id: Option<Cow<'_, str>>, model: Option<Cow<'_, str>>) {
        self.observed.id = id.map(Cow::into_owned).or_else(|| self.observed.id.take());
        self.observed.model = model.map(Cow::into_owned).or_else(|| self.observed.model.take());
    }

    fn ends(&mut self, reason: Option<Cow<'_, str>>) {
        self.observed.finishes.extend(reason.map(|reason| (0, reason.into_owned())));
    }

    fn blocks(&mut self, blocks: Option<Vec<Block<'_>>>) -> Result<(), Error> {
        blocks.iter().flatten().zip(0..).try_for_each(|(block, index)| self.block(block, index))
    }

    fn block(&mut self, block: &Block<'_>, index: u32) -> Result<(), Error> {
        let kind = block.kind.as_deref().unwrap_or_default();
        self.tools |= kind.ends_with("tool_use");
        self.text(block.thinking, Channel::Reasoning, index)?;
        self.text(block.text, Channel::Answer, index)?;
        for citation in block.citations.iter().flatten() {
            self.text(citation.cited_text, Channel::Answer, index | CITED)?;
        }
        self.bare(block.input, index);
        if kind.ends_with("tool_result") {
            self.bare(block.content, index);
        }
        Ok(())
    }

    fn change(&mut self, delta: &Change<'_>, index: u32) -> Result<(), Error> {
        self.text(delta.thinking, Channel::Reasoning, index)?;
        self.text(delta.text, Channel::Answer, index)?;
        self.text(delta.partial_json, Channel::Tool, index)?;
        let cited = delta.citation.as_ref().and_then(|citation| citation.cited_text);
        self.text(cited, Channel::Answer, index | CITED)
    }

    fn text(&mut self, value: Option<&RawValue>, channel: Channel, part: u32) -> Result<(), Error> {
        let Some(value) = value else { return Ok(()) };
        let Some(text) = place::text(value) else { return Ok(()) };
        let text = text.map_err(Error::Malformed)?;
        if !text.is_empty() {
            let at = place::of(value, self.whole);
            let written = Written::Quoted;
            self.observed.deltas.push(Delta { choice: 0, channel, part, text, at, written, repeats: false });
        }
        Ok(())
    }

    /// JSON that is read as such.
    fn bare(&mut self, value: Option<&RawValue>, part: u32) {
        let Some(value) = value.filter(|value| !matches!(value.get(), "{}" | "null" | "[]" | "\"\"")) else { return };
        let (text, at) = (value.get().to_owned(), place::of(value, self.whole));
        let written = Written::Bare;
        self.observed.deltas.push(Delta { choice: 0, channel: Channel::Tool, part, text, at, written, repeats: false });
    }
}
