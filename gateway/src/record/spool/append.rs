//! Frames into segments: a group is encoded, written and synced as one. An error is final for the segment it came from:
//! the group is written again in a new one. It does not decide what is recorded.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use time::OffsetDateTime;
use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

use super::disk::Output;
use super::hidden;
use super::log::{Log, Segment};
use crate::record::codec::{self, HEADER, Header, Kind, MAX_PAYLOAD};
use crate::record::ship::Entry;
use crate::record::wall_clock;

/// A frame that is to be written.
#[derive(Debug)]
pub(in crate::record) struct Draft {
    pub(in crate::record) entry: Entry,
    pub(in crate::record) at: OffsetDateTime,
    /// Told when the frame is durable, dropped when it cannot be.
    pub(in crate::record) done: Option<oneshot::Sender<()>>,
}

/// Writes the frames of one stream.
pub(in crate::record) struct Appender {
    log: Arc<Log>,
    segment_bytes: u64,
    current: Option<Current>,
    next: u64,
    generation: u32,
    open: HashSet<Uuid>,
    buffer: Vec<u8>,
}

/// The segment that is written to.
struct Current {
    output: Box<dyn Output>,
    segment: Segment,
    written: u64,
    /// Whether it holds anything acknowledged, and the log knows it.
    known: bool,
}

/// Capacity that the buffer keeps between groups.
const BUFFER: usize = 1 << 20;

impl Appender {
    /// Appends to a stream that holds nothing yet.
    pub(super) fn new(log: Arc<Log>, segment_bytes: u64) -> Self {
        Self::resume(log, segment_bytes, 0, HashSet::new())
    }

    /// Appends behind what a stream holds, in a new segment.
    pub(super) fn resume(log: Arc<Log>, segment_bytes: u64, generation: u32, open: HashSet<Uuid>) -> Self {
        let next = log.durable() + 1;
        Self { log, segment_bytes, current: None, next, generation, open, buffer: Vec::new() }
    }

    /// Whether a durable begin of this exchange waits for its end.
    pub(super) fn is_open(&self, exchange: Uuid) -> bool {
        self.open.contains(&exchange)
    }

    /// Makes frames durable, all of them or none; gives the places of those that no frame can hold.
    pub(super) fn commit(&mut self, drafts: &[Draft]) -> io::Result<Vec<usize>> {
        let committed = self.try_commit(drafts).or_else(|_| {
            self.abandon();
            self.try_commit(drafts)
        });
        if committed.is_err() {
            self.abandon();
        }
        if self.buffer.capacity() > 16 * BUFFER {
            self.buffer = Vec::new();
        }
        committed
    }

    fn try_commit(&mut self, drafts: &[Draft]) -> io::Result<Vec<usize>> {
        self.buffer.clear();
        if self.current.as_ref().is_none_or(|current| current.written >= self.segment_bytes) {
            self.current = Some(self.create()?);
            self.encode_opening()?;
        }
        let mut refused = Vec::new();
        let mut sequence = self.next;
        for (place, draft) in drafts.iter().enumerate() {
            if self.encode(draft, sequence) { sequence += 1 } else { refused.push(place) }
        }
        let Some(current) = &mut self.current else { return Err(io::Error::other("no segment is open")) };
        let started = Instant::now();
        current.output.write(&self.buffer)?;
        current.output.sync()?;
        if !current.known {
            self.log.disk.sync_directory(&self.log.directory)?;
            self.log.add(current.segment);
            current.known = true;
        }
        self.log.counts.synced(started.elapsed());
        current.written += self.buffer.len() as u64;
        self.log.advance(sequence - 1, self.buffer.len() as u64);
        self.next = sequence;
        self.note_open(drafts, &refused);
        Ok(refused)
    }

