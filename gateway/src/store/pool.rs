//! Connections to Postgres, and what their errors mean. It asks no question of the database but whether it is there.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection, Executor};
use uuid::Uuid;

use super::managed::Place;
use super::partitions::Known;
use crate::cipher::Keys;
use crate::config::{Database, PayloadKey};

/// Connections of one gateway: shipping, reading keys and a few questions never need more.
const CONNECTIONS: u32 = 6;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// What every session begins with: bounds, so that nothing that hangs at the server hangs here for ever.
const SESSION: &str = "SET statement_timeout = '30s'; SET lock_timeout = '10s'; \
                       SET idle_in_transaction_session_timeout = '60s'; SET timezone = 'UTC'";

/// The database of one gateway. Cheap to clone. Its connections belong to the runtime that first used them, so one
/// store serves one runtime.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) pool: PgPool,
    pub(super) options: PgConnectOptions,
    pub(super) known: Arc<Known>,
    pub(super) keys: Arc<Keys>,
    pub(super) log: Arc<tokio::sync::OnceCell<Uuid>>,
}

/// Why the store did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The database cannot be reached, or cannot do it now; the same may work later.
    Unavailable(String),
    /// `database.url` is no address.
    Address,
    /// What was to be stored can never be stored as it is.
    Data(String),
    /// The database does not know what the program asks for, or forbids it.
    Refused(String),
    /// The database was migrated by a newer program.
    Newer {
        /// The database's version.
        database: i32,
        /// The newest version that the program knows.
        program: i32,
    },
    /// A migration was applied with another text than the program's.
    Changed {
        /// Which migration.
        version: i32,
    },
}

impl Store {
    /// Makes a store; nothing is connected before something is asked, so it succeeds while Postgres is away.
    ///
    /// # Errors
    /// The address makes no sense, or the data directory of a managed cluster cannot be made.
    pub fn connect(database: &Database, data: &Path) -> Result<Self, Error> {
        let options = match database {
            Database::Url(url) => url.reveal().parse::<PgConnectOptions>().map_err(|_| Error::Address)?,
            Database::Managed { .. } => {
                let place = Place::of(data).map_err(|error| Error::Unavailable(error.to_string()))?;
                managed_options(place.socket())
            }
        };
        Ok(Self::with(options))
    }

    /// The same store, with keys that payloads are hidden under: the first one is written with.
    #[must_use]
    pub fn hiding(self, keys: &[PayloadKey]) -> Self {
        Self { keys: Arc::new(Keys::of(keys)), ..self }
    }

    pub(super) fn with(options: PgConnectOptions) -> Self {
        let options = options.application_name("candor").disable_statement_logging();
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(CONNECT)
            // Without them the pool needs no task of its own, so a store can be made outside any runtime.
            .idle_timeout(None)
            .max_lifetime(None)
            .after_connect(|connection, _| Box::pin(async move { connection.execute(SESSION).await.map(drop) }))
            .connect_lazy_with(options.clone());
        Self { pool, options, known: Arc::default(), keys: Arc::default(), log: Arc::default() }
    }

    /// Whether the database answers, and why not. It uses a connection of its own: a full pool is no outage.
    ///
    /// # Errors
    /// Always [`Error::Unavailable`], with the reason.
    pub async fn ready(&self) -> Result<(), Error> {
        let answer = async {
            let mut connection = PgConnection::connect_with(&self.options).await?;
            connection.ping().await?;
            connection.close().await
        };
        match tokio::time::timeout(CONNECT, answer).await {
            Ok(done) => done.map_err(|error| Error::Unavailable(reason(&error))),
            Err(_) => Err(Error::Unavailable(format!("no answer within {}s", CONNECT.as_secs()))),
        }
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// How a managed cluster is reached.
pub(super) fn managed_options(socket: &Path) -> PgConnectOptions {
    let options = PgConnectOptions::new_without_pgpass().socket(socket).port(5432);
    options.username("candor").database("candor").ssl_mode(PgSslMode::Disable)
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let text = reason(&error);
        let database = match &error {
            sqlx::Error::Database(database) => database,
            sqlx::Error::Encode(_) | sqlx::Error::InvalidArgument(_) => return Self::Data(text),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) | sqlx::Error::Decode(_) => {
                return Self::Refused(text);
            }
            _ => return Self::Unavailable(text),
        };
        let code = database.code().unwrap_or_default();
        match code.get(..2).unwrap_or_default() {
            // Data exceptions, broken constraints, values past a limit of the server.
            "22" | "23" | "54" => Self::Data(text),
            // Names and rights. "42501" is a missing right, "42P01" a missing table.
            "42" | "28" | "3D" | "0A" => Self::Refused(text),
            _ => Self::Unavailable(text),
        }
    }
}

/// What an error says without the data that it is about: that belongs in no log.
fn reason(error: &sqlx::Error) -> String {
    let database = match error {
        sqlx::Error::Database(database) => database,
        sqlx::Error::PoolTimedOut => return format!("no connection could be had within {}s", CONNECT.as_secs()),
        other => return other.to_string(),
    };
    let code = database.code().unwrap_or_default();
    let quotes_data = code.starts_with("22");
    let message = if quotes_data { "the data does not fit" } else { database.message() };
    let table = database.table().map(|table| format!(" (table {table})")).unwrap_or_default();
    format!("{message} [{code}]{table}")
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(why) => write!(formatter, "the database is unavailable: {why}"),
            Self::Address => {
                formatter.write_str("`database.url` is no Postgres URL (postgres://user:password@host/database)")
            }
            Self::Data(why) => write!(formatter, "the database cannot take this: {why}"),
            Self::Refused(why) => write!(formatter, "the database refused: {why}"),
            Self::Newer { database, program } => write!(
                formatter,
                "the database is at version {database}, this program knows {program}; use the newer program"
            ),
            Self::Changed { version } => write!(
                formatter,
                "migration {version} was applied with another text than this program's; use the program that applied it"
            ),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    #[test]
    fn a_store_is_made_without_a_runtime_and_without_a_database() {
        let check = |url: &str, good: bool| {
            let database = Database::Url(Secret::new(url));
            assert_eq!(Store::connect(&database, Path::new("/nonexistent")).is_ok(), good, "{url}");
        };
        check("postgres://somebody:word@127.0.0.1:1/db", true);
        check("postgres://host/db?sslmode=require", true);
        check("postgres://host:notaport/db", false);
    }
}
