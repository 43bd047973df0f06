//! Which segments a stream has and how far it is durable: what its writer and its reader share.
//! It reads and writes no frame.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use uuid::Uuid;

use super::disk::{Disk, Input, Lock};
use super::read::Raw;
use crate::cipher::Keys;
use crate::record::codec::seed;
use crate::record::counts::Counts;

/// The file of frames that the store can never hold; in the form of a segment.
const DEAD: &str = "dead.spool";

/// The extension of a damaged segment that is kept.
const DAMAGED: &str = "bad";

/// One segment file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::record) struct Segment {
    /// Number of its first frame.
    pub(in crate::record) first: u64,
    /// Greater than that of every segment made before it.
    pub(in crate::record) generation: u32,
    /// Bytes that are known to be in it.
    pub(in crate::record) bytes: u64,
}

/// A stream's segments and its durable end.
pub(in crate::record) struct Log {
    pub(in crate::record) disk: Arc<dyn Disk>,
    pub(in crate::record) directory: PathBuf,
    pub(in crate::record) stream: Uuid,
    pub(in crate::record) seed: u32,
    pub(in crate::record) counts: Arc<Counts>,
    /// What frames are hidden under.
    pub(in crate::record) keys: Arc<Keys>,
    state: Mutex<View>,
    changed: Arc<Notify>,
    _lock: Lock,
}

/// The state of a log at one moment.
#[derive(Debug, Clone, Default)]
pub(in crate::record) struct View {
    /// Oldest first.
    pub(in crate::record) segments: Vec<Segment>,
    /// Number of the last durable frame.
    pub(in crate::record) durable: u64,
}

impl Segment {
    /// The file's name.
    pub(in crate::record) fn name(&self) -> String {
        format!("{:020}-{:06}.seg", self.first, self.generation)
    }

    /// Whether a name is that of something kept for people to look at.
    pub(super) fn is_evidence(name: &str) -> bool {
        name == DEAD || name.rsplit_once('.').is_some_and(|(_, extension)| extension == DAMAGED)
    }

    /// Reads a file's name.
    pub(in crate::record) fn parse(name: &str) -> Option<Self> {
        let (first, generation) = name.strip_suffix(".seg")?.split_once('-')?;
        Some(Self { first: first.parse().ok()?, generation: generation.parse().ok()?, bytes: 0 })
    }
}

impl View {
    /// The segment that holds a frame, and the number from which on the segment after it does.
    pub(in crate::record) fn holder(&self, sequence: u64) -> Option<(Segment, u64)> {
        let after = self.segments.partition_point(|segment| segment.first <= sequence);
        let holder = self.segments.get(after.checked_sub(1)?)?;
        Some((*holder, self.segments.get(after).map_or(u64::MAX, |next| next.first)))
    }
}

impl Log {
    /// A log over what a directory holds.
    pub(in crate::record) fn new(
        disk: Arc<dyn Disk>,
        directory: PathBuf,
        stream: Uuid,
        (counts, keys): (Arc<Counts>, Arc<Keys>),
        lock: Lock,
    ) -> Self {
        let (state, changed) = (Mutex::default(), counts.changed.clone());
        Self { disk, directory, stream, seed: seed(stream), counts, keys, state, changed, _lock: lock }
    }

    /// The state now.
    pub(in crate::record) fn view(&self) -> View {
        self.state().clone()
    }

    /// Number of the last durable frame.
    pub(in crate::record) fn durable(&self) -> u64 {
        self.state().durable
    }

    /// Takes over what was found on the disk.
    pub(super) fn restore(&self, mut segments: Vec<Segment>, durable: u64) {
        segments.sort_unstable();
        let bytes = segments.iter().map(|segment| segment.bytes).sum();
        self.counts.add_bytes(bytes);
        *self.state() = View { segments, durable };
    }

    /// A segment has been made durable; nothing in it is yet.
    pub(super) fn add(&self, segment: Segment) {
        self.counts.add_bytes(segment.bytes);
        self.state().segments.push(segment);
    }

    /// Frames up to a number have become durable in the last segment.
    pub(super) fn advance(&self, durable: u64, bytes: u64) {
        {
            let mut state = self.state();
            state.durable = durable;
            if let Some(last) = state.segments.last_mut() {
                last.bytes += bytes;
            }
        }
        self.counts.add_bytes(bytes);
        self.changed.notify_one();
    }

    /// Opens a segment for reading.
    pub(in crate::record) fn open(&self, segment: &Segment) -> io::Result<Box<dyn Input>> {
        self.disk.open(&self.directory.join(segment.name()))
    }

    /// Keeps a second name for a damaged segment, so that it stays when the segment goes.
    pub(super) fn keep_evidence(&self, segment: &Segment) -> io::Result<()> {
        let path = self.directory.join(segment.name());
        match self.disk.link(&path, &path.with_extension(DAMAGED)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
            Ok(()) => {
                self.counts.add_bytes(segment.bytes);
                self.disk.sync_directory(&self.directory)
            }
        }
    }

    /// Appends a frame to the dead letters.
    pub(in crate::record) fn bury(&self, raw: &Raw) -> io::Result<()> {
        let mut output = self.disk.append(&self.directory.join(DEAD))?;
        output.write(&[&raw.header, raw.payload.as_ref()].concat())?;
        output.sync()?;
        self.counts.add_bytes((raw.header.len() + raw.payload.len()) as u64);
        self.disk.sync_directory(&self.directory)
    }

    /// The store's cursor has moved.
    pub(in crate::record) fn note_shipped(&self, from: u64, to: u64) {
        // What was not found on this disk is not counted as having left it.
        let shipped = to.min(self.durable()).saturating_sub(from);
        self.counts.shipped.fetch_add(shipped, Ordering::Relaxed);
    }

    /// Removes the segments that hold nothing beyond a number; the last one stays.
    pub(in crate::record) fn release(&self, cursor: u64) -> io::Result<()> {
        let released: Vec<Segment> = {
            let mut state = self.state();
            let beyond = state.segments.partition_point(|segment| segment.first <= cursor.saturating_add(1));
            state.segments.drain(..beyond.saturating_sub(1)).collect()
        };
        self.remove(&released)
    }

    /// Removes all segments.
    pub(super) fn clear(&self) -> io::Result<()> {
        let released = std::mem::take(&mut self.state().segments);
        self.remove(&released)
    }

    fn remove(&self, segments: &[Segment]) -> io::Result<()> {
        let mut outcome = Ok(());
        for segment in segments {
            self.counts.take_bytes(segment.bytes);
            outcome = self.disk.remove(&self.directory.join(segment.name())).and(outcome);
        }
        outcome
    }

    fn state(&self) -> MutexGuard<'_, View> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
