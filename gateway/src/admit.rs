//! Admission: what an exchange holds while it runs. It does not know who the caller is or what was asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::fault::Fault;
use crate::limits::Hold;
use crate::snapshot::Snapshot;

/// How far the process is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// New exchanges are taken.
    Serving,
    /// No new ones; those in flight finish.
    Draining,
    /// The deadline is over: those in flight end now, cleanly in their dialect.
    Ending,
}

/// Lets an exchange see the process's phase.
pub type Closing = watch::Receiver<Phase>;

/// Why an exchange is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// As many exchanges run as may.
    Full,
    /// The gateway is shutting down.
    Draining,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let (code, message) = match error {
            Error::Full => ("gateway_busy", "The gateway is at its limit of concurrent requests."),
            Error::Draining => ("gateway_draining", "The gateway is shutting down."),
        };
        Self::unavailable(code, message, Duration::from_secs(1))
    }
}

/// Gives out admissions.
#[derive(Debug)]
pub struct Door {
    running: Arc<AtomicUsize>,
    closing: Closing,
}

/// What one exchange holds; dropping it makes room.
#[derive(Debug)]
pub struct Admission {
    /// What the exchange runs under.
    pub snapshot: Arc<Snapshot>,
    /// The process's phase.
    pub closing: Closing,
    /// What it holds of its caller's limits.
    pub hold: Hold,
    _place: Place,
}

/// A place among the running exchanges; dropping it gives it back.
#[derive(Debug)]
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Door {
    /// A door that nobody has passed yet.
    #[must_use]
    pub fn new(closing: Closing) -> Self {
        Self { running: Arc::default(), closing }
    }

    /// Exchanges that run now.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    /// Admits an exchange where the snapshot that it will run under leaves room, or says at once why not. A smaller limit
    /// than before turns nobody out: those that run go on, and new ones wait for them.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn admit(&self, snapshot: Arc<Snapshot>, hold: Hold) -> Result<Admission, Error> {
        if *self.closing.borrow() != Phase::Serving {
            return Err(Error::Draining);
        }
        let most = snapshot.config.limits.exchanges;
        let one_more = |running: usize| (running < most).then(|| running + 1);
        self.running.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).map_err(|_| Error::Full)?;
        let place = Place(self.running.clone());
        Ok(Admission { snapshot, closing: self.closing.clone(), hold, _place: place })
    }
}
