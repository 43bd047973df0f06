//! Chat Completions replies, whole and in chunks, with the fields of all vendors that speak the dialect.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::{Error, place};
use crate::exchange::{CallBegin, Channel, Delta, Observed, Usage, Written};
use crate::stream::sse::Frame;

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: Option<u32>,
    /// In chunks.
    #[serde(borrow, default)]
    delta: Option<Said<'a>>,
    /// In whole replies.
    #[serde(borrow, default)]
    message: Option<Said<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Cow<'a, str>>,
    /// Where Moonshot puts usage.
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    /// The texts once more, token by token.
    #[serde(borrow, default)]
    logprobs: Option<&'a RawValue>,
    /// Where relays put an error that came in mid-stream.
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow, default)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning_details: Option<&'a RawValue>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<ToolCall<'a>>>,
    #[serde(borrow, default)]
    function_call: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct ToolCall<'a> {
    #[serde(default)]
    index: Option<u32>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct TextPart<'a> {
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    refusal: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawUsage {
    #[serde(default)]
    prompt_tokens: Option<u64>,
    #[serde(default)]
    completion_tokens: Option<u64>,
    #[serde(default)]
    prompt_tokens_details: Option<Details>,
    #[serde(default)]
    completion_tokens_details: Option<Details>,
    /// DeepSeek's name for cached tokens.
    #[serde(default)]
    prompt_cache_hit_tokens: Option<u64>,
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

/// Reads one event of a stream; places are in the frame's bytes.
pub(crate) fn read_frame(frame: &Frame) -> Result<Observed, Error> {
    place::read_frame(frame, read_within)
}

/// Reads a whole reply; places are in its bytes.
pub(crate) fn read_whole(body: &[u8]) -> Result<Observed, Error> {
    read_within(body, body)
}

fn read_within(whole: &[u8], json: &[u8]) -> Result<Observed, Error> {
    let reply: Reply<'_> = serde_json::from_slice(json).map_err(Error::Malformed)?;
    let mut observed = Observed {
        usage: reply.usage.and_then(usage),
        model: reply.model.map(Cow::into_owned),
        id: reply.id.map(Cow::into_owned),
        error: reply.error.map(|error| error.get().to_owned()),
        ..Observed::default()
    };
    let mut tools = false;
    for (choice, position) in reply.choices.into_iter().flatten().zip(0..) {
        let index = choice.index.unwrap_or(position);
        for said in [&choice.delta, &choice.message].into_iter().flatten() {
            tools |= said.tool_calls.is_some() || said.function_call.is_some();
            let Observed { deltas, calls, .. } = &mut observed;
            Reader { whole, choice: index, deltas, calls }.said(said)?;
        }
        if let Some(reason) = choice.finish_reason {
            observed.finishes.push((index, reason.into_owned()));
        }
        observed.usage = observed.usage.or_else(|| choice.usage.and_then(usage));
        observed
            .echoes
            .extend(choice.logprobs.filter(|value| value.get() != "null").map(|value| place::of(value, whole)));
        if let Some(error) = choice.error {
            observed.error.get_or_insert_with(|| error.get().to_owned());
        }
    }
    observed.semantic = tools
        || observed.error.is_some()
        || !observed.finishes.is_empty()
        || observed.deltas.iter().any(|delta| !delta.text.is_empty());
    Ok(observed)
}

/// Token counts; `None` where they are told in no way that is known, which is no reason to fail the reply.
pub(in crate::dialect) fn usage(raw: &RawValue) -> Option<Usage> {
    let raw: RawUsage = serde_json::from_str(raw.get()).ok()?;
    let prompt = raw.prompt_tokens_details.as_ref();
    Some(Usage {
        prompt: raw.prompt_tokens,
        completion: raw.completion_tokens,
        reasoning: raw.completion_tokens_details.and_then(|details| details.reasoning_tokens),
        cached: prompt.and_then(|details| details.cached_tokens).or(raw.prompt_cache_hit_tokens),
        written: prompt.and_then(|details| details.cache_write_tokens),
    })
}

/// A string that says something.
fn text(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok().filter(|text: &String| !text.is_empty())
}

/// Gathers the texts of one choice.
struct Reader<'a, 'o> {
    whole: &'a [u8],
    choice: u32,
    deltas: &'o mut Vec<Delta>,
    calls: &'o mut Vec<CallBegin>,
}

impl Reader<'_, '_> {
    fn said(&mut self, said: &Said<'_>) -> Result<(), Error> {
        // Some relays send the same reasoning under several names; each is a text of its own, for each reaches the client.
        for (field, part) in [said.reasoning_content, said.reasoning].into_iter().zip(0..) {
            self.texts(field, Channel::Reasoning, part)?;
        }
        self.texts(said.reasoning_details, Channel::Reasoning, 2)?;
        self.texts(said.content, Channel::Answer, 0)?;
        self.texts(said.refusal, Channel::Refusal, 0)?;
        for (call, position) in said.tool_calls.iter().flatten().zip(0..) {
            let part = call.index.unwrap_or(position);
            self.begin(call, part);
            let arguments = call.function.as_ref().and_then(|function| function.arguments);
            self.texts(arguments, Channel::Tool, part)?;
        }
        self.texts(said.function_call.as_ref().and_then(|function| function.arguments), Channel::Tool, 0)
    }

    /// A call begins with its name; an id alone says nothing, for some servers give each piece another one.
    fn begin(&mut self, call: &ToolCall<'_>, part: u32) {
        let Some(function) = &call.function else { return };
        if function.name.and_then(text).is_none() {
            return;
        }
        let id = call.id.and_then(text).unwrap_or_default();
        let says = function.arguments.and_then(text).is_some_and(|text| !text.trim().is_empty());
        self.calls.push(CallBegin { choice: self.choice, part, id, says, after: self.deltas.len() });
    }

    /// A string, or a list of parts that hold strings.
    fn texts(&mut self, value: Option<&RawValue>, channel: Channel, part: u32) -> Result<(), Error> {
        let Some(value) = value else { return Ok(()) };
        if value.get().starts_with('[') {
            let parts: Vec<TextPart<'_>> = serde_json::from_str(value.get()).map_err(Error::Malformed)?;
            for inner in parts {
                self.texts(inner.text, channel, part)?;
                self.texts(inner.refusal, Channel::Refusal, 0)?;
            }
            return Ok(());
        }
        let Some(text) = place::text(value) else { return Ok(()) };
        let text = text.map_err(Error::Malformed)?;
        if !text.is_empty() {
            let at = place::of(value, self.whole);
            let written = Written::Quoted;
            self.deltas.push(Delta { choice: self.choice, channel, part, text, at, written, repeats: false });
        }
        Ok(())
    }
}