    fn create(&mut self) -> io::Result<Current> {
        let segment = Segment { first: self.next, generation: self.generation, bytes: 0 };
        self.generation = self.generation.saturating_add(1);
        let output = self.log.disk.create(&self.log.directory.join(segment.name()))?;
        Ok(Current { output, segment, written: 0, known: false })
    }

    /// The frame that opens a segment: whose stream it is, and which exchanges are open.
    fn encode_opening(&mut self) -> io::Result<()> {
        let at = self.begin_frame();
        for exchange in &self.open {
            self.buffer.extend_from_slice(exchange.as_bytes());
        }
        let header = self.header(Kind::Open, self.log.stream, self.next, wall_clock());
        if self.end_frame(at, header) { Ok(()) } else { Err(io::Error::other("too many exchanges are open")) }
    }

    /// Encodes a frame; false where no frame can hold it.
    fn encode(&mut self, draft: &Draft, sequence: u64) -> bool {
        let at = self.begin_frame();
        let written = codec::write(&draft.entry, &mut self.buffer).ok();
        let Some(((kind, exchange), hidden)) =
            written.and_then(|named| Some((named, self.hide(at + HEADER, sequence)?)))
        else {
            self.buffer.truncate(at);
            return false;
        };
        let header = Header { hidden, ..self.header(kind, exchange, sequence, draft.at) };
        self.end_frame(at, header)
    }

    fn header(&self, kind: Kind, exchange: Uuid, sequence: u64, at: OffsetDateTime) -> Header {
        let nanoseconds = at.unix_timestamp_nanos();
        Header {
            kind,
            length: 0,
            group: u32::try_from(sequence - self.next).unwrap_or(u32::MAX),
            sequence,
            time: i64::try_from(nanoseconds).unwrap_or(if nanoseconds < 0 { i64::MIN } else { i64::MAX }),
            exchange,
            hidden: false,
        }
    }

    /// Hides the payload that begins there, where there is a key; whether it did. `None` where it cannot: nothing is written
    /// in clear instead.
    fn hide(&mut self, at: usize, sequence: u64) -> Option<bool> {
        if self.log.keys.is_empty() {
            return Some(false);
        }
        let payload = self.buffer.split_off(at);
        let hidden = hidden::hide(&self.log.keys, self.log.stream, sequence, &payload)?;
        self.buffer.extend_from_slice(&hidden);
        Some(true)
    }

    fn begin_frame(&mut self) -> usize {
        let at = self.buffer.len();
        self.buffer.resize(at + HEADER, 0);
        at
    }

    /// Puts the header before a payload that has been written; takes both back where they are too long.
    fn end_frame(&mut self, at: usize, mut header: Header) -> bool {
        let length = self.buffer.len() - at - HEADER;
        header.length = match u32::try_from(length) {
            Ok(length) if length as usize <= MAX_PAYLOAD => length,
            _ => {
                self.buffer.truncate(at);
                return false;
            }
        };
        if let Some((place, payload)) = self.buffer.get_mut(at..).and_then(|frame| frame.split_first_chunk_mut()) {
            *place = header.seal(self.log.seed, payload);
        }
        true
    }

    fn note_open(&mut self, drafts: &[Draft], refused: &[usize]) {
        for (place, draft) in drafts.iter().enumerate() {
            match &draft.entry {
                Entry::Begin(begin) if !refused.contains(&place) => _ = self.open.insert(begin.exchange.0),
                Entry::End(end) if !refused.contains(&place) => _ = self.open.remove(&end.exchange.0),
                Entry::Closed { exchange, .. } => _ = self.open.remove(&exchange.0),
                _ => {}
            }
        }
    }

    /// Turns away from a segment whose disk has failed. What was acknowledged in it stays.
    fn abandon(&mut self) {
        if let Some(current) = self.current.take()
            && !current.known
        {
            // Nothing in it was ever acknowledged; where it cannot be removed either, a later generation hides it.
            let _ = self.log.disk.remove(&self.log.directory.join(current.segment.name()));
        }
    }
}
