//! Lists of exchanges by filter, newest first. What is kept of one beside its row is `trace`'s; it formats nothing.

use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{Row, query, query_as};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Error, Store};

/// Which exchanges are asked for; what is absent is not asked.
#[derive(Debug, Clone)]
pub struct Filter {
    /// Not older than this. A bound is always there: it is what keeps a list fast.
    pub since: OffsetDateTime,
    /// The caller's name.
    pub caller: Option<String>,
    /// The model asked for.
    pub model: Option<String>,
    /// The upstream that answered.
    pub upstream: Option<String>,
    /// The verdict's outcome.
    pub outcome: Option<String>,
    /// One of the verdict's manners.
    pub manner: Option<String>,
    /// How the exchange ended.
    pub ending: Option<String>,
    /// A finding of this rule.
    pub rule: Option<String>,
    /// A finding on this topic.
    pub topic: Option<String>,
    /// A finding of this action.
    pub action: Option<String>,
    /// Only exchanges that wait for a person to look at them.
    pub review: bool,
    /// At most so many.
    pub limit: u32,
}

impl Filter {
    /// All exchanges since a time.
    #[must_use]
    pub fn since(since: OffsetDateTime, limit: u32) -> Self {
        Self {
            since,
            limit,
            caller: None,
            model: None,
            upstream: None,
            outcome: None,
            manner: None,
            ending: None,
            rule: None,
            topic: None,
            action: None,
            review: false,
        }
    }

    /// Whether a whole exchange passes; the time is not asked again.
    pub(super) fn passes(&self, trace: &super::trace::Trace) -> bool {
        let record = &trace.record;
        let same = |asked: &Option<String>, found: Option<&str>| asked.is_none() || asked.as_deref() == found;
        let about = |finding: &super::trace::StoredFinding| {
            same(&self.rule, Some(&finding.rule))
                && same(&self.topic, finding.topic.as_deref())
                && same(&self.action, Some(&finding.action))
        };
        let asks_of_findings = self.rule.is_some() || self.topic.is_some() || self.action.is_some();
        same(&self.caller, Some(&record.caller))
            && same(&self.model, Some(&record.model))
            && same(&self.upstream, record.upstream.as_deref())
            && same(&self.outcome, record.outcome.as_deref())
            && same(&self.ending, record.ending.as_deref())
            && (!self.review || record.review.is_some())
            && self.manner.as_ref().is_none_or(|manner| record.manners.contains(manner))
            && (!asks_of_findings || trace.findings.iter().any(about))
    }

    /// Whether something is asked that only an exchange's end knows.
    fn asks_of_end(&self) -> bool {
        let named = [&self.upstream, &self.outcome, &self.manner, &self.ending];
        self.review || named.iter().any(|name| name.is_some())
    }
}

/// One exchange: its begin, and its end where there is one. Where its begin was lost, what that said is `unknown`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the columns are described in migrations/")]
pub struct Record {
    pub exchange: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    pub accepted_at: OffsetDateTime,
    pub dialect: String,
    pub caller: String,
    pub team: Option<String>,
    pub role: Option<String>,
    pub key_id: Option<String>,
    pub peer: String,
    pub client_request_id: Option<String>,
    pub subject: Option<String>,
    pub audit: Option<String>,
    pub model: String,
    pub streamed: bool,
    pub snapshot: String,
    pub recording: String,
    pub request_bytes: i64,
    pub prompt_preview: Option<String>,
    pub stream: Uuid,
    pub begin_sequence: Option<i64>,
    pub end_sequence: Option<i64>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub ended_at: Option<OffsetDateTime>,
    pub ending: Option<String>,
    pub status: Option<i16>,
    pub fault: Option<String>,
    pub upstream: Option<String>,
    pub upstream_model: Option<String>,
    pub upstream_reply_id: Option<String>,
    pub outcome: Option<String>,
    pub manners: Vec<String>,
    pub language: Option<String>,
    pub confidence: Option<f32>,
    pub decided_by: Option<String>,
    pub signal: Option<String>,
    pub detector: Option<String>,
    pub verdict_choice: Option<i64>,
    pub finishes: Option<String>,
    #[serde(rename = "finding_count")]
    pub findings: i32,
    pub unkept_findings: i64,
    pub action: Option<String>,
    pub prompt_tokens: Option<i64>,
    pub completion_tokens: Option<i64>,
    pub reasoning_tokens: Option<i64>,
    pub cached_tokens: Option<i64>,
    pub screened_us: Option<i64>,
    pub first_byte_us: Option<i64>,
    pub first_reasoning_us: Option<i64>,
    pub first_answer_us: Option<i64>,
    pub total_us: Option<i64>,
    pub reply_bytes: Option<i64>,
    pub unkept_bytes: Option<i64>,
    pub unread_frames: Option<i64>,
    pub answer_preview: Option<String>,
    pub review: Option<String>,
    pub written_tokens: Option<i64>,
    pub cost_nanos: Option<i64>,
    pub currency: Option<String>,
    pub price: Option<String>,
    pub cost_estimated: Option<bool>,
    pub reasoning_us: Option<i64>,
    pub reasoning_steps: Option<i64>,
    pub reasoning_checks: Option<i64>,
    pub upstream_dialect: Option<String>,
}

