//! How the candidates of one exchange stand: as their upstreams do, and as what those said of their rates. It chooses nobody.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;
use tracing::debug;

use super::Dispatch;
use crate::record::wall_clock;
use crate::upstream::backends::Backend;
use crate::upstream::choice::Outlook;
use crate::upstream::health::{LONGEST_REST, Standing};
use crate::upstream::quota;
use crate::upstream::reply::Answer;
use crate::upstream::retry::{self, Next};

impl Dispatch {
    /// How a candidate stands: as its upstream does, or out where what it may ask of the model is spent.
    pub(super) fn outlook(&self, backend: &Backend, candidate: usize, now: Instant) -> Outlook {
        let outlook = backend.outlook(now);
        let quotas = self.backends.quotas();
        if quotas.are_whole() {
            return outlook;
        }
        let spent = self.model(candidate).and_then(|model| quotas.until(backend.account(), &model, now));
        match (spent, outlook.standing) {
            (None, _) => outlook,
            (Some(until), Standing::Out(later)) => Outlook { standing: Standing::Out(until.max(later)), ..outlook },
            (Some(until), _) => Outlook { standing: Standing::Out(until), ..outlook },
        }
    }

    /// Takes note of what a reply asks for: that nothing be asked of its model for a while where a rate is spent, or
    /// nothing at all where the upstream wants rest. Gives how long an error asked for.
    pub(super) fn note_pause(&self, answer: &Answer, next: Next, backend: &Backend, model: &Arc<str>) -> Duration {
        let (now, clock) = (Instant::now(), wall_clock());
        let asked = (next == Next::Again).then(|| retry::rest(answer.status, &answer.headers, clock)).flatten();
        // Vendors count requests by model.
        let limited = asked.filter(|_| answer.status == StatusCode::TOO_MANY_REQUESTS);
        let spent = quota::spent(&answer.headers, clock).max(limited);
        if let Some(pause) = spent {
            debug!(upstream = %backend.name(), %model, ?pause, "its rate is spent");
            self.backends.quotas().note(backend.account(), model, now + pause.min(LONGEST_REST), now);
        }
        if let Some(pause) = asked
            && limited.is_none()
        {
            backend.rest(now, pause);
        }
        asked.unwrap_or_default()
    }
}
