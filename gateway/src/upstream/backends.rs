//! What all workers know of the upstreams, and each worker's connections to them. It chooses nobody and retries nothing.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, Weak};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{error, info, warn};

use super::absence::Absences;
use super::balance::Latency;
use super::catalogue;
use super::choice::Outlook;
use super::health::{Change, Health};
use super::lease::Lease;
use super::local::Local;
use super::lock::lock;
use super::offers::{Names, Offers};
use super::quota::Quotas;
use super::remote::{self, Connections, Target};
use super::retry::Budget;
use crate::config::{Config, Upstream, UpstreamKind};
use crate::exchange::Dialect;

/// What all workers share: health, loaded models, client TLS, counts. One set of them belongs to one snapshot.
#[derive(Debug)]
pub struct Backends {
    all: HashMap<Arc<str>, Arc<Backend>>,
    budget: Arc<Budget>,
    quotas: Arc<Quotas>,
}

impl Backends {
    /// Nobody: for a snapshot that answers nothing.
    #[must_use]
    pub fn none() -> Arc<Self> {
        Arc::new(Self { all: HashMap::new(), budget: Arc::new(Budget::new(Instant::now())), quotas: Arc::default() })
    }

    /// Loads local models (blocking, slow) and checks credentials and roots. Those of `before` whose settings are the same
    /// are kept with their models, connections, health and calls on their way.
    ///
    /// # Errors
    /// Every mistake at once, ready to be shown.
    pub fn open(config: &Config, before: &Self) -> Result<Arc<Self>, Vec<String>> {
        let mut mistakes = Vec::new();
        let mut all = HashMap::new();
        for upstream in &config.upstreams {
            let backend = match before.same(upstream, &config.catalogue) {
                Some(backend) => Ok(backend),
                None => Backend::open(upstream, &config.catalogue).map(Arc::new),
            };
            match backend {
                Ok(backend) => _ = all.insert(backend.name.clone(), backend),
                Err(mistake) => mistakes.push(format!("upstream `{}`: {mistake}", upstream.name)),
            }
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        Ok(Arc::new(Self { all, budget: before.budget.clone(), quotas: before.quotas.clone() }))
    }

    fn same(&self, upstream: &Upstream, catalogue: &catalogue::Catalogue) -> Option<Arc<Backend>> {
        let backend = self.all.get(upstream.name.as_str())?;
        let described = match &backend.kind {
            Kind::Remote(_) => backend.catalogue == catalogue.digest(),
            Kind::Local(_) => true,
        };
        (backend.settings == *upstream && backend.roots == roots(upstream) && described).then(|| backend.clone())
    }

    /// What the gateway may add to the tries that clients asked for.
    pub(super) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// What upstreams said is spent of their rates.
    pub(super) fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    pub(super) fn backend(&self, name: &str) -> Option<&Arc<Backend>> {
        self.all.get(name)
    }

    /// Names of the models that an upstream says it has; a local one is known by its own. It is asked where that was not
    /// lately, until then at most.
    pub async fn offered(&self, upstream: &str, until: Instant) -> Names {
        match self.all.get(upstream).map(|backend| (backend, &backend.kind)) {
            Some((backend, Kind::Remote(target))) => {
                let limit = until.saturating_duration_since(Instant::now());
                backend.offers.get(until, remote::list(target, limit)).await
            }
            Some((backend, Kind::Local(_))) => [backend.name.clone()].into(),
            None => Names::default(),
        }
    }
}

/// What stands in an upstream's file of roots: the same settings may mean another file than before.
fn roots(upstream: &Upstream) -> Option<Vec<u8>> {
    let UpstreamKind::Remote(remote) = &upstream.kind else { return None };
    std::fs::read(remote.roots.as_deref().map(Path::new)?).ok()
}

/// Whose rates an upstream's calls count against: the key's at its address, or the upstream's own where it has none.
fn account(upstream: &Upstream) -> u64 {
    static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    match &upstream.kind {
        UpstreamKind::Remote(remote) => match &remote.key {
            Some(key) => HASHER.hash_one((&remote.base_url, key.reveal())),
            None => HASHER.hash_one((&remote.base_url, &upstream.name)),
        },
        UpstreamKind::Local(_) => HASHER.hash_one(&upstream.name),
    }
}

/// One worker's connections to the backends, made when they are first needed.
#[derive(Debug, Default)]
pub struct Upstreams {
    /// By the backend's identity.
    connections: Mutex<HashMap<u64, Known>>,
}

#[derive(Debug)]
struct Known {
    connections: Arc<Connections>,
    /// Gone once no snapshot knows the backend any more.
    backend: Weak<Backend>,
}

impl Upstreams {
    /// The connections to a backend; they live on the runtime that first asks for them.
    pub(super) fn connections(&self, backend: &Arc<Backend>, target: &Target) -> Arc<Connections> {
        let mut all = lock(&self.connections);
        if let Some(known) = all.get(&backend.identity) {
            return known.connections.clone();
        }
        all.retain(|_, known| known.backend.strong_count() > 0);
        let connections = Arc::new(Connections::new(target));
        let known = Known { connections: connections.clone(), backend: Arc::downgrade(backend) };
        all.insert(backend.identity, known);
        connections
    }
}

/// One upstream, as all workers see it.
pub(super) struct Backend {
    name: Arc<str>,
    /// No other backend of this process has had it.
    identity: u64,
    /// The same for all backends that share a vendor's rates: one address and one key.
    account: u64,
    settings: Upstream,
    roots: Option<Vec<u8>>,
    /// Digest of the catalogue that says how its vendor differs.
    catalogue: String,
    kind: Kind,
    /// Calls that may be on their way at once.
    places: usize,
    pending: AtomicUsize,
    state: Mutex<State>,
    offers: Offers,
}

/// Where an upstream's answers come from.
#[derive(Debug)]
pub(super) enum Kind {
    Remote(Box<Target>),
    Local(Box<Local>),
}

impl Kind {
    /// What is spoken to it for a client that speaks `wanted`: the same where it can, else its main dialect. `None` where
    /// that says nothing of the kind.
    pub(super) fn dialect(&self, wanted: Dialect) -> Option<Dialect> {
        match self {
            Self::Remote(target) => target.dialect(wanted),
            Self::Local(_) if wanted.counts_only() => Some(wanted),
            Self::Local(_) => wanted.converses().then_some(Dialect::OpenaiChat),
        }
    }

