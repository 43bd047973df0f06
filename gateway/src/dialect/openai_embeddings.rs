//! OpenAI Embeddings: texts in, numbers out. Replies hold no text, so nothing of them is screened.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Error;
use super::place;
use super::request::{self, add, object, string};
use crate::exchange::{Channel, Dialect, Message, Observed, Request, Sampling};

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow, default)]
    model: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// Reads a request.
///
/// # Errors
/// See [`request::Error`].
pub(super) fn read(raw: Bytes) -> Result<Request, request::Error> {
    let body: Body<'_> = object(&raw)?;
    let model = body.model.ok_or(request::Error::Missing("model"))?;
    let name = string(model, "model")?;
    let mut message = Message { role: "user".to_owned(), ..Message::default() };
    let unscannable = read_input(body.input.ok_or(request::Error::Missing("input"))?, &raw, &mut message)?;
    Ok(Request {
        dialect: Dialect::OpenaiEmbeddings,
        edited: false,
        model_at: place::of(model, &raw),
        model: name,
        stream: false,
        stream_usage: false,
        choices: 1,
        messages: vec![message],
        tools: None,
        sampling: Sampling::default(),
        unscannable,
        raw: raw.clone(),
    })
}

/// Takes the texts of an input, and counts what is no text: tokens say something, but not to a reader.
fn read_input(input: &RawValue, raw: &[u8], message: &mut Message) -> Result<u32, request::Error> {
    let invalid = || request::Error::Invalid {
        parameter: "input".to_owned(),
        why: "it must be text, tokens or a list of either",
    };
    let mut take = |value: &RawValue| match value.get().as_bytes().first() {
        Some(b'"') => add(value, Channel::Answer, raw, &mut message.passages).map(|()| 0).map_err(|()| invalid()),
        Some(b'[' | b'0'..=b'9') => Ok(1),
        _ => Err(invalid()),
    };
    if !input.get().starts_with('[') {
        return take(input);
    }
    let items: Vec<&RawValue> = serde_json::from_str(input.get()).map_err(|_| invalid())?;
    if items.is_empty() {
        return Err(invalid());
    }
    items.into_iter().try_fold(0_u32, |sum, item| Ok(sum.saturating_add(take(item)?)))
}

/// Reads a reply.
pub(super) fn read_whole(body: &[u8]) -> Result<Observed, Error> {
    let reply: Reply<'_> = serde_json::from_slice(body).map_err(Error::Malformed)?;
    Ok(Observed {
        model: reply.model.map(std::borrow::Cow::into_owned),
        usage: reply.usage.and_then(super::openai_chat::reply::usage),
        error: reply.error.filter(|error| error.get() != "null").map(|error| error.get().to_owned()),
        semantic: true,
        ..Observed::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_and_tokens_counted() {
        for (input, texts, unscannable) in [
            (r#""one""#, vec!["one"], 0),
            (r#"["one","tw\u006f"]"#, vec!["one", "two"], 0),
            ("[1,2,3]", vec![], 3),
            (r#"[[1,2],"x"]"#, vec!["x"], 1),
        ] {
            let raw = format!(r#"{{"input":{input},"model":"m"}}"#);
            let request = read(raw.into()).unwrap_or_else(|error| panic!("{input}: {error}"));
            let found: Vec<&str> = request.messages[0].passages.iter().map(|passage| passage.text.as_str()).collect();
            assert_eq!((found, request.unscannable), (texts, unscannable), "{input}");
        }
        for wrong in
            [r#"{"model":"m"}"#, r#"{"model":"m","input":[]}"#, r#"{"model":"m","input":{}}"#, r#"{"input":"x"}"#]
        {
            assert!(read(wrong.into()).is_err(), "{wrong}");
        }
    }
}
