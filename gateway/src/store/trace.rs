//! Everything that is kept of one exchange, back out of the rows. It formats nothing.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{PgExecutor, Row, query, query_as};
use time::OffsetDateTime;
use uuid::Uuid;

use super::payload::{Lying, Unpacker};
use super::records::{Id, Record, load};
use super::rows::occurred_at;
use super::{Error, Store};
use crate::cipher::Place;
use crate::exchange::{JUDGE, QUESTION, SHADOW};

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
    /// What a judge model was asked about it: exchanges of the gateway's own, each with the judge's verdict, its answer to a
    /// rule's question, or the reason why it gave none. Only where one exchange is asked for.
    pub judgements: Vec<Judgement>,
    /// Copies of it that went to another upstream. Only where one exchange is asked for.
    pub shadows: Vec<Record>,
    /// Bytes by part: `request`, `headers`, `sent`, `received`, `delivered`, `segments`.
    pub payloads: BTreeMap<String, Payload>,
}

/// One question to a judge model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judgement {
    /// The row of the exchange that it was.
    #[serde(flatten)]
    pub record: Record,
    /// The rule's question, where it was one and has ended.
    pub question: Option<StoredAnswer>,
}

/// What a judge model answered to a rule's question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredAnswer {
    /// The pack of the rule.
    pub pack: String,
    /// The rule.
    pub rule: String,
    /// `yes`, `no`, or `none` where no answer came.
    pub answer: String,
}

impl StoredAnswer {
    /// Reads the one piece of evidence of such an exchange; see [`QUESTION`].
    fn read(what: &str) -> Option<Self> {
        let (name, answer) = what.rsplit_once(": ")?;
        let (pack, rule) = name.rsplit_once('/')?;
        Some(Self { pack: pack.to_owned(), rule: rule.to_owned(), answer: answer.to_owned() })
    }
}

/// Which bytes of exchanges are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parts {
    /// All that are kept.
    All,
    /// Those that the texts are read from: the request and what the model wrote.
    Texts,
}

impl Parts {
    pub(super) fn names(self) -> Option<Vec<String>> {
        match self {
            Self::All => None,
            Self::Texts => Some(vec!["request".to_owned(), "segments".to_owned()]),
        }
    }
}

/// Everything that is kept of one exchange; `None` where nothing is.
///
/// # Errors
/// The database is away or not migrated.
pub async fn show(store: &Store, exchange: Uuid) -> Result<Option<Trace>, Error> {
    let Some(occurred_at) = occurred_at(exchange) else { return Ok(None) };
    let Some(mut trace) = traces(store, &[(exchange, occurred_at)], Parts::All).await?.pop() else { return Ok(None) };
    trace.judgements = judgements(store, exchange, occurred_at).await?;
    trace.shadows = load(store, &own(store, SHADOW, exchange, occurred_at).await?).await?;
    Ok(Some(trace))
}

/// What a judge model was asked about an exchange. It is asked when that has ended, so not at any time after.
async fn judgements(store: &Store, exchange: Uuid, occurred_at: OffsetDateTime) -> Result<Vec<Judgement>, Error> {
    let ids = own(store, JUDGE, exchange, occurred_at).await?;
    let (exchanges, times): (Vec<Uuid>, Vec<OffsetDateTime>) = ids.iter().copied().unzip();
    let mut evidence = gathered(evidence(&store.pool, (&exchanges, &times)).await?);
    let judgement = |record: Record| {
        let asked = record.decided_by.as_deref() == Some(QUESTION);
        let evidence = evidence.remove(&record.exchange).filter(|_| asked).unwrap_or_default();
        Judgement { question: evidence.first().and_then(|one| StoredAnswer::read(&one.what)), record }
    };
    Ok(load(store, &ids).await?.into_iter().map(judgement).collect())
}

