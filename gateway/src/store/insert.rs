//! One statement a table: rows of a batch as arrays, unnested by the server. It opens no transaction.
//!
//! A frame can come twice under two numbers: a spool writes again what a failed sync may or may not have kept. The
//! first one stands, hence "do nothing" on a conflict.

use std::collections::HashSet;
use std::sync::Arc;

use sqlx::postgres::PgBindIterExt;
use sqlx::{PgConnection, query, query_scalar};
use uuid::Uuid;

use super::leaves::insert_pending;
use super::packing::{Packed, Packing};
use super::rows::{
    Batch, BeginRow, EndRow, LossRow, NAME, Nth, PayloadRow, SENTENCE, answer_preview, finishes, fit, micros, promise,
    signed, small,
};
use crate::cipher::Keys;
use crate::exchange::{Evidence, Finding};
use crate::record::Attempt;

/// Bytes of payload in one statement at most, so that a batch of long replies stays far from the protocol's bound.
const STATEMENT_BYTES: usize = 16 << 20;

/// Inserts all rows of a batch, and their leaves for the sealer; the caller's transaction makes them one.
pub(super) async fn insert_rows(
    connection: &mut PgConnection,
    stream: Uuid,
    mut batch: Batch<'_>,
    log: Uuid,
    keys: &Arc<Keys>,
) -> Result<(), sqlx::Error> {
    let packing = Packing::start(std::mem::take(&mut batch.payloads), keys.clone());
    let mut inserted = insert_begins(connection, stream, &batch.begins).await?;
    inserted.extend(insert_ends(connection, stream, &batch.ends).await?);
    insert_findings(connection, &batch.findings).await?;
    insert_evidence(connection, &batch.evidence).await?;
    insert_attempts(connection, &batch.attempts).await?;
    insert_losses(connection, stream, &batch.losses).await?;
    let packed = packing.finish().await?;
    for Packed { leaf, commitment, .. } in &packed {
        if let Some(draft) = batch.drafts.get_mut(*leaf) {
            draft.parts.push(commitment.clone());
        }
    }
    if inserted.len() < batch.begins.len() + batch.ends.len() {
        let inserted: HashSet<i64> = inserted.into_iter().collect();
        batch.drafts.iter_mut().for_each(|draft| draft.mark_unless(&inserted));
    }
    insert_payloads(connection, packed.into_iter().map(|payload| payload.row).collect()).await?;
    insert_pending(connection, batch.drafts.iter().map(|draft| draft.leaf(log, stream))).await
}

async fn insert_begins(
    connection: &mut PgConnection,
    stream: Uuid,
    rows: &[BeginRow<'_>],
) -> Result<Vec<i64>, sqlx::Error> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    query_scalar(
        "INSERT INTO record_begin (stream, exchange, occurred_at, sequence, accepted_at, dialect, caller, team,
             role, key_id, peer, client_request_id, model, streamed, snapshot, recording, request_bytes, preview, salt,
             subject, audit)
         SELECT $1, * FROM unnest($2::uuid[], $3::timestamptz[], $4::bigint[], $5::timestamptz[], $6::text[],
             $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::boolean[],
             $15::text[], $16::text[], $17::bigint[], $18::text[], $19::bytea[], $20::text[], $21::text[])
         ON CONFLICT DO NOTHING RETURNING sequence",
    )
    .bind(stream)
    .bind(rows.iter().map(|row| row.key.exchange).bind_iter())
    .bind(rows.iter().map(|row| row.key.occurred_at).bind_iter())
    .bind(rows.iter().map(|row| row.sequence).bind_iter())
    .bind(rows.iter().map(|row| row.begin.at).bind_iter())
    .bind(rows.iter().map(|row| row.begin.dialect.name()).bind_iter())
    .bind(rows.iter().map(|row| fit(&row.begin.caller.name, NAME)).bind_iter())
    .bind(rows.iter().map(|row| row.begin.caller.team.as_deref().map(|text| fit(text, NAME))).bind_iter())
    .bind(rows.iter().map(|row| row.begin.caller.role.as_deref().map(|text| fit(text, NAME))).bind_iter())
    .bind(rows.iter().map(|row| row.begin.caller.key_id.as_deref().map(|text| fit(text, NAME))).bind_iter())
    .bind(rows.iter().map(|row| fit(&row.begin.peer, NAME)).bind_iter())
    .bind(rows.iter().map(|row| row.begin.client_request_id.as_deref().map(|text| fit(text, NAME))).bind_iter())
    .bind(rows.iter().map(|row| fit(&row.begin.model, NAME)).bind_iter())
    .bind(rows.iter().map(|row| row.begin.stream).bind_iter())
    .bind(rows.iter().map(|row| fit(&row.begin.snapshot, NAME)).bind_iter())
    .bind(rows.iter().map(|row| promise(row.begin.recording)).bind_iter())
    .bind(rows.iter().map(|row| signed(row.begin.request.len())).bind_iter())
    .bind(rows.iter().map(|row| row.preview.as_deref()).bind_iter())
    .bind(rows.iter().map(|row| row.salt).bind_iter())
    .bind(rows.iter().map(|row| row.begin.subject.as_deref().map(|text| fit(text, NAME))).bind_iter())
    .bind(rows.iter().map(|row| row.begin.audit.as_deref().map(|text| fit(text, NAME))).bind_iter())
    .fetch_all(connection)
    .await
}

