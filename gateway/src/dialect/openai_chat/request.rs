//! Chat Completions requests. Fields that are not read here ride along in the bytes.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::place;
use crate::dialect::request::{Error, add, object, string};
use crate::exchange::{Channel, Dialect, Message, Passage, Request, Sampling};

/// Choices that may be asked for at once, as at the vendor.
const MOST_CHOICES: u32 = 128;

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
    reasoning_details: Option<&'a RawValue>,
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
struct Detail<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    summary: Option<&'a RawValue>,
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
    let body: Body<'_> = object(&raw)?;
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
        unscannable: 0,
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
    if let Some(details) = parsed.reasoning_details {
        read_details(details, raw, &mut passages)
            .map_err(|()| invalid(".reasoning_details", "it must be a list of objects"))?;
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

/// Reasoning as relays hand it out and take it back: parts with text or a summary; encrypted ones ride along.
fn read_details(details: &RawValue, raw: &[u8], passages: &mut Vec<Passage>) -> Result<(), ()> {
    if !details.get().starts_with('[') {
        return add(details, Channel::Reasoning, raw, passages);
    }
    let parts: Vec<Detail<'_>> = serde_json::from_str(details.get()).map_err(|_| ())?;
    for text in parts.into_iter().flat_map(|part| [part.text, part.summary]).flatten() {
        add(text, Channel::Reasoning, raw, passages)?;
    }
    Ok(())
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
