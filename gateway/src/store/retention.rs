//! Retention: partitions whose time is up are dropped, and the ledger says so. What a hold or a longer class protects is
//! moved aside first.

use serde::Serialize;
use sqlx::{PgConnection, query, query_as, query_scalar};
use time::{Date, Duration, OffsetDateTime, UtcOffset};
use uuid::Uuid;

use super::{Error, Store, events};
use crate::config::Retention;
use crate::ledger::leaf::Kind;
use crate::ledger::row::micros;

/// Tables whose months go together.
const MONTHLY: [&str; 5] = ["record_begin", "record_end", "finding", "evidence", "attempt"];

/// What went.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dropped {
    /// Partitions that were dropped.
    pub partitions: Vec<String>,
    /// Payloads that were moved aside before.
    pub kept: u64,
    /// Payloads that had been kept longer and whose time was up now.
    pub expired: u64,
}

/// The text of a drop.
#[derive(Serialize)]
struct Text<'a> {
    table: &'a str,
    partition: &'a str,
    from: i64,
    until: i64,
    rows: i64,
    kept: &'a [Uuid],
    only: &'a [Uuid],
}

/// Drops what is older than it may be.
///
/// # Errors
/// The database is away or not migrated.
pub async fn enforce(store: &Store, retention: &Retention, now: OffsetDateTime) -> Result<Dropped, Error> {
    let mut dropped = Dropped::default();
    let today = now.to_offset(UtcOffset::UTC).date();
    if let Some(days) = retention.payload_days {
        let before = today.checked_sub(Duration::days(days.into())).unwrap_or(Date::MIN);
        for (partition, first) in partitions(store, "payload", "YYYY_MM_DD").await? {
            let until = first.next_day().unwrap_or(Date::MAX);
            if until <= before {
                dropped.kept += drop_day(store, retention, (&partition, first, until), now).await?;
                dropped.partitions.push(partition);
            }
        }
        dropped.expired += expire_kept(store, retention, now).await?;
    }
    if let Some(months) = retention.metadata_months {
        let before = months_before(today, months);
        for (_, first) in partitions(store, "record_begin", "YYYY_MM").await? {
            let until = months_after(first, 1);
            if until <= before {
                dropped.partitions.extend(drop_month(store, first, until).await?);
            }
        }
    }
    if !dropped.partitions.is_empty() {
        store.known.forget();
    }
    Ok(dropped)
}

/// Partitions of a table with the day that each begins with, oldest first.
async fn partitions(store: &Store, parent: &'static str, pattern: &'static str) -> Result<Vec<(String, Date)>, Error> {
    Ok(query_as(
        "SELECT c.relname::text, to_date(right(c.relname, length($2)), $2)
         FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = $1::regclass ORDER BY 2",
    )
    .bind(parent)
    .bind(pattern)
    .fetch_all(&store.pool)
    .await?)
}

async fn drop_day(
    store: &Store,
    retention: &Retention,
    (partition, first, until): (&str, Date, Date),
    now: OffsetDateTime,
) -> Result<u64, Error> {
    let log = store.log().await?;
    let mut transaction = store.pool.begin().await?;
    query("SELECT pg_advisory_xact_lock(7164098313)").execute(&mut *transaction).await?;
    if !exists(&mut transaction, partition).await? {
        return Ok(0);
    }
    let (from, to) = (first.midnight().assume_utc(), until.midnight().assume_utc());
    let keepers = longer(retention, now - from);
    let kept: Vec<Uuid> = query_scalar(
        "SELECT exchange FROM held WHERE occurred_at >= $1 AND occurred_at < $2
         UNION
         SELECT exchange FROM finding
         WHERE occurred_at >= $1 AND occurred_at < $2 AND (rule = ANY ($3) OR topic = ANY ($3))",
    )
    .persistent(false)
    .bind(from)
    .bind(to)
    .bind(&keepers)
    .fetch_all(&mut *transaction)
    .await?;
    let moved = query(
        "INSERT INTO payload_kept SELECT * FROM payload
         WHERE exchange = ANY ($1) AND occurred_at >= $2 AND occurred_at < $3 ON CONFLICT DO NOTHING",
    )
    .bind(&kept)
    .bind(from)
    .bind(to)
    .execute(&mut *transaction)
    .await?;
    let rows: i64 = query_scalar("SELECT count(*) FROM payload WHERE occurred_at >= $1 AND occurred_at < $2")
        .bind(from)
        .bind(to)
        .fetch_one(&mut *transaction)
        .await?;
    drop_table(&mut transaction, partition).await?;
    // What is searched for can be shown no more.
    let words = partition.replacen("payload", "search", 1);
    if exists(&mut transaction, &words).await? {
        drop_table(&mut transaction, &words).await?;
    }
    let text =
        Text { table: "payload", partition, from: micros(from), until: micros(to), rows, kept: &kept, only: &[] };
    events::add(&mut transaction, log, Kind::RetentionDrop, None, &text).await?;
    transaction.commit().await?;
    Ok(moved.rows_affected())
}

/// Rules and topics whose payloads are kept for longer than this age.
fn longer(retention: &Retention, age: Duration) -> Vec<String> {
    let outlives = |days: u32| Duration::days(days.into()) > age;
    retention.classes.iter().filter(|class| outlives(class.payload_days)).map(|class| class.name.clone()).collect()
}