/// Exchanges of the gateway's own that are about an exchange, under one of its names.
async fn own(store: &Store, name: &str, exchange: Uuid, occurred_at: OffsetDateTime) -> Result<Vec<Id>, Error> {
    let ids = query_as(
        "SELECT exchange, occurred_at FROM record_begin
         WHERE caller = $1 AND occurred_at BETWEEN $2 AND $2 + interval '1 day' AND client_request_id = $3
         ORDER BY occurred_at",
    );
    let ids = ids.persistent(false).bind(name).bind(occurred_at).bind(exchange.to_string());
    Ok(ids.fetch_all(&store.pool).await?)
}

/// A page of exchanges, newest first: those that began since a time, and before the one that the last page ended with.
///
/// # Errors
/// The database is away or not migrated.
pub async fn page(
    store: &Store,
    since: OffsetDateTime,
    before: Option<Uuid>,
    rows: u32,
    parts: Parts,
) -> Result<Vec<Trace>, Error> {
    let before = before.and_then(|exchange| Some((exchange, occurred_at(exchange)?)));
    let ids: Vec<Id> = query_as(
        "SELECT exchange, occurred_at FROM record_begin
         WHERE occurred_at >= $1 AND ($2::timestamptz IS NULL OR (occurred_at, exchange) < ($2, $3))
         ORDER BY occurred_at DESC, exchange DESC LIMIT $4",
    )
    .persistent(false)
    .bind(since)
    .bind(before.map(|(_, at)| at))
    .bind(before.map(|(exchange, _)| exchange))
    .bind(i64::from(rows))
    .fetch_all(&store.pool)
    .await?;
    traces(store, &ids, parts).await
}

/// Everything that is kept of some exchanges, newest first; those of which nothing is are left out.
pub(super) async fn traces(store: &Store, ids: &[Id], parts: Parts) -> Result<Vec<Trace>, Error> {
    let records = load(store, ids).await?;
    let (exchanges, times): (Vec<Uuid>, Vec<OffsetDateTime>) = ids.iter().copied().unzip();
    let wanted = (exchanges.as_slice(), times.as_slice());
    let mut findings = gathered(findings(&store.pool, wanted).await?);
    let mut evidence = gathered(evidence(&store.pool, wanted).await?);
    let mut attempts = gathered(attempts(&store.pool, wanted).await?);
    let mut payloads = gathered(payloads(store, wanted, parts).await?);
    let trace = |record: Record| {
        let exchange = record.exchange;
        Trace {
            findings: findings.remove(&exchange).unwrap_or_default(),
            evidence: evidence.remove(&exchange).unwrap_or_default(),
            attempts: attempts.remove(&exchange).unwrap_or_default(),
            payloads: payloads.remove(&exchange).unwrap_or_default().into_iter().collect(),
            judgements: Vec::new(),
            shadows: Vec::new(),
            record,
        }
    };
    Ok(records.into_iter().map(trace).collect())
}

/// What belongs to each exchange, in the order it came.
pub(super) fn gathered<T>(rows: Vec<(Uuid, T)>) -> HashMap<Uuid, Vec<T>> {
    let mut all: HashMap<Uuid, Vec<T>> = HashMap::new();
    for (exchange, row) in rows {
        all.entry(exchange).or_default().push(row);
    }
    all
}

/// Exchanges and their partition keys, as two arrays of equal length.
pub(super) type Wanted<'a> = (&'a [Uuid], &'a [OffsetDateTime]);

pub(super) async fn findings<'e>(
    executor: impl PgExecutor<'e>,
    (exchanges, times): Wanted<'_>,
) -> Result<Vec<(Uuid, StoredFinding)>, Error> {
    let rows = query(
        "SELECT f.exchange, rule, pack, topic, detector, channel, choice, part, span_start, span_end, action, enforced,
                severity
         FROM unnest($1::uuid[], $2::timestamptz[]) AS wanted (exchange, occurred_at)
         JOIN finding f ON f.exchange = wanted.exchange AND f.occurred_at = wanted.occurred_at
         ORDER BY f.exchange, f.ordinal",
    )
    .bind(exchanges)
    .bind(times)
    .fetch_all(executor)
    .await?;
    let read = |row: &PgRow| {
        let finding = StoredFinding {
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
        };
        Ok((row.try_get("exchange")?, finding))
    };
    Ok(rows.iter().map(read).collect::<Result<_, sqlx::Error>>()?)
}

