//! All that is counted of one key, caller or team. Its lock is held for a few additions, never over an await.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use time::Date;

use super::bucket::Bucket;
use super::denial::{Denial, Left};
use crate::config::Terms;

pub use crate::store::spent::Spent as Taken;

/// What gateways that share the database took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Others {
    /// Today, all but this gateway.
    pub today: Taken,
    /// Billionths of a dollar on the earlier days of this month, this gateway too.
    pub earlier: u64,
}

/// One key, caller or team.
#[derive(Debug, Default)]
pub(super) struct Scope {
    counted: Mutex<Counted>,
}

#[derive(Debug, Default)]
struct Counted {
    requests: Bucket,
    tokens: Bucket,
    running: u64,
    /// The day that `own` is of.
    day: Option<Date>,
    /// The day of the last request.
    active: Option<Date>,
    own: Taken,
    others: Others,
    /// Own sums of the last day, until they are told.
    before: Option<(Date, Taken)>,
    /// The limits that were last asked for.
    terms: Option<Arc<Terms>>,
    /// What of this month went by on days since the others' sums were read.
    month: u64,
    touched: bool,
}

/// When something happens: since the gateway began, and on which day.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) since: Duration,
    pub(super) day: Date,
}

impl Scope {
    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets one more request in, or says why not.
    pub(super) fn enter(&self, whose: &'static str, terms: &Arc<Terms>, now: Now) -> Result<(), Denial> {
        let mut counted = self.lock();
        if counted.terms.as_ref().is_none_or(|known| !Arc::ptr_eq(known, terms)) {
            counted.terms = Some(terms.clone());
        }
        counted.turn(now.day);
        let today = counted.own.nanos.saturating_add(counted.others.today.nanos);
        let month = today.saturating_add(counted.others.earlier).saturating_add(counted.month);
        for (period, spent, budget) in [("day", today, terms.budget_day), ("month", month, terms.budget_month)] {
            if budget.is_some_and(|budget| spent >= budget) {
                return Err(Denial::Budget { whose, period });
            }
        }
        let running = counted.running.saturating_add(counted.others.today.running);
        if let Some(limit) = terms.concurrency.filter(|limit| running >= *limit) {
            return Err(Denial::Concurrency { whose, limit });
        }
        if let Some(limit) = terms.requests_per_minute {
            let taken = counted.requests.take(1, limit, now.since);
            taken.map_err(|wait| Denial::Requests { whose, limit, wait })?;
        }
        counted.running += 1;
        counted.active = Some(now.day);
        counted.own.requests += 1;
        counted.touched = true;
        Ok(())
    }

    /// Takes back that a request was let in, since somebody else did not let it in.
    pub(super) fn undo(&self, terms: &Terms) {
        let mut counted = self.lock();
        counted.running = counted.running.saturating_sub(1);
        counted.own.requests = counted.own.requests.saturating_sub(1);
        if let Some(limit) = terms.requests_per_minute {
            counted.requests.give_back(1, limit);
        }
    }

    /// Sets tokens aside that a request may take; `least` of them it takes for sure. Gives how many it set aside.
    pub(super) fn reserve(
        &self,
        whose: &'static str,
        terms: &Terms,
        (least, most): (u64, u64),
        now: Now,
    ) -> Result<u64, Denial> {
        let Some(limit) = terms.tokens_per_minute else { return Ok(0) };
        if least > limit {
            return Err(Denial::Tokens { whose, limit, asked: least, wait: None });
        }
        let asked = most.min(limit);
        let taken = self.lock().tokens.take(asked, limit, now.since);
        taken.map_err(|wait| Denial::Tokens { whose, limit, asked, wait: Some(wait) })?;
        Ok(asked)
    }

    /// A request is over: what it took in place of what was set aside.
    pub(super) fn leave(&self, terms: &Terms, reserved: u64, (tokens, nanos): (u64, u64), now: Now) {
        let mut counted = self.lock();
        counted.turn(now.day);
        counted.running = counted.running.saturating_sub(1);
        counted.own.tokens = counted.own.tokens.saturating_add(tokens);
        counted.own.nanos = counted.own.nanos.saturating_add(nanos);
        counted.touched = true;
        if let Some(limit) = terms.tokens_per_minute {
            match tokens.checked_sub(reserved) {
                Some(more) => counted.tokens.charge(more, limit, now.since),
                None => counted.tokens.give_back(reserved - tokens, limit),
            }
        }
    }

    /// How much is left of its rates.
    pub(super) fn left(&self, terms: &Terms, now: Now) -> (Option<Left>, Option<Left>) {
        let counted = self.lock();
        let left = |bucket: &Bucket, limit: Option<u64>| {
            limit.map(|limit| Left {
                limit,
                remaining: bucket.left(limit, now.since),
                reset: bucket.until_full(now.since),
            })
        };
        (left(&counted.requests, terms.requests_per_minute), left(&counted.tokens, terms.tokens_per_minute))
    }

    /// What this gateway has to tell the others: sums by day, newest last. Nothing where nothing changed.
    pub(super) fn tell(&self, day: Date) -> Vec<(Date, Taken)> {
        let mut counted = self.lock();
        counted.turn(day);
        let own = Taken { running: counted.running, ..counted.own };
        let touched = std::mem::take(&mut counted.touched) || counted.running > 0;
        let today = touched.then_some((day, own));
        counted.before.take().into_iter().chain(today).collect()
    }

    /// What was to be told could not be told: it is told the next time.
    pub(super) fn untold(&self) {
        self.lock().touched = true;
    }

    /// Learns what the others took by now; rates are charged with what came since the last time, if there was one.
    pub(super) fn learn(&self, others: Others, terms: Option<Arc<Terms>>, begun: bool, now: Now) {
        let mut counted = self.lock();
        counted.turn(now.day);
        if let Some(terms) = counted.terms.clone().or(terms).filter(|_| begun) {
            let (before, after) = (counted.others.today, others.today);
            if let Some(limit) = terms.requests_per_minute {
                counted.requests.charge(after.requests.saturating_sub(before.requests), limit, now.since);
            }
            if let Some(limit) = terms.tokens_per_minute {
                counted.tokens.charge(after.tokens.saturating_sub(before.tokens), limit, now.since);
            }
        }
        counted.others = others;
        counted.month = 0;
    }

    /// Whether nothing of it needs to be remembered.
    pub(super) fn rests(&self, day: Date) -> bool {
        let counted = self.lock();
        counted.running == 0 && !counted.touched && counted.before.is_none() && counted.active != Some(day)
    }
}

impl Counted {
    /// Begins a new day, where it is one.
    fn turn(&mut self, day: Date) {
        let Some(last) = self.day.replace(day).filter(|last| *last != day) else { return };
        let own = std::mem::take(&mut self.own);
        let gone = own.nanos.saturating_add(self.others.today.nanos);
        if (last.year(), last.month()) == (day.year(), day.month()) {
            self.month = self.month.saturating_add(gone);
        } else {
            self.others.earlier = 0;
            self.month = 0;
        }
        self.others.today = Taken { running: self.others.today.running, ..Taken::default() };
        self.before = (own != Taken::default()).then_some((last, own));
    }
}
