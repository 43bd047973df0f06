//! Who sent a request. Keys are looked up in memory; no database stands on the request path.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use time::OffsetDateTime;

use crate::config::Callers;
use crate::exchange::Caller;
use crate::fault::Fault;
use crate::store::keys::StoredKey;

/// SHA-256 of a key.
pub type KeyHash = [u8; 32];

/// Why a caller is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// No key was sent.
    Missing,
    /// The key is not one of ours, or is no longer.
    Unknown,
    /// The database's keys have not been read yet, so nothing can be said of this one.
    NotLoaded,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Missing => Self::unauthenticated(
                "You didn't provide an API key. Send it as `Authorization: Bearer KEY` or in an `api-key` header.",
            ),
            Error::Unknown => Self::unauthenticated("Incorrect API key provided."),
            Error::NotLoaded => {
                Self::unavailable("keys_not_loaded", "The gateway has not read its keys yet.", Duration::from_secs(2))
            }
        }
    }
}

/// One key's meaning.
#[derive(Debug, Clone)]
struct Entry {
    caller: Arc<Caller>,
    expires: Option<OffsetDateTime>,
}

/// All known keys, replaced whole when they are read again.
#[derive(Debug)]
pub struct Keys {
    fixed: ArcSwap<Fixed>,
    stored: ArcSwap<Option<HashMap<KeyHash, Entry>>>,
}

/// What the configuration says of callers.
#[derive(Debug)]
struct Fixed {
    keys: HashMap<KeyHash, Entry>,
    anonymous: Option<Arc<Caller>>,
}

impl Fixed {
    fn of(callers: &Callers) -> Self {
        let keys = callers.keys.iter().map(|key| {
            let caller = Caller {
                name: key.caller.clone(),
                team: key.team.clone(),
                role: key.role.clone(),
                key_id: Some(format!("config:{}", key.caller)),
            };
            (hash(key.key.reveal()), Entry { caller: Arc::new(caller), expires: None })
        });
        let nobody = Caller { name: "anonymous".to_owned(), team: None, role: None, key_id: None };
        Self { keys: keys.collect(), anonymous: callers.anonymous.then(|| Arc::new(nobody)) }
    }
}

impl Keys {
    /// Keys of the configuration; those of the database are unknown until [`Keys::replace`].
    #[must_use]
    pub fn new(callers: &Callers) -> Self {
        Self { fixed: ArcSwap::from_pointee(Fixed::of(callers)), stored: ArcSwap::from_pointee(None) }
    }

    /// Puts what the configuration says in place of what it said before.
    pub fn configure(&self, callers: &Callers) {
        self.fixed.store(Arc::new(Fixed::of(callers)));
    }

    /// Puts the database's keys in place of those read before.
    pub fn replace(&self, keys: Vec<StoredKey>) {
        let valid = keys.into_iter().filter(|key| key.revoked.is_none());
        let entries = valid.map(|key| {
            let caller = Caller { name: key.caller, team: key.team, role: key.role, key_id: Some(key.id) };
            (key.hash, Entry { caller: Arc::new(caller), expires: key.expires })
        });
        self.stored.store(Arc::new(Some(entries.collect())));
    }

    /// Whether the database's keys have been read.
    #[must_use]
    pub fn loaded(&self) -> bool {
        self.stored.load().is_some()
    }

    /// The caller that a request's headers name.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn identify(&self, headers: &HeaderMap, now: OffsetDateTime) -> Result<Arc<Caller>, Error> {
        let fixed = self.fixed.load();
        let Some(key) = presented(headers) else {
            return fixed.anonymous.clone().ok_or(Error::Missing);
        };
        let hash = hash(key);
        if let Some(entry) = fixed.keys.get(&hash) {
            return Ok(entry.caller.clone());
        }
        let stored = self.stored.load();
        match stored.as_ref() {
            Some(stored) => match stored.get(&hash) {
                Some(entry) if entry.expires.is_none_or(|end| now < end) => Ok(entry.caller.clone()),
                _ => fixed.anonymous.clone().ok_or(Error::Unknown),
            },
            None => fixed.anonymous.clone().ok_or(Error::NotLoaded),
        }
    }
}

/// The key in `Authorization: Bearer`, `api-key` (Azure) or `x-api-key` (Anthropic).
fn presented(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    let plain = || ["api-key", "x-api-key"].iter().find_map(|name| headers.get(*name)?.to_str().ok());
    bearer.or_else(plain).filter(|key| !key.is_empty())
}

fn hash(key: &str) -> KeyHash {
    let digest = digest(&SHA256, key.as_bytes());
    let mut hash = [0; 32];
    hash.copy_from_slice(digest.as_ref());
    hash
}
