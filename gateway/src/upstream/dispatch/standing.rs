//! How the candidates of one exchange stand: as their upstreams do, and as what those said of their rates. It chooses nobody.

use std::sync::Arc;

use tokio::time::Instant;
use tracing::debug;

use super::{Called, Dispatch};
use crate::record::wall_clock;
use crate::upstream::backends::Backend;
use crate::upstream::choice::Outlook;
use crate::upstream::health::Standing;
use crate::upstream::lease::Lease;
use crate::upstream::quota;

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

    /// Takes note of what a reply says is left of its upstream's rates.
    pub(super) fn note_quota(&self, called: &Called, lease: &Lease, model: &Arc<str>) {
        if let Some(pause) = quota::spent(&called.answer.headers, wall_clock()) {
            let (backend, now) = (lease.backend(), Instant::now());
            debug!(upstream = %backend.name(), %model, ?pause, "its rate is spent");
            self.backends.quotas().note(backend.account(), model, now + pause, now);
        }
    }
}
