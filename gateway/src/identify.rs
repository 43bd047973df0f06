//! Who sent a request. Keys are looked up in memory; no database stands on the request path.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use time::OffsetDateTime;

use crate::config::{Callers, Team, Terms};
use crate::exchange::Caller;
use crate::fault::Fault;
use crate::limits::Claim;
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

/// A caller that is known, and what it may take.
#[derive(Debug, Clone)]
pub struct Known {
    /// Who it is.
    pub caller: Arc<Caller>,
    /// `key` or `caller`: what its limits are of.
    whose: &'static str,
    /// What it is counted under.
    scope: Arc<str>,
    /// What it may take.
    terms: Arc<Terms>,
}

impl Known {
    /// A caller whose terms are its own where it has some, and the defaults else.
    fn new(caller: Caller, whose: &'static str, own: &Terms, defaults: &Terms) -> Self {
        let scope = match (&caller.key_id, whose) {
            (Some(id), "key") => format!("key:{id}"),
            _ => format!("caller:{}", caller.name),
        };
        Self { caller: Arc::new(caller), whose, scope: scope.into(), terms: Arc::new(own.or(defaults)) }
    }

    /// All limits that it is under: its own, and its team's.
    pub fn claims<'a>(&'a self, teams: &'a [Team]) -> impl Iterator<Item = Claim> + 'a {
        let own = Claim { whose: self.whose, scope: self.scope.clone(), terms: self.terms.clone() };
        let team =
            self.team(teams).map(|team| Claim { whose: "team", scope: team.scope.clone(), terms: team.terms.clone() });
        std::iter::once(own).chain(team)
    }

    /// Whether it may ask for a model.
    #[must_use]
    pub fn may_use(&self, model: &str, teams: &[Team]) -> bool {
        self.terms.allow(model) && self.team(teams).is_none_or(|team| team.terms.allow(model))
    }

    fn team<'a>(&self, teams: &'a [Team]) -> Option<&'a Team> {
        let name = self.caller.team.as_ref()?;
        teams.iter().find(|team| team.name == *name)
    }
}

/// One key's meaning.
#[derive(Debug, Clone)]
struct Entry {
    known: Known,
    expires: Option<OffsetDateTime>,
}

impl Entry {
    fn good(&self, now: OffsetDateTime) -> Option<Known> {
        self.expires.is_none_or(|end| now < end).then(|| self.known.clone())
    }
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
    /// Subjects of certificates; a trailing `*` matches any suffix.
    certificates: Vec<(String, Known)>,
    anonymous: Option<Known>,
    defaults: Arc<Terms>,
}

impl Fixed {
    fn of(callers: &Callers) -> Self {
        let defaults = &callers.defaults;
        let keys = callers.keys.iter().map(|key| {
            let caller = Caller {
                name: key.caller.clone(),
                team: key.team.clone(),
                role: key.role.clone(),
                key_id: Some(format!("config:{}", key.caller)),
            };
            let known = Known::new(caller, "key", &key.terms, defaults);
            (hash(key.key.reveal()), Entry { known, expires: key.expires })
        });
        let certificates = callers.certificates.iter().map(|one| {
            let (name, team, role) = (one.caller.clone(), one.team.clone(), one.role.clone());
            let caller = Caller { name, team, role, key_id: Some(format!("certificate:{}", one.subject)) };
            (one.subject.clone(), Known::new(caller, "caller", &one.terms, defaults))
        });
        let nobody = Caller { name: "anonymous".to_owned(), team: None, role: None, key_id: None };
        let anonymous = callers.anonymous.then(|| Known::new(nobody, "caller", &Terms::default(), defaults));
        Self { keys: keys.collect(), certificates: certificates.collect(), anonymous, defaults: defaults.clone() }
    }

    /// The caller that a verified certificate stands for.
    fn certified(&self, subject: &str) -> Option<&Known> {
        let fits = |pattern: &str| match pattern.strip_suffix('*') {
            Some(prefix) => subject.starts_with(prefix),
            None => subject == pattern,
        };
        self.certificates.iter().find(|(pattern, _)| fits(pattern)).map(|(_, known)| known)
    }
}

impl Keys {
    /// Keys of the configuration; those of the database are unknown until [`Keys::replace`].
    #[must_use]
    pub fn new(callers: &Callers) -> Self {
        Self { fixed: ArcSwap::from_pointee(Fixed::of(callers)), stored: ArcSwap::from_pointee(None) }
    }

    /// Puts what the configuration says in place of what it said before. New defaults hold for the database's keys when they
    /// are next read.
    pub fn configure(&self, callers: &Callers) {
        self.fixed.store(Arc::new(Fixed::of(callers)));
    }

    /// Puts the database's keys in place of those read before.
    pub fn replace(&self, keys: Vec<StoredKey>) {
        let defaults = self.fixed.load().defaults.clone();
        let valid = keys.into_iter().filter(|key| key.revoked.is_none());
        let entries = valid.map(|key| {
            let caller = Caller { name: key.caller, team: key.team, role: key.role, key_id: Some(key.id) };
            (key.hash, Entry { known: Known::new(caller, "key", &key.terms, &defaults), expires: key.expires })
        });
        self.stored.store(Arc::new(Some(entries.collect())));
    }

    /// Whether the database's keys have been read.
    #[must_use]
    pub fn loaded(&self) -> bool {
        self.stored.load().is_some()
    }

    /// The terms of what is counted under a name, where it is a known key's or caller's.
    #[must_use]
    pub fn terms(&self, scope: &str) -> Option<Arc<Terms>> {
        let (fixed, stored) = (self.fixed.load(), self.stored.load());
        let stored = stored.iter().flat_map(HashMap::values);
        let entries = fixed.keys.values().chain(stored).map(|entry| &entry.known);
        let all = entries.chain(fixed.certificates.iter().map(|(_, known)| known)).chain(&fixed.anonymous);
        all.into_iter().find(|known| *known.scope == *scope).map(|known| known.terms.clone())
    }

    /// The caller that a request's headers name, or else its client's verified certificate.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn identify(
        &self,
        headers: &HeaderMap,
        certificate: Option<&str>,
        now: OffsetDateTime,
    ) -> Result<Known, Error> {
        let fixed = self.fixed.load();
        let Some(key) = presented(headers) else {
            let certified = certificate.and_then(|subject| fixed.certified(subject));
            return certified.or(fixed.anonymous.as_ref()).cloned().ok_or(Error::Missing);
        };
        let hash = hash(key);
        if let Some(entry) = fixed.keys.get(&hash) {
            return entry.good(now).or_else(|| fixed.anonymous.clone()).ok_or(Error::Unknown);
        }
        let stored = self.stored.load();
        let found = match stored.as_ref() {
            Some(stored) => stored.get(&hash).and_then(|entry| entry.good(now)).ok_or(Error::Unknown),
            None => Err(Error::NotLoaded),
        };
        found.or_else(|error| fixed.anonymous.clone().ok_or(error))
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
