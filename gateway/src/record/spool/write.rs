//! The writer: one thread that makes frames durable, settles what could not be, and tells whoever waits.
//! Waiting frames are written as soon as the sync before them is done, however many have gathered.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

use super::append::{Appender, Draft};
use super::log::Log;
use super::queue::{Job, Queue, Taken};
use crate::exchange::ExchangeId;
use crate::record::counts::Counts;
use crate::record::ship::{ClosedWhy, Entry, LossWhy};
use crate::record::wall_clock;

/// How often losses of one kind are told of, and how often a broken disk is tried while nothing comes.
const BEAT: Duration = Duration::from_secs(1);

/// Bytes of frames that are written and synced as one, and in memory at once.
const GROUP: usize = 8 << 20;

/// The losses that this side counts; the reader finds the others.
const OURS: [LossWhy; 3] = [LossWhy::BestEffortFull, LossWhy::Backlog, LossWhy::WriteFailed];

/// Makes what comes through the queue durable.
pub(in crate::record) struct Writer {
    queue: Arc<Queue>,
    counts: Arc<Counts>,
    appender: Appender,
    group: Duration,
    /// Losses that the stream already tells of.
    told: [u64; OURS.len()],
    told_at: Instant,
    /// Closings that a broken disk has not taken yet.
    owed: Vec<Draft>,
}

impl Writer {
    /// A writer of a new stream.
    pub(in crate::record) fn new(log: Arc<Log>, queue: Arc<Queue>, group: Duration, segment_bytes: u64) -> Self {
        let counts = log.counts.clone();
        let appender = Appender::new(log, segment_bytes);
        Self { queue, counts, appender, group, told: [0; 3], told_at: Instant::now(), owed: Vec::new() }
    }

    /// Makes the first segment, so that a spool which cannot be written fails at the start.
    pub(in crate::record) fn prepare(&mut self) -> io::Result<()> {
        self.appender.commit(&[]).map(|_| ())
    }

    /// Writes until the queue is closed and empty.
    pub(in crate::record) fn run(mut self) {
        let mut jobs = Vec::new();
        loop {
            let untold = self.untold().next().is_some() || !self.owed.is_empty() || self.counts.is_broken();
            match self.queue.take(&mut jobs, self.group, untold.then_some(BEAT)) {
                Taken::Closed => return self.close(),
                Taken::Work(weight) => {
                    self.round(&mut jobs);
                    self.queue.done(weight);
                }
            }
        }
    }

    pub(super) fn round(&mut self, jobs: &mut Vec<Job>) {
        let mut group = std::mem::take(&mut self.owed);
        if self.told_at.elapsed() >= BEAT {
            self.tell_losses(&mut group);
        }
        let mut begun = HashSet::new();
        let mut barriers = Vec::new();
        let mut weight = 0;
        for job in jobs.drain(..) {
            match job {
                Job::Frame(draft) => {
                    weight += draft.entry.weight();
                    self.admit(draft, &mut begun, &mut group);
                }
                Job::Barrier(done) => barriers.push(done),
            }
            if weight >= GROUP {
                self.commit(std::mem::take(&mut group));
                begun.clear();
                weight = 0;
            }
        }
        self.commit(group);
        for done in barriers {
            let _ = done.send(());
        }
    }

    /// Puts a frame into the group; an end whose begin was lost is lost with it.
    fn admit(&mut self, draft: Draft, begun: &mut HashSet<Uuid>, group: &mut Vec<Draft>) {
        let known = |exchange: &ExchangeId, begun: &mut HashSet<Uuid>| {
            begun.remove(&exchange.0) || self.appender.is_open(exchange.0)
        };
        let keep = match &draft.entry {
            Entry::Begin(begin) => begun.insert(begin.exchange.0),
            Entry::End(end) => known(&end.exchange, begun),
            Entry::Closed { exchange, .. } => known(exchange, begun),
            Entry::Loss { .. } => true,
        };
        if keep { group.push(draft) } else { self.settle_lost(draft) }
    }

