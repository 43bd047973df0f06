//! The store against a real cluster, started through managed mode: one for all tests that run together, a database
//! for each.

mod cluster;
mod fixtures;
mod keys;
mod ledger;
mod migrate;
mod records;
mod roles;
mod write;

use std::ffi::OsString;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::managed::{Cluster, Options};
use super::pool::managed_options;
use super::{Store, migrate as migrations};

/// A directory of its own, removed with its handle.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("candor-store-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a scratch directory");
        Self(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The gateway's own way but for two things: data need not survive the machine, and the test's program is not
/// `candor`.
fn options() -> Options {
    let follow = ["setpriv", "--pdeathsig", "INT", "--"].map(OsString::from);
    let launcher = if Path::new("/usr/bin/setpriv").exists() { follow.to_vec() } else { Vec::new() };
    Options { binaries: None, launcher, durable: false, brief: false }
}

/// A cluster whose database `candor` is migrated and then left alone, as the template of the tests' own.
struct Shared {
    // Dropped in this order.
    cluster: Cluster,
    _scratch: Scratch,
}

fn shared() -> Arc<Shared> {
    static SHARED: Mutex<Weak<Shared>> = Mutex::new(Weak::new());
    let mut slot = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(shared) = slot.upgrade() {
        return shared;
    }
    let scratch = Scratch::new();
    let cluster = Cluster::start_with(scratch.path(), options()).expect("a cluster");
    let store = Store::with(managed_options(cluster.place().socket()));
    block_on(async {
        migrations::run(&store).await.expect("a migrated template");
        store.close().await;
    });
    let shared = Arc::new(Shared { cluster, _scratch: scratch });
    *slot = Arc::downgrade(&shared);
    shared
}

/// Runs a test on a database of its own, migrated.
fn with_store<F: Future<Output = ()>>(test: impl FnOnce(Store) -> F) {
    with_database("TEMPLATE candor", test);
}

/// Runs a test on a database of its own, empty.
fn with_empty_store<F: Future<Output = ()>>(test: impl FnOnce(Store) -> F) {
    with_database("", test);
}

fn with_database<F: Future<Output = ()>>(template: &str, test: impl FnOnce(Store) -> F) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let shared = shared();
    let name = format!("t{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let options = managed_options(shared.cluster.place().socket());
    block_on(async {
        let mut connection =
            PgConnection::connect_with(&options.clone().database("postgres")).await.expect("a session");
        let create = AssertSqlSafe(format!("CREATE DATABASE {name} {template}"));
        connection.execute(create).await.expect("a database of its own");
        let store = Store::with(options.database(&name));
        test(store.clone()).await;
        store.close().await;
    });
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(future)
}
