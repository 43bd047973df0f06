//! Messages requests. Fields that are not read here ride along in the bytes.

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
    system: Option<&'a RawValue>,
    #[serde(borrow)]
    messages: Option<Vec<&'a RawValue>>,
    stream: Option<bool>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    max_tokens: Option<u64>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    top_k: Option<u64>,
    stop_sequences: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct RawMessage<'a> {
    #[serde(borrow)]
    role: Option<Cow<'a, str>>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

/// A block of a message; which fields it has depends on its type.
#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    source: Option<&'a RawValue>,
    #[serde(borrow)]
    title: Option<&'a RawValue>,
    #[serde(borrow)]
    context: Option<&'a RawValue>,
}

/// Where a document's text stands.
#[derive(Deserialize)]
struct Source<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

/// How deep blocks stand in blocks: a document within the result of a tool.
const DEPTH: u32 = 4;

/// Reads a request.
///
/// # Errors
/// See [`Error`].
pub(crate) fn read(raw: Bytes) -> Result<Request, Error> {
    let body: Body<'_> = object(&raw)?;
    let model = body.model.ok_or(Error::Missing("model"))?;
    let name = string(model, "model")?;
    let list = body.messages.as_ref().ok_or(Error::Missing("messages"))?;
    if list.is_empty() {
        return Err(Error::Invalid { parameter: "messages".to_owned(), why: "it must hold at least one message" });
    }
    let mut messages = Vec::with_capacity(list.len() + 1);
    if let Some(system) = body.system {
        let mut passages = Vec::new();
        read_content(system, &raw, &mut passages, DEPTH).map_err(|()| Error::Invalid {
            parameter: "system".to_owned(),
            why: "it must be text or a list of text blocks",
        })?;
        messages.push(Message { role: "system".to_owned(), passages, ..Message::default() });
    }
    for (message, index) in list.iter().zip(0..) {
        messages.push(read_message(message, index, &raw)?);
    }
    let stream = body.stream.unwrap_or(false);
    Ok(Request {
        dialect: Dialect::Anthropic,
        edited: false,
        model_at: place::of(model, &raw),
        model: name,
        stream,
        stream_usage: stream,
        choices: 1,
        messages,
        tools: body.tools.map(|tools| tools.get().to_owned()),
        sampling: Sampling {
            max_tokens: body.max_tokens,
            temperature: body.temperature,
            top_p: body.top_p,
            top_k: body.top_k,
            stop: body.stop_sequences.unwrap_or_default(),
            ..Sampling::default()
        },
        unscannable: 0,
        raw: raw.clone(),
    })
}

fn read_message(value: &RawValue, index: usize, raw: &[u8]) -> Result<Message, Error> {
    let invalid = |field: &str, why| Error::Invalid { parameter: format!("messages[{index}]{field}"), why };
    let parsed: RawMessage<'_> =
        serde_json::from_str(value.get()).map_err(|_| invalid("", "it is not a message (or a key stands twice)"))?;
    let role = parsed.role.ok_or_else(|| invalid(".role", "every message needs a role"))?;
    let mut passages = Vec::with_capacity(1);
    if let Some(content) = parsed.content {
        read_content(content, raw, &mut passages, DEPTH)
            .map_err(|()| invalid(".content", "it must be text or a list of blocks"))?;
    }
    Ok(Message { role: role.into_owned(), passages, ..Message::default() })
}

/// Content is text or a list of blocks; blocks without text (images, redacted thinking) ride along.
fn read_content(content: &RawValue, raw: &[u8], passages: &mut Vec<Passage>, depth: u32) -> Result<(), ()> {
    let depth = depth.checked_sub(1).ok_or(())?;
    match content.get().as_bytes().first() {
        Some(b'"') => add(content, Channel::Answer, raw, passages),
        Some(b'[') => {
            let blocks: Vec<Block<'_>> = serde_json::from_str(content.get()).map_err(|_| ())?;
            blocks.iter().try_for_each(|block| read_block(block, raw, passages, depth))
        }
        // What a server's own tool gave is one object.
        Some(b'{') => {
            add_bare(content, Channel::Tool, raw, passages);
            Ok(())
        }
        Some(b'n') => Ok(()),
        _ => Err(()),
    }
}

fn read_block(block: &Block<'_>, raw: &[u8], passages: &mut Vec<Passage>, depth: u32) -> Result<(), ()> {
    if let Some(thinking) = block.thinking {
        add(thinking, Channel::Reasoning, raw, passages)?;
    }
    for text in [block.title, block.context, block.text].into_iter().flatten() {
        add(text, Channel::Answer, raw, passages)?;
    }
    if let Some(input) = block.input {
        add_bare(input, Channel::Tool, raw, passages);
    }
    if let Some(source) = block.source.filter(|source| source.get().starts_with('{')) {
        read_source(source, raw, passages, depth)?;
    }
    block.content.map_or(Ok(()), |content| read_content(content, raw, passages, depth))
}

/// A document's text; what is encoded or elsewhere rides along.
fn read_source(source: &RawValue, raw: &[u8], passages: &mut Vec<Passage>, depth: u32) -> Result<(), ()> {
    let source: Source<'_> = serde_json::from_str(source.get()).map_err(|_| ())?;
    match source.kind.as_deref() {
        Some("text") => source.data.map_or(Ok(()), |data| add(data, Channel::Answer, raw, passages)),
        Some("content") => source.content.map_or(Ok(()), |content| read_content(content, raw, passages, depth)),
        _ => Ok(()),
    }
}
