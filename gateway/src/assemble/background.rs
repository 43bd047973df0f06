//! The work beside the traffic: bringing the database to this version, reading callers' keys, shipping records. Traffic
//! never waits for it.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::build::keyring_copy;
use super::sealing::Sealer;
use super::watch::Database;
use crate::config::Terms;
use crate::identify::Keys;
use crate::limits::Book;
use crate::limits::share::share;
use crate::record::{Shipper, wall_clock};
use crate::snapshot::Snapshot;
use crate::store::events::policy;
use crate::store::retention::{Dropped, enforce};
use crate::store::search;
use crate::store::{Store, migrate};
use crate::{keyring, store, tokens};

/// How long a start waits for a database that is there but slow.
const FIRST: Duration = Duration::from_secs(10);
/// How often it is looked whether records are older than they may be.
const RETAIN: Duration = Duration::from_secs(3600);

/// How often it is looked whether there are texts to index.
const INDEX: Duration = Duration::from_secs(5);
/// Changes of rules and settings that may wait for the database.
const CHANGES: usize = 1024;
/// How often a database that is away, or cannot be migrated, is tried again.
const AGAIN: Duration = Duration::from_secs(2);

/// Tasks beside the traffic.
pub(super) struct Background {
    store: Store,
    shipping: JoinHandle<Shipper>,
    stop_shipping: oneshot::Sender<()>,
    keys: JoinHandle<()>,
    fetching: JoinHandle<()>,
    sharing: JoinHandle<()>,
    stop_sharing: oneshot::Sender<()>,
    sealing: JoinHandle<Sealer>,
    retaining: JoinHandle<()>,
    indexing: Option<JoinHandle<()>>,
    announcing: JoinHandle<()>,
    announcements: Announcements,
    stop_sealing: oneshot::Sender<()>,
}

/// Rules and settings that have come into force.
struct Announcement {
    digest: Arc<str>,
    documents: Vec<(String, String)>,
}

/// Where it is told what has come into force.
#[derive(Clone)]
pub(super) struct Announcements(mpsc::Sender<Announcement>);

impl Announcements {
    /// Tells it. Changes wait while the database is away; people make few of them.
    pub(super) fn tell(&self, snapshot: &Snapshot) {
        let announcement = Announcement { digest: snapshot.digest.clone(), documents: snapshot.documents() };
        if let Err(mpsc::error::TrySendError::Full(lost)) = self.0.try_send(announcement) {
            tracing::error!(digest = %lost.digest, "too many changes wait for the database; the ledger will lack this one");
        }
    }
}

/// What works beside the traffic.
pub(super) struct Beside {
    pub(super) store: Store,
    pub(super) shipper: Shipper,
    pub(super) sealer: Sealer,
    pub(super) keys: Arc<Keys>,
    pub(super) limits: Arc<Book>,
    pub(super) database: Arc<Database>,
}

impl Background {
    /// Starts all of it. A database that answers is migrated before this comes back; one that does not, when it does.
    pub(super) async fn start(beside: Beside, shared: &Arc<ArcSwap<Snapshot>>) -> Self {
        let snapshot = shared.load_full();
        let config = &snapshot.config;
        let Beside { store, shipper, sealer, keys, limits, database } = beside;
        let (migrated, ready) = watch::channel(false);
        if try_migrate(&store, &database).await {
            migrated.send_replace(true);
        }
        let runtime = tokio::runtime::Handle::current();
        let (stop_shipping, stop) = oneshot::channel();
        let retaining = runtime.spawn(retain(store.clone(), shared.clone(), ready.clone()));
        let indexing = config.payload_keys.is_empty().then(|| runtime.spawn(index(store.clone(), ready.clone())));
        let (announcements, told) = mpsc::channel(CHANGES);
        let announcements = Announcements(announcements);
        announcements.tell(&snapshot);
        let announcing = runtime.spawn(announce(store.clone(), told, ready.clone()));
        let (stop_sealing, no_more) = oneshot::channel();
        let sealing = runtime.spawn(sign(sealer, store.clone(), ready.clone(), no_more));
        let shipping = runtime.spawn(ship(shipper, store.clone(), ready, stop));
        let (stop_sharing, no_longer) = oneshot::channel();
        let sharing = share(limits, store.clone(), terms(keys.clone(), shared.clone()), no_longer);
        let mut shareable = migrated.subscribe();
        let sharing = runtime.spawn(async move {
            if shareable.wait_for(|ready| *ready).await.is_ok() {
                sharing.await;
            }
        });
        let fetching = runtime.spawn(tokens::fetch::refresh(keys.issuers()));
        let copy = config.data.join(keyring_copy());
        let seen = database.clone();
        let tell = move |read: Result<(), &store::Error>| {
            seen.set(read.err().map(ToString::to_string));
        };
        let refresh = keyring::refresh(keys, store.clone(), copy, config.callers.refresh, tell);
        let migrating = store.clone();
        let keys = runtime.spawn(async move {
            if !*migrated.borrow() {
                migrate_in_time(&migrating, &database).await;
                migrated.send_replace(true);
            }
            refresh.await;
        });
        Self {
            store,
            shipping,
            stop_shipping,
            keys,
            sealing,
            stop_sealing,
            retaining,
            indexing,
            announcing,
            announcements,
            fetching,
            sharing,
            stop_sharing,
        }
    }

    /// Where it is told what is in force.
    pub(super) fn announcements(&self) -> Announcements {
        self.announcements.clone()
    }

