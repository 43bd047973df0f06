//! Rows back out of the database as the very texts that leaves commit to. It proves nothing.

use std::borrow::Cow;
use std::collections::HashMap;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Row, query, query_as};
use uuid::Uuid;

use super::Error;
use super::payload::{Lying, Unpacker};
use super::rows::signed;
use super::trace::{StoredAttempt, StoredEvidence, StoredFinding, Wanted, attempts, evidence, findings, gathered};
use crate::cipher::{Keys, Place};
use crate::ledger::leaf::Leaf;
use crate::ledger::row::{self, AttemptText, BeginText, EndText, EvidenceText, FindingText, LossText, millionths};

/// A row as it stands now: its salt and its text.
pub(super) type Told = (Option<Vec<u8>>, String);

/// A payload as it stands now.
pub(super) struct Kept {
    pub(super) part: String,
    pub(super) salt: Option<Vec<u8>>,
    pub(super) bytes: Vec<u8>,
}

/// Rows of begins, by exchange.
pub(super) async fn begin_rows(
    connection: &mut PgConnection,
    (ids, times): Wanted<'_>,
) -> Result<HashMap<Uuid, Told>, Error> {
    let rows = query(
        "SELECT b.* FROM unnest($1::uuid[], $2::timestamptz[]) AS wanted (exchange, occurred_at)
         JOIN record_begin b ON b.exchange = wanted.exchange AND b.occurred_at = wanted.occurred_at",
    )
    .bind(ids)
    .bind(times)
    .fetch_all(connection)
    .await?;
    let told = |row: &PgRow| Ok((row.try_get("exchange")?, (row.try_get("salt")?, row::text(&begin_text(row)?))));
    Ok(rows.iter().map(told).collect::<Result<_, sqlx::Error>>()?)
}

/// Rows of ends with what belongs to them, by exchange.
pub(super) async fn end_rows(connection: &mut PgConnection, wanted: Wanted<'_>) -> Result<HashMap<Uuid, Told>, Error> {
    let rows = query(
        "SELECT e.* FROM unnest($1::uuid[], $2::timestamptz[]) AS wanted (exchange, occurred_at)
         JOIN record_end e ON e.exchange = wanted.exchange AND e.occurred_at = wanted.occurred_at",
    )
    .bind(wanted.0)
    .bind(wanted.1)
    .fetch_all(&mut *connection)
    .await?;
    let found = gathered(findings(&mut *connection, wanted).await?);
    let evidence = gathered(evidence(&mut *connection, wanted).await?);
    let attempts = gathered(attempts(&mut *connection, wanted).await?);
    let told = |row: &PgRow| {
        let exchange: Uuid = row.try_get("exchange")?;
        let parts = Parts {
            findings: found.get(&exchange).map_or(&[], Vec::as_slice),
            evidence: evidence.get(&exchange).map_or(&[], Vec::as_slice),
            attempts: attempts.get(&exchange).map_or(&[], Vec::as_slice),
        };
        Ok((exchange, (row.try_get("salt")?, row::text(&end_text(row, &parts)?))))
    };
    Ok(rows.iter().map(told).collect::<Result<_, sqlx::Error>>()?)
}

/// A row of `payload`, or of `payload_kept`.
type PayloadRow = (Uuid, String, String, i64, Vec<u8>, Option<Vec<u8>>, Option<String>);

/// Payloads, by exchange and part.
pub(super) async fn payloads(
    connection: &mut PgConnection,
    (ids, times): Wanted<'_>,
    keys: &Keys,
) -> Result<HashMap<(Uuid, String), Kept>, Error> {
    let rows: Vec<PayloadRow> = query_as(
        "WITH wanted AS (SELECT DISTINCT * FROM unnest($1::uuid[], $2::timestamptz[]) AS wanted (exchange, occurred_at))
         SELECT p.exchange, part, codec, size, bytes, salt, key_id FROM wanted
         JOIN payload p ON p.exchange = wanted.exchange AND p.occurred_at = wanted.occurred_at
         UNION ALL
         SELECT p.exchange, part, codec, size, bytes, salt, key_id FROM wanted
         JOIN payload_kept p ON p.exchange = wanted.exchange AND p.occurred_at = wanted.occurred_at",
    )
    .bind(ids)
    .bind(times)
    .fetch_all(connection)
    .await?;
    let kept = |(exchange, part, codec, size, bytes, salt, key_id): PayloadRow| {
        // What cannot be taken out is shown as it lies there, and will not have the hash that it should.
        let lying = Lying { place: Place { exchange, part: &part }, codec: &codec, size, key_id: key_id.as_deref() };
        let bytes = Unpacker::default().take_out(&lying, keys, bytes.clone()).unwrap_or(bytes);
        ((exchange, part.clone()), Kept { part, salt, bytes })
    };
    Ok(rows.into_iter().map(kept).collect())
}

/// The row that a loss's leaf commits to.
pub(super) async fn loss_row(connection: &mut PgConnection, leaf: &Leaf) -> Result<Option<Told>, Error> {
    let row: Option<(i64, String, Option<Vec<u8>>)> =
        query_as("SELECT count, why, salt FROM loss WHERE stream = $1 AND sequence = $2")
            .bind(leaf.stream)
            .bind(signed(leaf.sequence))
            .fetch_optional(connection)
            .await?;
    Ok(row.map(|(count, why, salt)| {
        let text = LossText { stream: leaf.stream, sequence: signed(leaf.sequence), count, why: why.into() };
        (salt, row::text(&text))
    }))
}

