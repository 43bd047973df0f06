//! Tells the other gateways on this database what was taken here, and learns what was taken there. Requests never wait for
//! it; while the database is away, what is known stays in force and what was taken here is told later.
//!
//! What it leaves open: between two turns a gateway does not see what the others let in. So over any time the gateways
//! together let in at most the limit, and beyond it, for each gateway but one, what it alone would let in within a turn:
//! its burst at most, or rate × turn where the rate is used up already. Budgets are overrun by what is spent within a turn
//! and by requests under way.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use time::Date;
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval};
use uuid::Uuid;

use super::book::{Book, Moment};
use super::scope::Others;
use crate::config::Terms;
use crate::store::{Error, Store, spent};

/// How often gateways tell each other.
pub const TURN: Duration = Duration::from_secs(1);

/// How often the sums of earlier days are read again.
const EARLIER: Duration = Duration::from_secs(300);

/// Days that sums are kept: a month's, and some to look at.
const KEPT: i64 = 70;

/// What is remembered from turn to turn.
#[derive(Debug)]
struct Turns {
    replica: Uuid,
    /// Whether it is known what the others took before, so that what they took since can be told.
    begun: bool,
    /// The day that earlier sums are up to, when they were read, and they.
    earlier: Option<(Date, Instant, HashMap<String, u64>)>,
}

/// Takes turns until it is told to stop, and then a last one. `terms` gives the limits of a scope that this gateway has not
/// met yet.
pub async fn share(
    book: Arc<Book>,
    store: Store,
    terms: impl Fn(&str) -> Option<Arc<Terms>>,
    mut stop: oneshot::Receiver<()>,
) {
    let mut turns = Turns { replica: Uuid::now_v7(), begun: false, earlier: None };
    let mut beat = interval(TURN);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    let mut last = false;
    while !last {
        tokio::select! {
            _ = beat.tick() => {}
            _ = &mut stop => last = true,
        }
        match turns.take(&book, &store, &terms).await {
            Ok(()) if std::mem::take(&mut failing) => tracing::info!("limits are shared with other gateways again"),
            Ok(()) => {}
            Err(error) if !std::mem::replace(&mut failing, true) => {
                tracing::warn!(%error, "limits are kept by what is known here; other gateways do not learn of it");
            }
            Err(_) => {}
        }
    }
}

impl Turns {
    async fn take(
        &mut self,
        book: &Book,
        store: &Store,
        terms: &impl Fn(&str) -> Option<Arc<Terms>>,
    ) -> Result<(), Error> {
        let at = Moment::present();
        let day = at.day();
        let told = book.tell(at);
        if let Err(error) = spent::tell(store, self.replica, &told).await {
            book.untold(&told);
            return Err(error);
        }
        let today = spent::others(store, self.replica, day).await?;
        self.read_earlier(store, day).await?;
        let mut others: HashMap<String, Others> = HashMap::with_capacity(today.len());
        for (scope, nanos) in self.earlier.iter().flat_map(|(.., sums)| sums) {
            others.entry(scope.clone()).or_default().earlier = *nanos;
        }
        for (scope, taken) in today {
            others.entry(scope).or_default().today = taken;
        }
        let begun = std::mem::replace(&mut self.begun, true);
        book.learn(&others, terms, begun, at);
        Ok(())
    }

    /// Reads the sums of the earlier days of this month, where it is time.
    async fn read_earlier(&mut self, store: &Store, day: Date) -> Result<(), Error> {
        let fresh = self.earlier.as_ref().is_some_and(|(until, read, _)| *until == day && read.elapsed() < EARLIER);
        if !fresh {
            let first = day.replace_day(1).unwrap_or(day);
            let sums = spent::earlier(store, first, day).await?;
            if self.earlier.as_ref().is_none_or(|(until, ..)| *until != day)
                && let Some(before) = day.checked_sub(time::Duration::days(KEPT))
            {
                // Whoever may not remove rows leaves it to a gateway that may.
                let _ = spent::forget(store, before).await;
            }
            self.earlier = Some((day, Instant::now(), sums));
        }
        Ok(())
    }
}
