//! Responses requests. Fields that are not read here ride along in the bytes.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::place;
use crate::dialect::request::{Error, add, add_bare, object, string};
use crate::exchange::{Channel, Dialect, Message, Passage, Request, Sampling};

/// The fields that matter here. Serde refuses a key that stands twice, so what is screened is what is sent.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    instructions: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    prompt: Option<Template<'a>>,
    stream: Option<bool>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    max_output_tokens: Option<u64>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    #[serde(borrow)]
    reasoning: Option<Reasoning<'a>>,
}

/// A prompt that the vendor keeps, and what is put into it.
#[derive(Deserialize)]
struct Template<'a> {
    #[serde(borrow)]
    variables: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Reasoning<'a> {
    #[serde(borrow)]
    effort: Option<Cow<'a, str>>,
}

/// One item of the input; which fields it has depends on its type.
#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    role: Option<Cow<'a, str>>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    summary: Option<&'a RawValue>,
    /// Of a function.
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    /// Of a tool that takes text.
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    code: Option<&'a RawValue>,
    #[serde(borrow)]
    action: Option<&'a RawValue>,
    /// What a tool gave.
    #[serde(borrow)]
    output: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    /// What a program printed.
    #[serde(borrow)]
    stdout: Option<&'a RawValue>,
    #[serde(borrow)]
    stderr: Option<&'a RawValue>,
    #[serde(borrow)]
    logs: Option<&'a RawValue>,
}

/// Reads a request.
///
/// # Errors
/// See [`Error`].
pub(crate) fn read(raw: Bytes) -> Result<Request, Error> {
    let body: Body<'_> = object(&raw)?;
    let model = body.model.ok_or(Error::Missing("model"))?;
    let name = string(model, "model")?;
    let mut messages = Vec::new();
    if let Some(instructions) = body.instructions {
        let mut passages = Vec::new();
        read_content(instructions, Channel::Answer, &raw, &mut passages)
            .map_err(|()| Error::Invalid { parameter: "instructions".to_owned(), why: "it must be text" })?;
        messages.push(message("system", passages));
    }
    if let Some(variables) = body.prompt.as_ref().and_then(|prompt| prompt.variables) {
        let mut passages = Vec::new();
        add_bare(variables, Channel::Tool, &raw, &mut passages);
        messages.push(message("user", passages));
    }
    read_input(body.input, &raw, &mut messages)?;
    if messages.is_empty() && body.prompt.is_none() {
        return Err(Error::Missing("input"));
    }
    let stream = body.stream.unwrap_or(false);
    Ok(Request {
        dialect: Dialect::OpenaiResponses,
        edited: false,
        model_at: place::of(model, &raw),
        model: name,
        stream,
        stream_usage: stream,
        choices: 1,
        messages,
        tools: body.tools.map(|tools| tools.get().to_owned()),
        sampling: Sampling {
            max_tokens: body.max_output_tokens,
            temperature: body.temperature,
            top_p: body.top_p,
            reasoning_effort: body.reasoning.and_then(|reasoning| reasoning.effort).map(Cow::into_owned),
            ..Sampling::default()
        },
        unscannable: 0,
        raw: raw.clone(),
    })
}

fn message(role: &str, passages: Vec<Passage>) -> Message {
    Message { role: role.to_owned(), passages, ..Message::default() }
}

fn read_input(input: Option<&RawValue>, raw: &[u8], messages: &mut Vec<Message>) -> Result<(), Error> {
    let invalid = |why| Error::Invalid { parameter: "input".to_owned(), why };
    let Some(input) = input else { return Ok(()) };
    match input.get().as_bytes().first() {
        Some(b'"') => {
            let mut passages = Vec::new();
            add(input, Channel::Answer, raw, &mut passages).map_err(|()| invalid("it is not valid text"))?;
            messages.push(message("user", passages));
        }
        Some(b'[') => {
            let items: Vec<&RawValue> =
                serde_json::from_str(input.get()).map_err(|_| invalid("it must be text or a list of items"))?;
            for (item, index) in items.into_iter().zip(0..) {
                messages.push(read_item(item, index, raw)?);
            }
        }
        Some(b'n') => {}
        _ => return Err(invalid("it must be text or a list of items")),
    }
    Ok(())
}

fn read_item(value: &RawValue, index: usize, raw: &[u8]) -> Result<Message, Error> {
    let invalid = |field: &str, why| Error::Invalid { parameter: format!("input[{index}]{field}"), why };
    let item: Item<'_> =
        serde_json::from_str(value.get()).map_err(|_| invalid("", "it is not an item (or a key stands twice)"))?;
    let kind = item.kind.as_deref().unwrap_or("message");
    let mut passages = Vec::with_capacity(1);
    let thinks = kind == "reasoning";
    let channel = if thinks { Channel::Reasoning } else { Channel::Answer };
    for content in [item.summary, item.content].into_iter().flatten() {
        read_content(content, channel, raw, &mut passages)
            .map_err(|()| invalid(".content", "it must be text or a list of parts"))?;
    }
    for text in [item.arguments, item.input, item.code].into_iter().flatten() {
        add(text, Channel::Tool, raw, &mut passages)
            .map_err(|()| invalid("", "what a tool is called with must be text"))?;
    }
    if let Some(action) = item.action {
        add_bare(action, Channel::Tool, raw, &mut passages);
    }
    if let Some(output) = item.output {
        read_content(output, Channel::Answer, raw, &mut passages)
            .map_err(|()| invalid(".output", "it must be text or a list of parts"))?;
    }
    let role = match (item.role, kind) {
        (Some(role), _) => role.into_owned(),
        (None, kind) if kind.ends_with("_output") => "tool".to_owned(),
        (None, "message") => return Err(invalid(".role", "every message needs a role")),
        (None, _) => "assistant".to_owned(),
    };
    Ok(message(&role, passages))
}

/// Content is text or a list of parts; parts without text (images, files) ride along.
fn read_content(content: &RawValue, channel: Channel, raw: &[u8], passages: &mut Vec<Passage>) -> Result<(), ()> {
    match content.get().as_bytes().first() {
        Some(b'"') => add(content, channel, raw, passages),
        Some(b'[') => {
            let parts: Vec<Part<'_>> = serde_json::from_str(content.get()).map_err(|_| ())?;
            for part in parts {
                for text in [part.text, part.stdout, part.stderr, part.logs].into_iter().flatten() {
                    add(text, channel, raw, passages)?;
                }
                if let Some(refusal) = part.refusal {
                    add(refusal, Channel::Refusal, raw, passages)?;
                }
            }
            Ok(())
        }
        Some(b'{') => {
            add_bare(content, Channel::Tool, raw, passages);
            Ok(())
        }
        Some(b'n') => Ok(()),
        _ => Err(()),
    }
}
