//! What goes from rows into the ledger: salts, the texts that leaves commit to, and leaves on their way to the sealer.

use std::collections::HashSet;
use std::io;

use sqlx::{PgConnection, query, query_scalar};
use time::OffsetDateTime;
use uuid::Uuid;

use super::rows::{BeginRow, EndRow, LossRow, NAME, SENTENCE, finishes, fit, micros, promise, signed, small};
use super::{Error, Store};
use crate::ledger::hash::{Hash, SALT};
use crate::ledger::leaf::{Kind, Leaf, Part};
use crate::ledger::row::{
    self, AttemptText, BeginText, EndText, EvidenceText, FindingText, LossText, PlaceText, millionths,
};
use crate::record::wall_clock;

/// What is hashed before a row or a payload, so that its hash tells nothing.
pub(super) type Salt = [u8; SALT];

/// A new salt.
///
/// # Errors
/// The system gives no random numbers.
pub(super) fn salt() -> io::Result<Salt> {
    let mut salt = [0; SALT];
    aws_lc_rs::rand::fill(&mut salt).map_err(|_| io::Error::other("the system gives no random numbers"))?;
    Ok(salt)
}

/// A leaf of which everything is known but the ledger it goes to.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) kind: Kind,
    pub(super) record: Uuid,
    pub(super) sequence: i64,
    pub(super) time: OffsetDateTime,
    pub(super) row: Hash,
    pub(super) parts: Vec<Part>,
}

impl Draft {
    /// A leaf that stands for nothing but a place in a stream.
    pub(super) fn place(kind: Kind, stream: Uuid, sequence: i64) -> Self {
        let row = Hash::row(&[], row::text(&PlaceText { stream, sequence }).as_bytes());
        Self { kind, record: Uuid::nil(), sequence, time: wall_clock(), row, parts: Vec::new() }
    }

    /// A frame whose row was there already, under another number, is a duplicate of it.
    pub(super) fn mark_unless(&mut self, inserted: &HashSet<i64>) {
        if matches!(self.kind, Kind::Begin | Kind::End) && !inserted.contains(&self.sequence) {
            self.kind = Kind::Duplicate;
            self.parts.clear();
        }
    }

    /// Its bytes.
    pub(super) fn leaf(&self, log: Uuid, stream: Uuid) -> Vec<u8> {
        let leaf = Leaf {
            kind: self.kind,
            log,
            record: self.record,
            stream,
            sequence: u64::try_from(self.sequence).unwrap_or_default(),
            time: row::micros(self.time),
            row: self.row,
            parts: self.parts.clone(),
        };
        leaf.write()
    }
}

/// Leaves that wait in one row at most, so that the sealer takes them in pieces it can hold.
const TOGETHER: usize = 1_000;

/// Gives leaves to the sealer.
pub(super) async fn insert_pending(
    connection: &mut PgConnection,
    leaves: impl Iterator<Item = Vec<u8>>,
) -> Result<(), sqlx::Error> {
    let leaves: Vec<Vec<u8>> = leaves.collect();
    for some in leaves.chunks(TOGETHER) {
        query("INSERT INTO pending (leaves, count) VALUES ($1, $2)")
            .bind(some)
            .bind(i32::try_from(some.len()).unwrap_or(i32::MAX))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

impl Store {
    /// The id of this database's ledger.
    pub(super) async fn log(&self) -> Result<Uuid, Error> {
        let read = async { query_scalar("SELECT log FROM ledger").fetch_one(&self.pool).await };
        Ok(*self.log.get_or_try_init(|| read).await?)
    }
}

/// The text of a begin's row.
pub(super) fn begin_text<'a>(stream: Uuid, row: &BeginRow<'a>) -> BeginText<'a> {
    let begin = row.begin;
    let name = |text: &'a Option<String>| text.as_deref().map(|text| fit(text, NAME));
    BeginText {
        exchange: row.key.exchange,
        stream,
        sequence: row.sequence,
        accepted_at: row::micros(begin.at),
        dialect: begin.dialect.name().into(),
        caller: fit(&begin.caller.name, NAME),
        team: name(&begin.caller.team),
        role: name(&begin.caller.role),
        key_id: name(&begin.caller.key_id),
        peer: fit(&begin.peer, NAME),
        client_request_id: name(&begin.client_request_id),
        subject: name(&begin.subject),
        audit: name(&begin.audit),
        model: fit(&begin.model, NAME),
        streamed: begin.stream,
        snapshot: fit(&begin.snapshot, NAME),
        recording: promise(begin.recording).into(),
        request_bytes: signed(begin.request.len()),
    }
}

