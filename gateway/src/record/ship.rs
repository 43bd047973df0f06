//! The contract between the spool and the store: what is handed over, and how the store may answer.
//! It moves nothing itself.

use std::future::Future;

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Begin, End};
use crate::exchange::ExchangeId;

/// Where frames go: the store.
pub trait Sink: Send + Sync + 'static {
    /// Registers a stream and gives the last sequence number of it that is stored (0 where none is).
    fn position(&self, stream: Uuid) -> impl Future<Output = Result<u64, SinkError>> + Send;

    /// Stores frames and moves the cursor to the last one's sequence number, in one transaction. Frames whose number
    /// is not beyond the stored cursor must already be stored and are to be skipped by the caller.
    fn write(&self, stream: Uuid, frames: &[Frame]) -> impl Future<Output = Result<(), SinkError>> + Send;

    /// Takes note that a stream is stored as a whole and gets no more frames. May be said again.
    fn finish(&self, stream: Uuid) -> impl Future<Output = Result<(), SinkError>> + Send;
}

/// Why frames were not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkError {
    /// Try again later.
    Unavailable(String),
    /// This batch can never be stored as it is.
    Poison(String),
}

impl std::fmt::Display for SinkError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unavailable(why) => write!(formatter, "the store is unavailable: {why}"),
            Self::Poison(why) => write!(formatter, "the store cannot hold this: {why}"),
        }
    }
}

impl std::error::Error for SinkError {}

/// One frame of a stream as it was read back from the spool.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The stream.
    pub stream: Uuid,
    /// Its number in the stream: dense, from 1. A `Loss` of quarantined frames stands for `count` numbers, its own the
    /// last of them.
    pub sequence: u64,
    /// When what it tells of happened.
    pub at: OffsetDateTime,
    /// What it tells.
    pub entry: Entry,
}

/// What a frame tells.
#[derive(Debug, Clone)]
pub enum Entry {
    /// An exchange began.
    Begin(Box<Begin>),
    /// An exchange ended.
    End(Box<End>),
    /// A crashed or abandoned exchange, closed afterwards.
    Closed {
        /// Which exchange.
        exchange: ExchangeId,
        /// Why it has no end of its own.
        why: ClosedWhy,
    },
    /// Frames that were lost, counted.
    Loss {
        /// How many.
        count: u64,
        /// Why.
        why: LossWhy,
    },
}

impl Entry {
    /// Bytes of memory that the entry holds, roughly.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Begin(begin) => WEIGHT + begin.request.len(),
            Self::End(end) => {
                let bodies = end.received.iter().chain(end.delivered.iter().flatten()).chain(&end.sent);
                let texts: usize = end.segments.iter().map(|segment| segment.text.len()).sum();
                WEIGHT + texts + bodies.map(bytes::Bytes::len).sum::<usize>()
            }
            Self::Closed { .. } | Self::Loss { .. } => WEIGHT,
        }
    }
}

/// Bytes that an entry takes beside bodies and texts.
const WEIGHT: usize = 512;

/// Why an exchange that began has no end of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClosedWhy {
    /// The process died before it ended.
    Crashed,
    /// Whoever ran it went away without ending it.
    Abandoned,
    /// It ended, and its last frame was lost.
    EndLost,
}

impl ClosedWhy {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Crashed, Self::Abandoned, Self::EndLost];

    /// Name in records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Crashed => "crashed",
            Self::Abandoned => "abandoned",
            Self::EndLost => "end_lost",
        }
    }
}

/// Why frames were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LossWhy {
    /// The spool had no room left for best-effort records.
    BestEffortFull,
    /// More best-effort records waited for the disk than memory may hold.
    Backlog,
    /// The disk took them neither at once nor in a new segment.
    WriteFailed,
    /// They were found damaged on the disk; a copy of the segment is kept beside it.
    Quarantined,
    /// The store can never hold them; they are kept in the dead-letter file.
    Poison,
}

impl LossWhy {
    /// All of them, in the order in which they are counted.
    pub const ALL: [Self; 5] =
        [Self::BestEffortFull, Self::Backlog, Self::WriteFailed, Self::Quarantined, Self::Poison];

    /// Name in records and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BestEffortFull => "best_effort_full",
            Self::Backlog => "backlog",
            Self::WriteFailed => "write_failed",
            Self::Quarantined => "quarantined",
            Self::Poison => "poison",
        }
    }
}
