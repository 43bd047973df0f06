//! An error reply put into another dialect.

use bytes::Bytes;
use serde_json::Value;

use super::hear_chat::failure;
use super::told::Failure;
use super::{tell_anthropic, tell_chat};
use crate::exchange::Dialect;

/// Longest text of an error that is no JSON.
const SHOWN: usize = 500;

/// Puts an upstream's error reply into the client's envelope. What it says stays as it is.
#[must_use]
pub fn translate_error(to: Dialect, status: u16, body: &[u8]) -> Bytes {
    let said = match serde_json::from_slice::<Value>(body) {
        Ok(value) if value["error"].is_null() => failure(&value),
        Ok(value) => failure(&value["error"]),
        Err(_) => {
            let text: String = String::from_utf8_lossy(body).trim().chars().take(SHOWN).collect();
            let message = if text.is_empty() { format!("The upstream answered {status}.") } else { text };
            Failure { message, ..Failure::default() }
        }
    };
    let envelope = match to {
        Dialect::Anthropic => tell_anthropic::envelope(&said, status),
        _ => tell_chat::envelope(&said),
    };
    Bytes::from(envelope.to_string())
}
