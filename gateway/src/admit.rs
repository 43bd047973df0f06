//! Admission: what an exchange holds while it runs. It does not know who the caller is or what was asked.

use tokio::sync::watch;

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
