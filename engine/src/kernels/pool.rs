//! The compute threads: one job at a time, cut into numbered units. It shares no thread and no lock with anybody else.
#![expect(unsafe_code, reason = "lending a borrowed closure and disjoint parts of a buffer to the pool's threads")]

use std::marker::PhantomData;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::rooms::{Room, Rooms};

/// Threads that help the one that calls [`Pool::run`].
#[derive(Debug)]
pub(crate) struct Pool {
    rooms: Arc<Rooms<f32>>,
    codes: Arc<Rooms<i8>>,
    sums: Arc<Rooms<i32>>,
    shared: Arc<Shared>,
    helpers: Vec<JoinHandle<()>>,
}

impl Pool {
    /// Starts a pool that computes on `threads` threads, the caller's included.
    pub(crate) fn new(threads: usize) -> Self {
        let shared = Arc::new(Shared::default());
        let start = |index| {
            let shared = Arc::clone(&shared);
            let body = move || shared.help();
            std::thread::Builder::new().name(format!("candor-compute-{index}")).spawn(body).ok()
        };
        // A system that refuses a thread makes the pool smaller, not wrong.
        let helpers = (1..threads).filter_map(start).collect();
        Self { rooms: Arc::default(), codes: Arc::default(), sums: Arc::default(), shared, helpers }
    }

    /// A buffer for a while; its values are whatever was there before.
    pub(crate) fn room(&self, length: usize) -> Room<f32> {
        self.rooms.take(length)
    }

    /// As above, for codes of eight bits.
    pub(crate) fn code_room(&self, length: usize) -> Room<i8> {
        self.codes.take(length)
    }

    /// As above, for sums of codes.
    pub(crate) fn sum_room(&self, length: usize) -> Room<i32> {
        self.sums.take(length)
    }

    /// Threads that compute.
    pub(crate) fn threads(&self) -> usize {
        self.helpers.len() + 1
    }

