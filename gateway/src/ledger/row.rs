//! Rows as texts: what the hash in a leaf is taken of. It reads no database.
//!
//! A row's text is JSON without white space, its keys in the order of the fields here, absent values as null (but an
//! absent `audit` or `review` and what stands behind the latter as nothing), times in microseconds since 1970, the confidence in millionths. Previews are not in it:
//! they are taken from payloads, and go when those are erased.

use std::borrow::Cow;

use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

/// The row of a begin.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are the columns of `record_begin`")]
pub struct BeginText<'a> {
    pub exchange: Uuid,
    pub stream: Uuid,
    pub sequence: i64,
    pub accepted_at: i64,
    pub dialect: Cow<'a, str>,
    pub caller: Cow<'a, str>,
    pub team: Option<Cow<'a, str>>,
    pub role: Option<Cow<'a, str>>,
    pub key_id: Option<Cow<'a, str>>,
    pub peer: Cow<'a, str>,
    pub client_request_id: Option<Cow<'a, str>>,
    pub subject: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit: Option<Cow<'a, str>>,
    pub model: Cow<'a, str>,
    pub streamed: bool,
    pub snapshot: Cow<'a, str>,
    pub recording: Cow<'a, str>,
    pub request_bytes: i64,
}

/// The row of an end, with the rows that belong to it.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are the columns of `record_end`")]
pub struct EndText<'a> {
    pub exchange: Uuid,
    pub stream: Uuid,
    pub sequence: i64,
    pub ended_at: i64,
    pub ending: Cow<'a, str>,
    pub status: Option<i16>,
    pub fault: Option<Cow<'a, str>>,
    pub upstream: Option<Cow<'a, str>>,
    pub upstream_model: Option<Cow<'a, str>>,
    pub upstream_reply_id: Option<Cow<'a, str>>,
    pub outcome: Option<Cow<'a, str>>,
    pub manners: Vec<Cow<'a, str>>,
    pub language: Option<Cow<'a, str>>,
    pub confidence: Option<i64>,
    pub decided_by: Option<Cow<'a, str>>,
    pub signal: Option<Cow<'a, str>>,
    pub detector: Option<Cow<'a, str>>,
    pub verdict_choice: Option<i64>,
    pub finishes: Option<Cow<'a, str>>,
    pub unkept_findings: i64,
    pub action: Option<Cow<'a, str>>,
    pub prompt_tokens: Option<i64>,
    pub completion_tokens: Option<i64>,
    pub reasoning_tokens: Option<i64>,
    pub cached_tokens: Option<i64>,
    pub screened_us: Option<i64>,
    pub first_byte_us: Option<i64>,
    pub first_reasoning_us: Option<i64>,
    pub first_answer_us: Option<i64>,
    pub total_us: Option<i64>,
    pub reply_bytes: i64,
    pub unkept_bytes: i64,
    pub unread_frames: i64,
    pub findings: Vec<FindingText<'a>>,
    pub evidence: Vec<EvidenceText<'a>>,
    pub attempts: Vec<AttemptText<'a>>,
    /// Left out where it is absent, like all that follows: rows from before there was one have no such key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written_tokens: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_nanos: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_estimated: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_us: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_steps: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_checks: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_dialect: Option<Cow<'a, str>>,
}

/// A row of `finding`.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are the columns of `finding`")]
pub struct FindingText<'a> {
    pub rule: Cow<'a, str>,
    pub pack: Cow<'a, str>,
    pub topic: Option<Cow<'a, str>>,
    pub detector: Cow<'a, str>,
    pub channel: Cow<'a, str>,
    pub choice: i64,
    pub part: i64,
    pub start: i64,
    pub end: i64,
    pub action: Cow<'a, str>,
    pub enforced: Cow<'a, str>,
    pub severity: Cow<'a, str>,
}

/// A row of `evidence`.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are the columns of `evidence`")]
pub struct EvidenceText<'a> {
    pub channel: Cow<'a, str>,
    pub start: i64,
    pub end: i64,
    pub what: Cow<'a, str>,
}

/// A row of `attempt`.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are the columns of `attempt`")]
pub struct AttemptText<'a> {
    pub upstream: Cow<'a, str>,
    pub status: Option<i16>,
    pub fault: Option<Cow<'a, str>>,
    pub took_us: i64,
}

/// A row of `loss`.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are the columns of `loss`")]
pub struct LossText<'a> {
    pub stream: Uuid,
    pub sequence: i64,
    pub count: i64,
    pub why: Cow<'a, str>,
}

/// What a leaf of a duplicate, an opening or a close stands for: nothing but its place.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are those of the leaf")]
pub struct PlaceText {
    pub stream: Uuid,
    pub sequence: i64,
}

/// The text of a row.
#[must_use]
pub fn text(row: &impl Serialize) -> String {
    // Numbers, texts and lists of them always have a JSON form.
    serde_json::to_string(row).unwrap_or_default()
}

/// A time as texts have it: whole microseconds since 1970, as Postgres keeps it.
#[must_use]
pub fn micros(time: OffsetDateTime) -> i64 {
    i64::try_from(time.unix_timestamp_nanos().div_euclid(1000)).unwrap_or(i64::MAX)
}

/// A share as texts have it.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "a confidence lies between 0 and 1; anything else is clamped")]
pub fn millionths(share: f32) -> i64 {
    (f64::from(share).clamp(-1.0, 2.0) * 1e6).round() as i64
}
