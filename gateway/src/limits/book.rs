//! All scopes, and what one exchange holds of them. It does not know where their limits are written.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use time::{Date, OffsetDateTime, UtcOffset};
use tokio::time::Instant;

use super::denial::{Denial, Left, Standing};
use super::scope::{Now, Others, Scope, Taken};
use crate::config::Terms;
use crate::record::wall_clock;

/// When something happens: by the clock that rates go by, and by the calendar that budgets go by.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// For rates.
    pub now: Instant,
    /// For days and months.
    pub at: OffsetDateTime,
}

impl Moment {
    /// The present.
    #[must_use]
    pub fn present() -> Self {
        Self { now: Instant::now(), at: wall_clock() }
    }

    /// The day that it is of (UTC).
    #[must_use]
    pub fn day(&self) -> Date {
        self.at.to_offset(UtcOffset::UTC).date()
    }
}

/// Everything that is counted.
#[derive(Debug)]
pub struct Book {
    began: Instant,
    scopes: ArcSwap<HashMap<Arc<str>, Arc<Scope>>>,
    growing: Mutex<()>,
}

/// What one exchange holds: a place among those under way, and tokens that were set aside. Dropped without
/// [`Hold::settle`], it took no tokens.
#[derive(Debug, Default)]
pub struct Hold {
    parts: Vec<Part>,
    book: Option<Arc<Book>>,
    /// When it began, or was settled.
    at: Option<Moment>,
    settled: bool,
}

#[derive(Debug)]
struct Part {
    whose: &'static str,
    scope: Arc<Scope>,
    terms: Arc<Terms>,
    reserved: u64,
}

/// Whose terms are to be kept: what is counted under a name, and how much of it there may be.
#[derive(Debug, Clone)]
pub struct Claim {
    /// `key`, `caller` or `team`.
    pub whose: &'static str,
    /// What it is counted under.
    pub scope: Arc<str>,
    /// The limits.
    pub terms: Arc<Terms>,
}

impl Default for Book {
    fn default() -> Self {
        Self { began: Instant::now(), scopes: ArcSwap::default(), growing: Mutex::new(()) }
    }
}

impl Book {
    /// Lets a request in under all claims, or says why not.
    ///
    /// # Errors
    /// The first limit that is reached; nothing is taken then.
    pub fn enter(self: &Arc<Self>, claims: impl Iterator<Item = Claim>, at: Moment) -> Result<Hold, Denial> {
        let now = self.now(at);
        let mut hold = Hold::default();
        for Claim { whose, scope, terms } in claims.filter(|claim| !claim.terms.count_nothing()) {
            let scope = self.scope(&scope);
            if let Err(denial) = scope.enter(whose, &terms, now) {
                for part in std::mem::take(&mut hold.parts) {
                    part.scope.undo(&part.terms);
                }
                return Err(denial);
            }
            hold.parts.push(Part { whose, scope, terms, reserved: 0 });
        }
        if !hold.parts.is_empty() {
            (hold.book, hold.at) = (Some(self.clone()), Some(at));
        }
        Ok(hold)
    }

    /// How claims stand with their rates.
    #[must_use]
    pub fn standing(&self, claims: impl Iterator<Item = Claim>, at: Moment) -> Standing {
        let now = self.now(at);
        let mut standing = Standing::default();
        let rated = |terms: &Terms| terms.requests_per_minute.is_some() || terms.tokens_per_minute.is_some();
        for Claim { scope, terms, .. } in claims.filter(|claim| rated(&claim.terms)) {
            let (requests, tokens) = self.scope(&scope).left(&terms, now);
            standing.requests = tighter(standing.requests, requests);
            standing.tokens = tighter(standing.tokens, tokens);
        }
        standing
    }

    /// What this gateway took, for those scopes of which something changed.
    pub(super) fn tell(&self, at: Moment) -> Vec<(Arc<str>, Date, Taken)> {
        let day = self.now(at).day;
        let scopes = self.scopes.load();
        let told = scopes.iter().flat_map(|(name, scope)| scope.tell(day).into_iter().map(move |told| (name, told)));
        told.map(|(name, (day, taken))| (name.clone(), day, taken)).collect()
    }