/// Exchanges that pass a filter, newest first.
///
/// # Errors
/// The database is away or not migrated.
pub async fn list(store: &Store, filter: &Filter) -> Result<Vec<Record>, Error> {
    let ids = if filter.rule.is_some() || filter.topic.is_some() || filter.action.is_some() {
        ids_by_finding(store, filter).await?
    } else if filter.caller.is_some() || filter.model.is_some() || !filter.asks_of_end() {
        ids_by_begin(store, filter).await?
    } else {
        ids_by_end(store, filter).await?
    };
    load(store, &ids).await
}

/// Frames that were lost since a time, counted by reason.
///
/// # Errors
/// The database is away or not migrated.
pub async fn losses(store: &Store, since: OffsetDateTime) -> Result<Vec<(String, i64)>, Error> {
    let sums = query_as("SELECT why, sum(count)::bigint FROM loss WHERE occurred_at >= $1 GROUP BY why ORDER BY why");
    Ok(sums.bind(since).fetch_all(&store.pool).await?)
}

/// An exchange's id and its partition key.
pub(super) type Id = (Uuid, OffsetDateTime);

// Each question walks one table's index backwards in time until it has enough, and asks the others of each row it
// meets. Joins would be planned by an estimate that takes id and time for independent, and so reads everything at
// once: 2 s instead of 10 ms at a million records. "OFFSET 0" keeps the planner from turning the inner question into
// such a join. None of the plans is kept ("not persistent"): planned with their values, conditions that are not asked
// vanish.

/// Walks `record_begin`.
async fn ids_by_begin(store: &Store, filter: &Filter) -> Result<Vec<Id>, Error> {
    let found = query_as(
        "SELECT b.exchange, b.occurred_at FROM record_begin b
         WHERE b.occurred_at >= $1
           AND ($3::text IS NULL OR b.caller = $3)
           AND ($4::text IS NULL OR b.model = $4)
           AND (NOT $5 OR EXISTS (
               SELECT FROM record_end e
               WHERE e.exchange = b.exchange AND e.occurred_at = b.occurred_at
                 AND ($6::text IS NULL OR e.upstream = $6)
                 AND ($7::text IS NULL OR e.outcome = $7)
                 AND ($8::text IS NULL OR $8 = ANY (e.manners))
                 AND ($9::text IS NULL OR e.ending = $9)
                 AND (NOT $10 OR (e.review IS NOT NULL AND NOT EXISTS (
                     SELECT FROM event d WHERE d.exchange = e.exchange AND d.kind = 'decision')))
               OFFSET 0))
         ORDER BY b.occurred_at DESC LIMIT $2",
    )
    .persistent(false)
    .bind(filter.since)
    .bind(i64::from(filter.limit))
    .bind(&filter.caller)
    .bind(&filter.model)
    .bind(filter.asks_of_end())
    .bind(&filter.upstream)
    .bind(&filter.outcome)
    .bind(&filter.manner)
    .bind(&filter.ending)
    .bind(filter.review);
    Ok(found.fetch_all(&store.pool).await?)
}

