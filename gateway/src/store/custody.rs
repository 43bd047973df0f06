//! What may take records away and what keeps them: erasure, holds. Each is an event in the ledger. Retention is
//! `retention`'s.

use serde::Serialize;
use sqlx::{PgConnection, query, query_as, query_scalar};
use time::OffsetDateTime;
use uuid::Uuid;

use super::rows::occurred_at;
use super::{Error, Store, events};
use crate::exchange::OWN_NAMES;
use crate::ledger::leaf::Kind;

/// Exchanges that are erased or held in one transaction.
const CHUNK: usize = 500;

/// Which exchanges are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// These.
    Exchanges(Vec<Uuid>),
    /// All that are about a subject, by its tag, and began in this time.
    Subject {
        /// The tag, as clients say it in `x-candor-subject`.
        tag: String,
        /// From when on.
        since: OffsetDateTime,
        /// Until when, that moment not included.
        until: OffsetDateTime,
    },
    /// All of a caller that began in this time, the second moment not included.
    Caller {
        /// The caller's name.
        name: String,
        /// From when on.
        since: OffsetDateTime,
        /// Until when.
        until: OffsetDateTime,
    },
}

/// What came of an erasure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Erased {
    /// The request, where a second person must approve it first.
    pub waits_for_approval: Option<Uuid>,
    /// Exchanges whose payloads are gone.
    pub erased: Vec<Uuid>,
    /// Exchanges that a hold protects.
    pub held: Vec<Uuid>,
    /// Exchanges that are not there.
    pub unknown: Vec<Uuid>,
}

/// Who does something, and why.
#[derive(Debug, Clone, Copy)]
pub struct Authority<'a> {
    /// The person.
    pub by: &'a str,
    /// The reason.
    pub why: &'a str,
}

/// The text of an erasure.
#[derive(Serialize)]
struct ErasedText<'a> {
    exchange: Uuid,
    /// Empty: all of them.
    parts: [&'a str; 0],
    by: &'a str,
    approved_by: Option<&'a str>,
    why: &'a str,
}

/// The text of a hold or its release.
#[derive(Serialize)]
struct HeldText<'a> {
    exchange: Uuid,
    matter: &'a str,
    by: &'a str,
    why: &'a str,
}

/// The text of a decision.
#[derive(Serialize)]
struct DecisionText<'a> {
    exchange: Uuid,
    decision: &'a str,
    by: &'a str,
    why: &'a str,
}

/// The text of a reveal.
#[derive(Serialize)]
struct RevealText<'a> {
    exchange: Uuid,
    by: &'a str,
    purpose: &'a str,
}

/// Writes down what a reviewer decided about an exchange; a later decision supersedes it and does not remove it. Tells
/// whether there is such an exchange.
///
/// # Errors
/// The database is away or not migrated.
pub async fn decide(store: &Store, exchange: Uuid, decision: &str, authority: Authority<'_>) -> Result<bool, Error> {
    let log = store.log().await?;
    let mut transaction = store.pool.begin().await?;
    let there: bool = query_scalar("SELECT EXISTS (SELECT FROM record_begin WHERE exchange = $1 AND occurred_at = $2)")
        .bind(exchange)
        .bind(occurred_at(exchange))
        .fetch_one(&mut *transaction)
        .await?;
    if there {
        let text = DecisionText { exchange, decision, by: authority.by, why: authority.why };
        events::add(&mut transaction, log, Kind::Decision, Some(exchange), &text).await?;
        transaction.commit().await?;
    }
    Ok(there)
}

/// Writes down that somebody looks at what was asked and answered; to be done before it is shown.
///
/// # Errors
/// The database is away, not migrated, or takes nothing from this user.
pub async fn reveal(store: &Store, exchange: Uuid, by: &str, purpose: &str) -> Result<(), Error> {
    let log = store.log().await?;
    let mut transaction = store.pool.begin().await?;
    let text = RevealText { exchange, by, purpose };
    events::add(&mut transaction, log, Kind::Reveal, Some(exchange), &text).await?;
    Ok(transaction.commit().await?)
}