/// The row that an event's leaf commits to.
pub(super) async fn event_row(connection: &mut PgConnection, id: Uuid) -> Result<Option<Told>, Error> {
    let row: Option<(String, Vec<u8>)> =
        query_as("SELECT text, salt FROM event WHERE id = $1").bind(id).fetch_optional(connection).await?;
    Ok(row.map(|(text, salt)| (Some(salt), text)))
}

/// What belongs to an end beside its row.
struct Parts<'a> {
    findings: &'a [StoredFinding],
    evidence: &'a [StoredEvidence],
    attempts: &'a [StoredAttempt],
}

fn text_at(row: &PgRow, column: &str) -> Result<Cow<'static, str>, sqlx::Error> {
    Ok(row.try_get::<String, _>(column)?.into())
}

fn some_text(row: &PgRow, column: &str) -> Result<Option<Cow<'static, str>>, sqlx::Error> {
    Ok(row.try_get::<Option<String>, _>(column)?.map(Into::into))
}

fn begin_text(row: &PgRow) -> Result<BeginText<'static>, sqlx::Error> {
    Ok(BeginText {
        exchange: row.try_get("exchange")?,
        stream: row.try_get("stream")?,
        sequence: row.try_get("sequence")?,
        accepted_at: row::micros(row.try_get("accepted_at")?),
        dialect: text_at(row, "dialect")?,
        caller: text_at(row, "caller")?,
        team: some_text(row, "team")?,
        role: some_text(row, "role")?,
        key_id: some_text(row, "key_id")?,
        peer: text_at(row, "peer")?,
        client_request_id: some_text(row, "client_request_id")?,
        subject: some_text(row, "subject")?,
        audit: some_text(row, "audit")?,
        model: text_at(row, "model")?,
        streamed: row.try_get("streamed")?,
        snapshot: text_at(row, "snapshot")?,
        recording: text_at(row, "recording")?,
        request_bytes: row.try_get("request_bytes")?,
    })
}

fn end_text<'a>(row: &PgRow, parts: &Parts<'a>) -> Result<EndText<'a>, sqlx::Error> {
    Ok(EndText {
        exchange: row.try_get("exchange")?,
        stream: row.try_get("stream")?,
        sequence: row.try_get("sequence")?,
        ended_at: row::micros(row.try_get("ended_at")?),
        ending: text_at(row, "ending")?,
        status: row.try_get("status")?,
        fault: some_text(row, "fault")?,
        upstream: some_text(row, "upstream")?,
        upstream_model: some_text(row, "upstream_model")?,
        upstream_reply_id: some_text(row, "upstream_reply_id")?,
        outcome: some_text(row, "outcome")?,
        manners: row.try_get::<Vec<String>, _>("manners")?.into_iter().map(Into::into).collect(),
        language: some_text(row, "language")?,
        confidence: row.try_get::<Option<f32>, _>("confidence")?.map(millionths),
        decided_by: some_text(row, "decided_by")?,
        signal: some_text(row, "signal")?,
        detector: some_text(row, "detector")?,
        verdict_choice: row.try_get("verdict_choice")?,
        finishes: some_text(row, "finishes")?,
        unkept_findings: row.try_get("unkept_findings")?,
        action: some_text(row, "action")?,
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
        findings: parts.findings.iter().map(finding_text).collect(),
        evidence: parts.evidence.iter().map(evidence_text).collect(),
        attempts: parts.attempts.iter().map(attempt_text).collect(),
        review: some_text(row, "review")?,
        written_tokens: row.try_get("written_tokens")?,
        cost_nanos: row.try_get("cost_nanos")?,
        currency: some_text(row, "currency")?,
        price: some_text(row, "price")?,
        cost_estimated: row.try_get("cost_estimated")?,
        reasoning_us: row.try_get("reasoning_us")?,
        reasoning_steps: row.try_get("reasoning_steps")?,
        reasoning_checks: row.try_get("reasoning_checks")?,
        upstream_dialect: some_text(row, "upstream_dialect")?,
    })
}

fn finding_text(finding: &StoredFinding) -> FindingText<'_> {
    FindingText {
        rule: finding.rule.as_str().into(),
        pack: finding.pack.as_str().into(),
        topic: finding.topic.as_deref().map(Into::into),
        detector: finding.detector.as_str().into(),
        channel: finding.channel.as_str().into(),
        choice: finding.choice,
        part: finding.part,
        start: finding.start,
        end: finding.end,
        action: finding.action.as_str().into(),
        enforced: finding.enforced.as_str().into(),
        severity: finding.severity.as_str().into(),
    }
}

fn evidence_text(evidence: &StoredEvidence) -> EvidenceText<'_> {
    let (channel, what) = (evidence.channel.as_str().into(), evidence.what.as_str().into());
    EvidenceText { channel, start: evidence.start, end: evidence.end, what }
}

fn attempt_text(attempt: &StoredAttempt) -> AttemptText<'_> {
    AttemptText {
        upstream: attempt.upstream.as_str().into(),
        status: attempt.status,
        fault: attempt.fault.as_deref().map(Into::into),
        took_us: attempt.took_us,
    }
}
