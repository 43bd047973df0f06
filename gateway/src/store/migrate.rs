//! Brings a database to this version. It holds no SQL of its own but that of its book-keeping.

use aws_lc_rs::digest::{SHA256, digest};
use sqlx::{Connection, PgConnection, raw_sql};

use super::{Error, Store};

/// One step forward.
struct Migration {
    version: i32,
    name: &'static str,
    text: &'static str,
}

/// All steps, oldest first. A step that has been released is never edited.
const MIGRATIONS: [Migration; 8] = [
    Migration { version: 1, name: "create store", text: include_str!("../../../migrations/0001_create_store.sql") },
    Migration { version: 2, name: "add ledger", text: include_str!("../../../migrations/0002_add_ledger.sql") },
    Migration { version: 3, name: "add review", text: include_str!("../../../migrations/0003_add_review.sql") },
    Migration {
        version: 4,
        name: "add cost and limits",
        text: include_str!("../../../migrations/0004_add_cost_and_limits.sql"),
    },
    Migration { version: 5, name: "add audit", text: include_str!("../../../migrations/0005_add_audit.sql") },
    Migration {
        version: 6,
        name: "show subject and audit",
        text: include_str!("../../../migrations/0006_show_subject_and_audit.sql"),
    },
    Migration {
        version: 7,
        name: "add upstream dialect",
        text: include_str!("../../../migrations/0007_add_upstream_dialect.sql"),
    },
    Migration { version: 8, name: "order by time", text: include_str!("../../../migrations/0008_order_by_time.sql") },
];

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The database's version before; 0 for an empty one.
    pub before: i32,
    /// Its version now.
    pub now: i32,
}

/// Applies what is missing, one transaction a step, while other gateways wait; a database that is up to date is only
/// read.
///
/// # Errors
/// The database is away, is newer than the program, or forbids it.
pub async fn run(store: &Store) -> Result<Done, Error> {
    let mut connection = store.pool.acquire().await?;
    let done = match version(&mut connection).await? {
        before if before == newest() => Done { before, now: before },
        before if before > newest() => return Err(Error::Newer { database: before, program: newest() }),
        _ => {
            // The lock is of the session: it must not go back into the pool with it.
            let mut session = connection.detach();
            let done = apply_locked(&mut session).await;
            let _ = session.close().await;
            done?
        }
    };
    store.known.ahead(store).await?;
    Ok(done)
}

/// The newest version that this program knows.
#[must_use]
pub fn newest() -> i32 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default()
}

/// Applies the steps up to a version, as the program of that time did.
#[cfg(test)]
pub(super) async fn run_to(store: &Store, version: i32) -> Result<(), Error> {
    let mut connection = store.pool.acquire().await?;
    apply(&mut connection, |migration| migration.version <= version).await
}

async fn apply_locked(session: &mut PgConnection) -> Result<Done, Error> {
    // Waiting is bounded by the session's lock time-out; a step itself may take longer than an ordinary statement.
    sqlx::query("SELECT pg_advisory_lock(7164098311)").execute(&mut *session).await?;
    sqlx::query("SET statement_timeout = 0").execute(&mut *session).await?;
    let before = version(session).await?;
    if before > newest() {
        return Err(Error::Newer { database: before, program: newest() });
    }
    apply(session, |migration| migration.version > before).await?;
    Ok(Done { before, now: newest() })
}

async fn apply(session: &mut PgConnection, wanted: impl Fn(&Migration) -> bool) -> Result<(), Error> {
    raw_sql(
        "CREATE TABLE IF NOT EXISTS migration (version int PRIMARY KEY, name text NOT NULL, digest bytea NOT NULL, \
         applied timestamptz NOT NULL DEFAULT now())",
    )
    .execute(&mut *session)
    .await?;
    for migration in MIGRATIONS.iter().filter(|migration| wanted(migration)) {
        let mut transaction = session.begin().await?;
        raw_sql(migration.text).execute(&mut *transaction).await?;
        sqlx::query("INSERT INTO migration (version, name, digest) VALUES ($1, $2, $3)")
            .bind(migration.version)
            .bind(migration.name)
            .bind(digest_of(migration.text))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        tracing::info!(version = migration.version, name = migration.name, "database migrated");
    }
    Ok(())
}

/// The database's version, after a look at whether its steps are this program's.
async fn version(connection: &mut PgConnection) -> Result<i32, Error> {
    let exists: bool =
        sqlx::query_scalar("SELECT to_regclass('migration') IS NOT NULL").fetch_one(&mut *connection).await?;
    if !exists {
        return Ok(0);
    }
    let applied: Vec<(i32, Vec<u8>)> =
        sqlx::query_as("SELECT version, digest FROM migration ORDER BY version").fetch_all(&mut *connection).await?;
    for (version, digest) in &applied {
        let ours = MIGRATIONS.iter().find(|migration| migration.version == *version);
        if ours.is_some_and(|migration| digest_of(migration.text) != *digest) {
            return Err(Error::Changed { version: *version });
        }
    }
    Ok(applied.last().map_or(0, |(version, _)| *version))
}

fn digest_of(text: &str) -> Vec<u8> {
    digest(&SHA256, text.as_bytes()).as_ref().to_vec()
}
