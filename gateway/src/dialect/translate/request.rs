//! A whole request put into another dialect.

use bytes::Bytes;
use serde_json::Value;

use super::{ask_anthropic, ask_chat, ask_responses};
use crate::dialect::read_request;
use crate::dialect::request::Error;
use crate::exchange::{Dialect, Request};

/// A request in another dialect.
#[derive(Debug)]
pub struct Translated {
    /// The request.
    pub request: Request,
    /// Fields that the dialect has no place for and whose loss changes no meaning.
    pub dropped: Vec<String>,
}

/// Puts a screened request into another dialect.
///
/// # Errors
/// What the other dialect cannot say though it would change the meaning, by the client's field.
pub fn translate(request: &Request, to: Dialect) -> Result<Translated, Error> {
    put(request, to).map_err(|error| in_words_of(request.dialect, error))
}

/// An error that names a field as the client's dialect does; what cannot be written is named as in Chat Completions.
fn in_words_of(dialect: Dialect, error: Error) -> Error {
    let Error::Unsupported { parameter, why } = error else { return error };
    let own = match (dialect, parameter.as_str()) {
        (Dialect::Anthropic, "stop") => "stop_sequences",
        (Dialect::OpenaiResponses, "logprobs") => "include",
        (Dialect::OpenaiResponses, "response_format") => "text.format",
        (Dialect::OpenaiResponses, "messages.tool_calls.arguments") => "input.arguments",
        _ => parameter.as_str(),
    };
    Error::Unsupported { parameter: own.to_owned(), why }
}

fn put(request: &Request, to: Dialect) -> Result<Translated, Error> {
    let body: Value = serde_json::from_slice(&request.raw).map_err(|error| crate::dialect::request::json(&error))?;
    let mut asked = match request.dialect {
        Dialect::OpenaiChat => ask_chat::read(body)?,
        Dialect::OpenaiResponses => ask_responses::read(body)?,
        Dialect::Anthropic => ask_anthropic::read(body)?,
        Dialect::OpenaiEmbeddings | Dialect::AnthropicCount => return Err(nothing_like_it()),
    };
    let mut dropped = std::mem::take(&mut asked.dropped);
    let body = match to {
        Dialect::OpenaiChat => ask_chat::write(&asked, &mut dropped),
        Dialect::OpenaiResponses => ask_responses::write(&asked, &mut dropped)?,
        Dialect::Anthropic => ask_anthropic::write(&asked, &mut dropped)?,
        Dialect::OpenaiEmbeddings | Dialect::AnthropicCount => return Err(nothing_like_it()),
    };
    dropped.retain(|name| name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b','));
    dropped.sort_unstable();
    dropped.dedup();
    dropped.truncate(MOST_NAMED);
    Ok(Translated { request: read_request(to, Bytes::from(body.to_string()))?, dropped })
}

/// Fields that are named at most.
const MOST_NAMED: usize = 32;

fn nothing_like_it() -> Error {
    super::fields::unsupported("model", "embeddings have no like in other dialects")
}