    /// What is spoken to it in place of a dialect that it turned out not to serve.
    fn instead(&self, absent: Dialect) -> Option<Dialect> {
        match self {
            Self::Remote(target) => target.main().filter(|main| *main != absent && absent.converses()),
            Self::Local(_) => None,
        }
    }
}

#[derive(Debug, Default)]
struct State {
    health: Health,
    latency: Latency,
    absences: Absences,
    news: News,
}

/// The least time between two lines of a log that say the same of an upstream: one that flaps would fill it.
const QUIET: Duration = Duration::from_secs(10);

/// What an operator was told of an upstream's health.
#[derive(Debug, Default)]
struct News {
    ejected: Option<Instant>,
    rejected: Option<Instant>,
    /// Whether the last that was told is that it keeps failing.
    bad: bool,
}

impl News {
    /// Whether to tell that it was ejected.
    fn ejected(&mut self, now: Instant) -> bool {
        let tell = Self::is_due(&mut self.ejected, now);
        self.bad |= tell;
        tell
    }

    /// Whether to tell that it rejects the gateway.
    fn rejected(&mut self, now: Instant) -> bool {
        Self::is_due(&mut self.rejected, now)
    }

    fn is_due(told: &mut Option<Instant>, now: Instant) -> bool {
        let due = told.is_none_or(|told| now.saturating_duration_since(told) >= QUIET);
        if due {
            *told = Some(now);
        }
        due
    }

