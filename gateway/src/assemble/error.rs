//! Why the gateway could not be put together. What is wrong with a part is in the part's own words.

use std::fmt::{self, Display};
use std::path::PathBuf;

use crate::observe::export;
use crate::{listen, record, store, tls};

/// Why the gateway could not be put together.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// Rule packs or upstreams are not as they should be; every mistake.
    Mistakes(Vec<String>),
    /// Certificates.
    Tls(tls::Error),
    /// Export.
    Export(export::Error),
    /// The database's address.
    Store(store::Error),
    /// The data directory.
    Data {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// An address.
    Listen(listen::Error),
    /// The private Postgres.
    Postgres(store::managed::Error),
    /// The spool.
    Spool(record::Error),
    /// The ledger's key or its newest head.
    Ledger(String),
    /// The canary.
    Canary(String),
    /// Signals or threads.
    System(std::io::Error),
}

impl Error {
    /// Whether the configuration is at fault, not the world outside.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::Mistakes(_) | Self::Tls(_) | Self::Export(_) | Self::Store(_) | Self::Canary(_))
    }
}

impl Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mistakes(mistakes) => formatter.write_str(&mistakes.join("\n")),
            Self::Tls(error) => write!(formatter, "listen.tls: {error}"),
            Self::Export(error) => error.fmt(formatter),
            Self::Store(error) => error.fmt(formatter),
            Self::Data { path, error } => write!(formatter, "data directory {}: {error}", path.display()),
            Self::Listen(error) => error.fmt(formatter),
            Self::Postgres(error) => error.fmt(formatter),
            Self::Spool(error) => error.fmt(formatter),
            Self::Ledger(why) | Self::Canary(why) => formatter.write_str(why),
            Self::System(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for Error {}
