//! Everything that is kept of one exchange, back out of the rows. It formats nothing.

use std::collections::BTreeMap;

use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{Row, query, query_as};
use uuid::Uuid;

use super::payload::unpack;
use super::records::{Id, Record, load};
use super::rows::occurred_at;
use super::{Error, Store};

/// One hit, as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are those of `exchange::Finding`")]
pub struct StoredFinding {
    pub rule: String,
    pub pack: String,
    pub topic: Option<String>,
    pub detector: String,
    pub channel: String,
    pub choice: i64,
    pub part: i64,
    pub start: i64,
    pub end: i64,
    pub action: String,
    pub enforced: String,
    pub severity: String,
}

/// One span that the verdict rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are those of `exchange::Evidence`")]
pub struct StoredEvidence {
    pub channel: String,
    pub start: i64,
    pub end: i64,
    pub what: String,
}

/// One try at one upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are those of `record::Attempt`")]
pub struct StoredAttempt {
    pub upstream: String,
    pub status: Option<i16>,
    pub fault: Option<String>,
    pub took_us: i64,
}

/// Bytes that are kept of an exchange, or the reason why they cannot be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// The bytes as they were.
    Whole(Vec<u8>),
    /// What lies in the database is damaged, or packed by a newer program.
    Unreadable,
}

/// Everything that is kept of one exchange.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// Its row.
    pub record: Record,
    /// What was found, in the order it was found.
    pub findings: Vec<StoredFinding>,
    /// What the verdict rests on.
    pub evidence: Vec<StoredEvidence>,
    /// Every try.
    pub attempts: Vec<StoredAttempt>,
    /// Bytes by part: `request`, `headers`, `sent`, `received`, `delivered`, `segments`.
    pub payloads: BTreeMap<String, Payload>,
}

/// Everything that is kept of one exchange; `None` where nothing is.
///
/// # Errors
/// The database is away or not migrated.
pub async fn show(store: &Store, exchange: Uuid) -> Result<Option<Trace>, Error> {
    let Some(occurred_at) = occurred_at(exchange) else { return Ok(None) };
    let id = (exchange, occurred_at);
    let Some(record) = load(store, &[id]).await?.pop() else { return Ok(None) };
    Ok(Some(Trace {
        record,
        findings: findings(store, id).await?,
        evidence: evidence(store, id).await?,
        attempts: attempts(store, id).await?,
        payloads: payloads(store, id).await?,
    }))
}

async fn findings(store: &Store, (exchange, occurred_at): Id) -> Result<Vec<StoredFinding>, Error> {
    let rows = query(
        "SELECT rule, pack, topic, detector, channel, choice, part, span_start, span_end, action, enforced, severity
         FROM finding WHERE exchange = $1 AND occurred_at = $2 ORDER BY ordinal",
    )
    .bind(exchange)
    .bind(occurred_at)
    .fetch_all(&store.pool)
    .await?;
    let read = |row: &PgRow| {
        Ok(StoredFinding {
            rule: row.try_get("rule")?,
            pack: row.try_get("pack")?,
            topic: row.try_get("topic")?,
            detector: row.try_get("detector")?,
            channel: row.try_get("channel")?,
            choice: row.try_get("choice")?,
            part: row.try_get("part")?,
            start: row.try_get("span_start")?,
            end: row.try_get("span_end")?,
            action: row.try_get("action")?,
            enforced: row.try_get("enforced")?,
            severity: row.try_get("severity")?,
        })
    };
    Ok(rows.iter().map(read).collect::<Result<_, sqlx::Error>>()?)
}

async fn evidence(store: &Store, (exchange, occurred_at): Id) -> Result<Vec<StoredEvidence>, Error> {
    let rows: Vec<(String, i64, i64, String)> = query_as(
        "SELECT channel, span_start, span_end, what FROM evidence
         WHERE exchange = $1 AND occurred_at = $2 ORDER BY ordinal",
    )
    .bind(exchange)
    .bind(occurred_at)
    .fetch_all(&store.pool)
    .await?;
    Ok(rows.into_iter().map(|(channel, start, end, what)| StoredEvidence { channel, start, end, what }).collect())
}

async fn attempts(store: &Store, (exchange, occurred_at): Id) -> Result<Vec<StoredAttempt>, Error> {
    let rows: Vec<(String, Option<i16>, Option<String>, i64)> = query_as(
        "SELECT upstream, status, fault, took_us FROM attempt
         WHERE exchange = $1 AND occurred_at = $2 ORDER BY ordinal",
    )
    .bind(exchange)
    .bind(occurred_at)
    .fetch_all(&store.pool)
    .await?;
    let attempt = |(upstream, status, fault, took_us)| StoredAttempt { upstream, status, fault, took_us };
    Ok(rows.into_iter().map(attempt).collect())
}

async fn payloads(store: &Store, (exchange, occurred_at): Id) -> Result<BTreeMap<String, Payload>, Error> {
    let rows: Vec<(String, String, i64, Vec<u8>)> =
        query_as("SELECT part, codec, size, bytes FROM payload WHERE exchange = $1 AND occurred_at = $2")
            .bind(exchange)
            .bind(occurred_at)
            .fetch_all(&store.pool)
            .await?;
    let payload = |(part, codec, size, bytes): (String, String, i64, Vec<u8>)| {
        (part, unpack(&codec, size, bytes).map_or(Payload::Unreadable, Payload::Whole))
    };
    Ok(rows.into_iter().map(payload).collect())
}
