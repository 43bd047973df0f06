//! What is counted of records, for metrics, readiness and the sum that must add up. It decides nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use super::ship::LossWhy;

/// Counters of one recorder, shared by all who record, write and ship.
#[derive(Debug, Default)]
pub struct Counts {
    pub(super) admitted: AtomicU64,
    pub(super) open: AtomicU64,
    pub(super) unused: AtomicU64,
    pub(super) recorded: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) begins: AtomicU64,
    pub(super) ends: AtomicU64,
    losses: [AtomicU64; LossWhy::ALL.len()],
    pub(super) frames: AtomicU64,
    pub(super) shipped: AtomicU64,
    bytes: AtomicU64,
    pub(super) broken: AtomicBool,
    pub(super) store_down: AtomicBool,
    last_sync: AtomicU64,
    pub(super) syncs: AtomicU64,
    /// Rung when frames have become durable.
    pub(super) changed: Arc<Notify>,
}

/// All counts at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Exchanges that were given a slot.
    pub admitted: u64,
    /// Slots in use: exchanges in flight, and those whose last frame is on its way to the disk.
    pub open: u64,
    /// Slots given back before anything began.
    pub unused: u64,
    /// Exchanges whose last frame is durable.
    pub recorded: u64,
    /// Exchanges whose last frame is lost.
    pub lost: u64,
    /// Begin frames that are durable.
    pub begins: u64,
    /// End and closing frames that are durable, of exchanges of this process.
    pub ends: u64,
    /// Frames lost, in the order of [`LossWhy::ALL`].
    pub losses: [u64; LossWhy::ALL.len()],
    /// Frames made durable by this process or found when it started.
    pub frames: u64,
    /// Of those, the frames that the store has.
    pub shipped: u64,
    /// Of those, the frames that it does not have yet.
    pub spooled: u64,
    /// Bytes of all segments on the disk.
    pub bytes: u64,
    /// The disk takes nothing at the moment.
    pub broken: bool,
    /// The store took nothing when it was last tried.
    pub store_down: bool,
    /// How long the last sync took.
    pub last_sync: Duration,
    /// How many syncs there were.
    pub syncs: u64,
}

impl Tally {
    /// Whether every admitted exchange is accounted for. It holds whenever no exchange is just being counted.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        self.admitted == self.recorded + self.lost + self.unused + self.open
    }
}

impl Counts {
    /// All counts now.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (frames, shipped) = (load(&self.frames), load(&self.shipped));
        Tally {
            admitted: load(&self.admitted),
            open: load(&self.open),
            unused: load(&self.unused),
            recorded: load(&self.recorded),
            lost: load(&self.lost),
            begins: load(&self.begins),
            ends: load(&self.ends),
            losses: LossWhy::ALL.map(|why| self.losses_for(why)),
            frames,
            shipped,
            spooled: frames.saturating_sub(shipped),
            bytes: load(&self.bytes),
            broken: self.is_broken(),
            store_down: self.store_down.load(Ordering::Relaxed),
            last_sync: Duration::from_nanos(load(&self.last_sync)),
            syncs: load(&self.syncs),
        }
    }

    /// Whether the disk takes nothing at the moment.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Frames lost for one reason.
    #[must_use]
    pub fn losses_for(&self, why: LossWhy) -> u64 {
        self.loss(why).load(Ordering::Relaxed)
    }

    /// An exchange is over, in one of the two ways.
    pub(super) fn settle(&self, outcome: &AtomicU64) {
        outcome.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn lose(&self, why: LossWhy, frames: u64) {
        self.loss(why).fetch_add(frames, Ordering::Relaxed);
    }

    pub(super) fn add_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn take_bytes(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn synced(&self, took: Duration) {
        self.last_sync.store(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.syncs.fetch_add(1, Ordering::Relaxed);
    }

    fn loss(&self, why: LossWhy) -> &AtomicU64 {
        let [full, backlog, failed, quarantined, poison] = &self.losses;
        match why {
            LossWhy::BestEffortFull => full,
            LossWhy::Backlog => backlog,
            LossWhy::WriteFailed => failed,
            LossWhy::Quarantined => quarantined,
            LossWhy::Poison => poison,
        }
    }
}
