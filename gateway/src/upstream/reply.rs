//! A reply whose head has come, and its bytes as they come. It does not read what they mean.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use tokio::time::Instant;

use super::backends::Kind;
use super::catalogue::Signal;
use super::failure::Error;
use super::lease::Lease;
use super::local::Speech;
use super::remote::Incoming;
use crate::config::Timeouts;
use crate::cost::Price;
use crate::exchange::{Channel, Dialect, Segment};

/// A reply whose head has come.
#[derive(Debug)]
pub struct Reply {
    /// Its status: a success, or an error that is the caller's to see.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its bytes.
    pub body: Body,
    /// The time limits that hold for the rest of it.
    pub timeouts: Timeouts,
    /// When the request's last byte had gone.
    pub started: Instant,
    /// Who answers.
    pub upstream: Arc<str>,
    /// What it speaks.
    pub dialect: Dialect,
    /// Whether the client wants the usage of a stream.
    pub stream_usage: bool,
    /// The model's name there.
    pub model: Arc<str>,
    /// What it costs, where the configuration says that of this candidate alone.
    pub price: Option<Arc<Price>>,
    /// The place that the call takes.
    pub lease: Lease,
    /// The request body as sent, where it differs from the client's.
    pub sent: Option<Bytes>,
    /// How the request was changed to what the upstream takes, in words for people.
    pub adapted: Vec<String>,
    /// Whether a stream was asked for in place of a whole reply, which is to be gathered from it.
    pub gathers: bool,
    /// Whether usage was asked for that the client did not ask for.
    pub asks_usage: bool,
    /// Whether this route is known to show reasoning, by its engine or its provider's entry.
    pub exposes_reasoning: Option<bool>,
    /// Whether an error status is a vendor's content block: a verdict, never a fault.
    pub content_block: bool,
    /// Whether an error says that the account which the gateway calls with has no money left.
    pub unpaid: bool,
    /// Bytes at the beginning of each choice's reasoning that the gateway wrote: the prefix that a template forces.
    pub authored: usize,
    /// Set where the answer may carry `<think>` marks.
    pub(super) inline: Option<Channel>,
}

impl Reply {
    /// Whether the body is an event stream.
    #[must_use]
    pub fn streams(&self) -> bool {
        let kind = self.headers.get(CONTENT_TYPE).map(|kind| kind.as_bytes());
        let events = b"text/event-stream";
        self.status.is_success()
            && kind.and_then(|kind| kind.get(..events.len())).is_some_and(|kind| kind.eq_ignore_ascii_case(events))
    }

    /// Whether nobody needs the rest of it once its reader has left: it would only be made for the record.
    #[must_use]
    pub fn ends_with_reader(&self) -> bool {
        matches!(self.body.source, Source::Local(_))
    }

    /// Notes which bytes of its texts are the gateway's own.
    pub fn note(&self, segments: &mut [Segment]) {
        for thought in segments.iter_mut().filter(|segment| segment.channel == Channel::Reasoning) {
            thought.authored_bytes = thought.text.floor_char_boundary(self.authored);
        }
    }

    /// Whether an error that came inside it is a vendor's content block: a verdict, never a fault.
    #[must_use]
    pub fn is_block(&self, error: &[u8]) -> bool {
        match self.lease.backend().kind() {
            Kind::Remote(target) => Signal::any_within(&target.blocks, error),
            Kind::Local(_) => false,
        }
    }

    /// Set where the answer may carry `<think>` marks: the channel that it opens in.
    #[must_use]
    pub fn inline_reasoning(&self) -> Option<Channel> {
        self.inline
    }
}

/// A reply's bytes.
#[derive(Debug)]
pub struct Body {
    /// What was read ahead, oldest first.
    ahead: VecDeque<Bytes>,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Remote(Incoming),
    Local(Box<Speech>),
    /// All was read ahead.
    Nothing,
}

impl Body {
    /// The next bytes, never none of them; after an error or the end there are no more.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, Error>> {
        poll_fn(|context| self.poll_chunk(context)).await
    }

    /// As [`Body::chunk`], for callers that have a context.
    pub fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        if let Some(bytes) = self.ahead.pop_front() {
            return Poll::Ready(Some(Ok(bytes)));
        }
        match &mut self.source {
            Source::Remote(incoming) => incoming.poll_chunk(context),
            Source::Local(speech) => speech.poll_chunk(context),
            Source::Nothing => Poll::Ready(None),
        }
    }
}

impl Body {
    /// Gives bytes back that were read ahead, oldest first; they come next.
    pub(super) fn give_back(&mut self, bytes: impl IntoIterator<Item = Bytes>) {
        self.ahead.extend(bytes);
    }
}

impl From<Incoming> for Body {
    fn from(incoming: Incoming) -> Self {
        Self { ahead: VecDeque::new(), source: Source::Remote(incoming) }
    }
}

impl From<Bytes> for Body {
    fn from(whole: Bytes) -> Self {
        Self { ahead: VecDeque::from([whole]), source: Source::Nothing }
    }
}

impl From<Speech> for Body {
    fn from(speech: Speech) -> Self {
        Self { ahead: VecDeque::new(), source: Source::Local(Box::new(speech)) }
    }
}

/// What an error says beside its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tells {
    /// Nothing that is known; or it is no error.
    Nothing,
    /// A vendor's content filter spoke: a verdict, never a fault.
    Block,
    /// The account that the gateway calls with has no money left: nothing that the caller could mend.
    Unpaid,
    /// Nothing is served at the address that was called.
    Absent,
}

/// What an upstream gave, before anybody judged it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
    pub(super) started: Instant,
    pub(super) tells: Tells,
    pub(super) authored: usize,
    pub(super) adapted: Vec<String>,
    pub(super) gathers: bool,
    pub(super) asks_usage: bool,
}
