//! Takes frames from the spool to the store: in batches, for ever, past what the store can never hold.
//! It does not know what a frame says, nor how the store keeps it.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::counts::Counts;
use super::ship::{Entry, Frame, LossWhy, Sink, SinkError};
use super::spool::{Job, Log, Queue, Raw, Read, Reader, Streams};

/// Bytes of a batch; one frame may exceed it.
const BATCH: usize = 4 << 20;

/// How often a segment that cannot be read, or a dead letter that cannot be kept, is tried.
const TRIES: u32 = 5;

/// How long the shipper takes over things.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Frames gather this long before a batch that is not full goes.
    pub(super) linger: Duration,
    /// The first wait after a failure; each further one is twice as long.
    pub(super) first: Duration,
    /// The longest wait after a failure.
    pub(super) longest: Duration,
    /// How often dead processes' streams are looked for.
    pub(super) adopt: Duration,
}

const PACE: Pace = Pace {
    linger: Duration::from_millis(100),
    first: Duration::from_millis(100),
    longest: Duration::from_secs(10),
    adopt: Duration::from_secs(60),
};

/// Ships one process's stream, and those of processes that died.
pub struct Shipper {
    streams: Arc<Streams>,
    counts: Arc<Counts>,
    own: Arc<Log>,
    orphans: VecDeque<Arc<Log>>,
    queue: Arc<Queue>,
    rows: usize,
    pub(super) pace: Pace,
}

/// One stream on its way.
struct Course {
    log: Arc<Log>,
    cursor: u64,
    reader: Option<Reader>,
}

impl std::fmt::Debug for Shipper {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Shipper").field("stream", &self.own.stream).finish_non_exhaustive()
    }
}

impl Shipper {
    pub(super) fn new(streams: Streams, own: Arc<Log>, orphans: Vec<Arc<Log>>, queue: Arc<Queue>, rows: usize) -> Self {
        let counts = own.counts.clone();
        Self { streams: Arc::new(streams), counts, own, orphans: orphans.into(), queue, rows, pace: PACE }
    }

    /// The stream that this process writes.
    #[must_use]
    pub fn stream(&self) -> uuid::Uuid {
        self.own.stream
    }

    /// Ships whatever comes, for ever. May be dropped at any await; what was not stored is shipped by the next call.
    pub async fn run<S: Sink>(&mut self, sink: &S) {
        let mut own = self.course(self.own.clone(), sink).await;
        let changed = self.counts.changed.clone();
        loop {
            while self.pass(&mut own, sink).await {}
            match tokio::time::timeout(self.pace.adopt, changed.notified()).await {
                Ok(()) => tokio::time::sleep(self.pace.linger).await,
                Err(_) => self.adopt().await,
            }
        }
    }

    /// Ships what is left, within a deadline. Gives the number of frames that stay in the spool for the next start;
    /// where none do and the recorder is closed, nothing of the stream stays on the disk.
    pub async fn drain<S: Sink>(&mut self, sink: &S, deadline: Instant) -> u64 {
        let (done, durable) = oneshot::channel();
        if self.queue.push(Job::Barrier(done), true).is_ok() {
            let _ = tokio::time::timeout_at(deadline, durable).await;
        }
        let _ = tokio::time::timeout_at(deadline, self.ship_all(sink)).await;
        self.counts.tally().spooled
    }

    async fn ship_all<S: Sink>(&mut self, sink: &S) {
        let mut own = self.course(self.own.clone(), sink).await;
        loop {
            while self.pass(&mut own, sink).await {}
            let over = self.queue.is_over();
            if own.cursor >= self.own.durable() && self.orphans.is_empty() {
                if over {
                    self.remove(own.log, sink).await;
                }
                return;
            }
        }
    }

