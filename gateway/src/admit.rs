//! Admission: what an exchange holds while it runs. It does not know who the caller is or what was asked.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

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
    room: Arc<Semaphore>,
    capacity: usize,
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
    _permit: OwnedSemaphorePermit,
}

impl Door {
    /// A door that lets so many exchanges run at once.
    #[must_use]
    pub fn new(capacity: usize, closing: Closing) -> Self {
        Self { room: Arc::new(Semaphore::new(capacity)), capacity, closing }
    }

    /// Exchanges that run now.
    #[must_use]
    pub fn running(&self) -> usize {
        self.capacity.saturating_sub(self.room.available_permits())
    }

    /// Admits an exchange, or says at once why not.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn admit(&self, snapshot: Arc<Snapshot>, hold: Hold) -> Result<Admission, Error> {
        if *self.closing.borrow() != Phase::Serving {
            return Err(Error::Draining);
        }
        let permit = self.room.clone().try_acquire_owned().map_err(|_| Error::Full)?;
        Ok(Admission { snapshot, closing: self.closing.clone(), hold, _permit: permit })
    }
}
