//! Frames behind the writer, in order and without a gap: what is damaged comes as a counted loss in its place.
//! It neither ships nor removes them.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::hidden;
use super::log::{Log, Segment, View};
use super::scan::{Scan, Step};
use crate::record::codec::{self, HEADER, Header, Kind, Names};
use crate::record::ship::{Entry, Frame, LossWhy};
use crate::record::wall_clock;

/// Reads one stream.
pub(in crate::record) struct Reader {
    log: Arc<Log>,
    names: Names,
    next: u64,
    scan: Option<(Segment, Scan)>,
}

/// Frames that were read.
#[derive(Debug, Default)]
pub(in crate::record) struct Read {
    pub(in crate::record) frames: Vec<Frame>,
    /// The bytes that each was read from; empty for a loss that stands for damage.
    pub(in crate::record) raw: Vec<Raw>,
    /// Bytes of all of them.
    pub(in crate::record) bytes: usize,
}

/// A frame's bytes as they stand in the segment.
#[derive(Debug, Clone, Default)]
pub(in crate::record) struct Raw {
    pub(in crate::record) header: Vec<u8>,
    pub(in crate::record) payload: Bytes,
}

impl Reader {
    /// Reads the frames behind a cursor.
    pub(in crate::record) fn new(log: Arc<Log>, cursor: u64) -> Self {
        Self { log, names: Names::default(), next: cursor + 1, scan: None }
    }

    /// Reads up to so many frames, and no further frame once so many bytes are reached.
    pub(in crate::record) fn read(&mut self, rows: usize, bytes: usize) -> io::Result<Read> {
        let view = self.log.view();
        let mut read = Read::default();
        while self.next <= view.durable && read.frames.len() < rows && read.bytes < bytes {
            match self.step(&view, &mut read) {
                // What was read before the error is good; the error comes again.
                Err(error) if read.frames.is_empty() => return Err(error),
                Err(_) => break,
                Ok(()) => {}
            }
        }
        Ok(read)
    }

    /// Gives up what stands in the segment that cannot be read.
    pub(in crate::record) fn give_up(&mut self) -> Read {
        let view = self.log.view();
        let mut read = Read::default();
        if self.next <= view.durable {
            self.scan = None;
            match view.holder(self.next) {
                Some((segment, bound)) => self.damaged(&segment, bound.min(view.durable + 1), &mut read),
                None => self.lose(self.next + 1, &mut read),
            }
        }
        read
    }

    /// Takes the frame that is next, or whatever stands in its place.
    fn step(&mut self, view: &View, read: &mut Read) -> io::Result<()> {
        let Some((segment, bound)) = view.holder(self.next) else {
            // The segments before the first one are gone though the store does not have them.
            let first = view.segments.first().map_or(view.durable + 1, |segment| segment.first);
            self.lose(first.min(view.durable + 1), read);
            return Ok(());
        };
        let bound = bound.min(view.durable + 1);
        let step = self.scan_of(&segment)?.step()?;
        match step {
            Step::Frame(header, ..) if header.kind == Kind::Open || header.sequence < self.next => {}
            Step::Frame(header, bytes, payload) if header.sequence < bound => {
                if header.sequence > self.next {
                    self.damaged(&segment, header.sequence, read);
                }
                self.take(&header, bytes, payload, read)?;
            }
            Step::Damage => self.scan_of(&segment)?.skip_damage()?,
            Step::Frame(..) | Step::End => self.damaged(&segment, bound, read),
        }
        Ok(())
    }

    fn scan_of(&mut self, segment: &Segment) -> io::Result<&mut Scan> {
        let same = |(open, _): &(Segment, Scan)| (open.first, open.generation) == (segment.first, segment.generation);
        if !self.scan.as_ref().is_some_and(same) {
            let scan = Scan::new(self.log.open(segment)?, self.log.seed)?;
            self.scan = Some((*segment, scan));
        }
        self.scan.as_mut().map(|(_, scan)| scan).ok_or_else(|| io::Error::other("no segment is open"))
    }

    fn take(&mut self, header: &Header, bytes: [u8; HEADER], payload: Bytes, read: &mut Read) -> io::Result<()> {
        let raw = Raw { header: bytes.to_vec(), payload: payload.clone() };
        let shown = match header.hidden {
            true => hidden::show(&self.log.keys, self.log.stream, header.sequence, &payload)
                .inspect_err(|_| self.scan = None)?
                .ok_or(codec::Error::Key),
            false => Ok(payload),
        };
        self.next = header.sequence + 1;
        read.bytes += HEADER + raw.payload.len();
        match shown.and_then(|payload| codec::read(header, payload, &mut self.names)) {
            Ok(entry) => read.push(self.frame(header, entry), raw),
            Err(error) => {
                // Written by a newer version, it may be, and whole: it is kept where dead letters are.
                tracing::error!(%error, stream = %self.log.stream, sequence = header.sequence, "a frame is unreadable");
                let entry = Entry::Loss { count: 1, why: LossWhy::Poison };
                read.push(self.frame(header, entry), raw);
            }
        }
        Ok(())
    }

    fn frame(&self, header: &Header, entry: Entry) -> Frame {
        Frame { stream: self.log.stream, sequence: header.sequence, at: header.at(), entry }
    }

    fn damaged(&mut self, segment: &Segment, beyond: u64, read: &mut Read) {
        if let Err(error) = self.log.keep_evidence(segment) {
            tracing::error!(%error, stream = %self.log.stream, "a damaged segment cannot be kept");
        }
        self.lose(beyond, read);
    }

    /// Everything from the next frame up to a number is lost.
    fn lose(&mut self, beyond: u64, read: &mut Read) {
        let count = beyond.saturating_sub(self.next);
        if count == 0 {
            return;
        }
        tracing::error!(stream = %self.log.stream, first = self.next, count, "frames of a spool are damaged");
        // The last of the lost numbers is its own, so that a cursor moved to it lies behind all of them.
        let entry = Entry::Loss { count, why: LossWhy::Quarantined };
        let frame = Frame { stream: self.log.stream, sequence: beyond - 1, at: wall_clock(), entry };
        read.push(frame, Raw::default());
        self.next = beyond;
    }
}

impl Read {
    fn push(&mut self, frame: Frame, raw: Raw) {
        self.frames.push(frame);
        self.raw.push(raw);
    }
}
