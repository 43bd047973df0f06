//! From exchanges to the writer: bounded by slots and bytes, and it wakes the writer only when that is of use.
//! It writes nothing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::append::Draft;

/// What the writer is asked for.
#[derive(Debug)]
pub(in crate::record) enum Job {
    /// Make this durable.
    Frame(Draft),
    /// Tell when everything before this is durable or lost.
    Barrier(oneshot::Sender<()>),
}

/// Jobs on their way to the writer. A slot puts at most two frames in, and slots are counted.
#[derive(Debug, Default)]
pub(in crate::record) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    bytes: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    jobs: Vec<Job>,
    /// Bytes that the jobs hold.
    weight: usize,
    /// Somebody waits for one of the jobs.
    urgent: bool,
    /// There is something to do beside the jobs.
    nudged: bool,
    closed: bool,
    /// The writer has ended.
    over: bool,
    writer: Activity,
}

/// What the writer is doing.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Activity {
    /// Writing: it looks by itself when done.
    #[default]
    Busy,
    /// Letting frames gather that nobody waits for.
    Gathering,
    /// Waiting for jobs; what else there is to do waits for its time.
    Dozing,
    /// Waiting for anything.
    Idle,
}

/// Why the writer may have to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Nudge,
    Job,
    Urgent,
}

/// What the writer got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::record) enum Taken {
    /// Jobs, which hold so many bytes, or at least a reason to look.
    Work(usize),
    /// Nothing is left and nothing will come.
    Closed,
}

impl Job {
    fn weight(&self) -> usize {
        match self {
            Self::Frame(draft) => draft.entry.weight(),
            Self::Barrier(_) => 0,
        }
    }
}

impl Queue {
    /// Bytes of the jobs that wait or are being written.
    pub(in crate::record) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Puts a job in; gives it back where the writer is gone.
    pub(in crate::record) fn push(&self, job: Job, urgent: bool) -> Result<(), Job> {
        let weight = job.weight();
        let wake = {
            let mut state = self.state();
            if state.closed {
                return Err(job);
            }
            self.bytes.fetch_add(weight, Ordering::Relaxed);
            state.jobs.push(job);
            state.weight += weight;
            state.urgent |= urgent;
            state.wakes(if urgent { Cause::Urgent } else { Cause::Job })
        };
        if wake {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Makes the writer look for what it has to do beside jobs.
    pub(in crate::record) fn nudge(&self) {
        let wake = {
            let mut state = self.state();
            state.nudged = true;
            state.wakes(Cause::Nudge)
        };
        if wake {
            self.wake.notify_one();
        }
    }

    /// Lets the writer finish what is in the queue and end.
    pub(in crate::record) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.writer = Activity::Busy;
        drop(state);
        self.wake.notify_one();
    }

    /// Closes the queue and drops what is in it: the writer is gone.
    pub(super) fn abort(&self) {
        self.close();
        let mut state = self.state();
        state.jobs.clear();
        state.over = true;
    }

    /// Whether the writer has ended: the stream grows no more.
    pub(in crate::record) fn is_over(&self) -> bool {
        self.state().over
    }

    /// Waits for jobs and takes them all. Frames that nobody waits for may gather as long as `group`; without any job,
    /// `patience` ends the wait.
    pub(super) fn take(&self, jobs: &mut Vec<Job>, group: Duration, patience: Option<Duration>) -> Taken {
        let waiting = if patience.is_some() { Activity::Dozing } else { Activity::Idle };
        let mut state = self.wait(self.state(), waiting, patience, |state| {
            state.jobs.is_empty() && !state.closed && !(state.nudged && waiting == Activity::Idle)
        });
        if !state.urgent && !state.jobs.is_empty() {
            state = self.wait(state, Activity::Gathering, Some(group), |state| !state.urgent && !state.closed);
        }
        state.urgent = false;
        state.nudged = false;
        std::mem::swap(jobs, &mut state.jobs);
        let weight = std::mem::take(&mut state.weight);
        if jobs.is_empty() && state.closed { Taken::Closed } else { Taken::Work(weight) }
    }

    /// Takes note that jobs that held so many bytes are done with.
    pub(super) fn done(&self, weight: usize) {
        self.bytes.fetch_sub(weight, Ordering::Relaxed);
    }

    fn wait<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        activity: Activity,
        patience: Option<Duration>,
        idle: impl Fn(&State) -> bool,
    ) -> MutexGuard<'a, State> {
        let until = patience.map(|patience| Instant::now() + patience);
        while idle(&state) {
            state.writer = activity;
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            state = match left {
                Some(Duration::ZERO) => break,
                Some(left) => self.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        state.writer = Activity::Busy;
        state
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether the writer must be woken, which is done once.
    fn wakes(&mut self, cause: Cause) -> bool {
        let wakes = match self.writer {
            Activity::Busy => false,
            Activity::Gathering => cause == Cause::Urgent,
            Activity::Dozing => cause != Cause::Nudge,
            Activity::Idle => true,
        };
        if wakes {
            self.writer = Activity::Busy;
        }
        wakes
    }
}
