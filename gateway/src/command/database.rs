//! Opens the store for a command: a running database is joined, a managed one that rests is started and stopped
//! again.

use crate::cli::Configured;
use crate::config::Database;
use crate::store::managed::Cluster;
use crate::store::{self, Store, migrate};

use super::{Failure, print};

/// What a command expects to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expect {
    /// A managed cluster may be made.
    Anything,
    /// Without a cluster there is nothing to do.
    Cluster,
}

/// Runs work on the configured database, migrated to this version.
pub(super) fn with_store<T>(
    arguments: &Configured,
    expect: Expect,
    work: impl AsyncFnOnce(&Store) -> Result<T, Failure>,
) -> Result<T, Failure> {
    with_any_store(arguments, expect, async |store| {
        migrate::run(store).await?;
        work(store).await
    })
}

/// Runs work on the configured database as it stands.
pub(super) fn with_any_store<T>(
    arguments: &Configured,
    expect: Expect,
    work: impl AsyncFnOnce(&Store) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let config = print::configuration(arguments)?.config;
    let cluster = match &config.database {
        Database::Url(_) => None,
        Database::Managed { binaries } => {
            if expect == Expect::Cluster && !Cluster::exists(&config.data) {
                return Err(Failure::outside(format!(
                    "there is no database in {} yet; run `candor serve` with this configuration first, or \
                     name the right one with --config",
                    config.data.display()
                )));
            }
            print::progress("starting Postgres ...");
            let cluster = Cluster::start_briefly(&config.data, binaries.as_deref());
            print::progress("");
            Some(cluster.map_err(Failure::outside)?)
        }
    };
    let store = Store::connect(&config.database, &config.data)?.hiding(&config.payload_keys);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        store.ready().await?;
        let done = work(&store).await;
        store.close().await;
        done
    });
    if let Some(cluster) = cluster {
        cluster.stop();
    }
    done
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Address => Self::usage(error),
            store::Error::Unavailable(_) => {
                Self::outside(format!("{error}; check that Postgres runs and that `database.url` is right"))
            }
            other => Self::outside(other),
        }
    }
}