    /// Ships a batch of the own stream and whatever the oldest orphan holds; tells whether more is at hand.
    async fn pass<S: Sink>(&mut self, own: &mut Course, sink: &S) -> bool {
        if let Some(orphan) = self.orphans.front().cloned() {
            let mut course = self.course(orphan, sink).await;
            while course.cursor < course.log.durable() {
                self.ship_batch(&mut course, sink).await;
                self.ship_batch(own, sink).await;
            }
            self.orphans.pop_front();
            tracing::info!(stream = %course.log.stream, "the spool of a dead process is stored");
            self.remove(course.log, sink).await;
        }
        self.ship_batch(own, sink).await;
        !self.orphans.is_empty() || self.own.durable().saturating_sub(own.cursor) >= self.rows as u64
    }

    /// Removes a stream that is stored as a whole. Where the store cannot be told so, the files stay, and the next
    /// start finds them and tells it.
    async fn remove<S: Sink>(&self, log: Arc<Log>, sink: &S) {
        let (streams, stream) = (self.streams.clone(), log.stream);
        if let Err(error) = sink.finish(stream).await {
            tracing::warn!(%error, %stream, "a stored spool cannot be closed yet");
            return;
        }
        if let Err(error) = blocking(move || streams.remove(&log)).await {
            tracing::error!(%error, %stream, "a stored spool cannot be removed");
        }
    }

    async fn adopt(&mut self) {
        let streams = self.streams.clone();
        match blocking(move || streams.adopt()).await {
            Ok(found) => self.orphans.extend(found),
            Err(error) => tracing::error!(%error, "spools of dead processes cannot be looked for"),
        }
    }

    /// Asks the store how far it has a stream.
    async fn course<S: Sink>(&self, log: Arc<Log>, sink: &S) -> Course {
        let mut tries = 0;
        let cursor = loop {
            match sink.position(log.stream).await {
                Ok(cursor) => break cursor,
                Err(error) => self.wait(&error, &mut tries).await,
            }
        };
        self.store_is_up();
        let view = log.view();
        let before = view.segments.first().map_or(view.durable, |segment| segment.first.saturating_sub(1));
        if cursor > view.durable {
            tracing::error!(stream = %log.stream, cursor, durable = view.durable, "the disk has lost synced records that the store has");
        }
        log.note_shipped(before, cursor);
        Course { log, cursor, reader: None }
    }

    /// Reads a batch and stores all of it.
    async fn ship_batch<S: Sink>(&self, course: &mut Course, sink: &S) {
        if course.log.durable() <= course.cursor {
            return;
        }
        let (mut tries, mut hidden) = (0, false);
        let read = loop {
            match self.read(course, tries >= TRIES && !hidden).await {
                Ok(read) => break read,
                Err(error) => {
                    // What is hidden under a key that is not here is whole, and waits for it.
                    hidden = error.kind() == io::ErrorKind::PermissionDenied;
                    tracing::error!(%error, stream = %course.log.stream, "the spool cannot be read");
                    tokio::time::sleep(self.pace.after(&mut tries)).await;
                }
            }
        };
        self.store(course, read, sink).await;
        let (log, cursor) = (course.log.clone(), course.cursor);
        if let Err(error) = blocking(move || log.release(cursor)).await {
            tracing::error!(%error, stream = %course.log.stream, "stored segments cannot be removed");
        }
    }

    async fn read(&self, course: &mut Course, give_up: bool) -> io::Result<Read> {
        let reader = course.reader.take();
        let mut reader = reader.unwrap_or_else(|| Reader::new(course.log.clone(), course.cursor));
        let rows = self.rows;
        let (reader, read) = blocking(move || {
            let read = if give_up { Ok(reader.give_up()) } else { reader.read(rows, BATCH) };
            Ok((reader, read))
        })
        .await?;
        course.reader = Some(reader);
        read
    }