/// The text of an end's row, with the rows that belong to it.
pub(super) fn end_text<'a>(stream: Uuid, row: &EndRow<'a>) -> EndText<'a> {
    let end = row.end;
    let verdict = end.map(|end| &end.verdict);
    let usage = end.map(|end| &end.usage);
    let timings = end.map(|end| &end.timings);
    EndText {
        exchange: row.key.exchange,
        stream,
        sequence: row.sequence,
        ended_at: row::micros(row.at),
        ending: row.ending.into(),
        status: end.map(|end| small(end.status)),
        fault: end.and_then(|end| Some(fit(end.fault.as_deref()?, SENTENCE))),
        upstream: end.and_then(|end| Some(fit(end.upstream.as_deref()?, NAME))),
        upstream_model: end.and_then(|end| Some(fit(end.upstream_model.as_deref()?, NAME))),
        upstream_reply_id: end.and_then(|end| Some(fit(end.upstream_reply_id.as_deref()?, NAME))),
        outcome: verdict.and_then(|verdict| verdict.given()).map(Into::into),
        manners: verdict.iter().flat_map(|verdict| &verdict.manners).map(|manner| (*manner).into()).collect(),
        language: verdict.and_then(|verdict| verdict.language).map(Into::into),
        confidence: verdict.map(|verdict| millionths(verdict.confidence)),
        decided_by: verdict.map(|verdict| verdict.decided_by.into()),
        signal: verdict.and_then(|verdict| Some(fit(verdict.signal.as_deref()?, SENTENCE))),
        detector: verdict.map(|verdict| verdict.detector.into()),
        verdict_choice: verdict.map(|verdict| i64::from(verdict.choice)),
        finishes: end.and_then(finishes).map(Into::into),
        unkept_findings: end.map_or(0, |end| signed(end.unkept_findings)),
        action: row.action().map(Into::into),
        prompt_tokens: usage.and_then(|usage| usage.prompt).map(signed),
        completion_tokens: usage.and_then(|usage| usage.completion).map(signed),
        reasoning_tokens: usage.and_then(|usage| usage.reasoning).map(signed),
        cached_tokens: usage.and_then(|usage| usage.cached).map(signed),
        screened_us: timings.and_then(|timings| timings.screened).map(micros),
        first_byte_us: timings.and_then(|timings| timings.first_byte).map(micros),
        first_reasoning_us: timings.and_then(|timings| timings.first_reasoning).map(micros),
        first_answer_us: timings.and_then(|timings| timings.first_answer).map(micros),
        total_us: timings.map(|timings| micros(timings.total)),
        reply_bytes: row.reply_bytes(),
        unkept_bytes: end.map_or(0, |end| signed(end.unkept_bytes)),
        unread_frames: end.map_or(0, |end| i64::from(end.unread_frames)),
        findings: end.map_or_else(Vec::new, |end| end.findings.iter().map(finding_text).collect()),
        evidence: end.map_or_else(Vec::new, |end| end.verdict.evidence.iter().map(evidence_text).collect()),
        attempts: end.map_or_else(Vec::new, |end| end.attempts.iter().map(attempt_text).collect()),
        review: row.review().map(Into::into),
        written_tokens: usage.and_then(|usage| usage.written).map(signed),
        cost_nanos: row.cost().map(|cost| cost.nanos),
        currency: row.cost().map(|cost| cost.currency.name().into()),
        price: row.cost().map(|cost| fit(&cost.price, NAME)),
        cost_estimated: row.cost().map(|cost| cost.estimated),
        reasoning_us: row.thinking().and_then(|thinking| thinking.time).map(micros),
        reasoning_steps: row.thinking().map(|thinking| thinking.steps.into()),
        reasoning_checks: row.thinking().map(|thinking| thinking.checks.into()),
        upstream_dialect: row.upstream_dialect().map(Into::into),
    }
}

fn finding_text(finding: &crate::exchange::Finding) -> FindingText<'_> {
    FindingText {
        rule: fit(&finding.rule, NAME),
        pack: fit(&finding.pack, NAME),
        topic: finding.topic.as_deref().map(|text| fit(text, NAME)),
        detector: fit(&finding.detector, NAME),
        channel: finding.channel.name().into(),
        choice: finding.choice.into(),
        part: finding.part.into(),
        start: signed(finding.span.start),
        end: signed(finding.span.end),
        action: finding.action.name().into(),
        enforced: finding.enforced.name().into(),
        severity: finding.severity.into(),
    }
}

fn evidence_text(evidence: &crate::exchange::Evidence) -> EvidenceText<'_> {
    EvidenceText {
        channel: evidence.channel.name().into(),
        start: signed(evidence.span.start),
        end: signed(evidence.span.end),
        what: fit(&evidence.what, SENTENCE),
    }
}

fn attempt_text(attempt: &crate::record::Attempt) -> AttemptText<'_> {
    AttemptText {
        upstream: fit(&attempt.upstream, NAME),
        status: attempt.status.map(small),
        fault: attempt.fault.as_deref().map(|text| fit(text, SENTENCE)),
        took_us: micros(attempt.took),
    }
}

/// The text of a loss's row.
pub(super) fn loss_text(stream: Uuid, row: &LossRow) -> LossText<'static> {
    LossText { stream, sequence: row.sequence, count: row.count, why: row.why.into() }
}