    /// What was to be told did not arrive.
    pub(super) fn untold(&self, told: &[(Arc<str>, Date, Taken)]) {
        let scopes = self.scopes.load();
        told.iter().filter_map(|(name, ..)| scopes.get(name)).for_each(|scope| scope.untold());
    }

    /// Learns what the others took; where that has `begun` before, rates are charged with what is new. `terms` gives the
    /// limits of a scope that was not met here yet.
    pub(super) fn learn(
        &self,
        others: &HashMap<String, Others>,
        terms: impl Fn(&str) -> Option<Arc<Terms>>,
        begun: bool,
        at: Moment,
    ) {
        let now = self.now(at);
        let unknown: Vec<&String> = {
            let scopes = self.scopes.load();
            others.keys().filter(|name| !scopes.contains_key(name.as_str())).collect()
        };
        for name in unknown {
            self.scope(&Arc::from(name.as_str()));
        }
        for (name, scope) in self.scopes.load().iter() {
            scope.learn(others.get(&**name).copied().unwrap_or_default(), terms(name), begun, now);
        }
        self.forget(others, now.day);
    }

    /// Forgets scopes of which nobody took anything lately.
    fn forget(&self, others: &HashMap<String, Others>, day: Date) {
        let rests = |name: &str, scope: &Scope| !others.contains_key(name) && scope.rests(day);
        if self.scopes.load().iter().any(|(name, scope)| rests(name, scope)) {
            let _alone = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
            let kept = self.scopes.load().iter().filter(|(name, scope)| !rests(name, scope)).map(own).collect();
            self.scopes.store(Arc::new(kept));
        }
    }

    fn now(&self, at: Moment) -> Now {
        Now { since: at.now.saturating_duration_since(self.began), day: at.day() }
    }

    fn scope(&self, name: &Arc<str>) -> Arc<Scope> {
        if let Some(scope) = self.scopes.load().get(name) {
            return scope.clone();
        }
        let _alone = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        let scopes = self.scopes.load();
        if let Some(scope) = scopes.get(name) {
            return scope.clone();
        }
        let scope = Arc::new(Scope::default());
        let more = scopes.iter().map(own).chain([(name.clone(), scope.clone())]).collect();
        self.scopes.store(Arc::new(more));
        scope
    }
}

fn own((name, scope): (&Arc<str>, &Arc<Scope>)) -> (Arc<str>, Arc<Scope>) {
    (name.clone(), scope.clone())
}

fn tighter(known: Option<Left>, next: Option<Left>) -> Option<Left> {
    match (known, next) {
        (Some(known), Some(next)) => Some(known.tighter(next)),
        (known, next) => known.or(next),
    }
}

impl Hold {
    /// Sets tokens aside: `least` it takes for sure, `most` at most.
    ///
    /// # Errors
    /// A rate has not so many left; nothing more is held than before then.
    pub fn reserve(&mut self, least: u64, most: u64, at: Moment) -> Result<(), Denial> {
        let Some(book) = self.book.clone() else { return Ok(()) };
        let now = book.now(at);
        // What was set aside by claims before the one that fails is given back when the hold is dropped.
        for part in &mut self.parts {
            part.reserved = part.scope.reserve(part.whose, &part.terms, (least, most.max(least)), now)?;
        }
        Ok(())
    }

    /// Whether anything is counted.
    #[must_use]
    pub fn counts(&self) -> bool {
        !self.parts.is_empty()
    }

    /// The exchange is over: tokens and billionths of a dollar that it took.
    pub fn settle(&mut self, tokens: u64, nanos: u64, at: Moment) {
        self.at = Some(at);
        self.leave(tokens, nanos);
    }

    fn leave(&mut self, tokens: u64, nanos: u64) {
        let (Some(book), Some(at), false) = (&self.book, self.at, std::mem::replace(&mut self.settled, true)) else {
            return;
        };
        let now = book.now(at);
        for part in &self.parts {
            part.scope.leave(&part.terms, part.reserved, (tokens, nanos), now);
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.leave(0, 0);
    }
}

#[cfg(test)]
mod tests;