    /// Runs `job` once for every number below `units`, on all threads, and returns when all are done.
    pub(crate) fn run(&self, units: usize, job: &(dyn Fn(usize) + Sync)) {
        if units <= 1 || self.helpers.is_empty() {
            (0..units).for_each(job);
            return;
        }
        self.shared.next.store(0, Ordering::Relaxed);
        self.shared.panicked.store(false, Ordering::Relaxed);
        // SAFETY: only the lifetime is erased. `Shared::retire` below returns after every helper that took
        // the job has left it and no other can take it, on the unwinding path too, so no helper outlives the borrow.
        let job = unsafe { std::mem::transmute::<&(dyn Fn(usize) + Sync), &'static (dyn Fn(usize) + Sync)>(job) };
        self.shared.offer(Job { job, units });
        let own = catch_unwind(AssertUnwindSafe(|| self.shared.work(Job { job, units })));
        self.shared.retire();
        if let Err(panic) = own {
            resume_unwind(panic);
        }
        assert!(!self.shared.panicked.load(Ordering::Relaxed), "a compute thread panicked");
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.wake.notify_all();
        for helper in self.helpers.drain(..) {
            // A helper never panics outside a job, and a job's panic is caught.
            let _ = helper.join();
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    idle: Condvar,
    /// What `State::epoch` and `State::busy` are, to be looked at without the lock.
    epoch: AtomicU64,
    busy: AtomicUsize,
    next: AtomicUsize,
    panicked: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    job: Option<Job>,
    epoch: u64,
    busy: usize,
    stop: bool,
}

#[derive(Clone, Copy)]
struct Job {
    job: &'static (dyn Fn(usize) + Sync),
    units: usize,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("units", &self.units).finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn offer(&self, job: Job) {
        let mut state = self.lock();
        state.job = Some(job);
        state.epoch += 1;
        self.epoch.store(state.epoch, Ordering::Release);
        drop(state);
        self.wake.notify_all();
    }

    fn retire(&self) {
        let mut state = self.lock();
        state.job = None;
        if state.busy > 0 {
            drop(state);
            spin(|| self.busy.load(Ordering::Acquire) == 0);
            state = self.lock();
        }
        while state.busy > 0 {
            state = self.idle.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn work(&self, job: Job) {
        loop {
            let unit = self.next.fetch_add(1, Ordering::Relaxed);
            if unit >= job.units {
                return;
            }
            (job.job)(unit);
        }
    }

    fn help(&self) {
        let mut seen = 0;
        let mut state = self.lock();
        while !state.stop {
            match state.job {
                Some(job) if state.epoch != seen => {
                    seen = state.epoch;
                    state.busy += 1;
                    self.busy.store(state.busy, Ordering::Release);
                    drop(state);
                    if catch_unwind(AssertUnwindSafe(|| self.work(job))).is_err() {
                        self.panicked.store(true, Ordering::Relaxed);
                    }
                    state = self.lock();
                    state.busy -= 1;
                    self.busy.store(state.busy, Ordering::Release);
                    if state.busy == 0 {
                        self.idle.notify_all();
                    }
                    // The next job of a step follows in microseconds, sooner than a sleeping thread wakes.
                    drop(state);
                    spin(|| self.epoch.load(Ordering::Acquire) != seen);
                    state = self.lock();
                }
                _ => state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

/// Looks a little while for something that is expected soon: a few microseconds, so that a machine whose cores are shared
/// loses little.
fn spin(over: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if over() {
            return;
        }
        std::hint::spin_loop();
    }
}

/// A buffer whose disjoint parts the units of one job write.
pub(crate) struct Parts<'a, T> {
    start: *mut T,
    length: usize,
    of: PhantomData<&'a mut [T]>,
}

// SAFETY: it is an exclusive borrow of values that may be sent; `part` makes its callers promise disjointness.
unsafe impl<T: Send> Sync for Parts<'_, T> {}

impl<'a, T> Parts<'a, T> {
    /// Borrows a buffer for one job.
    pub(crate) fn new(buffer: &'a mut [T]) -> Self {
        Self { start: buffer.as_mut_ptr(), length: buffer.len(), of: PhantomData }
    }

    /// One unit's part.
    ///
    /// # Safety
    /// No two units of the job may ask for overlapping ranges, and a unit may hold one range at a time only if
    /// its own ranges do not overlap either.
    #[expect(clippy::mut_from_ref, reason = "disjointness is the caller's promise")]
    pub(crate) unsafe fn part(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.length, "part of a buffer out of bounds");
        // SAFETY: in bounds as just checked, exclusive as the caller promises.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}

/// Some columns of a buffer of rows: what no other band of the buffer has.
pub(crate) struct Band<'a> {
    parts: Parts<'a, f32>,
    /// Values of a whole row.
    stride: usize,
    columns: Range<usize>,
}

impl<'a> Band<'a> {
    /// All columns of rows of so many values.
    pub(crate) fn whole(buffer: &'a mut [f32], width: usize) -> Self {
        Self { parts: Parts::new(buffer), stride: width, columns: 0..width }
    }

    /// The first columns of rows of `stride` values.
    pub(crate) fn first(buffer: &'a mut [f32], stride: usize, width: usize) -> Self {
        assert!(width <= stride, "a band as wide as its buffer at most");
        Self { parts: Parts::new(buffer), stride, columns: 0..width }
    }

    /// Rows of `stride` values, cut into bands of `width` columns.
    pub(crate) fn cut(buffer: &'a mut [f32], stride: usize, width: usize) -> impl Iterator<Item = Self> {
        let (start, length) = (buffer.as_mut_ptr(), buffer.len());
        // The bands share the buffer's bounds and have no column in common.
        (0..stride / width).map(move |band| Self {
            parts: Parts { start, length, of: PhantomData },
            stride,
            columns: band * width..(band + 1) * width,
        })
    }

    /// Rows and columns.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.parts.length / self.stride, self.columns.len())
    }

    /// Some columns of one row.
    ///
    /// # Safety
    /// As for [`Parts::part`], within this band.
    #[expect(clippy::mut_from_ref, reason = "disjointness is the caller's promise")]
    pub(crate) unsafe fn part(&self, row: usize, columns: Range<usize>) -> &mut [f32] {
        assert!(columns.end <= self.columns.len(), "columns outside their band");
        let at = row * self.stride + self.columns.start;
        // SAFETY: other bands have other columns, and the caller promises the rest.
        unsafe { self.parts.part(at + columns.start..at + columns.end) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_runs_once() {
        let pool = Pool::new(3);
        for units in [0, 1, 2, 97] {
            let counts: Vec<AtomicUsize> = (0..units).map(|_| AtomicUsize::new(0)).collect();
            pool.run(units, &|unit| {
                counts[unit].fetch_add(1, Ordering::Relaxed);
            });
            assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1), "{units} units");
        }
    }

    #[test]
    fn a_panic_in_a_unit_reaches_the_caller_and_spares_the_pool() {
        let pool = Pool::new(2);
        let broken = catch_unwind(AssertUnwindSafe(|| pool.run(8, &|unit| assert!(unit != 5, "poisoned"))));
        assert!(broken.is_err());
        let sum = AtomicUsize::new(0);
        pool.run(8, &|unit| {
            sum.fetch_add(unit, Ordering::Relaxed);
        });
        assert_eq!(sum.load(Ordering::Relaxed), 28);
    }
}
