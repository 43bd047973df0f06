//! What exchanges cost, page by page. It sums nothing.

use sqlx::postgres::PgRow;
use sqlx::{Row, query};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Error, Store};

/// Rows that are read at once.
const PAGE: i64 = 5000;

/// What one exchange took.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the columns are described in migrations/")]
pub struct Bill {
    pub ended_at: OffsetDateTime,
    pub caller: String,
    pub team: Option<String>,
    pub model: String,
    pub upstream: Option<String>,
    pub status: Option<i16>,
    pub prompt_tokens: Option<i64>,
    pub completion_tokens: Option<i64>,
    pub reasoning_tokens: Option<i64>,
    pub cached_tokens: Option<i64>,
    pub written_tokens: Option<i64>,
    pub cost_nanos: Option<i64>,
    pub currency: Option<String>,
    pub cost_estimated: bool,
    /// Topics that rules found in it.
    pub topics: Vec<String>,
}

/// Gives the bills of all exchanges that ended, oldest first, of a time whose end is not included.
///
/// # Errors
/// The database is away or not migrated.
pub async fn bills(
    store: &Store,
    (since, until): (OffsetDateTime, OffsetDateTime),
    mut each: impl FnMut(&Bill),
) -> Result<(), Error> {
    let mut last = (since, Uuid::nil());
    loop {
        // The pages walk the index on time; an exchange whose begin was lost is of an unknown caller.
        let rows = query(
            "SELECT e.exchange, e.occurred_at, e.ended_at, coalesce(b.caller, 'unknown') AS caller, b.team,
                    coalesce(b.model, 'unknown') AS model, e.upstream, e.status, e.prompt_tokens, e.completion_tokens,
                    e.reasoning_tokens, e.cached_tokens, e.written_tokens, e.cost_nanos, e.currency, e.cost_estimated,
                    ARRAY(SELECT DISTINCT f.topic FROM finding f
                          WHERE f.exchange = e.exchange AND f.occurred_at = e.occurred_at AND f.topic IS NOT NULL) AS topics
             FROM record_end e
             LEFT JOIN record_begin b ON b.exchange = e.exchange AND b.occurred_at = e.occurred_at
             WHERE e.occurred_at >= $1 AND e.occurred_at < $3 AND (e.occurred_at, e.exchange) > ($1, $2)
             ORDER BY e.occurred_at, e.exchange LIMIT $4",
        )
        .persistent(false)
        .bind(last.0)
        .bind(last.1)
        .bind(until)
        .bind(PAGE)
        .fetch_all(&store.pool)
        .await?;
        for row in &rows {
            each(&read(row)?);
        }
        match rows.last() {
            Some(row) if i64::try_from(rows.len()) == Ok(PAGE) => {
                last = (row.try_get("occurred_at")?, row.try_get("exchange")?);
            }
            _ => return Ok(()),
        }
    }
}

fn read(row: &PgRow) -> Result<Bill, sqlx::Error> {
    Ok(Bill {
        ended_at: row.try_get("ended_at")?,
        caller: row.try_get("caller")?,
        team: row.try_get("team")?,
        model: row.try_get("model")?,
        upstream: row.try_get("upstream")?,
        status: row.try_get("status")?,
        prompt_tokens: row.try_get("prompt_tokens")?,
        completion_tokens: row.try_get("completion_tokens")?,
        reasoning_tokens: row.try_get("reasoning_tokens")?,
        cached_tokens: row.try_get("cached_tokens")?,
        written_tokens: row.try_get("written_tokens")?,
        cost_nanos: row.try_get("cost_nanos")?,
        currency: row.try_get("currency")?,
        cost_estimated: row.try_get::<Option<bool>, _>("cost_estimated")?.unwrap_or_default(),
        topics: row.try_get("topics")?,
    })
}