    /// Whether to tell that it is back.
    fn recovered(&mut self) -> bool {
        std::mem::take(&mut self.bad)
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Backend").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Backend {
    fn open(upstream: &Upstream, catalogue: &catalogue::Catalogue) -> Result<Self, String> {
        let (kind, places) = match &upstream.kind {
            UpstreamKind::Remote(remote) => {
                let target = Target::open(&upstream.name, remote, catalogue)?;
                (Kind::Remote(Box::new(target)), remote.concurrency)
            }
            UpstreamKind::Local(model) => (Kind::Local(Box::new(Local::open(&upstream.name, model)?)), None),
        };
        static IDENTITIES: AtomicU64 = AtomicU64::new(0);
        Ok(Self {
            name: Arc::from(upstream.name.as_str()),
            identity: IDENTITIES.fetch_add(1, Ordering::Relaxed),
            account: account(upstream),
            settings: upstream.clone(),
            roots: roots(upstream),
            catalogue: catalogue.digest().to_owned(),
            kind,
            places: places.unwrap_or(usize::MAX),
            pending: AtomicUsize::new(0),
            state: Mutex::default(),
            offers: Offers::default(),
        })
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn account(&self) -> u64 {
        self.account
    }

    pub(super) fn kind(&self) -> &Kind {
        &self.kind
    }

    /// As [`Kind::dialect`], but not what it lately turned out not to serve, where there is something else.
    pub(super) fn dialect(&self, wanted: Dialect, now: Instant) -> Option<Dialect> {
        let usual = self.kind.dialect(wanted)?;
        let instead = self.kind.instead(usual).filter(|_| lock(&self.state).absences.holds(usual, now));
        Some(instead.unwrap_or(usual))
    }

    /// Takes note of a dialect that it does not serve; gives what may be spoken instead.
    pub(super) fn note_absence(&self, absent: Dialect, status: u16, now: Instant) -> Option<Dialect> {
        let instead = self.kind.instead(absent);
        if lock(&self.state).absences.note(absent, now) {
            let (dialect, instead) = (absent.name(), instead.map(Dialect::name));
            let hint = "name the dialects that it serves in its `dialects`, and check its `base_url`";
            warn!(upstream = %self.name, dialect, status, instead, hint, "upstream does not serve a dialect");
        }
        instead
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
        let tell = {
            let mut state = lock(&self.state);
            state.health.succeed() && state.news.recovered()
        };
        if tell {
            info!(upstream = %self.name, "upstream is back");
        }
    }

    pub(super) fn fail(&self, took: Duration, now: Instant, probe: bool) {
        let ejected = {
            let mut state = lock(&self.state);
            state.latency.note_failure(took, now);
            match state.health.fail(now, probe) {
                Change::Ejected(pause) if state.news.ejected(now) => Some(pause),
                Change::Ejected(_) | Change::None => None,
            }
        };
        if let Some(pause) = ejected {
            warn!(upstream = %self.name, ?pause, "upstream keeps failing and is asked last for a while");
        }
    }

    /// It turned the gateway itself away: its key, or its account.
    pub(super) fn note_rejection(&self, status: u16, now: Instant) {
        if lock(&self.state).news.rejected(now) {
            error!(upstream = %self.name, status, "upstream rejects the gateway's own credentials or account");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_flaps_is_told_of_once_in_a_while() {
        let (mut news, now) = (News::default(), Instant::now());
        assert!(news.ejected(now) && news.recovered());
        assert!(
            !news.ejected(now + QUIET / 2) && !news.recovered(),
            "what was not told to be bad is not told to be good"
        );
        assert!(news.ejected(now + QUIET));
        assert!(!news.ejected(now + QUIET) && news.recovered() && !news.recovered());
        let told = (0..100).filter(|tenth| news.rejected(now + QUIET * *tenth / 10)).count();
        assert_eq!(told, 10);
    }
}
