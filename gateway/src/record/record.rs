//! What is recorded of an exchange, and the one wall clock. It does not encode, store or ship.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use time::OffsetDateTime;

use crate::config::Recording;
use crate::cost::Cost;
use crate::exchange::{Caller, Dialect, Ending, ExchangeId, Finding, Segment, Timings, Usage, Verdict};
use crate::thinking::Thinking;

/// The time of day; nothing else in the gateway reads the wall clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one wall clock")]
pub fn wall_clock() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

/// The first frame of an exchange: written before an upstream is called.
#[derive(Debug, Clone)]
pub struct Begin {
    /// Which exchange.
    pub exchange: ExchangeId,
    /// When it was accepted.
    pub at: OffsetDateTime,
    /// How the client speaks.
    pub dialect: Dialect,
    /// Who sent it.
    pub caller: Caller,
    /// Address of the peer, without the port.
    pub peer: String,
    /// The client's own request id.
    pub client_request_id: Option<String>,
    /// Whom it is about, as the client says: a tag by which erasure is asked for.
    pub subject: Option<String>,
    /// Which audit asked, as the client says: `RUN/PROBE/SAMPLE`.
    pub audit: Option<String>,
    /// The model asked for.
    pub model: String,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// The first characters of what was asked, for lists.
    pub preview: Option<String>,
    /// The request body as it came.
    pub request: Bytes,
    /// Request headers on the allow-list.
    pub headers: Vec<(String, String)>,
    /// Digest of the snapshot that the exchange runs under.
    pub snapshot: Arc<str>,
    /// What was promised of this record.
    pub recording: Recording,
}

/// The last frame of an exchange: everything else.
#[derive(Debug, Clone)]
pub struct End {
    /// Which exchange.
    pub exchange: ExchangeId,
    /// When it ended.
    pub at: OffsetDateTime,
    /// How it ended.
    pub ending: Ending,
    /// The status that the client got.
    pub status: u16,
    /// What went wrong, in words fit for an operator; never what a peer sent.
    pub fault: Option<String>,
    /// Every try, the last one included.
    pub attempts: Vec<Attempt>,
    /// The upstream that answered.
    pub upstream: Option<Arc<str>>,
    /// The wire format that was spoken to it.
    pub upstream_dialect: Option<Dialect>,
    /// The model's name there, as returned.
    pub upstream_model: Option<String>,
    /// The upstream's id of the reply.
    pub upstream_reply_id: Option<String>,
    /// The request as the upstream got it, where a policy or a rename changed it.
    pub sent: Option<Bytes>,
    /// How it was changed to what the upstream takes, in words for people.
    pub adapted: Vec<String>,
    /// The reply's bytes as the upstream sent them.
    pub received: Vec<Bytes>,
    /// The reply's bytes as the client got them, where they differ from `received`.
    pub delivered: Option<Vec<Bytes>>,
    /// Bytes of the reply that were passed on but not kept.
    pub unkept_bytes: u64,
    /// The reply's texts, decoded.
    pub segments: Vec<Segment>,
    /// Why each choice ended, in the upstream's word.
    pub finishes: Vec<(u32, String)>,
    /// Events of the stream that could not be read and passed unscreened, where no rule could have changed them.
    pub unread_frames: u32,
    /// What detectors found.
    pub findings: Vec<Finding>,
    /// Findings beyond those kept.
    pub unkept_findings: u64,
    /// What the model did.
    pub verdict: Verdict,
    /// Whether a rule wants a person to look at the exchange.
    pub review: bool,
    /// Token counts.
    pub usage: Usage,
    /// What it cost; `None` where that is not known.
    pub cost: Option<Cost>,
    /// How the model thought, where it showed that.
    pub thinking: Option<Thinking>,
    /// Times.
    pub timings: Timings,
}

/// One try at one upstream.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Which upstream.
    pub upstream: Arc<str>,
    /// The status it answered with.
    pub status: Option<u16>,
    /// Why it was given up, where it was.
    pub fault: Option<String>,
    /// How long it took.
    pub took: Duration,
}
