//! Why TLS could not be set up, always with the file at fault. It decides nothing.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

/// Why TLS could not be set up.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read or written.
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A file does not hold what it should.
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A private key does not belong to the first certificate of a chain.
    Mismatch {
        /// The chain's file.
        chain: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The TLS library or its provider refused.
    Library(String),
}

impl Error {
    pub(super) fn file(path: &Path, error: std::io::Error) -> Self {
        Self::File { path: path.to_owned(), error }
    }

    pub(super) fn content(path: &Path, why: impl Display) -> Self {
        Self::Content { path: path.to_owned(), why: why.to_string() }
    }
}

impl Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, error } => write!(formatter, "{}: {error}", path.display()),
            Self::Content { path, why } => write!(formatter, "{}: {why}", path.display()),
            Self::Mismatch { chain, key } => {
                let (chain, key) = (chain.display(), key.display());
                write!(formatter, "{key}: not the private key of the first certificate in {chain}")
            }
            Self::Library(why) => write!(formatter, "set up TLS: {why}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<rustls::Error> for Error {
    fn from(error: rustls::Error) -> Self {
        Self::Library(error.to_string())
    }
}

impl From<rcgen::Error> for Error {
    fn from(error: rcgen::Error) -> Self {
        Self::Library(error.to_string())
    }
}
