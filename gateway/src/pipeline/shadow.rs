//! A sampled copy of an exchange, asked of another upstream beside it: screened for that one, recorded under the gateway's
//! own name and linked to the exchange that it copies. Nobody waits for it and nobody reads it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;
use tokio::time::Instant;

use super::{Gateway, intake, judging};
use crate::exchange::{Dialect, ExchangeId, Peer};
use crate::identify::Known;
use crate::limits::Hold;
use crate::record::wall_clock;
use crate::route::{Route, Shadow};
use crate::snapshot::Snapshot;

/// A copy that is to be sent.
pub(super) struct Errand {
    gateway: Arc<Gateway>,
    snapshot: Arc<Snapshot>,
    shadowed: ExchangeId,
    known: Known,
    /// What the client speaks.
    dialect: Dialect,
    peer: Peer,
    headers: HeaderMap,
    raw: Bytes,
    shadow: Arc<Shadow>,
}

/// What an exchange copies.
#[derive(Debug)]
pub(super) struct Copied {
    /// The exchange.
    pub of: ExchangeId,
    /// Who answers the copy.
    pub route: Route,
}

impl Errand {
    /// The copy that an exchange gives rise to, where it is one of the sample. A copy is never copied.
    pub(super) fn of(arrival: &intake::Arrival, route: &Route, raw: &Bytes) -> Option<Self> {
        let shadow = route.shadow.as_ref().filter(|shadow| judging::is_drawn(arrival.id, shadow.sample))?;
        (arrival.copied.is_none() && !arrival.dialect.counts_only()).then(|| Self {
            gateway: arrival.gateway.clone(),
            snapshot: arrival.admission.snapshot.clone(),
            shadowed: arrival.id,
            known: arrival.known.clone(),
            dialect: arrival.dialect,
            peer: arrival.peer.clone(),
            headers: arrival.headers.clone(),
            raw: raw.clone(),
            shadow: shadow.clone(),
        })
    }

    /// Sees to it beside the traffic.
    pub(super) fn run(self) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(Box::pin(self.ask()));
        }
    }

    async fn ask(self) {
        let Self { gateway, snapshot, dialect, shadowed, known, peer, headers, raw, shadow } = self;
        // It counts as an exchange that runs: a full house comes first, and a shutdown waits for it.
        let Ok(admission) = gateway.door.admit(snapshot, Hold::default()) else { return };
        let arrival = intake::Arrival {
            gateway,
            id: ExchangeId::begin(),
            dialect,
            started: Instant::now(),
            at: wall_clock(),
            peer,
            known,
            admission,
            client_left: Arc::new(AtomicBool::new(false)),
            headers,
            copied: Some(Copied { of: shadowed, route: shadow.route.clone() }),
        };
        let Ok(taken) = intake::understand(arrival, raw).await else { return };
        let mut body = Box::pin(super::proceed(*taken)).await.into_body();
        // The pace of a client that reads as fast as it can.
        while body.frame().await.is_some() {}
    }
}
