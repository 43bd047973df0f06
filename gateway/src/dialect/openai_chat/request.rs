//! Chat Completions requests. Fields that are not read here ride along in the bytes.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::place;
use crate::exchange::{Channel, Dialect, Message, Passage, Request, Sampling};
use crate::fault::Fault;

/// Choices that may be asked for at once, as at the vendor.
const MOST_CHOICES: u32 = 128;

/// What is wrong with a request.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The body is not UTF-8.
    Encoding,
    /// The body is not JSON, or a field has a wrong type.
    Json {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What was expected, in serde's words.
        what: String,
    },
    /// A field must be there.
    Missing(&'static str),
    /// A field's value cannot be.
    Invalid {
        /// Which field.
        parameter: String,
        /// Why.
        why: &'static str,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encoding => formatter.write_str("The request body is not valid UTF-8."),
            Self::Json { line, column, what } => {
                write!(formatter, "The request body cannot be read: {what} at line {line} column {column}.")
            }
            Self::Missing(parameter) => write!(formatter, "Missing required parameter: '{parameter}'."),
            Self::Invalid { parameter, why } => write!(formatter, "Invalid value for '{parameter}': {why}."),
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Encoding | Error::Json { .. } => Self::invalid("invalid_json", message),
            Error::Missing(parameter) => Self::invalid("missing_required_parameter", message).with_parameter(parameter),
            Error::Invalid { parameter, .. } => Self::invalid("invalid_value", message).with_parameter(parameter),
        }
    }
}

/// The fields that matter here. Serde refuses a key that stands twice, so what is screened is what is sent.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    messages: Option<Vec<&'a RawValue>>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    n: Option<u32>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    top_k: Option<u64>,
    min_p: Option<f64>,
    presence_penalty: Option<f64>,
    frequency_penalty: Option<f64>,
    seed: Option<i64>,
    #[serde(borrow)]
    stop: Option<&'a RawValue>,
    logprobs: Option<bool>,
    top_logprobs: Option<u32>,
    #[serde(borrow)]
    reasoning_effort: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(Deserialize)]
