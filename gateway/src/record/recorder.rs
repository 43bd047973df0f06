//! Where exchanges leave their records: admission slots, begin and end, and receipts that tell when a frame is durable.
//! It encodes and writes nothing itself.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::thread::JoinHandle;

use time::OffsetDateTime;
use tokio::sync::oneshot;

use super::counts::Counts;
use super::ship::{ClosedWhy, Entry, LossWhy};
use super::shipper::Shipper;
use super::spool::{Disk, Files, Job, Queue, Streams, Waiting, Writer, awaited, closing, look};
use super::{Begin, End};
use crate::cipher::Keys;
use crate::config::{Recording, Spool};
use crate::exchange::ExchangeId;

/// Slots that may be in use at once.
const SLOTS: u64 = 1 << 16;

/// Bytes that may wait for the disk in memory before exchanges whose record is required are refused.
const BACKLOG: usize = 64 << 20;

/// Bytes that may wait there before best-effort records are dropped.
const BEST_EFFORT_BACKLOG: usize = BACKLOG / 2;

/// Bytes of the disk's budget that are set aside for each slot in use.
const RESERVED: u64 = 16 << 10;

/// Why there is no room for a record that must be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// The spool is full.
    NoRoom,
    /// The spool cannot be written.
    Broken,
}

/// The record was not made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost;

/// Why there is no recorder.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The spool's directory cannot be used.
    Spool(std::path::PathBuf, io::Error),
}

impl std::fmt::Display for Error {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Spool(path, error) => write!(formatter, "open the spool in {}: {error}", path.display()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Spool(_, error) => Some(error),
        }
    }
}

/// Takes records of exchanges.
#[derive(Debug, Clone)]
pub struct Recorder {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    queue: Arc<Queue>,
    counts: Arc<Counts>,
    total_bytes: u64,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Recorder {
    /// The streams that lie under a data directory, oldest first, without taking any of them over.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn look(data: &Path) -> io::Result<Vec<Waiting>> {
        look(&Files, data)
    }

    /// Begins a stream of records under a data directory, and takes over those of processes that died.
    ///
    /// # Errors
    /// Where the directory cannot be made, locked or written.
    pub fn open(data: &Path, config: &Spool) -> Result<(Self, Shipper), Error> {
        Self::open_on(Arc::new(Files), data, config)
    }

    /// The same on a given file system.
    pub(super) fn open_on(disk: Arc<dyn Disk>, data: &Path, config: &Spool) -> Result<(Self, Shipper), Error> {
        Self::start(disk, data, config).map_err(|error| Error::Spool(data.to_owned(), error))
    }

    fn start(disk: Arc<dyn Disk>, data: &Path, config: &Spool) -> io::Result<(Self, Shipper)> {
        let counts = Arc::new(Counts::default());
        let streams =
            Streams::open(disk, data, (counts.clone(), Arc::new(Keys::of(&config.keys))), config.segment_bytes)?;
        let orphans = streams.adopt()?;
        let log = streams.begin()?;
        let queue = Arc::new(Queue::default());
        let mut writer = Writer::new(log.clone(), queue.clone(), config.group, config.segment_bytes);
        writer.prepare()?;
        let writer = std::thread::Builder::new().name("record-writer".to_owned()).spawn(move || writer.run())?;
        let shipper = Shipper::new(streams, log, orphans, queue.clone(), config.batch_rows);
        let total_bytes = config.total_bytes;
        let inner = Inner { queue, counts, total_bytes, writer: Mutex::new(Some(writer)) };
        Ok((Self { inner: Arc::new(inner) }, shipper))
    }

    /// Sets room aside for one exchange's frames. Best effort is never refused; its frames may be counted as lost.
    ///
    /// # Errors
    /// Where a record that is required would find no room.
    pub fn reserve(&self, recording: Recording) -> Result<Slot, Refused> {
        let counts = &self.inner.counts;
        if recording == Recording::Required {
            self.inner.room_for_required()?;
        }
        counts.admitted.fetch_add(1, Ordering::Relaxed);
        counts.open.fetch_add(1, Ordering::Relaxed);
        Ok(Slot { inner: self.inner.clone(), recording, stage: Stage::Fresh })
    }

    /// What has been counted.
    #[must_use]
    pub fn counts(&self) -> Arc<Counts> {
        self.inner.counts.clone()
    }

    /// Takes no more records, and comes back when the writer has made durable what it has. It blocks the thread.
    pub fn close(&self) {
        self.inner.queue.close();
        let writer = self.inner.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer
            && writer.join().is_err()
        {
            tracing::error!("the record writer failed");
        }
    }
}