/// Destroys payloads, their salts and previews. What a hold protects stays.
///
/// # Errors
/// The database is away or not migrated.
pub async fn erase(store: &Store, whose: &Whose, authority: Authority<'_>) -> Result<Erased, Error> {
    let exchanges = resolve(store, whose).await?;
    erase_all(store, &exchanges, authority, None).await
}

/// Asks for an erasure that somebody else has to approve.
///
/// # Errors
/// The database is away or not migrated.
pub async fn ask(store: &Store, whose: &Whose, authority: Authority<'_>) -> Result<Erased, Error> {
    let exchanges = resolve(store, whose).await?;
    let id = Uuid::now_v7();
    query("INSERT INTO erasure (id, asked_by, why, exchanges) VALUES ($1, $2, $3, $4)")
        .bind(id)
        .bind(authority.by)
        .bind(authority.why)
        .bind(&exchanges)
        .execute(&store.pool)
        .await?;
    Ok(Erased { waits_for_approval: Some(id), ..Erased::default() })
}

/// Approves an erasure and carries it out; `None` where there is no such request, or it is done, or the same person
/// asked for it.
///
/// # Errors
/// The database is away or not migrated.
pub async fn approve(store: &Store, request: Uuid, by: &str) -> Result<Option<Erased>, Error> {
    let asked: Option<(String, String, Vec<Uuid>)> = query_as(
        "UPDATE erasure SET approved_by = $2 WHERE id = $1 AND done_at IS NULL AND asked_by <> $2
         RETURNING asked_by, why, exchanges",
    )
    .bind(request)
    .bind(by)
    .fetch_optional(&store.pool)
    .await?;
    let Some((asked_by, why, exchanges)) = asked else { return Ok(None) };
    let done = erase_all(store, &exchanges, Authority { by: &asked_by, why: &why }, Some(by)).await?;
    query("UPDATE erasure SET done_at = now() WHERE id = $1").bind(request).execute(&store.pool).await?;
    Ok(Some(done))
}

