//! A candidate's place while it answers: it counts as pending, and says how the call went. It decides nothing.

use std::sync::Arc;

use tokio::time::Instant;

use super::backends::Backend;

/// A candidate's place in the balance while it answers; dropped without a word it counts neither way.
#[derive(Debug)]
pub struct Lease {
    backend: Arc<Backend>,
    entered: Instant,
    probe: bool,
    /// Whether the call's outcome is known already.
    settled: bool,
    timed: bool,
    /// Whether another one is asked beside it.
    races: bool,
}

impl Lease {
    /// A place that the backend has counted.
    pub(super) fn new(backend: Arc<Backend>, entered: Instant, probe: bool) -> Self {
        Self { backend, entered, probe, settled: false, timed: false, races: false }
    }

    /// The backend whose place it is.
    pub(super) fn backend(&self) -> &Arc<Backend> {
        &self.backend
    }

    /// The first event that carries meaning came.
    pub fn first_event(&mut self) {
        if !std::mem::replace(&mut self.timed, true) {
            let now = Instant::now();
            self.backend.note_latency(now.saturating_duration_since(self.entered), now);
        }
        // A probe has shown enough: others need not wait for the end of a long stream.
        if std::mem::take(&mut self.probe) {
            self.backend.succeed();
        }
    }

    /// The reply came whole.
    pub fn succeed(&mut self) {
        if !std::mem::replace(&mut self.settled, true) {
            self.backend.succeed();
        }
    }

    /// Another one may be asked beside it. Where that one is quicker, this is dropped without a word, and the time until
    /// then is the least that it would have taken.
    pub(super) fn race(&mut self) {
        self.races = true;
    }

    /// The upstream failed.
    pub fn fail(&mut self) {
        if !std::mem::replace(&mut self.settled, true) {
            let now = Instant::now();
            self.backend.fail(now.saturating_duration_since(self.entered), now, self.probe);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.races && !self.settled && !self.timed {
            let now = Instant::now();
            self.backend.note_latency(now.saturating_duration_since(self.entered), now);
        }
        self.backend.leave(self.probe && !self.settled);
    }
}
