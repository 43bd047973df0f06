//! How many tokens a Messages request has, asked and told. It is the request without its bound; nothing is generated or billed.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::dialect::Error;
use crate::dialect::request;
use crate::exchange::{Dialect, Observed, Request, Usage};

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// Reads a request: all that is screened of a Messages request is screened of this.
///
/// # Errors
/// See [`request::Error`].
pub(in crate::dialect) fn read(raw: Bytes) -> Result<Request, request::Error> {
    let messages = super::request::read(raw)?;
    Ok(Request { dialect: Dialect::AnthropicCount, stream: false, stream_usage: false, ..messages })
}

/// Reads a reply. No token was read or written for it, so that it costs nothing.
pub(in crate::dialect) fn read_whole(body: &[u8]) -> Result<Observed, Error> {
    let reply: Reply<'_> = serde_json::from_slice(body).map_err(Error::Malformed)?;
    Ok(Observed {
        usage: Some(Usage { prompt: Some(0), completion: Some(0), ..Usage::default() }),
        error: reply.error.filter(|error| error.get() != "null").map(|error| error.get().to_owned()),
        semantic: true,
        ..Observed::default()
    })
}

/// Says how many there are.
#[must_use]
pub fn write_count(tokens: usize) -> Bytes {
    json!({"input_tokens": tokens}).to_string().into()
}