/// Payloads that were kept for a class or a hold, and that nothing keeps any more.
async fn expire_kept(store: &Store, retention: &Retention, now: OffsetDateTime) -> Result<u64, Error> {
    let log = store.log().await?;
    let mut transaction = store.pool.begin().await?;
    query("SELECT pg_advisory_xact_lock(7164098313)").execute(&mut *transaction).await?;
    let candidates: Vec<(Uuid, OffsetDateTime, Vec<String>)> = query_as(
        "SELECT k.exchange, k.occurred_at, coalesce(array_agg(DISTINCT n.name) FILTER (WHERE n.name IS NOT NULL), '{}')
         FROM (SELECT DISTINCT exchange, occurred_at FROM payload_kept) k
         LEFT JOIN finding f ON f.exchange = k.exchange AND f.occurred_at = k.occurred_at
         LEFT JOIN LATERAL (VALUES (f.rule), (f.topic)) AS n (name) ON true
         WHERE NOT EXISTS (SELECT FROM held WHERE held.exchange = k.exchange)
         GROUP BY k.exchange, k.occurred_at",
    )
    .persistent(false)
    .fetch_all(&mut *transaction)
    .await?;
    let mut over = Vec::new();
    for (exchange, at, names) in candidates {
        let keepers = longer(retention, now - at);
        if !names.iter().any(|name| keepers.contains(name)) {
            over.push((exchange, at));
        }
    }
    let (Some(from), Some(until)) = (over.iter().map(|(_, at)| *at).min(), over.iter().map(|(_, at)| *at).max()) else {
        return Ok(0);
    };
    let only: Vec<Uuid> = over.iter().map(|(exchange, _)| *exchange).collect();
    let gone =
        query("DELETE FROM payload_kept WHERE exchange = ANY ($1)").bind(&only).execute(&mut *transaction).await?;
    let rows = i64::try_from(gone.rows_affected()).unwrap_or(i64::MAX);
    let (from, until) = (micros(from), micros(until) + 1);
    let text = Text { table: "payload", partition: "payload_kept", from, until, rows, kept: &[], only: &only };
    events::add(&mut transaction, log, Kind::RetentionDrop, None, &text).await?;
    transaction.commit().await?;
    Ok(gone.rows_affected())
}

/// A month of rows goes only when nothing in it is held.
async fn drop_month(store: &Store, first: Date, until: Date) -> Result<Vec<String>, Error> {
    let log = store.log().await?;
    let mut transaction = store.pool.begin().await?;
    query("SELECT pg_advisory_xact_lock(7164098313)").execute(&mut *transaction).await?;
    let (from, to) = (first.midnight().assume_utc(), until.midnight().assume_utc());
    let (rows, held): (i64, bool) = query_as(
        "SELECT (SELECT count(*) FROM record_begin WHERE occurred_at >= $1 AND occurred_at < $2),
                EXISTS (SELECT FROM held WHERE occurred_at >= $1 AND occurred_at < $2)",
    )
    .bind(from)
    .bind(to)
    .fetch_one(&mut *transaction)
    .await?;
    if held {
        return Ok(Vec::new());
    }
    let mut gone = Vec::new();
    for parent in MONTHLY {
        let partition = format!("{parent}_{:04}_{:02}", first.year(), u8::from(first.month()));
        if exists(&mut transaction, &partition).await? {
            drop_table(&mut transaction, &partition).await?;
            gone.push(partition);
        }
    }
    if gone.is_empty() {
        return Ok(gone);
    }
    let partition = gone.first().map_or("", String::as_str);
    let text = Text { table: "record", partition, from: micros(from), until: micros(to), rows, kept: &[], only: &[] };
    events::add(&mut transaction, log, Kind::RetentionDrop, None, &text).await?;
    transaction.commit().await?;
    Ok(gone)
}

async fn exists(connection: &mut PgConnection, table: &str) -> Result<bool, Error> {
    Ok(query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(table).fetch_one(connection).await?)
}

async fn drop_table(connection: &mut PgConnection, partition: &str) -> Result<(), Error> {
    query("SELECT drop_partition($1)").bind(partition).execute(connection).await?;
    Ok(())
}

/// The first day of the month so many months before a day's.
fn months_before(day: Date, months: u32) -> Date {
    months_after(day, -i64::from(months))
}

/// The first day of the month so many months after a day's.
fn months_after(day: Date, months: i64) -> Date {
    let count = i64::from(day.year()) * 12 + i64::from(u8::from(day.month())) - 1 + months;
    let (year, month) = (count.div_euclid(12), count.rem_euclid(12) + 1);
    let month = u8::try_from(month).ok().and_then(|month| time::Month::try_from(month).ok());
    let date = month.and_then(|month| Date::from_calendar_date(i32::try_from(year).ok()?, month, 1).ok());
    date.unwrap_or(Date::MIN)
}

#[cfg(test)]
mod tests {
    use time::macros::date;

    use super::*;

    #[test]
    fn months_go_over_the_turn_of_the_year() {
        assert_eq!(months_before(date!(2026 - 02 - 17), 3), date!(2025 - 11 - 01));
        assert_eq!(months_before(date!(2026 - 02 - 17), 0), date!(2026 - 02 - 01));
        assert_eq!(months_after(date!(2025 - 12 - 31), 1), date!(2026 - 01 - 01));
    }
}
