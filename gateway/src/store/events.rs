//! What happens to records after they are stored, as rows and leaves: erasures, holds, retention, other keys and rules.

use aws_lc_rs::digest::{SHA256, digest};
use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row, query, query_scalar};
use time::OffsetDateTime;
use uuid::Uuid;

use super::leaves::{Draft, insert_pending, salt};
use super::{Error, Store};
use crate::ledger::hash::Hash;
use crate::ledger::leaf::Kind;
use crate::ledger::row;
use crate::record::wall_clock;

/// An event, as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its id.
    pub id: Uuid,
    /// When it happened.
    pub occurred_at: OffsetDateTime,
    /// The name of its [`Kind`].
    pub kind: String,
    /// The exchange that it is about, where it is about one.
    pub exchange: Option<Uuid>,
    /// What happened, as the JSON that its leaf commits to.
    pub text: String,
}

/// Which events are asked for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// From when on.
    pub since: OffsetDateTime,
    /// Of which kinds.
    pub kinds: Vec<Kind>,
    /// About which exchange alone.
    pub exchange: Option<Uuid>,
    /// How many at most.
    pub limit: u32,
}

/// Events, newest first.
///
/// # Errors
/// The database is away or not migrated.
pub async fn list(store: &Store, wanted: &Wanted) -> Result<Vec<Event>, Error> {
    let kinds: Vec<&str> = wanted.kinds.iter().map(|kind| kind.name()).collect();
    // By kind, as the index has them.
    let rows = query(
        "SELECT e.* FROM unnest($1::text[]) AS wanted (kind) CROSS JOIN LATERAL (
             SELECT id, occurred_at, kind, exchange, text FROM event
             WHERE kind = wanted.kind AND occurred_at >= $2 AND ($3::uuid IS NULL OR exchange = $3)
             ORDER BY occurred_at DESC LIMIT $4) e
         ORDER BY e.occurred_at DESC, e.id DESC LIMIT $4",
    )
    .bind(kinds)
    .bind(wanted.since)
    .bind(wanted.exchange)
    .bind(i64::from(wanted.limit))
    .fetch_all(&store.pool)
    .await?;
    let event = |row: &PgRow| {
        Ok(Event {
            id: row.try_get("id")?,
            occurred_at: row.try_get("occurred_at")?,
            kind: row.try_get("kind")?,
            exchange: row.try_get("exchange")?,
            text: row.try_get("text")?,
        })
    };
    Ok(rows.iter().map(event).collect::<Result<_, sqlx::Error>>()?)
}

/// The text of a change of rules or settings.
#[derive(Serialize)]
struct PolicyText<'a> {
    before: Option<String>,
    after: &'a str,
    documents: Vec<DocumentText<'a>>,
}

#[derive(Serialize)]
struct DocumentText<'a> {
    name: &'a str,
    digest: String,
}

/// Notes under which settings and rules records are made from now on, and keeps their texts. Tells whether that is news:
/// what was in force last is not noted again.
///
/// # Errors
/// The database is away or not migrated.
pub async fn policy(store: &Store, snapshot: &str, documents: &[(String, String)]) -> Result<bool, Error> {
    let log = store.log().await?;
    let mut transaction = store.pool.begin().await?;
    query("SELECT pg_advisory_xact_lock(7164098314)").execute(&mut *transaction).await?;
    let before: Option<String> = query_scalar(
        "SELECT text::json ->> 'after' FROM event WHERE kind = 'policy_change' ORDER BY occurred_at DESC LIMIT 1",
    )
    .fetch_optional(&mut *transaction)
    .await?;
    if before.as_deref() == Some(snapshot) {
        return Ok(false);
    }
    let mut told = Vec::new();
    for (name, text) in documents {
        let hash = digest(&SHA256, text.as_bytes());
        let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        query("INSERT INTO document (digest, name, text) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
            .bind(&hash)
            .bind(name)
            .bind(text.replace('\0', "\u{fffd}"))
            .execute(&mut *transaction)
            .await?;
        told.push(DocumentText { name, digest: hash });
    }
    let text = PolicyText { before, after: snapshot, documents: told };
    add(&mut transaction, log, Kind::PolicyChange, None, &text).await?;
    transaction.commit().await?;
    Ok(true)
}

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
