//! The ledger's key and newest head on this machine, and the turns of the sealer. What a turn does is the store's.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::watch;

use crate::config;
use crate::ledger::checkpoint::{Checkpoint, KeyError, Signer, unverified};
use crate::store::seal::{SealError, Turn, seal, waiting};
use crate::store::{self, Store};

/// What is seen of the ledger from outside.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    sealed: AtomicU64,
    pending: AtomicU64,
    /// Why nothing is signed, where a person must look.
    broken: ArcSwap<Option<String>>,
}

impl Ledger {
    pub(super) fn sealed(&self) -> u64 {
        self.sealed.load(Ordering::Relaxed)
    }

    pub(super) fn pending(&self) -> u64 {
        self.pending.load(Ordering::Relaxed)
    }

    pub(super) fn broken(&self) -> Option<String> {
        Option::clone(&self.broken.load())
    }
}

/// Signs the ledger from this machine.
pub(super) struct Sealer {
    signer: Signer,
    file: PathBuf,
    known: Option<Checkpoint>,
    every: Duration,
    seen: Arc<Ledger>,
}

/// Why the ledger cannot be signed.
#[derive(Debug)]
pub(super) enum Error {
    File(PathBuf, io::Error),
    Key(PathBuf, KeyError),
    /// The file of the newest head is not one of this key.
    Head(PathBuf),
}

impl std::fmt::Display for Error {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path, error) => write!(formatter, "ledger: {}: {error}", path.display()),
            Self::Key(path, error) => write!(formatter, "ledger.key_file {}: {error}", path.display()),
            Self::Head(path) => write!(
                formatter,
                "ledger: {} is not signed by this gateway's key; if the key was changed on purpose, move the file away",
                path.display()
            ),
        }
    }
}

impl Sealer {
    /// Reads the key and the newest head; makes a key where there is none.
    pub(super) fn open(data: &Path, config: &config::Ledger) -> Result<Self, Error> {
        let directory = data.join("ledger");
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory);
        made.map_err(|error| Error::File(directory.clone(), error))?;
        let path = config.key_file.clone().unwrap_or_else(|| directory.join("key.pem"));
        let signer = read_key(&path, &config.name, config.key_file.is_none())?;
        let file = directory.join("checkpoint");
        let known = match fs::read_to_string(&file) {
            Ok(note) => Some(signer.verifier().open(&note).ok_or_else(|| Error::Head(file.clone()))?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(Error::File(file, error)),
        };
        Ok(Self { signer, file, known, every: config.every, seen: Arc::default() })
    }

    /// What others verify with.
    pub(super) fn key(&self) -> String {
        self.signer.verifier().to_string()
    }

    /// What is seen of it from outside.
    pub(super) fn seen(&self) -> Arc<Ledger> {
        self.seen.clone()
    }

    /// Takes turns for ever, once the database is ready.
    pub(super) async fn run(&mut self, store: &Store, mut ready: watch::Receiver<bool>) {
        if ready.wait_for(|ready| *ready).await.is_err() {
            return;
        }
        loop {
            self.turns(store).await;
            tokio::time::sleep(self.every).await;
        }
    }

    /// Seals all that waits now.
    pub(super) async fn turns(&mut self, store: &Store) {
        while self.turn(store).await {}
        if let Ok((sealed, pending)) = waiting(store).await {
            self.seen.sealed.store(sealed, Ordering::Relaxed);
            self.seen.pending.store(pending, Ordering::Relaxed);
        }
    }

    /// One turn; tells whether more is at hand.
    async fn turn(&mut self, store: &Store) -> bool {
        match seal(store, &self.signer, self.known.as_ref()).await {
            Ok(Turn::Sealed(signed)) => {
                if let Err(error) = put(&self.file, &signed.note, 0o644) {
                    tracing::error!(%error, path = %self.file.display(), "the ledger's newest head cannot be kept");
                }
                self.known = Some(signed.checkpoint);
                self.note(None);
                signed.more
            }
            Ok(Turn::Idle | Turn::Busy) => {
                self.note(None);
                false
            }
            // A database that is away is told of elsewhere.
            Err(SealError::Store(store::Error::Unavailable(_))) => false,
            Err(error) => {
                self.note(Some(error.to_string()));
                false
            }
        }
    }

    fn note(&self, why: Option<String>) {
        let before = self.seen.broken.swap(Arc::new(why.clone()));
        match why {
            Some(why) if before.as_ref().as_ref() != Some(&why) => {
                tracing::error!(error = why, "the ledger is not signed");
            }
            None if before.is_some() => tracing::info!("the ledger is signed again"),
            _ => {}
        }
    }
}

/// Newest head on this machine, whoever signed it; for `candor ledger`.
pub fn kept(data: &Path) -> Option<(String, Checkpoint)> {
    let note = fs::read_to_string(data.join("ledger").join("checkpoint")).ok()?;
    let checkpoint = unverified(&note)?;
    Some((note, checkpoint))
}

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

fn read_key(path: &Path, name: &str, make: bool) -> Result<Signer, Error> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && make => {
            let key = Signer::generate().map_err(|error| Error::Key(path.to_owned(), error))?;
            let text = format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode(key));
            put(path, &text, 0o600).map_err(|error| Error::File(path.to_owned(), error))?;
            text
        }
        Err(error) => return Err(Error::File(path.to_owned(), error)),
    };
    let body = text.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END)).map(|(body, _)| body);
    let body: Option<String> = body.map(|body| body.split_whitespace().collect());
    let key =
        body.and_then(|body| STANDARD.decode(body).ok()).ok_or_else(|| Error::Key(path.to_owned(), KeyError::Key))?;
    Signer::read(name, &key).map_err(|error| Error::Key(path.to_owned(), error))
}

/// Replaces a file whole, and makes sure that it stays.
fn put(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let beside = path.with_extension("new");
    let _ = fs::remove_file(&beside);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    path.parent().map_or(Ok(()), |parent| fs::File::open(parent)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_a_strange_head_or_key_is_refused() {
        let data = std::env::temp_dir().join(format!("candor-sealing-{}", std::process::id()));
        let config = config::Ledger { every: Duration::from_secs(1), name: "ledger.test".to_owned(), key_file: None };
        let first = Sealer::open(&data, &config).expect("a sealer").key();
        assert_eq!(Sealer::open(&data, &config).expect("the same").key(), first);
        fs::write(data.join("ledger/checkpoint"), "candor/x\n1\nAAAA\n\n").expect("written");
        assert!(matches!(Sealer::open(&data, &config), Err(Error::Head(_))));
        let other = config::Ledger { key_file: Some(data.join("none.pem")), ..config.clone() };
        assert!(matches!(Sealer::open(&data, &other), Err(Error::File(..))), "a key that was named must be there");
        fs::write(data.join("none.pem"), "no key").expect("written");
        assert!(matches!(Sealer::open(&data, &other), Err(Error::Key(..))));
        fs::remove_dir_all(&data).expect("removed");
    }
}
