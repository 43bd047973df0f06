//! Makes the partitions that rows fall into: some days ahead, and those of an old backlog. It drops none.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use time::{Date, Duration, OffsetDateTime};

use super::{Error, Store};
use crate::record::wall_clock;

/// Days whose partitions are made ahead.
const DAYS_AHEAD: i64 = 7;

/// Months whose partitions are made ahead.
const MONTHS_AHEAD: i64 = 2;

/// Days that this process has seen to; the database is asked once for each.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<BTreeSet<Date>>);

impl Known {
    /// Makes the partitions of the coming days and months.
    pub(super) async fn ahead(&self, store: &Store) -> Result<(), Error> {
        let today = wall_clock().date();
        let later = |days| today.checked_add(Duration::days(days));
        let days: Vec<Date> = (0..=DAYS_AHEAD).filter_map(later).collect();
        // Steps of thirty days from the 28th meet every month.
        let middle = today.replace_day(28).unwrap_or(today);
        let months = (0..=MONTHS_AHEAD).filter_map(|month| middle.checked_add(Duration::days(30 * month)));
        self.make(store, &days, &months.collect::<Vec<_>>()).await
    }

    /// Makes the partitions that rows of these times fall into; once a day also those ahead.
    pub(super) async fn make_for(
        &self,
        store: &Store,
        times: impl Iterator<Item = OffsetDateTime> + Send,
    ) -> Result<(), Error> {
        let days: BTreeSet<Date> = times.map(|time| time.to_offset(time::UtcOffset::UTC).date()).collect();
        let newest = days.last().copied();
        let missing: Vec<Date> = days.into_iter().filter(|day| !self.has(*day)).collect();
        if !missing.is_empty() {
            self.make(store, &missing, &missing).await?;
        }
        // Traffic has reached a day whose successors nobody has made yet.
        let last_ahead = newest.and_then(|day| day.checked_add(Duration::days(DAYS_AHEAD - 1)));
        let today = wall_clock().date();
        if newest.is_some_and(|day| day >= today) && last_ahead.is_some_and(|day| !self.has(day)) {
            self.ahead(store).await?;
        }
        Ok(())
    }

    /// Forgets what was seen to: somebody has dropped a partition.
    pub(super) fn forget(&self) {
        self.lock().clear();
    }

    async fn make(&self, store: &Store, days: &[Date], months: &[Date]) -> Result<(), Error> {
        sqlx::query("SELECT make_partitions($1, $2)").bind(days).bind(months).execute(&store.pool).await?;
        self.lock().extend(days);
        Ok(())
    }

    fn has(&self, day: Date) -> bool {
        self.lock().contains(&day)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<Date>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