    /// Stores frames in order. A batch that the store can never hold is halved until the frame at fault stands alone.
    async fn store<S: Sink>(&self, course: &mut Course, mut read: Read, sink: &S) {
        self.bury_unreadable(course, &read).await;
        let mut parts: Vec<Range<usize>> = std::iter::once(0..read.frames.len()).collect();
        while let Some(part) = parts.pop() {
            let Some(frames) = read.frames.get(part.clone()) else { continue };
            match self.write(course, frames, sink).await {
                Ok(()) => {}
                Err(_) if part.len() > 1 => {
                    let middle = part.start + part.len() / 2;
                    parts.push(middle..part.end);
                    parts.push(part.start..middle);
                }
                Err(why) => {
                    let (Some(frame), Some(raw)) = (read.frames.get_mut(part.start), read.raw.get(part.start)) else {
                        continue;
                    };
                    tracing::error!(%why, stream = %frame.stream, sequence = frame.sequence, "the store refuses a record");
                    self.replace_poison(course, frame, raw, sink).await;
                }
            }
        }
    }

    /// Puts a frame that the store refuses among the dead letters, and a counted loss in its place.
    async fn replace_poison<S: Sink>(&self, course: &mut Course, frame: &mut Frame, raw: &Raw, sink: &S) {
        self.bury(course, raw).await;
        frame.entry = Entry::Loss { count: 1, why: LossWhy::Poison };
        if self.write(course, std::slice::from_ref(frame), sink).await.is_err() {
            tracing::error!(stream = %frame.stream, sequence = frame.sequence, "the store refuses to count a loss");
            self.counts.lose(LossWhy::Poison, 1);
            self.advance(course, frame.sequence);
        }
    }

    async fn bury_unreadable(&self, course: &Course, read: &Read) {
        for (frame, raw) in read.frames.iter().zip(&read.raw) {
            if matches!(frame.entry, Entry::Loss { why: LossWhy::Poison, .. }) {
                self.bury(course, raw).await;
            }
        }
    }

    async fn bury(&self, course: &Course, raw: &Raw) {
        let mut tries = 0;
        loop {
            let (log, raw) = (course.log.clone(), raw.clone());
            match blocking(move || log.bury(&raw)).await {
                Ok(()) => return,
                Err(error) if tries < TRIES => {
                    tracing::error!(%error, stream = %course.log.stream, "a dead letter cannot be kept");
                    tokio::time::sleep(self.pace.after(&mut tries)).await;
                }
                Err(error) => {
                    tracing::error!(%error, stream = %course.log.stream, "a dead letter is given up");
                    return;
                }
            }
        }
    }

    /// Writes frames, however long the store is away.
    async fn write<S: Sink>(&self, course: &mut Course, frames: &[Frame], sink: &S) -> Result<(), String> {
        let Some(last) = frames.last() else { return Ok(()) };
        let mut tries = 0;
        loop {
            match sink.write(course.log.stream, frames).await {
                Ok(()) => break,
                Err(SinkError::Poison(why)) => return Err(why),
                Err(error) => self.wait(&error, &mut tries).await,
            }
        }
        self.store_is_up();
        for frame in frames {
            if let Entry::Loss { count, why: why @ (LossWhy::Quarantined | LossWhy::Poison) } = frame.entry {
                self.counts.lose(why, count);
            }
        }
        self.advance(course, last.sequence);
        Ok(())
    }

    fn advance(&self, course: &mut Course, cursor: u64) {
        course.log.note_shipped(course.cursor, cursor);
        course.cursor = cursor;
    }

    async fn wait(&self, error: &SinkError, tries: &mut u32) {
        if !self.counts.store_down.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, "records wait in the spool");
        }
        tokio::time::sleep(self.pace.after(tries)).await;
    }

    fn store_is_up(&self) {
        if self.counts.store_down.swap(false, Ordering::Relaxed) {
            tracing::info!("records are stored again");
        }
    }
}

impl Pace {
    /// How long to wait after so many failures: twice as long each time, and never in step with other processes.
    fn after(&self, tries: &mut u32) -> Duration {
        let whole = self.first.saturating_mul(1 << (*tries).min(20)).min(self.longest);
        *tries = tries.saturating_add(1);
        whole.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

/// Does file work away from the runtime's thread.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