    /// Ships what is left within a deadline, and ends; gives the number of frames that stay in the spool.
    pub(super) async fn finish(self, deadline: Instant) -> u64 {
        self.keys.abort();
        self.fetching.abort();
        self.retaining.abort();
        let _ = self.stop_sharing.send(());
        let mut sharing = self.sharing;
        // What was taken within the last turn is told too, where the database answers.
        if tokio::time::timeout(AGAIN, &mut sharing).await.is_err() {
            sharing.abort();
        }
        self.announcing.abort();
        self.indexing.inspect(JoinHandle::abort);
        let _ = self.stop_shipping.send(());
        // A database that is away is not waited for: the spool keeps what it did not get.
        let there = matches!(tokio::time::timeout_at(deadline, self.store.ready()).await, Ok(Ok(())));
        let deadline = if there { deadline } else { Instant::now() };
        let left = match self.shipping.await {
            Ok(mut shipper) => shipper.drain(&self.store, deadline).await,
            Err(error) => {
                tracing::error!(%error, "shipping had ended by itself");
                0
            }
        };
        let _ = self.stop_sealing.send(());
        if let Ok(mut sealer) = self.sealing.await
            && there
        {
            // What was shipped last is sealed too, so that the head on this machine is of all of it.
            let _ = tokio::time::timeout_at(deadline, sealer.turns(&self.store)).await;
        }
        // Closing says goodbye over the network, which may be what is broken.
        let _ = tokio::time::timeout(AGAIN, self.store.close()).await;
        left
    }
}

/// What limits there are, by the name that they are counted under.
fn terms(keys: Arc<Keys>, snapshot: Arc<ArcSwap<Snapshot>>) -> impl Fn(&str) -> Option<Arc<Terms>> {
    move |scope| {
        let team = || {
            let snapshot = snapshot.load();
            let team = snapshot.config.teams.iter().find(|team| *team.scope == *scope);
            team.map(|team| team.terms.clone())
        };
        keys.terms(scope).or_else(team)
    }
}

/// Ships records once the database is ready for them, until it is told to stop.
async fn ship(
    mut shipper: Shipper,
    store: Store,
    mut ready: watch::Receiver<bool>,
    stop: oneshot::Receiver<()>,
) -> Shipper {
    let work = async {
        if ready.wait_for(|ready| *ready).await.is_ok() {
            shipper.run(&store).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = work => {}
        _ = stop => {}
    }
    shipper
}

/// Indexes texts as they are sealed, where nothing is hidden from the database.
async fn index(store: Store, mut ready: watch::Receiver<bool>) {
    if ready.wait_for(|ready| *ready).await.is_err() {
        return;
    }
    loop {
        let began = Instant::now();
        let pause = match search::index(&store).await {
            // Half of the time at most: what is on its way into the database comes first.
            Ok(Some(_)) => began.elapsed(),
            Ok(None) => INDEX,
            Err(error) => {
                tracing::warn!(%error, "indexing waits for the database");
                INDEX * 12
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Lets go of what is older than it may be, every hour.
async fn retain(store: Store, snapshot: Arc<ArcSwap<Snapshot>>, mut ready: watch::Receiver<bool>) {
    if ready.wait_for(|ready| *ready).await.is_err() {
        return;
    }
    loop {
        let retention = snapshot.load().config.retention.clone();
        if retention.payload_days.is_none() && retention.metadata_months.is_none() {
            tokio::time::sleep(RETAIN).await;
            continue;
        }
        match enforce(&store, &retention, wall_clock()).await {
            Ok(dropped) if dropped == Dropped::default() => {}
            Ok(dropped) => {
                tracing::info!(partitions = ?dropped.partitions, kept = dropped.kept, expired = dropped.expired, "retention");
            }
            Err(error) => tracing::warn!(%error, "retention waits for the database"),
        }
        tokio::time::sleep(RETAIN).await;
    }
}

/// Notes in the ledger what rules and settings are in force, as soon as the database is ready.
async fn announce(store: Store, mut told: mpsc::Receiver<Announcement>, mut ready: watch::Receiver<bool>) {
    if ready.wait_for(|ready| *ready).await.is_err() {
        return;
    }
    while let Some(Announcement { digest, documents }) = told.recv().await {
        while let Err(error) = policy(&store, &digest, &documents).await {
            if !matches!(error, store::Error::Unavailable(_)) {
                tracing::error!(%error, %digest, "the ledger does not say which rules are in force");
                break;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// Seals records, until it is told to stop.
async fn sign(mut sealer: Sealer, store: Store, ready: watch::Receiver<bool>, stop: oneshot::Receiver<()>) -> Sealer {
    tokio::select! {
        () = sealer.run(&store, ready) => {}
        _ = stop => {}
    }
    sealer
}

/// Whether the database is of this version now, within the time that a start has.
async fn try_migrate(store: &Store, database: &Database) -> bool {
    let why = match tokio::time::timeout(FIRST, migrate(store)).await {
        Ok(Ok(())) => return true,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it does not answer".to_owned(),
    };
    tracing::warn!(error = why, "the database cannot be used yet; records wait in the spool");
    database.set(Some(why));
    false
}

/// Tries again and again until the database is of this version; tells of each new reason once.
async fn migrate_in_time(store: &Store, database: &Database) {
    loop {
        tokio::time::sleep(AGAIN).await;
        match migrate(store).await {
            Ok(()) => {
                database.set(None);
                tracing::info!("the database can be used");
                return;
            }
            Err(error) => {
                if database.set(Some(error.to_string())) {
                    tracing::warn!(%error, "the database still cannot be used");
                }
            }
        }
    }
}

async fn migrate(store: &Store) -> Result<(), store::Error> {
    // Asked first, because it says at once why a database is away; the pool would wait and not say.
    store.ready().await?;
    migrate::run(store).await.map(drop)
}