pub(super) async fn evidence<'e>(
    executor: impl PgExecutor<'e>,
    (exchanges, times): Wanted<'_>,
) -> Result<Vec<(Uuid, StoredEvidence)>, Error> {
    let rows: Vec<(Uuid, String, i64, i64, String)> = query_as(
        "SELECT e.exchange, channel, span_start, span_end, what
         FROM unnest($1::uuid[], $2::timestamptz[]) AS wanted (exchange, occurred_at)
         JOIN evidence e ON e.exchange = wanted.exchange AND e.occurred_at = wanted.occurred_at
         ORDER BY e.exchange, e.ordinal",
    )
    .bind(exchanges)
    .bind(times)
    .fetch_all(executor)
    .await?;
    let read = |(exchange, channel, start, end, what)| (exchange, StoredEvidence { channel, start, end, what });
    Ok(rows.into_iter().map(read).collect())
}

/// A row of `attempt`.
type AttemptRow = (Uuid, String, Option<i16>, Option<String>, i64);

pub(super) async fn attempts<'e>(
    executor: impl PgExecutor<'e>,
    (exchanges, times): Wanted<'_>,
) -> Result<Vec<(Uuid, StoredAttempt)>, Error> {
    let rows: Vec<AttemptRow> = query_as(
        "SELECT a.exchange, upstream, status, fault, took_us
         FROM unnest($1::uuid[], $2::timestamptz[]) AS wanted (exchange, occurred_at)
         JOIN attempt a ON a.exchange = wanted.exchange AND a.occurred_at = wanted.occurred_at
         ORDER BY a.exchange, a.ordinal",
    )
    .bind(exchanges)
    .bind(times)
    .fetch_all(executor)
    .await?;
    let read =
        |(exchange, upstream, status, fault, took_us)| (exchange, StoredAttempt { upstream, status, fault, took_us });
    Ok(rows.into_iter().map(read).collect())
}

/// A row of `payload`.
type PayloadRow = (Uuid, String, String, i64, Vec<u8>, Option<String>);

async fn payloads(
    store: &Store,
    (exchanges, times): Wanted<'_>,
    parts: Parts,
) -> Result<Vec<(Uuid, (String, Payload))>, Error> {
    let rows: Vec<PayloadRow> = query_as(
        "WITH wanted AS (SELECT * FROM unnest($1::uuid[], $2::timestamptz[]) AS wanted (exchange, occurred_at))
         SELECT p.exchange, part, codec, size, bytes, key_id FROM wanted
         JOIN payload p ON p.exchange = wanted.exchange AND p.occurred_at = wanted.occurred_at
         WHERE $3::text[] IS NULL OR part = ANY ($3)
         UNION ALL
         SELECT p.exchange, part, codec, size, bytes, key_id FROM wanted
         JOIN payload_kept p ON p.exchange = wanted.exchange AND p.occurred_at = wanted.occurred_at
         WHERE $3::text[] IS NULL OR part = ANY ($3)",
    )
    .bind(exchanges)
    .bind(times)
    .bind(parts.names())
    .fetch_all(&store.pool)
    .await?;
    let mut unpacker = Unpacker::default();
    let read = |(exchange, part, codec, size, bytes, key_id): PayloadRow| {
        let lying = Lying { place: Place { exchange, part: &part }, codec: &codec, size, key_id: key_id.as_deref() };
        let payload = unpacker.take_out(&lying, &store.keys, bytes).map_or(Payload::Unreadable, Payload::Whole);
        (exchange, (part, payload))
    };
    Ok(rows.into_iter().map(read).collect())
}
