//! Dialects: wire formats to canonical exchanges and back. All of it is pure; the pipeline names no wire format.

mod openai_chat;

use bytes::Bytes;

use crate::exchange::{Dialect, Observed, Request};
use crate::fault::Fault;
use crate::stream::sse::Frame;

pub use openai_chat::gather::Gathered;
pub use openai_chat::request::Error as RequestError;
pub use openai_chat::write;

/// What a reply was seen to be, other than its dialect.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// It is no JSON of the expected shape.
    Malformed(serde_json::Error),
}

impl Error {
    /// Whether it is no JSON at all; else it is JSON of another shape than expected.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        let Self::Malformed(error) = self;
        !error.is_data()
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            // Serde's words may quote what was sent; the place is enough.
            Self::Malformed(error) => {
                write!(
                    formatter,
                    "the upstream's reply is malformed at line {} column {}",
                    error.line(),
                    error.column()
                )
            }
        }
    }
}

/// The end of a stream: what comes before the last frame, and that one.
#[derive(Debug, Clone)]
pub struct Closing {
    /// Frames that may leave at once.
    pub body: Bytes,
    /// The frame that says all was sent.
    pub last: Bytes,
}

/// Decodes a request beside its bytes.
///
/// # Errors
/// What is wrong with it, and where.
pub fn read_request(dialect: Dialect, raw: Bytes) -> Result<Request, RequestError> {
    match dialect {
        Dialect::OpenaiChat => openai_chat::request::read(raw),
    }
}

/// What one frame of a stream carries; places are in the frame's bytes.
///
/// # Errors
/// See [`Error`].
pub fn read_chunk(dialect: Dialect, frame: &Frame) -> Result<Observed, Error> {
    match dialect {
        Dialect::OpenaiChat => openai_chat::reply::read_frame(frame),
    }
}

/// What a whole reply carries; places are in the reply's bytes.
///
/// # Errors
/// See [`Error`].
pub fn read_reply(dialect: Dialect, body: &[u8]) -> Result<Observed, Error> {
    match dialect {
        Dialect::OpenaiChat => openai_chat::reply::read_whole(body),
    }
}

/// A failure's envelope.
#[must_use]
pub fn write_error(dialect: Dialect, fault: &Fault) -> Bytes {
    match dialect {
        Dialect::OpenaiChat => write::error(fault),
    }
}

/// The list of models.
#[must_use]
pub fn write_models<'a>(dialect: Dialect, models: impl Iterator<Item = &'a str>) -> Bytes {
    match dialect {
        Dialect::OpenaiChat => write::models(models),
    }
}

/// One model.
#[must_use]
pub fn write_model(dialect: Dialect, model: &str) -> Bytes {
    match dialect {
        Dialect::OpenaiChat => write::model(model),
    }
}

/// How a stream ends that a rule stopped.
#[must_use]
pub fn stop_frames(dialect: Dialect, head: &write::Head<'_>, choices: &[u32], message: Option<&str>) -> Closing {
    match dialect {
        Dialect::OpenaiChat => write::stop_frames(head, choices, message),
    }
}

/// A whole reply that a rule stopped.
#[must_use]
pub fn stop_reply(dialect: Dialect, head: &write::Head<'_>, message: Option<&str>) -> Bytes {
    match dialect {
        Dialect::OpenaiChat => write::stop_reply(head, message),
    }
}

/// How a stream ends that failed on its way.
#[must_use]
pub fn error_frames(dialect: Dialect, fault: &Fault) -> Closing {
    match dialect {
        Dialect::OpenaiChat => write::error_frames(fault),
    }
}
