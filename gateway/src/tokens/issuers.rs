//! Who is trusted to say who a caller is, with the keys that are known of each. Looking a token up reads memory alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::keyset::{Keyset, Signed};
use super::token::{Flaw, Token};
use crate::config::Issuer;
use crate::exchange::{Caller, JUDGE};

/// How long keys count as the newest there are, so that one which is not among them is nobody's.
const FRESH: Duration = Duration::from_secs(10);

/// Why a token does not say who its bearer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// It is no token that is taken; why, as its bearer may read it.
    Refused(&'static str),
    /// Its issuer's keys are not known yet, or it names one that is not; they are being fetched.
    KeysUnknown,
}

/// A caller that an issuer vouches for.
#[derive(Debug, Clone)]
pub struct Vouched {
    /// Who it is.
    pub caller: Caller,
    /// Who says so.
    pub issuer: Issuer,
    /// Until when.
    pub until: OffsetDateTime,
}

/// All that are trusted.
#[derive(Debug, Default)]
pub struct Issuers {
    trusted: ArcSwap<Vec<Arc<Trusted>>>,
    /// Counts how often anything about them changed.
    generation: AtomicU64,
    /// Given where keys are wanted.
    pub(super) wanted: Notify,
}

/// One that is trusted.
#[derive(Debug)]
pub(super) struct Trusted {
    pub(super) issuer: Issuer,
    keys: ArcSwap<Option<(Keyset, Instant)>>,
    /// Whether a token named a key that is not known.
    wanted: AtomicBool,
}

impl Trusted {
    /// Whether a token named a key that is not known.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Whether its keys were ever read.
    pub(super) fn is_known(&self) -> bool {
        self.keys.load().is_some()
    }

    /// An attempt at its keys was made, whatever came of it: whoever still wants some says so again.
    pub(super) fn tried(&self) {
        self.wanted.store(false, Ordering::Relaxed);
    }
}

impl Issuers {
    /// Trusts these and no others; keys of those that stay are kept.
    pub fn configure(&self, issuers: &[Issuer]) {
        let before = self.trusted.load();
        let trusted = issuers.iter().map(|issuer| {
            let known = before.iter().find(|known| known.issuer == *issuer).cloned();
            let new = || Trusted { issuer: issuer.clone(), keys: ArcSwap::default(), wanted: AtomicBool::new(true) };
            known.unwrap_or_else(|| Arc::new(new()))
        });
        self.trusted.store(Arc::new(trusted.collect()));
        self.generation.fetch_add(1, Ordering::Release);
        self.wanted.notify_one();
    }

    /// Whether nobody is trusted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.trusted.load().is_empty()
    }

    /// Another number whenever a token that was good may be so no more.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Those that are trusted now.
    pub(super) fn all(&self) -> Arc<Vec<Arc<Trusted>>> {
        self.trusted.load_full()
    }

    /// Puts an issuer's keys in place of those read before.
    pub(super) fn replace(&self, trusted: &Trusted, document: &[u8]) -> Result<(), &'static str> {
        trusted.keys.store(Arc::new(Some((Keyset::read(document)?, Instant::now()))));
        self.generation.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Whom a token stands for.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn identify(&self, text: &str, now: OffsetDateTime) -> Result<Vouched, Error> {
        let token = Token::read(text).map_err(explain)?;
        let all = self.trusted.load();
        let named = token.issuer().and_then(|name| all.iter().find(|trusted| trusted.issuer.name == name));
        let trusted = named.ok_or(Error::Refused("The token's issuer is not trusted."))?;
        self.check_signature(trusted, &token)?;
        let issuer = &trusted.issuer;
        let until = token.check(&issuer.audiences, issuer.skew, now).map_err(explain)?;
        let caller = caller(issuer, &token).ok_or_else(|| explain(Flaw::Caller))?;
        Ok(Vouched { caller, issuer: issuer.clone(), until })
    }

    fn check_signature(&self, trusted: &Trusted, token: &Token<'_>) -> Result<(), Error> {
        let keys = trusted.keys.load();
        let keys = keys.as_ref().as_ref();
        match keys.map_or(Signed::UnknownKey, |(keys, _)| keys.verify(token)) {
            Signed::Good => Ok(()),
            Signed::Bad => Err(Error::Refused("The token's signature is not its issuer's.")),
            Signed::UnknownKey if keys.is_some_and(|(_, read)| read.elapsed() < FRESH) => {
                Err(Error::Refused("The token names a key that its issuer does not have."))
            }
            Signed::UnknownKey => {
                trusted.wanted.store(true, Ordering::Relaxed);
                self.wanted.notify_one();
                Err(Error::KeysUnknown)
            }
        }
    }
}

/// The caller that a token names.
fn caller(issuer: &Issuer, token: &Token<'_>) -> Option<Caller> {
    let name = token.name(&issuer.caller_claim).filter(|name| name != JUDGE)?;
    let claim = |claim: &Option<String>| claim.as_ref().and_then(|claim| token.name(claim));
    let team = claim(&issuer.team_claim).or_else(|| issuer.team.clone());
    let role = claim(&issuer.role_claim).or_else(|| issuer.role.clone());
    Some(Caller { name, team, role, key_id: Some(format!("token:{}", issuer.name)) })
}

fn explain(flaw: Flaw) -> Error {
    Error::Refused(match flaw {
        Flaw::Form => "The token cannot be read.",
        Flaw::Algorithm => "The token is signed in a way that is not taken.",
        Flaw::Expired => "The token has expired, or does not say when it does.",
        Flaw::Early => "The token is not valid yet.",
        Flaw::Audience => "The token is not for this gateway.",
        Flaw::Caller => "The token does not say who its bearer is.",
    })
}

#[cfg(test)]
mod tests;