const END_ROWS: &str =
    "INSERT INTO record_end (stream, exchange, occurred_at, sequence, ended_at, ending, status, fault, upstream,
         upstream_model, upstream_reply_id, outcome, manners, language, confidence, decided_by, signal,
         detector, verdict_choice, finishes, findings, unkept_findings, action, prompt_tokens,
         completion_tokens, reasoning_tokens, cached_tokens, screened_us, first_byte_us, first_reasoning_us,
         first_answer_us, total_us, reply_bytes, unkept_bytes, unread_frames, preview, salt, review,
         written_tokens, cost_nanos, currency, price, cost_estimated, reasoning_us, reasoning_steps,
         reasoning_checks, upstream_dialect)
     SELECT $1, exchange, occurred_at, sequence, ended_at, ending, status, fault, upstream, upstream_model,
         upstream_reply_id, outcome, coalesce(string_to_array(manners, ','), '{}'), language, confidence,
         decided_by, signal, detector, verdict_choice, finishes, findings, unkept_findings, action,
         prompt_tokens, completion_tokens, reasoning_tokens, cached_tokens, screened_us, first_byte_us,
         first_reasoning_us, first_answer_us, total_us, reply_bytes, unkept_bytes, unread_frames, preview, salt,
         review, written_tokens, cost_nanos, currency, price, cost_estimated, reasoning_us, reasoning_steps,
         reasoning_checks, upstream_dialect
     FROM unnest($2::uuid[], $3::timestamptz[], $4::bigint[], $5::timestamptz[], $6::text[], $7::smallint[],
         $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[],
         $15::real[], $16::text[], $17::text[], $18::text[], $19::bigint[], $20::text[], $21::integer[],
         $22::bigint[], $23::text[], $24::bigint[], $25::bigint[], $26::bigint[], $27::bigint[],
         $28::bigint[], $29::bigint[], $30::bigint[], $31::bigint[], $32::bigint[], $33::bigint[],
         $34::bigint[], $35::bigint[], $36::text[], $37::bytea[], $38::text[], $39::bigint[], $40::bigint[], $41::text[],
         $42::text[], $43::boolean[], $44::bigint[], $45::bigint[], $46::bigint[],
         $47::text[])
         AS row (exchange, occurred_at, sequence, ended_at, ending, status, fault, upstream, upstream_model,
         upstream_reply_id, outcome, manners, language, confidence, decided_by, signal, detector,
         verdict_choice, finishes, findings, unkept_findings, action, prompt_tokens, completion_tokens,
         reasoning_tokens, cached_tokens, screened_us, first_byte_us, first_reasoning_us, first_answer_us,
         total_us, reply_bytes, unkept_bytes, unread_frames, preview, salt, review, written_tokens, cost_nanos,
         currency, price, cost_estimated, reasoning_us, reasoning_steps, reasoning_checks,
         upstream_dialect)
     ON CONFLICT DO NOTHING RETURNING sequence";

