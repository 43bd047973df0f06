//! What the readers of requests share: what can be wrong with one, and texts found where they stand.

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::place;
use crate::exchange::{Channel, Passage, Written};
use crate::fault::Fault;

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
    /// A field asks for what the gateway cannot give.
    Unsupported {
        /// Which field.
        parameter: String,
        /// Why.
        why: &'static str,
    },
    /// A field's value cannot be.
    Invalid {
        /// Which field.
        parameter: String,
        /// Why.
        why: &'static str,
    },
}

impl Error {
    /// The parameter at fault, as a path into the request.
    #[must_use]
    pub fn parameter(&self) -> Option<&str> {
        match self {
            Self::Encoding | Self::Json { .. } => None,
            Self::Missing(parameter) => Some(parameter),
            Self::Unsupported { parameter, .. } | Self::Invalid { parameter, .. } => Some(parameter),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encoding => formatter.write_str("The request body is not valid UTF-8."),
            Self::Json { line, column, what } => {
                write!(formatter, "The request body cannot be read: {what} at line {line} column {column}.")
            }
            Self::Missing(parameter) => write!(formatter, "Missing required parameter: '{parameter}'."),
            Self::Unsupported { parameter, why } => write!(formatter, "Unsupported parameter '{parameter}': {why}."),
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
            Error::Unsupported { parameter, .. } => {
                Self::invalid("unsupported_parameter", message).with_parameter(parameter)
            }
            Error::Invalid { parameter, .. } => Self::invalid("invalid_value", message).with_parameter(parameter),
        }
    }
}

/// Adds a text; what is not a string (a vendor's reasoning object, say) rides along unread.
pub(super) fn add(value: &RawValue, role: Channel, raw: &[u8], passages: &mut Vec<Passage>) -> Result<(), ()> {
    match place::text(value) {
        None => Ok(()),
        Some(Ok(text)) => {
            passages.push(Passage { role, text, at: place::of(value, raw), written: Written::Quoted });
            Ok(())
        }
        Some(Err(_)) => Err(()),
    }
}

pub(super) fn string(value: &RawValue, parameter: &'static str) -> Result<String, Error> {
    match place::text(value) {
        Some(Ok(text)) if !text.is_empty() => Ok(text),
        _ => Err(Error::Invalid { parameter: parameter.to_owned(), why: "it must be text" }),
    }
}

/// Reads a body, which must be an object: derived readers would take a list for one, too.
pub(super) fn object<'a, T: Deserialize<'a>>(raw: &'a [u8]) -> Result<T, Error> {
    let text = std::str::from_utf8(raw).map_err(|_| Error::Encoding)?;
    let start = text.len() - text.trim_start_matches([' ', '\t', '\r', '\n']).len();
    match text.as_bytes().get(start) {
        Some(b'{') | None => serde_json::from_str(text).map_err(|error| json(&error)),
        Some(_) => {
            let before = text.get(..start).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let column = start - before.rfind('\n').map_or(0, |end| end + 1) + 1;
            Err(Error::Json { line, column, what: "expected an object".to_owned() })
        }
    }
}

pub(super) fn json(error: &serde_json::Error) -> Error {
    // Serde's words end with the place, which is told apart.
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or_default();
    Error::Json { line: error.line(), column: error.column(), what: what.chars().take(200).collect() }
}

/// Adds JSON that is read as such: the input of a tool.
pub(super) fn add_bare(value: &RawValue, role: Channel, raw: &[u8], passages: &mut Vec<Passage>) {
    let text = value.get();
    if !matches!(text, "null" | "{}") {
        passages.push(Passage { role, text: text.to_owned(), at: place::of(value, raw), written: Written::Bare });
    }
}
