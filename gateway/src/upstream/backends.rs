//! What all workers know of the upstreams, and each worker's connections to them. It chooses nobody and retries nothing.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use super::balance::Latency;
use super::catalogue;
use super::choice::Outlook;
use super::health::{Change, Health};
use super::lease::Lease;
use super::local::Local;
use super::lock::lock;
use super::remote::{Connections, Target};
use super::retry::Budget;
use crate::config::{Config, Upstream, UpstreamKind};

/// What all workers share: health, loaded models, client TLS, counts.
#[derive(Debug)]
pub struct Backends {
    all: HashMap<Arc<str>, Arc<Backend>>,
    budget: Budget,
}

impl Backends {
    /// Loads local models (blocking, slow) and checks credentials and roots.
    ///
    /// # Errors
    /// Every mistake at once, ready to be shown.
    pub fn open(config: &Config) -> Result<Arc<Self>, Vec<String>> {
        let mut mistakes = Vec::new();
        let mut all = HashMap::new();
        for (upstream, index) in config.upstreams.iter().zip(0..) {
            match Backend::open(upstream, index, &config.catalogue) {
                Ok(backend) => _ = all.insert(backend.name.clone(), Arc::new(backend)),
                Err(mistake) => mistakes.push(format!("upstream `{}`: {mistake}", upstream.name)),
            }
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        Ok(Arc::new(Self { all, budget: Budget::new(Instant::now()) }))
    }

    /// What the gateway may add to the tries that clients asked for.
    pub(super) fn budget(&self) -> &Budget {
        &self.budget
    }

    pub(super) fn backend(&self, name: &str) -> Option<&Arc<Backend>> {
        self.all.get(name)
    }
}

/// One worker's connections to the backends.
#[derive(Debug)]
pub struct Upstreams {
    backends: Arc<Backends>,
    /// By the backend's index.
    connections: Vec<Option<Connections>>,
}

impl Upstreams {
    /// To be called on the worker's runtime: connections live there.
    #[must_use]
    pub fn new(backends: &Arc<Backends>) -> Self {
        let mut connections: Vec<Option<Connections>> = Vec::new();
        connections.resize_with(backends.all.len(), || None);
        for backend in backends.all.values() {
            if let (Kind::Remote(target), Some(place)) = (&backend.kind, connections.get_mut(backend.index)) {
                *place = Some(Connections::new(target));
            }
        }
        Self { backends: backends.clone(), connections }
    }

    pub(super) fn backends(&self) -> &Backends {
        &self.backends
    }

    pub(super) fn connections(&self, backend: &Backend) -> Option<&Connections> {
        self.connections.get(backend.index)?.as_ref()
    }
}

/// One upstream, as all workers see it.
pub(super) struct Backend {
    name: Arc<str>,
    index: usize,
    kind: Kind,
    /// Calls that may be on their way at once.
    places: usize,
    pending: AtomicUsize,
    state: Mutex<State>,
}

/// Where an upstream's answers come from.
#[derive(Debug)]
pub(super) enum Kind {
    Remote(Box<Target>),
    Local(Box<Local>),
}

#[derive(Debug, Default)]
struct State {
    health: Health,
    latency: Latency,
}

impl fmt::Debug for Backend {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Backend").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Backend {
    fn open(upstream: &Upstream, index: usize, catalogue: &catalogue::Catalogue) -> Result<Self, String> {
        let (kind, places) = match &upstream.kind {
            UpstreamKind::Remote(remote) => {
                let target = Target::open(&upstream.name, remote, catalogue)?;
                (Kind::Remote(Box::new(target)), remote.concurrency)
            }
            UpstreamKind::Local(model) => (Kind::Local(Box::new(Local::open(&upstream.name, model)?)), None),
        };
        Ok(Self {
            name: Arc::from(upstream.name.as_str()),
            index,
            kind,
            places: places.unwrap_or(usize::MAX),
            pending: AtomicUsize::new(0),
            state: Mutex::default(),
        })
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn kind(&self) -> &Kind {
        &self.kind
    }

    pub(super) fn outlook(&self, now: Instant) -> Outlook {
        let pending = self.pending.load(Ordering::Relaxed);
        let state = lock(&self.state);
        Outlook {
            standing: state.health.standing(now),
            pending,
            latency: state.latency.seconds(now),
            full: pending >= self.places,
        }
    }

    /// Takes a place for one call, if there is one.
    pub(super) fn enter(self: &Arc<Self>, now: Instant) -> Option<Lease> {
        let more = |pending: usize| (pending < self.places).then(|| pending + 1);
        self.pending.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        let probe = lock(&self.state).health.enter(now);
        Some(Lease::new(self.clone(), now, probe))
    }

    pub(super) fn note_latency(&self, took: Duration, now: Instant) {
        lock(&self.state).latency.note(took, now);
    }

    pub(super) fn succeed(&self) {
        let recovered = lock(&self.state).health.succeed();
        if recovered {
            info!(upstream = %self.name, "upstream is back");
        }
    }

    pub(super) fn fail(&self, took: Duration, now: Instant, probe: bool) {
        let change = {
            let mut state = lock(&self.state);
            state.latency.note_failure(took, now);
            state.health.fail(now, probe)
        };
        if let Change::Ejected(pause) = change {
            warn!(upstream = %self.name, ?pause, "upstream keeps failing and is asked last for a while");
        }
    }

    pub(super) fn rest(&self, now: Instant, pause: Duration) {
        lock(&self.state).health.rest(now, pause);
    }

    /// Gives a place back; `unproven` where it was a probe that showed nothing.
    pub(super) fn leave(&self, unproven: bool) {
        self.pending.fetch_sub(1, Ordering::Relaxed);
        if unproven {
            lock(&self.state).health.leave(true);
        }
    }
}