/// Walks `record_end`; what only a begin knows is not asked here.
async fn ids_by_end(store: &Store, filter: &Filter) -> Result<Vec<Id>, Error> {
    let found = query_as(
        "SELECT e.exchange, e.occurred_at FROM record_end e
         WHERE e.occurred_at >= $1
           AND ($3::text IS NULL OR e.upstream = $3)
           AND ($4::text IS NULL OR e.outcome = $4)
           AND ($5::text IS NULL OR (e.manners <> '{}' AND $5 = ANY (e.manners)))
           AND ($6::text IS NULL OR e.ending = $6)
           AND (NOT $7 OR (e.review IS NOT NULL AND NOT EXISTS (
               SELECT FROM event d WHERE d.exchange = e.exchange AND d.kind = 'decision')))
         ORDER BY e.occurred_at DESC LIMIT $2",
    )
    .persistent(false)
    .bind(filter.since)
    .bind(i64::from(filter.limit))
    .bind(&filter.upstream)
    .bind(&filter.outcome)
    .bind(&filter.manner)
    .bind(&filter.ending)
    .bind(filter.review);
    Ok(found.fetch_all(&store.pool).await?)
}

/// Walks `finding`; an exchange is met at the first of its findings that is asked for.
async fn ids_by_finding(store: &Store, filter: &Filter) -> Result<Vec<Id>, Error> {
    let found = query_as(
        "SELECT f.exchange, f.occurred_at FROM finding f
         WHERE f.occurred_at >= $1
           AND ($3::text IS NULL OR f.rule = $3)
           AND ($4::text IS NULL OR f.topic = $4)
           AND ($5::text IS NULL OR f.action = $5)
           AND NOT EXISTS (
               SELECT FROM finding g
               WHERE g.exchange = f.exchange AND g.occurred_at = f.occurred_at AND g.ordinal < f.ordinal
                 AND ($3::text IS NULL OR g.rule = $3)
                 AND ($4::text IS NULL OR g.topic = $4)
                 AND ($5::text IS NULL OR g.action = $5)
               OFFSET 0)
           AND (NOT $6 OR EXISTS (
               SELECT FROM record r
               WHERE r.exchange = f.exchange AND r.occurred_at = f.occurred_at
                 AND ($7::text IS NULL OR r.caller = $7)
                 AND ($8::text IS NULL OR r.model = $8)
                 AND ($9::text IS NULL OR r.upstream = $9)
                 AND ($10::text IS NULL OR r.outcome = $10)
                 AND ($11::text IS NULL OR $11 = ANY (r.manners))
                 AND ($12::text IS NULL OR r.ending = $12)
                 AND (NOT $13 OR (r.review IS NOT NULL AND NOT EXISTS (
                     SELECT FROM event d WHERE d.exchange = r.exchange AND d.kind = 'decision')))
               OFFSET 0))
         ORDER BY f.occurred_at DESC LIMIT $2",
    )
    .persistent(false)
    .bind(filter.since)
    .bind(i64::from(filter.limit))
    .bind(&filter.rule)
    .bind(&filter.topic)
    .bind(&filter.action)
    .bind(filter.asks_of_end() || filter.caller.is_some() || filter.model.is_some())
    .bind(&filter.caller)
    .bind(&filter.model)
    .bind(&filter.upstream)
    .bind(&filter.outcome)
    .bind(&filter.manner)
    .bind(&filter.ending)
    .bind(filter.review);
    Ok(found.fetch_all(&store.pool).await?)
}

/// The rows of some exchanges, newest first.
pub(super) async fn load(store: &Store, ids: &[Id]) -> Result<Vec<Record>, Error> {
    let (exchanges, times): (Vec<Uuid>, Vec<OffsetDateTime>) = ids.iter().copied().unzip();
    let rows = query(
        "SELECT record.* FROM unnest($1::uuid[], $2::timestamptz[]) AS wanted (exchange, occurred_at)
         JOIN record ON record.exchange = wanted.exchange AND record.occurred_at = wanted.occurred_at",
    )
    .bind(&exchanges)
    .bind(&times)
    .fetch_all(&store.pool)
    .await?;
    let mut found: Vec<Record> = rows.iter().map(read).collect::<Result<_, _>>()?;
    if found.len() < ids.len() {
        found.extend(load_ends(store, exchanges, times).await?);
    }
    found.sort_by_key(|record| std::cmp::Reverse((super::rows::occurred_at(record.exchange), record.exchange)));
    Ok(found)
}

