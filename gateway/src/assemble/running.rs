//! What runs, until a signal says otherwise, and the way out: exchanges first, then records, then the database.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Error;
use super::background::Background;
use super::reload::Asking;
use crate::admit::{Door, Phase};
use crate::listen::{Drained, Front, Patience, drain};
use crate::observe::export::Export;
use crate::record::Recorder;
use crate::snapshot::Snapshot;
use crate::store::managed::Cluster;
use crate::tls;

/// How long exchanges that were told to end may take to do so.
const END: Duration = Duration::from_secs(5);
/// How long records may take to reach the store at the end; what does not is shipped by the next start.
const SHIP: Duration = Duration::from_secs(10);
/// How long the collector may take for what waits.
const EXPORT: Duration = Duration::from_secs(3);
/// How often it is looked whether exchanges without a client still run.
const LOOK: Duration = Duration::from_millis(10);

/// A gateway that runs.
pub struct Running {
    pub(super) told: Told,
    pub(super) fronts: Fronts,
    pub(super) phase: watch::Sender<Phase>,
    pub(super) door: Arc<Door>,
    pub(super) recorder: Recorder,
    pub(super) background: Background,
    pub(super) cluster: Option<Cluster>,
    pub(super) export: Option<Export>,
    pub(super) snapshot: Arc<ArcSwap<Snapshot>>,
    pub(super) reload: (Asking, JoinHandle<()>),
    pub(super) canary: Option<JoinHandle<()>>,
}

/// What listens.
pub(super) struct Fronts {
    pub(super) front: Front,
    pub(super) admin: Option<Front>,
    pub(super) admin_phase: watch::Sender<Phase>,
}

/// What people are told of a gateway that has started.
#[derive(Debug, Clone)]
pub struct Told {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where health and metrics are answered to all.
    pub admin: Option<SocketAddr>,
    /// How its certificate can be trusted; `None` for plain HTTP.
    pub tls: Option<tls::Shown>,
    /// What the ledger's heads are verified with.
    pub ledger: String,
    /// Number of upstreams.
    pub upstreams: usize,
    /// Number of names that clients may use.
    pub models: usize,
}

/// Signals that concern the gateway.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    End,
    Reload,
}

impl Signals {
    /// Takes over the process's signals; to be called on a runtime.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn take() -> Result<Self, Error> {
        let take = |kind| signal(kind).map_err(Error::System);
        Ok(Self {
            terminate: take(SignalKind::terminate())?,
            interrupt: take(SignalKind::interrupt())?,
            hangup: take(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::End,
            _ = self.interrupt.recv() => Asked::End,
            _ = self.hangup.recv() => Asked::Reload,
        }
    }

    /// The next request to end.
    pub async fn end(&mut self) {
        while self.next().await != Asked::End {}
    }
}

impl Running {
    /// What people are told.
    #[must_use]
    pub fn told(&self) -> &Told {
        &self.told
    }

    /// Runs until a signal says to end, and ends; a second one hurries. SIGHUP reads the configuration again, which may
    /// take as long as a model takes to load.
    pub async fn until_signal(self, mut signals: Signals) {
        while signals.next().await == Asked::Reload {
            let asking = self.reload.0.clone();
            // What came of it is in the log.
            drop(Handle::current().spawn(async move { asking.reload().await }));
        }
        self.end(signals).await;
    }

    /// Ends in good order; a signal hurries.
    pub async fn end(mut self, mut signals: Signals) {
        self.reload.1.abort();
        self.canary.iter().for_each(JoinHandle::abort);
        tracing::info!(within = ?self.snapshot.load().config.drain, "shutting down");
        let drained = self.drain(&mut signals).await;
        match drained {
            Drained::Finished => tracing::info!("all exchanges finished"),
            Drained::Ended => tracing::warn!("exchanges were ended before they finished"),
            Drained::Cut => tracing::warn!("exchanges were cut"),
        }
        let patience = if drained == Drained::Cut { Duration::ZERO } else { SHIP };
        tokio::select! {
            () = self.stop(patience) => {}
            // Whoever asks for the third time gets it: the spool and the cluster are made for that.
            () = async { signals.end().await; signals.end().await } => tracing::warn!("ended before all was put away"),
        }
    }

    async fn drain(&mut self, signals: &mut Signals) -> Drained {
        let door = self.door.clone();
        let front = &mut self.fronts.front;
        let quiet = async {
            front.quiet().await;
            // An exchange whose client left runs on without a connection.
            while door.running() > 0 {
                tokio::time::sleep(LOOK).await;
            }
        };
        drain(&self.phase, quiet, signals.end(), Patience { finish: self.snapshot.load().config.drain, end: END }).await
    }

    async fn stop(self, patience: Duration) {
        let Self { fronts, recorder, background, cluster, export, .. } = self;
        // With their threads, exchanges that were cut end; their slots record it.
        fronts.front.stop().await;
        let closed = tokio::task::spawn_blocking(move || recorder.close());
        if closed.await.is_err() {
            tracing::error!("the spool was not closed");
        }
        let left = background.finish(Instant::now() + patience).await;
        if left > 0 {
            tracing::warn!(frames = left, "records stay in the spool; the next start ships them");
        }
        if let Some(cluster) = cluster
            && tokio::task::spawn_blocking(move || cluster.stop()).await.is_err()
        {
            tracing::error!("the private Postgres was not stopped");
        }
        if let Some(export) = export {
            export.stop(EXPORT).await;
        }
        if let Some(admin) = fronts.admin {
            fronts.admin_phase.send_replace(Phase::Ending);
            admin.stop().await;
        }
    }
}