/// Protects exchanges from erasure and retention; tells how many were not protected already.
///
/// # Errors
/// The database is away or not migrated.
pub async fn hold(store: &Store, whose: &Whose, matter: &str, authority: Authority<'_>) -> Result<u64, Error> {
    let log = store.log().await?;
    let mut held = 0;
    for chunk in resolve(store, whose).await?.chunks(CHUNK) {
        let mut transaction = store.pool.begin().await?;
        for exchange in chunk {
            let Some(at) = occurred_at(*exchange) else { continue };
            let there: bool = query_scalar("SELECT EXISTS (SELECT FROM held WHERE exchange = $1)")
                .bind(exchange)
                .fetch_one(&mut *transaction)
                .await?;
            if there {
                continue;
            }
            let text = HeldText { exchange: *exchange, matter, by: authority.by, why: authority.why };
            let event = events::add(&mut transaction, log, Kind::Hold, Some(*exchange), &text).await?;
            query(
                "INSERT INTO held (exchange, occurred_at, matter, event) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            )
            .bind(exchange)
            .bind(at)
            .bind(matter)
            .bind(event)
            .execute(&mut *transaction)
            .await?;
            held += 1;
        }
        transaction.commit().await?;
    }
    Ok(held)
}

/// Ends the protection of all exchanges of a matter; tells how many there were.
///
/// # Errors
/// The database is away or not migrated.
pub async fn release(store: &Store, matter: &str, authority: Authority<'_>) -> Result<u64, Error> {
    let log = store.log().await?;
    let mut transaction = store.pool.begin().await?;
    let released: Vec<Uuid> = query_scalar("DELETE FROM held WHERE matter = $1 RETURNING exchange")
        .bind(matter)
        .fetch_all(&mut *transaction)
        .await?;
    for exchange in &released {
        let text = HeldText { exchange: *exchange, matter, by: authority.by, why: authority.why };
        events::add(&mut transaction, log, Kind::Release, Some(*exchange), &text).await?;
    }
    transaction.commit().await?;
    Ok(released.len() as u64)
}

/// The exchanges that are meant, and those of the gateway's own that repeat what they say: copies for another upstream,
/// questions to a judge model.
async fn resolve(store: &Store, whose: &Whose) -> Result<Vec<Uuid>, Error> {
    let mut meant = named(store, whose).await?;
    let mut repeating = Vec::new();
    for chunk in meant.chunks(CHUNK) {
        let times: Vec<OffsetDateTime> = chunk.iter().filter_map(|exchange| occurred_at(*exchange)).collect();
        let ids: Vec<String> = chunk.iter().map(Uuid::to_string).collect();
        let found: Vec<Uuid> = query_scalar(
            "SELECT exchange FROM record_begin
             WHERE caller = ANY ($1) AND occurred_at BETWEEN $2 AND $3::timestamptz + interval '1 day'
               AND client_request_id = ANY ($4)
             ORDER BY occurred_at",
        )
        .persistent(false)
        .bind(OWN_NAMES.map(str::to_owned))
        .bind(times.iter().min())
        .bind(times.iter().max())
        .bind(ids)
        .fetch_all(&store.pool)
        .await?;
        repeating.extend(found);
    }
    repeating.retain(|exchange| !meant.contains(exchange));
    meant.append(&mut repeating);
    Ok(meant)
}

async fn named(store: &Store, whose: &Whose) -> Result<Vec<Uuid>, Error> {
    match whose {
        Whose::Subject { tag, since, until } => Ok(query_scalar(
            "SELECT exchange FROM record_begin WHERE subject = $1 AND occurred_at >= $2 AND occurred_at < $3
             ORDER BY occurred_at",
        )
        .persistent(false)
        .bind(tag)
        .bind(since)
        .bind(until)
        .fetch_all(&store.pool)
        .await?),
        Whose::Exchanges(exchanges) => Ok(exchanges.clone()),
        Whose::Caller { name, since, until } => Ok(query_scalar(
            "SELECT exchange FROM record_begin WHERE caller = $1 AND occurred_at >= $2 AND occurred_at < $3
             ORDER BY occurred_at",
        )
        .persistent(false)
        .bind(name)
        .bind(since)
        .bind(until)
        .fetch_all(&store.pool)
        .await?),
    }
}

async fn erase_all(
    store: &Store,
    exchanges: &[Uuid],
    authority: Authority<'_>,
    approved_by: Option<&str>,
) -> Result<Erased, Error> {
    let log = store.log().await?;
    let mut done = Erased::default();
    for chunk in exchanges.chunks(CHUNK) {
        let mut transaction = store.pool.begin().await?;
        query(super::search::LOCK).execute(&mut *transaction).await?;
        for exchange in chunk {
            match erase_one(&mut transaction, *exchange).await? {
                Found::Held => done.held.push(*exchange),
                Found::Nothing => done.unknown.push(*exchange),
                Found::Gone => {
                    let Authority { by, why } = authority;
                    let text = ErasedText { exchange: *exchange, parts: [], by, approved_by, why };
                    events::add(&mut transaction, log, Kind::Erase, Some(*exchange), &text).await?;
                    done.erased.push(*exchange);
                }
            }
        }
        transaction.commit().await?;
    }
    Ok(done)
}

/// What was found of an exchange that is to be erased.
enum Found {
    Held,
    Nothing,
    Gone,
}

async fn erase_one(connection: &mut PgConnection, exchange: Uuid) -> Result<Found, Error> {
    let Some(at) = occurred_at(exchange) else { return Ok(Found::Nothing) };
    // The row is locked, so that a hold that comes meanwhile comes before or after, never in the middle.
    let held: Option<Uuid> = query_scalar("SELECT exchange FROM held WHERE exchange = $1 FOR SHARE")
        .bind(exchange)
        .fetch_optional(&mut *connection)
        .await?;
    if held.is_some() {
        return Ok(Found::Held);
    }
    let mut rows = 0;
    for statement in [
        "DELETE FROM payload WHERE exchange = $1 AND occurred_at = $2",
        "DELETE FROM payload_kept WHERE exchange = $1 AND occurred_at = $2",
        "DELETE FROM search WHERE exchange = $1 AND occurred_at = $2",
        "UPDATE record_begin SET preview = NULL WHERE exchange = $1 AND occurred_at = $2",
        "UPDATE record_end SET preview = NULL WHERE exchange = $1 AND occurred_at = $2",
    ] {
        rows += query(statement).bind(exchange).bind(at).execute(&mut *connection).await?.rows_affected();
    }
    Ok(if rows == 0 { Found::Nothing } else { Found::Gone })
}