async fn insert_ends(
    connection: &mut PgConnection,
    stream: Uuid,
    rows: &[EndRow<'_>],
) -> Result<Vec<i64>, sqlx::Error> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    query_scalar(END_ROWS)
        .bind(stream)
        .bind(rows.iter().map(|row| row.key.exchange).bind_iter())
        .bind(rows.iter().map(|row| row.key.occurred_at).bind_iter())
        .bind(rows.iter().map(|row| row.sequence).bind_iter())
        .bind(rows.iter().map(|row| row.at).bind_iter())
        .bind(rows.iter().map(|row| row.ending).bind_iter())
        .bind(rows.iter().map(|row| row.end.map(|end| small(end.status))).bind_iter())
        .bind(rows.iter().map(|row| row.end.and_then(|end| Some(fit(end.fault.as_deref()?, SENTENCE)))).bind_iter())
        .bind(rows.iter().map(|row| row.end.and_then(|end| Some(fit(end.upstream.as_deref()?, NAME)))).bind_iter())
        .bind(
            rows.iter().map(|row| row.end.and_then(|end| Some(fit(end.upstream_model.as_deref()?, NAME)))).bind_iter(),
        )
        .bind(
            rows.iter()
                .map(|row| row.end.and_then(|end| Some(fit(end.upstream_reply_id.as_deref()?, NAME))))
                .bind_iter(),
        )
        .bind(rows.iter().map(|row| row.end.and_then(|end| end.verdict.given())).bind_iter())
        .bind(rows.iter().map(|row| row.end.map(|end| end.verdict.manners.join(","))).bind_iter())
        .bind(rows.iter().map(|row| row.end.and_then(|end| end.verdict.language)).bind_iter())
        .bind(rows.iter().map(|row| row.end.map(|end| end.verdict.confidence)).bind_iter())
        .bind(rows.iter().map(|row| row.end.map(|end| end.verdict.decided_by)).bind_iter())
        .bind(
            rows.iter()
                .map(|row| row.end.and_then(|end| Some(fit(end.verdict.signal.as_deref()?, SENTENCE))))
                .bind_iter(),
        )
        .bind(rows.iter().map(|row| row.end.map(|end| end.verdict.detector)).bind_iter())
        .bind(rows.iter().map(|row| row.end.map(|end| i64::from(end.verdict.choice))).bind_iter())
        .bind(rows.iter().map(|row| row.end.and_then(finishes)).bind_iter())
        .bind(rows.iter().map(|row| row.findings()).bind_iter())
        .bind(rows.iter().map(|row| row.end.map_or(0, |end| signed(end.unkept_findings))).bind_iter())
        .bind(rows.iter().map(|row| row.action()).bind_iter())
        .bind(rows.iter().map(|row| row.end.and_then(|end| end.usage.prompt.map(signed))).bind_iter())
        .bind(rows.iter().map(|row| row.end.and_then(|end| end.usage.completion.map(signed))).bind_iter())
        .bind(rows.iter().map(|row| row.end.and_then(|end| end.usage.reasoning.map(signed))).bind_iter())
        .bind(rows.iter().map(|row| row.end.and_then(|end| end.usage.cached.map(signed))).bind_iter())
        .bind(rows.iter().map(|row| row.end.and_then(|end| end.timings.screened.map(micros))).bind_iter())
        .bind(rows.iter().map(|row| row.end.and_then(|end| end.timings.first_byte.map(micros))).bind_iter())
        .bind(rows.iter().map(|row| row.end.and_then(|end| end.timings.first_reasoning.map(micros))).bind_iter())
        .bind(rows.iter().map(|row| row.end.and_then(|end| end.timings.first_answer.map(micros))).bind_iter())
        .bind(rows.iter().map(|row| row.end.map(|end| micros(end.timings.total))).bind_iter())
        .bind(rows.iter().map(|row| row.reply_bytes()).bind_iter())
        .bind(rows.iter().map(|row| row.end.map_or(0, |end| signed(end.unkept_bytes))).bind_iter())
        .bind(rows.iter().map(|row| row.end.map_or(0, |end| i64::from(end.unread_frames))).bind_iter())
        .bind(rows.iter().map(|row| row.end.and_then(answer_preview)).bind_iter())
        .bind(rows.iter().map(|row| row.salt).bind_iter())
        .bind(rows.iter().map(|row| row.review()).bind_iter())
        .bind(rows.iter().map(|row| row.end.and_then(|end| end.usage.written.map(signed))).bind_iter())
        .bind(rows.iter().map(|row| row.cost().map(|cost| cost.nanos)).bind_iter())
        .bind(rows.iter().map(|row| row.cost().map(|cost| cost.currency.name())).bind_iter())
        .bind(rows.iter().map(|row| row.cost().map(|cost| fit(&cost.price, NAME))).bind_iter())
        .bind(rows.iter().map(|row| row.cost().map(|cost| cost.estimated)).bind_iter())
        .bind(rows.iter().map(|row| row.thinking().and_then(|thinking| thinking.time.map(micros))).bind_iter())
        .bind(rows.iter().map(|row| row.thinking().map(|thinking| i64::from(thinking.steps))).bind_iter())
        .bind(rows.iter().map(|row| row.thinking().map(|thinking| i64::from(thinking.checks))).bind_iter())
        .bind(rows.iter().map(EndRow::upstream_dialect).bind_iter())
        .fetch_all(connection)
        .await
}

