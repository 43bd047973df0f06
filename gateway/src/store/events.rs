//! What happens to records after they are stored, as rows and leaves: erasures, holds, retention, other keys and rules.

use serde::Serialize;
use sqlx::{PgConnection, query};
use uuid::Uuid;

use super::Error;
use super::leaves::{Draft, insert_pending, salt};
use crate::ledger::hash::Hash;
use crate::ledger::leaf::Kind;
use crate::ledger::row;
use crate::record::wall_clock;

/// Writes an event down, and gives its leaf to the sealer; the caller's transaction makes it one with what it tells of.
pub(super) async fn add(
    connection: &mut PgConnection,
    log: Uuid,
    kind: Kind,
    exchange: Option<Uuid>,
    what: &impl Serialize,
) -> Result<Uuid, Error> {
    let (id, now, text) = (Uuid::now_v7(), wall_clock(), row::text(what));
    let salt = salt().map_err(sqlx::Error::from)?;
    query("INSERT INTO event (id, occurred_at, kind, exchange, text, salt) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(id)
        .bind(now)
        .bind(kind.name())
        .bind(exchange)
        .bind(&text)
        .bind(salt)
        .execute(&mut *connection)
        .await?;
    let row = Hash::row(&salt, text.as_bytes());
    let draft = Draft { kind, record: id, sequence: 0, time: now, row, parts: Vec::new() };
    insert_pending(connection, std::iter::once(draft.leaf(log, Uuid::nil()))).await?;
    Ok(id)
}