    fn commit(&mut self, mut group: Vec<Draft>) {
        if group.is_empty() {
            return;
        }
        match self.appender.commit(&group) {
            Ok(refused) => {
                if self.counts.broken.swap(false, Ordering::Relaxed) {
                    tracing::info!("the spool can be written again");
                }
                for place in refused.into_iter().rev() {
                    let draft = group.swap_remove(place);
                    tracing::error!("a record is too large for the spool");
                    self.settle_lost(draft);
                }
                for draft in group {
                    self.settle_durable(draft);
                }
            }
            Err(error) => {
                if !self.counts.broken.swap(true, Ordering::Relaxed) {
                    tracing::error!(%error, "the spool cannot be written");
                }
                for draft in group {
                    self.settle_lost(draft);
                }
            }
        }
    }

    fn settle_durable(&mut self, draft: Draft) {
        let counts = &self.counts;
        counts.frames.fetch_add(1, Ordering::Relaxed);
        match &draft.entry {
            Entry::Begin(_) => _ = counts.begins.fetch_add(1, Ordering::Relaxed),
            Entry::End(_) | Entry::Closed { why: ClosedWhy::Abandoned, .. } => {
                counts.ends.fetch_add(1, Ordering::Relaxed);
                counts.settle(&counts.recorded);
            }
            // The exchange was settled when its end was lost.
            Entry::Closed { .. } => _ = counts.ends.fetch_add(1, Ordering::Relaxed),
            Entry::Loss { count, why } => {
                for (ours, told) in OURS.iter().zip(&mut self.told) {
                    *told += if ours == why { *count } else { 0 };
                }
            }
        }
        if let Some(done) = draft.done {
            let _ = done.send(());
        }
    }

    fn settle_lost(&mut self, draft: Draft) {
        let counts = &self.counts;
        match &draft.entry {
            Entry::Begin(_) => counts.lose(LossWhy::WriteFailed, 1),
            Entry::End(end) => {
                counts.lose(LossWhy::WriteFailed, 1);
                counts.settle(&counts.lost);
                if self.appender.is_open(end.exchange.0) {
                    self.owed.push(closing(end.exchange, ClosedWhy::EndLost));
                }
            }
            Entry::Closed { exchange, .. } if self.appender.is_open(exchange.0) => self.owed.push(draft),
            Entry::Closed { why: ClosedWhy::Abandoned, .. } => {
                counts.lose(LossWhy::WriteFailed, 1);
                counts.settle(&counts.lost);
            }
            // Told of again at the next beat.
            Entry::Closed { .. } | Entry::Loss { .. } => {}
        }
    }

    /// Losses that the stream does not tell of yet.
    fn untold(&self) -> impl Iterator<Item = (LossWhy, u64)> {
        OURS.into_iter()
            .zip(self.told)
            .map(|(why, told)| (why, self.counts.losses_for(why).saturating_sub(told)))
            .filter(|(_, count)| *count > 0)
    }

    fn tell_losses(&mut self, group: &mut Vec<Draft>) {
        group.extend(self.untold().map(|(why, count)| Draft {
            entry: Entry::Loss { count, why },
            at: wall_clock(),
            done: None,
        }));
        self.told_at = Instant::now();
    }

    fn close(&mut self) {
        let mut group = std::mem::take(&mut self.owed);
        self.tell_losses(&mut group);
        self.commit(group);
        for draft in std::mem::take(&mut self.owed) {
            if matches!(draft.entry, Entry::Closed { why: ClosedWhy::Abandoned, .. }) {
                self.counts.settle(&self.counts.lost);
            }
        }
    }
}

impl Drop for Writer {
    /// However the thread ends, nobody waits for it in vain.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.counts.broken.store(true, Ordering::Relaxed);
        }
        self.queue.abort();
    }
}

/// A frame that closes an exchange which will not end by itself.
pub(in crate::record) fn closing(exchange: ExchangeId, why: ClosedWhy) -> Draft {
    Draft { entry: Entry::Closed { exchange, why }, at: wall_clock(), done: None }
}

/// A frame, and the receipt that tells when it is durable.
pub(in crate::record) fn awaited(entry: Entry, at: time::OffsetDateTime) -> (Draft, oneshot::Receiver<()>) {
    let (done, receipt) = oneshot::channel();
    (Draft { entry, at, done: Some(done) }, receipt)
}