async fn insert_payloads(connection: &mut PgConnection, rows: Vec<PayloadRow>) -> Result<(), sqlx::Error> {
    let mut rest = rows.as_slice();
    while !rest.is_empty() {
        let mut bytes = 0;
        let fitting = rest.iter().take_while(|row| {
            bytes += row.bytes.len();
            bytes <= STATEMENT_BYTES
        });
        let Some((now, later)) = rest.split_at_checked(fitting.count().max(1)) else { break };
        insert_some_payloads(connection, now).await?;
        rest = later;
    }
    Ok(())
}

async fn insert_some_payloads(connection: &mut PgConnection, rows: &[PayloadRow]) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    query(
        "INSERT INTO payload (exchange, occurred_at, part, codec, size, bytes, salt, key_id)
         SELECT *
         FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::bigint[], $6::bytea[], $7::bytea[],
             $8::text[])
         ON CONFLICT DO NOTHING",
    )
    .bind(rows.iter().map(|row| row.key.exchange).bind_iter())
    .bind(rows.iter().map(|row| row.key.occurred_at).bind_iter())
    .bind(rows.iter().map(|row| row.part).bind_iter())
    .bind(rows.iter().map(|row| row.codec).bind_iter())
    .bind(rows.iter().map(|row| row.size).bind_iter())
    .bind(rows.iter().map(|row| row.bytes.as_ref()).bind_iter())
    .bind(rows.iter().map(|row| row.salt).bind_iter())
    .bind(rows.iter().map(|row| row.key_id.as_deref()).bind_iter())
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert_findings(connection: &mut PgConnection, rows: &[Nth<'_, Finding>]) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    query(
        "INSERT INTO finding (exchange, occurred_at, ordinal, rule, pack, topic, detector, channel, choice, part,
             span_start, span_end, action, enforced, severity)
         SELECT *
         FROM unnest($1::uuid[], $2::timestamptz[], $3::integer[], $4::text[], $5::text[], $6::text[], $7::text[],
             $8::text[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::text[], $14::text[],
             $15::text[])
         ON CONFLICT DO NOTHING",
    )
    .bind(rows.iter().map(|row| row.key.exchange).bind_iter())
    .bind(rows.iter().map(|row| row.key.occurred_at).bind_iter())
    .bind(rows.iter().map(|row| row.ordinal).bind_iter())
    .bind(rows.iter().map(|row| fit(&row.thing.rule, NAME)).bind_iter())
    .bind(rows.iter().map(|row| fit(&row.thing.pack, NAME)).bind_iter())
    .bind(rows.iter().map(|row| row.thing.topic.as_deref().map(|text| fit(text, NAME))).bind_iter())
    .bind(rows.iter().map(|row| fit(&row.thing.detector, NAME)).bind_iter())
    .bind(rows.iter().map(|row| row.thing.channel.name()).bind_iter())
    .bind(rows.iter().map(|row| i64::from(row.thing.choice)).bind_iter())
    .bind(rows.iter().map(|row| i64::from(row.thing.part)).bind_iter())
    .bind(rows.iter().map(|row| signed(row.thing.span.start)).bind_iter())
    .bind(rows.iter().map(|row| signed(row.thing.span.end)).bind_iter())
    .bind(rows.iter().map(|row| row.thing.action.name()).bind_iter())
    .bind(rows.iter().map(|row| row.thing.enforced.name()).bind_iter())
    .bind(rows.iter().map(|row| row.thing.severity).bind_iter())
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert_evidence(connection: &mut PgConnection, rows: &[Nth<'_, Evidence>]) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    query(
        "INSERT INTO evidence (exchange, occurred_at, ordinal, channel, span_start, span_end, what)
         SELECT *
         FROM unnest($1::uuid[], $2::timestamptz[], $3::integer[], $4::text[], $5::bigint[], $6::bigint[], $7::text[])
         ON CONFLICT DO NOTHING",
    )
    .bind(rows.iter().map(|row| row.key.exchange).bind_iter())
    .bind(rows.iter().map(|row| row.key.occurred_at).bind_iter())
    .bind(rows.iter().map(|row| row.ordinal).bind_iter())
    .bind(rows.iter().map(|row| row.thing.channel.name()).bind_iter())
    .bind(rows.iter().map(|row| signed(row.thing.span.start)).bind_iter())
    .bind(rows.iter().map(|row| signed(row.thing.span.end)).bind_iter())
    .bind(rows.iter().map(|row| fit(&row.thing.what, SENTENCE)).bind_iter())
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert_attempts(connection: &mut PgConnection, rows: &[Nth<'_, Attempt>]) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    query(
        "INSERT INTO attempt (exchange, occurred_at, ordinal, upstream, status, fault, took_us)
         SELECT *
         FROM unnest($1::uuid[], $2::timestamptz[], $3::integer[], $4::text[], $5::smallint[], $6::text[],
         $7::bigint[]) ON CONFLICT DO NOTHING",
    )
    .bind(rows.iter().map(|row| row.key.exchange).bind_iter())
    .bind(rows.iter().map(|row| row.key.occurred_at).bind_iter())
    .bind(rows.iter().map(|row| row.ordinal).bind_iter())
    .bind(rows.iter().map(|row| fit(&row.thing.upstream, NAME)).bind_iter())
    .bind(rows.iter().map(|row| row.thing.status.map(small)).bind_iter())
    .bind(rows.iter().map(|row| row.thing.fault.as_deref().map(|text| fit(text, SENTENCE))).bind_iter())
    .bind(rows.iter().map(|row| micros(row.thing.took)).bind_iter())
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert_losses(connection: &mut PgConnection, stream: Uuid, rows: &[LossRow]) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    query(
        "INSERT INTO loss (stream, sequence, occurred_at, count, why, salt)
         SELECT $1, *
         FROM unnest($2::bigint[], $3::timestamptz[], $4::bigint[], $5::text[], $6::bytea[])
         ON CONFLICT DO NOTHING",
    )
    .bind(stream)
    .bind(rows.iter().map(|row| row.sequence).bind_iter())
    .bind(rows.iter().map(|row| row.at).bind_iter())
    .bind(rows.iter().map(|row| row.count).bind_iter())
    .bind(rows.iter().map(|row| row.why).bind_iter())
    .bind(rows.iter().map(|row| row.salt).bind_iter())
    .execute(connection)
    .await?;
    Ok(())
}