struct RawMessage<'a> {
    #[serde(borrow)]
    role: Option<Cow<'a, str>>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_call_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ToolCall<'a> {
    #[serde(borrow)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

/// Reads a request.
///
/// # Errors
/// See [`Error`].
pub(crate) fn read(raw: Bytes) -> Result<Request, Error> {
    let text = std::str::from_utf8(&raw).map_err(|_| Error::Encoding)?;
    let body: Body<'_> = serde_json::from_str(text).map_err(|error| json(&error))?;
    let model = body.model.ok_or(Error::Missing("model"))?;
    let model_at = place::of(model, &raw);
    let name = string(model, "model")?;
    let messages = body.messages.as_ref().ok_or(Error::Missing("messages"))?;
    if messages.is_empty() {
        return Err(Error::Invalid { parameter: "messages".to_owned(), why: "it must hold at least one message" });
    }
    let choices = body.n.unwrap_or(1);
    if !(1..=MOST_CHOICES).contains(&choices) {
        return Err(Error::Invalid { parameter: "n".to_owned(), why: "it must be from 1 to 128" });
    }
    let messages = messages.iter().zip(0..).map(|(message, index)| read_message(message, index, &raw));
    let messages = messages.collect::<Result<Vec<_>, _>>()?;
    Ok(Request {
        dialect: Dialect::OpenaiChat,
        edited: false,
        model: name,
        model_at,
        stream: body.stream.unwrap_or(false),
        stream_usage: body.stream_options.as_ref().and_then(|options| options.include_usage).unwrap_or(false),
        choices,
        messages,
        tools: body.tools.map(|tools| tools.get().to_owned()),
        sampling: sampling(&body)?,
        raw: raw.clone(),
    })
}

fn sampling(body: &Body<'_>) -> Result<Sampling, Error> {
    Ok(Sampling {
        max_tokens: body.max_completion_tokens.or(body.max_tokens),
        temperature: body.temperature,
        top_p: body.top_p,
        top_k: body.top_k,
        min_p: body.min_p,
        presence_penalty: body.presence_penalty,
        frequency_penalty: body.frequency_penalty,
        seed: body.seed,
        stop: body.stop.map_or_else(|| Ok(Vec::new()), stops)?,
        logprobs: body.logprobs.unwrap_or(false).then(|| body.top_logprobs.unwrap_or(0)),
        reasoning_effort: body.reasoning_effort.map(|effort| string(effort, "reasoning_effort")).transpose()?,
    })
}

fn stops(stop: &RawValue) -> Result<Vec<String>, Error> {
    let wrong = |_| Error::Invalid { parameter: "stop".to_owned(), why: "it must be text or a list of texts" };
    if stop.get().starts_with('[') {
        return serde_json::from_str(stop.get()).map_err(wrong);
    }
    serde_json::from_str(stop.get()).map(|one| vec![one]).map_err(wrong)
}

fn read_message(value: &RawValue, index: usize, raw: &[u8]) -> Result<Message, Error> {
    let named = |field: &str| format!("messages[{index}]{field}");
    let invalid = |field: &str, why| Error::Invalid { parameter: named(field), why };
    let parsed: RawMessage<'_> =
        serde_json::from_str(value.get()).map_err(|_| invalid("", "it is not a message (or a key stands twice)"))?;
    let role = parsed.role.ok_or_else(|| invalid(".role", "every message needs a role"))?;
    let mut passages = Vec::with_capacity(1);
    for reasoning in [parsed.reasoning_content, parsed.reasoning].into_iter().flatten() {
        add(reasoning, Channel::Reasoning, raw, &mut passages)
            .map_err(|()| invalid(".reasoning_content", "it is not valid text"))?;
    }
    if let Some(content) = parsed.content {
        read_content(content, raw, &mut passages)
            .map_err(|()| invalid(".content", "it must be text or a list of parts"))?;
    }
    if let Some(refusal) = parsed.refusal {
        add(refusal, Channel::Refusal, raw, &mut passages).map_err(|()| invalid(".refusal", "it is not valid text"))?;
    }
    if let Some(calls) = parsed.tool_calls {
        let calls: Vec<ToolCall<'_>> =
            serde_json::from_str(calls.get()).map_err(|_| invalid(".tool_calls", "it must be a list of tool calls"))?;
        for arguments in calls.iter().filter_map(|call| call.function.as_ref()?.arguments) {
            add(arguments, Channel::Tool, raw, &mut passages)
                .map_err(|()| invalid(".tool_calls", "arguments must be text"))?;
        }
    }
    Ok(Message {
        role: role.into_owned(),
        passages,
        tool_calls: parsed.tool_calls.map(|calls| calls.get().to_owned()),
        tool_call_id: parsed.tool_call_id.map(Cow::into_owned),
        name: parsed.name.map(Cow::into_owned),
    })
}

/// Content is text or a list of parts; parts without text (images, audio, files) ride along.
fn read_content(content: &RawValue, raw: &[u8], passages: &mut Vec<Passage>) -> Result<(), ()> {
    if !content.get().starts_with('[') {
        return if content.get().starts_with('"') { add(content, Channel::Answer, raw, passages) } else { Err(()) };
    }
    let parts: Vec<Part<'_>> = serde_json::from_str(content.get()).map_err(|_| ())?;
    for part in parts {
        if let Some(text) = part.text {
            add(text, Channel::Answer, raw, passages)?;
        }
        if let Some(refusal) = part.refusal {
            add(refusal, Channel::Refusal, raw, passages)?;
        }
    }
    Ok(())
}

/// Adds a text; what is not a string (a vendor's reasoning object, say) rides along unread.
fn add(value: &RawValue, role: Channel, raw: &[u8], passages: &mut Vec<Passage>) -> Result<(), ()> {
    match place::text(value) {
        None => Ok(()),
        Some(Ok(text)) => {
            passages.push(Passage { role, text, at: place::of(value, raw) });
            Ok(())
        }
        Some(Err(_)) => Err(()),
    }
}

fn string(value: &RawValue, parameter: &'static str) -> Result<String, Error> {
    match place::text(value) {
        Some(Ok(text)) if !text.is_empty() => Ok(text),
        _ => Err(Error::Invalid { parameter: parameter.to_owned(), why: "it must be text" }),
    }
}

fn json(error: &serde_json::Error) -> Error {
    // Serde's words end with the place, which is told apart.
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or_default();
    Error::Json { line: error.line(), column: error.column(), what: what.chars().take(200).collect() }
}
