//! Dialects: wire formats to canonical exchanges and back. All of it is pure; the pipeline names no wire format.

mod openai_chat;
mod openai_responses;

mod anthropic;

mod openai_embeddings;

mod extent;
mod place;
mod request;

mod translate;

use bytes::Bytes;

use crate::exchange::{Dialect, Observed, Request};
use crate::fault::Fault;
use crate::stream::sse::Frame;

pub use anthropic::count::write_count;
pub use openai_chat::calls::Calls;
pub use openai_chat::gather::Gathered;
pub use openai_chat::{usage, write};
pub use request::Error as RequestError;
pub use translate::{Translated, Translation, translate, translate_error};

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
        Dialect::OpenaiResponses => openai_responses::request::read(raw),
        Dialect::Anthropic => anthropic::request::read(raw),
        Dialect::OpenaiEmbeddings => openai_embeddings::read(raw),
        Dialect::AnthropicCount => anthropic::count::read(raw),
    }
}

/// What one frame of a stream carries; places are in the frame's bytes.
///
/// # Errors
/// See [`Error`].
pub fn read_chunk(dialect: Dialect, frame: &Frame) -> Result<Observed, Error> {
    match dialect {
        Dialect::OpenaiChat => openai_chat::reply::read_frame(frame),
        Dialect::OpenaiResponses => openai_responses::reply::read_frame(frame),
        Dialect::Anthropic => anthropic::reply::read_frame(frame),
        // It has no streams; what comes as one is passed on.
        Dialect::OpenaiEmbeddings | Dialect::AnthropicCount => Ok(Observed::default()),
    }
}

/// What a whole reply carries; places are in the reply's bytes.
///
/// # Errors
/// See [`Error`].
pub fn read_reply(dialect: Dialect, body: &[u8]) -> Result<Observed, Error> {
    match dialect {
        Dialect::OpenaiChat => openai_chat::reply::read_whole(body),
        Dialect::OpenaiResponses => openai_responses::reply::read_whole(body),
        Dialect::Anthropic => anthropic::reply::read_whole(body),
        Dialect::OpenaiEmbeddings => openai_embeddings::read_whole(body),
        Dialect::AnthropicCount => anthropic::count::read_whole(body),
    }
}

/// Whether events of a stream repeat, whole, texts that came before piece by piece.
#[must_use]
pub fn repeats(dialect: Dialect) -> bool {
    dialect == Dialect::OpenaiResponses
}

/// How the vendor begins the ids of its replies.
#[must_use]
pub fn id_prefix(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenaiChat => "chatcmpl-",
        Dialect::OpenaiResponses => "resp_",
        Dialect::Anthropic | Dialect::AnthropicCount => "msg_",
        Dialect::OpenaiEmbeddings => "embd-",
    }
}

/// A failure's envelope.
#[must_use]
pub fn write_error(dialect: Dialect, fault: &Fault) -> Bytes {
    match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiResponses | Dialect::OpenaiEmbeddings => write::error(fault),
        Dialect::Anthropic | Dialect::AnthropicCount => anthropic::write::error(fault),
    }
}

/// The list of models.
#[must_use]
pub fn write_models<'a>(dialect: Dialect, models: impl Iterator<Item = &'a str>) -> Bytes {
    match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiResponses | Dialect::OpenaiEmbeddings => write::models(models),
        Dialect::Anthropic | Dialect::AnthropicCount => anthropic::write::models(models),
    }
}

/// One model.
#[must_use]
pub fn write_model(dialect: Dialect, model: &str) -> Bytes {
    match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiResponses | Dialect::OpenaiEmbeddings => write::model(model),
        Dialect::Anthropic | Dialect::AnthropicCount => anthropic::write::model(model),
    }
}

/// How a stream ends that a rule stopped, after what was delivered of it in this dialect.
#[must_use]
pub fn stop_frames(
    dialect: Dialect,
    delivered: &[u8],
    head: &write::Head<'_>,
    choices: &[u32],
    message: Option<&str>,
) -> Closing {
    match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiEmbeddings => write::stop_frames(head, choices, message),
        Dialect::OpenaiResponses => openai_responses::write::stop_frames(delivered, head, message),
        Dialect::Anthropic | Dialect::AnthropicCount => anthropic::write::stop_frames(delivered, head, message),
    }
}

/// A whole reply that a rule stopped.
#[must_use]
pub fn stop_reply(dialect: Dialect, head: &write::Head<'_>, message: Option<&str>) -> Bytes {
    match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiEmbeddings => write::stop_reply(head, message),
        Dialect::OpenaiResponses => openai_responses::write::stop_reply(head, message),
        Dialect::Anthropic | Dialect::AnthropicCount => anthropic::write::stop_reply(head, message),
    }
}

/// How a stream ends that failed on its way, after what was delivered of it in this dialect.
#[must_use]
pub fn error_frames(dialect: Dialect, delivered: &[u8], head: &write::Head<'_>, fault: &Fault) -> Closing {
    match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiEmbeddings => write::error_frames(fault),
        Dialect::OpenaiResponses => openai_responses::write::error_frames(delivered, head, fault),
        Dialect::Anthropic | Dialect::AnthropicCount => anthropic::write::error_frames(fault),
    }
}
