//! Why a managed cluster cannot be had, in words that say what to do.

use std::fmt;
use std::path::{Path, PathBuf};

/// Why there is no managed cluster.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// No usable binaries were found.
    NoBinaries {
        /// Where they were looked for.
        looked: Vec<PathBuf>,
    },
    /// The cluster was made by another major version than the binaries that were found.
    Version {
        /// The cluster's directory.
        cluster: PathBuf,
        /// The version that made it.
        made_by: u32,
    },
    /// A directory on the way to the data cannot be entered by the user that Postgres runs as.
    Closed {
        /// The directory.
        directory: PathBuf,
        /// The user's name.
        user: String,
    },
    /// The socket's directory belongs to somebody else.
    Insecure {
        /// The directory.
        directory: PathBuf,
    },
    /// A file operation failed.
    File {
        /// What was worked on.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// `initdb` failed.
    Initialise {
        /// What it printed last.
        said: String,
    },
    /// Postgres ended while starting.
    Start {
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        said: String,
    },
    /// Postgres took too long to start.
    Slow {
        /// Its log.
        log: PathBuf,
    },
}

impl Error {
    /// Says which file an I/O error was about.
    pub(super) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |error| Self::File { path: path.to_owned(), error }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBinaries { looked } => {
                let places: Vec<String> = looked.iter().map(|path| path.display().to_string()).collect();
                write!(
                    formatter,
                    "no Postgres binaries (version 14 or newer) found in {}; install them (Debian: apt-get install \
                     postgresql), name their directory in `database.managed.binaries`, or set `database.url`",
                    places.join(", ")
                )
            }
            Self::Version { cluster, made_by } => write!(
                formatter,
                "the cluster in {} was made by Postgres {made_by}, whose binaries are not installed; install them \
                 (Debian: apt-get install postgresql-{made_by}), or move its data with pg_upgrade",
                cluster.display()
            ),
            Self::Closed { directory, user } => write!(
                formatter,
                "Postgres must not run as root, and user {user} cannot enter {}; allow it (chmod o+x), put `data` \
                 elsewhere, or start the gateway as another user",
                directory.display()
            ),
            Self::Insecure { directory } => write!(
                formatter,
                "{} belongs to somebody else; remove it, or choose a shorter path for `data`",
                directory.display()
            ),
            Self::File { path, error } => write!(formatter, "{}: {error}", path.display()),
            Self::Initialise { said } => write!(formatter, "make a Postgres cluster: {said}"),
            Self::Start { log, said } => {
                write!(formatter, "start Postgres (its log is {}): {said}", log.display())
            }
            Self::Slow { log } => {
                write!(formatter, "Postgres has not become ready in time; its log is {}", log.display())
            }
        }
    }
}

impl std::error::Error for Error {}
