//! The way out: no new exchanges, time for those that run, then their clean end. It stops no thread.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::sync::watch;

use crate::admit::Phase;

/// What exchanges get to end in when somebody is in a hurry.
const AT_ONCE: Duration = Duration::from_millis(200);

/// How a drain came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// All exchanges finished in their own time.
    Finished,
    /// Some were ended, cleanly in their dialect.
    Ended,
    /// Some were still there when patience was over.
    Cut,
}

/// How long a drain waits.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For exchanges to finish.
    pub finish: Duration,
    /// For those that did not to end.
    pub end: Duration,
}

/// Moves the process through its last phases; `quiet` resolves when nothing runs any more, `hurry` when nobody waits.
pub async fn drain(
    phase: &watch::Sender<Phase>,
    quiet: impl Future<Output = ()>,
    hurry: impl Future<Output = ()>,
    patience: Patience,
) -> Drained {
    let (mut quiet, mut hurry) = (pin!(quiet), pin!(hurry));
    phase.send_replace(Phase::Draining);
    let hurried = tokio::select! {
        biased;
        () = &mut quiet => return Drained::Finished,
        () = &mut hurry => true,
        () = tokio::time::sleep(patience.finish) => false,
    };
    phase.send_replace(Phase::Ending);
    if hurried {
        // Nobody waits, but what ends at once ends cleanly and is recorded so.
        let ended = tokio::time::timeout(AT_ONCE.min(patience.end), quiet).await;
        return if ended.is_ok() { Drained::Ended } else { Drained::Cut };
    }
    tokio::select! {
        biased;
        () = quiet => Drained::Ended,
        () = hurry => Drained::Cut,
        () = tokio::time::sleep(patience.end) => Drained::Cut,
    }
}
