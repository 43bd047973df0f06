//! Makes every part, in the order in which they need one another. What can fail fast comes first: a taken port shows
//! before Postgres starts or a model is loaded.

use std::net::TcpListener;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::background::{Background, Beside};
use super::reload::{Asking, Reloading, Reloads, Source, asking, reload_page};
use super::running::{Fronts, Running, Told};
use super::sealing::{Ledger, Sealer};
use super::{Error, canary, watch as parts};
use crate::admin::{Health, Pages};
use crate::admit::{Closing, Door, Phase};
use crate::config::{Config, Database, Loaded, Transport};
use crate::identify::Keys;
use crate::limits::Book;
use crate::listen::{Front, Settings, bind};
use crate::observe::export::Export;
use crate::observe::metrics::Metrics;
use crate::observe::traces::Traces;
use crate::pipeline::{Gateway, Questions};
use crate::record::{Recorder, Shipper, wall_clock};
use crate::screen::Memory;
use crate::snapshot::Snapshot;
use crate::store::Store;
use crate::store::managed::Cluster;
use crate::upstream::{Backends, Upstreams};
use crate::{keyring, tls};

/// Starts the gateway; to be called on the runtime that its work beside the traffic runs on.
///
/// # Errors
/// Where any part cannot be made; none is left running then.
pub async fn start(loaded: Loaded, source: Option<Source>) -> Result<Running, Error> {
    let files = loaded.files.clone();
    let snapshot = Snapshot::build(loaded, None).map_err(Error::Mistakes)?;
    let config = &snapshot.config;
    std::fs::create_dir_all(&config.data).map_err(|error| Error::Data { path: config.data.clone(), error })?;
    tls::install();
    let tls = front_tls(config)?;
    let sockets = Sockets::bind(config)?;
    let export = Export::start(&config.observe, &Handle::current()).map_err(Error::Export)?;
    let backends = Backends::open(config, &Backends::none()).map_err(Error::Mistakes)?;
    let sealer = Sealer::open(&config.data, &config.ledger).map_err(|error| Error::Ledger(error.to_string()))?;
    let (recorder, shipper) = spool(config)?;
    let (cluster, store) = database(config)?;

    let (phase, closing) = watch::channel(Phase::Serving);
    let snapshot = Arc::new(snapshot.answered_by(backends));
    let shared = shared(&snapshot, recorder, export.as_ref(), (sealer.seen(), closing.clone()));
    let ledger = sealer.key();
    let beside = Beside {
        store: store.clone(),
        shipper,
        sealer,
        keys: shared.keys.clone(),
        limits: shared.limits.clone(),
        database: shared.database.clone(),
    };
    let background = Background::start(beside, &shared.snapshot).await;
    let (asking, asked) = asking();
    let (front, admin, admin_phase) = fronts(sockets, tls.clone(), &shared, (closing, asking.clone()))?;
    parts::count_front(&shared.metrics, front.counts());
    let canary = canary::start(&snapshot.config, front.address(), store, &shared.metrics)?;
    let told = told(&snapshot, &front, admin.as_ref(), tls.as_deref(), ledger);
    let reloading = Reloading {
        source,
        snapshot: shared.snapshot.clone(),
        keys: shared.keys.clone(),
        tls,
        announce: background.announcements(),
        counts: shared.reloads,
        files,
    };
    let reloading = Handle::current().spawn(reloading.run(asked));
    let (recorder, door) = (shared.recorder, shared.door);
    let fronts = Fronts { front, admin, admin_phase };
    yield_to_traffic();
    let (snapshot, reload) = (shared.snapshot, (asking, reloading));
    Ok(Running { told, fronts, phase, door, recorder, background, cluster, export, snapshot, reload, canary })
}

/// Lets traffic go first where both want the processor; the threads of the traffic are running already, those that this
/// one starts from here on come after it too.
fn yield_to_traffic() {
    // A sandbox may refuse; then both have the same right.
    let _ = rustix::process::nice(5);
}

/// What all workers share.
#[derive(Clone)]
struct Shared {
    snapshot: Arc<ArcSwap<Snapshot>>,
    keys: Arc<Keys>,
    limits: Arc<Book>,
    door: Arc<Door>,
    reloads: Arc<Reloads>,
    recorder: Recorder,
    memory: Arc<Memory>,
    questions: Arc<Questions>,
    metrics: Arc<Metrics>,
    traces: Traces,
    health: Arc<Health>,
    database: Arc<parts::Database>,
}

impl Shared {
    /// A worker's own; to be called on its runtime.
    fn gateway(&self) -> Arc<Gateway> {
        Arc::new(Gateway {
            snapshot: self.snapshot.clone(),
            keys: self.keys.clone(),
            limits: self.limits.clone(),
            door: self.door.clone(),
            upstreams: Arc::<Upstreams>::default(),
            recorder: self.recorder.clone(),
            memory: self.memory.clone(),
            questions: self.questions.clone(),
            metrics: self.metrics.clone(),
            traces: self.traces.clone(),
            health: self.health.clone(),
        })
    }
}

