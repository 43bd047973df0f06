//! A dead process's stream: how far it was durable, and which exchanges it left open, found from its last segment.
//! It changes nothing that was written; closings go into a segment of their own.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use uuid::Uuid;

use super::append::{Appender, Draft};
use super::log::{Log, Segment};
use super::read::Reader;
use super::scan::{Scan, Step};
use super::write::closing;
use crate::exchange::ExchangeId;
use crate::record::codec::{Header, Kind};
use crate::record::ship::ClosedWhy;

/// Finds a stream's durable end and closes what it left open. Gives false where it has no segment at all.
pub(super) fn recover(log: &Arc<Log>, segment_bytes: u64) -> io::Result<bool> {
    let mut segments = segments(log)?;
    segments.sort_unstable();
    let (Some(first), Some(last)) = (segments.first().copied(), segments.last().copied()) else { return Ok(false) };
    let tail = Tail::read(log, &segments)?;
    log.restore(segments, tail.durable);
    // Before anything is written: without its key it is left to somebody who has it.
    if tail.durable >= first.first {
        Reader::new(log.clone(), first.first.saturating_sub(1)).read(1, 1)?;
    }
    log.counts.frames.fetch_add(tail.durable.saturating_sub(first.first.saturating_sub(1)), counted());
    if tail.cut_bytes > 0 {
        tracing::warn!(stream = %log.stream, bytes = tail.cut_bytes, "the torn tail of a spool was cut");
        // Whole frames in it were torn with their group, or else a damaged disk hides that they were acknowledged: the
        // frames cannot tell, so they are kept for whoever can.
        if !tail.tentative.is_empty()
            && let Err(error) = log.keep_evidence(&last)
        {
            tracing::error!(%error, stream = %log.stream, "a torn segment cannot be kept");
        }
    }
    let closings: Vec<Draft> =
        tail.open.iter().map(|exchange| closing(ExchangeId(*exchange), ClosedWhy::Crashed)).collect();
    if closings.is_empty() {
        return Ok(true);
    }
    let count = closings.len() as u64;
    let mut appender = Appender::resume(log.clone(), segment_bytes, last.generation.saturating_add(1), tail.open);
    match appender.commit(&closings) {
        Ok(_) => {
            log.counts.frames.fetch_add(count, counted());
            tracing::warn!(stream = %log.stream, exchanges = count, "exchanges of a crashed process were closed");
        }
        // They stay open in the last segment's words, and the next start tries again.
        Err(error) => tracing::error!(%error, stream = %log.stream, "crashed exchanges cannot be closed yet"),
    }
    Ok(true)
}

fn counted() -> std::sync::atomic::Ordering {
    std::sync::atomic::Ordering::Relaxed
}

fn segments(log: &Log) -> io::Result<Vec<Segment>> {
    let mut segments = Vec::new();
    for name in log.disk.list(&log.directory)? {
        if let Some(mut segment) = Segment::parse(&name) {
            segment.bytes = log.disk.size(&log.directory.join(name))?;
            segments.push(segment);
        }
    }
    Ok(segments)
}

/// What the end of a stream tells.
#[derive(Debug, Default)]
struct Tail {
    durable: u64,
    open: HashSet<Uuid>,
    cut_bytes: u64,
    /// Frames behind damage. They count once a frame of a later group shows that theirs had been synced; otherwise all
    /// of them belong to a group that was torn by the crash.
    tentative: Vec<Header>,
}

impl Tail {
    /// Reads from the last segment whose opening is whole.
    fn read(log: &Log, segments: &[Segment]) -> io::Result<Self> {
        let mut from = segments.len();
        let mut tail = Self::default();
        while from > 0 {
            from -= 1;
            if let Some(segment) = segments.get(from)
                && let Some(open) = opening(log, segment)?
            {
                tail.open = open;
                break;
            }
        }
        let rest = segments.get(from..).unwrap_or_default();
        for (place, segment) in rest.iter().enumerate() {
            let bound = rest.get(place + 1).map_or(u64::MAX, |next| next.first);
            // That a segment was begun shows that everything before its first frame was durable.
            tail.durable = segment.first.saturating_sub(1);
            tail.scan(log, segment, bound)?;
        }
        Ok(tail)
    }

    fn scan(&mut self, log: &Log, segment: &Segment, bound: u64) -> io::Result<()> {
        let mut scan = Scan::new(log.open(segment)?, log.seed)?;
        let mut kept = 0;
        self.tentative.clear();
        loop {
            match scan.step()? {
                Step::Frame(header, ..) if header.kind == Kind::Open => kept = scan.offset(),
                Step::Frame(header, ..) if header.sequence >= bound => break,
                Step::Frame(header, ..) => {
                    if self.take(header) {
                        kept = scan.offset();
                    }
                }
                Step::Damage => scan.skip_damage()?,
                Step::End => break,
            }
        }
        if bound == u64::MAX {
            self.cut_bytes = scan.offset() - kept;
        } else {
            for header in std::mem::take(&mut self.tentative) {
                self.accept(&header);
            }
        }
        Ok(())
    }

    /// Takes a whole frame; says whether it is known to count.
    fn take(&mut self, header: Header) -> bool {
        if header.sequence <= self.durable {
            return true;
        }
        let shown = header.group_first().saturating_sub(1);
        if header.sequence == self.durable + 1 && self.tentative.is_empty() {
            self.accept(&header);
            return true;
        }
        let (proven, open): (Vec<Header>, Vec<Header>) =
            std::mem::take(&mut self.tentative).into_iter().partition(|tentative| tentative.sequence <= shown);
        self.tentative = open;
        for header in proven {
            self.accept(&header);
        }
        self.durable = self.durable.max(shown);
        if header.sequence == self.durable + 1 && self.tentative.is_empty() {
            self.accept(&header);
            return true;
        }
        self.tentative.push(header);
        false
    }

    fn accept(&mut self, header: &Header) {
        self.durable = self.durable.max(header.sequence);
        match header.kind {
            Kind::Begin => _ = self.open.insert(header.exchange),
            Kind::End | Kind::Closed => _ = self.open.remove(&header.exchange),
            Kind::Open | Kind::Loss => {}
        }
    }
}

/// The exchanges that were open when a segment was begun; none where its opening is not whole.
fn opening(log: &Log, segment: &Segment) -> io::Result<Option<HashSet<Uuid>>> {
    match Scan::new(log.open(segment)?, log.seed)?.step()? {
        Step::Frame(header, _, payload) if header.kind == Kind::Open && header.sequence == segment.first => {
            Ok(Some(payload.chunks_exact(16).filter_map(|id| Uuid::from_slice(id).ok()).collect()))
        }
        _ => Ok(None),
    }
}
