//! Exchanges of audits, found by their tag, and pages of live traffic for the same tables. It counts nothing.

use sqlx::{query_as, query_scalar};
use time::OffsetDateTime;
use uuid::Uuid;

use super::records::Id;
use super::rows::occurred_at;
use super::trace::{Parts, Trace, traces};
use super::{Error, Store};

/// An exchange that an audit asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Which.
    pub exchange: Uuid,
    /// The model asked for.
    pub model: String,
    /// `RUN/PROBE/SAMPLE`.
    pub tag: String,
    /// How it ended, and what its verdict was, where its end is stored.
    pub ended: Option<(String, Option<String>)>,
}

/// The exchanges of a run that began since a time, oldest first.
///
/// # Errors
/// The database is away or not migrated.
pub async fn of_run(store: &Store, run: &str, since: OffsetDateTime) -> Result<Vec<Asked>, Error> {
    type Row = (Uuid, String, String, Option<String>, Option<String>);
    let rows: Vec<Row> = query_as(
        "SELECT b.exchange, b.model, b.audit, e.ending, e.outcome FROM record_begin b
         LEFT JOIN record_end e ON e.exchange = b.exchange AND e.occurred_at = b.occurred_at
         WHERE b.audit COLLATE \"C\" >= $1 || '/' AND b.audit COLLATE \"C\" < $1 || '0' AND b.occurred_at >= $2
         ORDER BY b.occurred_at, b.exchange",
    )
    .persistent(false)
    .bind(run)
    .bind(since)
    .fetch_all(&store.pool)
    .await?;
    let asked = |(exchange, model, tag, ending, outcome): Row| Asked {
        exchange,
        model,
        tag,
        ended: ending.map(|ending| (ending, outcome)),
    };
    Ok(rows.into_iter().map(asked).collect())
}

/// Which of these exchanges have their end stored.
///
/// # Errors
/// The database is away or not migrated.
pub async fn ended(store: &Store, exchanges: &[Uuid]) -> Result<Vec<Uuid>, Error> {
    let (exchanges, times) = keyed(exchanges);
    Ok(query_scalar(
        "SELECT e.exchange FROM unnest($1::uuid[], $2::timestamptz[]) AS wanted (exchange, occurred_at)
         JOIN record_end e ON e.exchange = wanted.exchange AND e.occurred_at = wanted.occurred_at",
    )
    .bind(exchanges)
    .bind(times)
    .fetch_all(&store.pool)
    .await?)
}

/// Everything that is kept of some exchanges, their texts included; those of which nothing is are left out.
///
/// # Errors
/// The database is away or not migrated.
pub async fn those(store: &Store, exchanges: &[Uuid]) -> Result<Vec<Trace>, Error> {
    let (exchanges, times) = keyed(exchanges);
    let ids: Vec<Id> = exchanges.into_iter().zip(times).collect();
    traces(store, &ids, Parts::Texts).await
}

/// What a report over live traffic asks for.
#[derive(Debug, Clone)]
pub struct Window {
    /// From when on.
    pub since: OffsetDateTime,
    /// Until when, that moment not included.
    pub until: OffsetDateTime,
    /// Only this caller's.
    pub caller: Option<String>,
}

/// One exchange of live traffic, as tables need it.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Which.
    pub exchange: Uuid,
    /// Who sent it.
    pub caller: String,
    /// The model asked for.
    pub model: String,
    /// The verdict's outcome.
    pub outcome: String,
    /// Its manners.
    pub manners: Vec<String>,
    /// The reply's language.
    pub language: Option<String>,
    /// Topics that were found in the prompt, as `pack/topic`.
    pub topics: Vec<String>,
}

/// A page of live exchanges with verdicts, newest first, before the one that the last page ended with. Audits, and what the
/// gateway asks for itself, are left out.
///
/// # Errors
/// The database is away or not migrated.
pub async fn page(store: &Store, window: &Window, before: Option<Uuid>, rows: u32) -> Result<Vec<Seen>, Error> {
    type Row = (Uuid, String, String, String, Vec<String>, Option<String>, Vec<String>);
    let before = before.and_then(|exchange| Some((exchange, occurred_at(exchange)?)));
    let rows: Vec<Row> = query_as(
        "SELECT b.exchange, b.caller, b.model, e.outcome, e.manners, e.language,
                ARRAY(SELECT DISTINCT f.pack || '/' || f.topic FROM finding f
                      WHERE f.exchange = b.exchange AND f.occurred_at = b.occurred_at AND f.topic IS NOT NULL
                        AND f.channel = 'prompt' ORDER BY 1)
         FROM record_begin b
         JOIN record_end e ON e.exchange = b.exchange AND e.occurred_at = b.occurred_at
         WHERE b.occurred_at >= $1 AND b.occurred_at < $2 AND ($3::text IS NULL OR b.caller = $3)
           AND ($4::timestamptz IS NULL OR (b.occurred_at, b.exchange) < ($4, $5))
           AND b.audit IS NULL AND b.caller <> $7 AND e.outcome IS NOT NULL
         ORDER BY b.occurred_at DESC, b.exchange DESC LIMIT $6",
    )
    .persistent(false)
    .bind(window.since)
    .bind(window.until)
    .bind(&window.caller)
    .bind(before.map(|(_, at)| at))
    .bind(before.map(|(exchange, _)| exchange))
    .bind(i64::from(rows))
    .bind(crate::exchange::JUDGE)
    .fetch_all(&store.pool)
    .await?;
    let seen = |(exchange, caller, model, outcome, manners, language, topics): Row| Seen {
        exchange,
        caller,
        model,
        outcome,
        manners,
        language,
        topics,
    };
    Ok(rows.into_iter().map(seen).collect())
}

/// Exchanges with their partition keys; ids that are none of ours are left out.
fn keyed(exchanges: &[Uuid]) -> (Vec<Uuid>, Vec<OffsetDateTime>) {
    exchanges.iter().filter_map(|exchange| Some((*exchange, occurred_at(*exchange)?))).unzip()
}