impl Inner {
    /// The last twentieth of the budget is for records that have already been promised.
    fn room_for_required(&self) -> Result<(), Refused> {
        if self.counts.is_broken() {
            return Err(Refused::Broken);
        }
        let open = self.counts.open.load(Ordering::Relaxed);
        let used = self.counts.bytes().saturating_add(open.saturating_mul(RESERVED.min(self.total_bytes / 1024)));
        let full = used >= self.total_bytes - self.total_bytes / 20;
        if full || open >= SLOTS || self.queue.bytes() >= BACKLOG { Err(Refused::NoRoom) } else { Ok(()) }
    }

    /// Why a best-effort frame is not kept, where it is not: it gets less of the budget than required ones.
    fn no_room_for_best_effort(&self) -> Option<LossWhy> {
        if self.counts.bytes() >= self.total_bytes - self.total_bytes / 20 * 3 {
            return Some(LossWhy::BestEffortFull);
        }
        let many = self.queue.bytes() >= BEST_EFFORT_BACKLOG || self.counts.open.load(Ordering::Relaxed) > SLOTS;
        many.then_some(LossWhy::Backlog)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// Room for one exchange's frames. Dropped after `begin` without `end`, it records that the exchange was abandoned.
#[derive(Debug)]
pub struct Slot {
    inner: Arc<Inner>,
    recording: Recording,
    stage: Stage,
}

/// How far a slot has been used.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Fresh,
    Begun(ExchangeId),
    /// Its begin was lost, and so is everything else.
    Unkept(LossWhy),
    Over,
}

impl Slot {
    /// Records that an exchange begins.
    pub fn begin(&mut self, begin: Begin) -> Durable {
        if let Some(why) = self.no_room() {
            return self.unkept(why);
        }
        let (exchange, at) = (begin.exchange, begin.at);
        match self.push(Entry::Begin(Box::new(begin)), at) {
            Ok(durable) => {
                self.stage = Stage::Begun(exchange);
                durable
            }
            Err(Lost) => self.unkept(LossWhy::WriteFailed),
        }
    }

    /// Promises more than was promised when the room was set aside: what follows must be durable.
    pub fn require(&mut self) {
        self.recording = Recording::Required;
    }

    /// Records how it ended.
    pub fn end(mut self, end: End) -> Durable {
        let (exchange, at) = (end.exchange, end.at);
        let why = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Unkept(why) => why,
            Stage::Fresh | Stage::Over => LossWhy::WriteFailed,
            Stage::Begun(_) => match self.no_room() {
                Some(why) => why,
                None => match self.push(Entry::End(Box::new(end)), at) {
                    Ok(durable) => return durable,
                    Err(Lost) => LossWhy::WriteFailed,
                },
            },
        };
        self.lose_exchange(why);
        // A begin that was kept gets its closing all the same: that much is small.
        let _ = self.inner.queue.push(Job::Frame(closing(exchange, ClosedWhy::EndLost)), false);
        Durable::lost()
    }

    fn no_room(&self) -> Option<LossWhy> {
        match self.recording {
            Recording::Required => None,
            Recording::BestEffort => self.inner.no_room_for_best_effort(),
        }
    }

    fn push(&self, entry: Entry, at: OffsetDateTime) -> Result<Durable, Lost> {
        let (draft, receipt) = awaited(entry, at);
        let urgent = self.recording == Recording::Required;
        match self.inner.queue.push(Job::Frame(draft), urgent) {
            Ok(()) => Ok(Durable { state: State::Waiting(receipt) }),
            Err(_) => Err(Lost),
        }
    }

    fn unkept(&mut self, why: LossWhy) -> Durable {
        self.stage = Stage::Unkept(why);
        self.inner.counts.lose(why, 1);
        self.inner.queue.nudge();
        Durable::lost()
    }

    fn lose_exchange(&self, why: LossWhy) {
        let counts = &self.inner.counts;
        counts.lose(why, 1);
        counts.settle(&counts.lost);
        self.inner.queue.nudge();
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let counts = &self.inner.counts;
        match self.stage {
            Stage::Over => {}
            Stage::Fresh => counts.settle(&counts.unused),
            Stage::Unkept(why) => self.lose_exchange(why),
            Stage::Begun(exchange) => {
                let closing = Job::Frame(closing(exchange, ClosedWhy::Abandoned));
                if self.inner.queue.push(closing, false).is_err() {
                    self.lose_exchange(LossWhy::WriteFailed);
                }
            }
        }
    }
}

/// Resolves when a frame is durable. `Unpin`; may be dropped, the frame is written all the same.
#[derive(Debug)]
pub struct Durable {
    state: State,
}

#[derive(Debug)]
enum State {
    Waiting(oneshot::Receiver<()>),
    Known(Result<(), Lost>),
}

impl Durable {
    fn lost() -> Self {
        Self { state: State::Known(Err(Lost)) }
    }
}

impl Future for Durable {
    type Output = Result<(), Lost>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let known = match &mut self.state {
            State::Known(known) => *known,
            State::Waiting(receipt) => ready!(Pin::new(receipt).poll(context)).map_err(|_| Lost),
        };
        self.state = State::Known(known);
        Poll::Ready(known)
    }
}