fn shared(
    snapshot: &Arc<Snapshot>,
    recorder: Recorder,
    export: Option<&Export>,
    (ledger, closing): (Arc<Ledger>, Closing),
) -> Shared {
    let config = &snapshot.config;
    let keys = Arc::new(Keys::new(&config.callers));
    keyring::read_copy(&config.data.join(keyring_copy()), &keys);
    let door = Arc::new(Door::new(closing.clone()));
    let metrics = Metrics::new(snapshot.routes.models()).exporting(export.map(Export::meters));
    let metrics = Arc::new(metrics);
    parts::count_running(&metrics, &door);
    parts::count_records(&metrics, &recorder.counts());
    parts::count_ledger(&metrics, &ledger);
    let database = Arc::new(parts::Database::default());
    let seen =
        parts::Seen { keys: keys.clone(), counts: recorder.counts(), database: database.clone(), ledger, closing };
    let current = Arc::new(ArcSwap::new(snapshot.clone()));
    let health = Arc::new(parts::health(&metrics, current.clone(), seen));
    let reloads = Arc::new(Reloads::default());
    parts::count_reloads(&metrics, &reloads);
    let traces = export.map(Export::traces).unwrap_or_default();
    let snapshot = current;
    let (memory, questions) = (Arc::new(Memory::default()), Arc::new(Questions::default()));
    let limits = Arc::new(Book::default());
    Shared { snapshot, keys, limits, door, reloads, recorder, memory, questions, metrics, traces, health, database }
}

/// Name of the copy of callers' keys in the data directory.
pub(super) fn keyring_copy() -> &'static str {
    "keys.json"
}

fn front_tls(config: &Config) -> Result<Option<Arc<tls::Server>>, Error> {
    let Transport::Tls(tls) = &config.listen.transport else { return Ok(None) };
    let server = tls::Server::open(tls, &config.listen, &config.data, wall_clock()).map_err(Error::Tls)?;
    Ok(Some(Arc::new(server)))
}

fn spool(config: &Config) -> Result<(Recorder, Shipper), Error> {
    Recorder::open(&config.data, &config.spool).map_err(Error::Spool)
}

/// A private cluster must start; somebody else's may come when it likes.
fn database(config: &Config) -> Result<(Option<Cluster>, Store), Error> {
    let cluster = match &config.database {
        Database::Managed { binaries } => {
            Some(Cluster::start(&config.data, binaries.as_deref()).map_err(Error::Postgres)?)
        }
        Database::Url(_) => None,
    };
    let store = Store::connect(&config.database, &config.data).map_err(Error::Store)?.hiding(&config.payload_keys);
    Ok((cluster, store))
}

/// Bound addresses that nobody serves yet.
struct Sockets {
    front: TcpListener,
    admin: Option<TcpListener>,
}

impl Sockets {
    fn bind(config: &Config) -> Result<Self, Error> {
        let front = bind(config.listen.address).map_err(Error::Listen)?;
        let admin = config.admin.map(bind).transpose().map_err(Error::Listen)?;
        Ok(Self { front, admin })
    }
}

/// The front door and, where it has an address, the admin's. The latter outlives a drain, so as to tell of it.
fn fronts(
    sockets: Sockets,
    tls: Option<Arc<tls::Server>>,
    shared: &Shared,
    (closing, asking): (Closing, Asking),
) -> Result<(Front, Option<Front>, watch::Sender<Phase>), Error> {
    let snapshot = shared.snapshot.load();
    let config = &snapshot.config;
    let limits = &config.limits;
    let settings = Settings { name: "front", workers: config.workers, limits: limits.clone(), tls, closing };
    let parts = shared.clone();
    let front = Front::open(sockets.front, &settings, move || parts.gateway()).map_err(Error::Listen)?;
    let (phase, closing) = watch::channel(Phase::Serving);
    let admin = sockets.admin.map(|socket| {
        let settings = Settings { name: "admin", workers: 1, limits: limits.clone(), tls: None, closing };
        let health = shared.health.clone();
        let reload = reload_page(asking);
        Front::open(socket, &settings, move || Arc::new(Pages::new(health.clone(), reload.clone())))
    });
    Ok((front, admin.transpose().map_err(Error::Listen)?, phase))
}

fn told(snapshot: &Snapshot, front: &Front, admin: Option<&Front>, tls: Option<&tls::Server>, ledger: String) -> Told {
    Told {
        ledger,
        address: front.address(),
        admin: admin.map(Front::address),
        tls: tls.map(|tls| tls.shown().clone()),
        upstreams: snapshot.config.upstreams.len(),
        models: snapshot.routes.models().count(),
    }
}