/// The rows of exchanges whose begin was lost: what their ends say, and "unknown" for the rest.
async fn load_ends(store: &Store, exchanges: Vec<Uuid>, times: Vec<OffsetDateTime>) -> Result<Vec<Record>, Error> {
    let rows = query(
        "SELECT e.*, e.occurred_at AS accepted_at, 'unknown' AS dialect, 'unknown' AS caller, NULL::text AS team,
                NULL::text AS role, NULL::text AS key_id, 'unknown' AS peer, NULL::text AS client_request_id,
                NULL::text AS subject, NULL::text AS audit,
                'unknown' AS model, false AS streamed, 'unknown' AS snapshot, 'unknown' AS recording,
                0::bigint AS request_bytes, NULL::text AS prompt_preview, NULL::bigint AS begin_sequence,
                e.sequence AS end_sequence, e.preview AS answer_preview
         FROM unnest($1::uuid[], $2::timestamptz[]) AS wanted (exchange, occurred_at)
         JOIN record_end e ON e.exchange = wanted.exchange AND e.occurred_at = wanted.occurred_at
         WHERE NOT EXISTS (SELECT FROM record_begin b
                           WHERE b.exchange = wanted.exchange AND b.occurred_at = wanted.occurred_at)",
    )
    .bind(exchanges)
    .bind(times)
    .fetch_all(&store.pool)
    .await?;
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

fn read(row: &PgRow) -> Result<Record, sqlx::Error> {
    Ok(Record {
        exchange: row.try_get("exchange")?,
        accepted_at: row.try_get("accepted_at")?,
        dialect: row.try_get("dialect")?,
        caller: row.try_get("caller")?,
        team: row.try_get("team")?,
        role: row.try_get("role")?,
        key_id: row.try_get("key_id")?,
        peer: row.try_get("peer")?,
        client_request_id: row.try_get("client_request_id")?,
        subject: row.try_get("subject")?,
        audit: row.try_get("audit")?,
        model: row.try_get("model")?,
        streamed: row.try_get("streamed")?,
        snapshot: row.try_get("snapshot")?,
        recording: row.try_get("recording")?,
        request_bytes: row.try_get("request_bytes")?,
        prompt_preview: row.try_get("prompt_preview")?,
        stream: row.try_get("stream")?,
        begin_sequence: row.try_get("begin_sequence")?,
        end_sequence: row.try_get("end_sequence")?,
        ended_at: row.try_get("ended_at")?,
        ending: row.try_get("ending")?,
        status: row.try_get("status")?,
        fault: row.try_get("fault")?,
        upstream: row.try_get("upstream")?,
        upstream_model: row.try_get("upstream_model")?,
        upstream_reply_id: row.try_get("upstream_reply_id")?,
        outcome: row.try_get("outcome")?,
        manners: row.try_get::<Option<_>, _>("manners")?.unwrap_or_default(),
        language: row.try_get("language")?,
        confidence: row.try_get("confidence")?,
        decided_by: row.try_get("decided_by")?,
        signal: row.try_get("signal")?,
        detector: row.try_get("detector")?,
        verdict_choice: row.try_get("verdict_choice")?,
        finishes: row.try_get("finishes")?,
        findings: row.try_get::<Option<_>, _>("findings")?.unwrap_or_default(),
        unkept_findings: row.try_get::<Option<_>, _>("unkept_findings")?.unwrap_or_default(),
        action: row.try_get("action")?,
        prompt_tokens: row.try_get("prompt_tokens")?,
        completion_tokens: row.try_get("completion_tokens")?,
        reasoning_tokens: row.try_get("reasoning_tokens")?,
        cached_tokens: row.try_get("cached_tokens")?,
        screened_us: row.try_get("screened_us")?,
        first_byte_us: row.try_get("first_byte_us")?,
        first_reasoning_us: row.try_get("first_reasoning_us")?,
        first_answer_us: row.try_get("first_answer_us")?,
        total_us: row.try_get("total_us")?,
        reply_bytes: row.try_get("reply_bytes")?,
        unkept_bytes: row.try_get("unkept_bytes")?,
        unread_frames: row.try_get("unread_frames")?,
        answer_preview: row.try_get("answer_preview")?,
        review: row.try_get("review")?,
        written_tokens: row.try_get("written_tokens")?,
        cost_nanos: row.try_get("cost_nanos")?,
        currency: row.try_get("currency")?,
        price: row.try_get("price")?,
        cost_estimated: row.try_get("cost_estimated")?,
        reasoning_us: row.try_get("reasoning_us")?,
        reasoning_steps: row.try_get("reasoning_steps")?,
        reasoning_checks: row.try_get("reasoning_checks")?,
        upstream_dialect: row.try_get("upstream_dialect")?,
    })
}
