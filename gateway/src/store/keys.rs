//! Callers' keys: made, listed, revoked, each of it an event in the ledger. The key itself is given out once and never kept;
//! what is kept is its SHA-256.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row, query, query_scalar};
use time::OffsetDateTime;

use super::rows::signed;
use super::{Error, Store, events};
use crate::config::Terms;
use crate::ledger::leaf::Kind;
use crate::ledger::row;

/// Marks a key as one of ours, for people and for scanners of leaked secrets.
const PREFIX: &str = "ck-";

/// Letters of a key: 43 of 62 hold 256 bits.
const LETTERS: usize = 43;

/// What a key is made of.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// One key as the database knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// Public id.
    pub id: String,
    /// SHA-256 of the key.
    pub hash: [u8; 32],
    /// Who it stands for.
    pub caller: String,
    /// The caller's team.
    pub team: Option<String>,
    /// The caller's role.
    pub role: Option<String>,
    /// When it was made.
    pub created: OffsetDateTime,
    /// When it ends.
    pub expires: Option<OffsetDateTime>,
    /// When it was revoked.
    pub revoked: Option<OffsetDateTime>,
    /// What it may ask for, and how much of it.
    pub terms: Terms,
}

/// What a new key shall stand for.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Who it stands for.
    pub caller: String,
    /// The caller's team.
    pub team: Option<String>,
    /// The caller's role.
    pub role: Option<String>,
    /// When it ends.
    pub expires: Option<OffsetDateTime>,
    /// What it may ask for, and how much of it.
    pub terms: Terms,
}

/// The text of a key's making or its end.
#[derive(Serialize)]
struct KeyText<'a> {
    /// Its public id.
    key: &'a str,
    caller: &'a str,
    team: Option<&'a str>,
    role: Option<&'a str>,
    /// Microseconds since 1970.
    expires: Option<i64>,
    models: Option<&'a [String]>,
    requests_per_minute: Option<u64>,
    tokens_per_minute: Option<u64>,
    concurrency: Option<u64>,
    /// Billionths of a dollar.
    budget_day: Option<u64>,
    budget_month: Option<u64>,
    /// Who did it, as they say.
    by: Option<&'a str>,
    /// And as whom the database knows them.
    database_user: &'a str,
}

/// Writes down what was done with a key.
async fn tell(
    store: &Store,
    connection: &mut PgConnection,
    kind: Kind,
    stored: &StoredKey,
    by: Option<&str>,
) -> Result<(), Error> {
    let log = store.log().await?;
    let user: String = query_scalar("SELECT session_user::text").fetch_one(&mut *connection).await?;
    let StoredKey { id, caller, team, role, expires, terms, .. } = stored;
    let text = KeyText {
        key: id,
        caller,
        team: team.as_deref(),
        role: role.as_deref(),
        expires: expires.map(row::micros),
        models: terms.models.as_deref(),
        requests_per_minute: terms.requests_per_minute,
        tokens_per_minute: terms.tokens_per_minute,
        concurrency: terms.concurrency,
        budget_day: terms.budget_day,
        budget_month: terms.budget_month,
        by,
        database_user: &user,
    };
    events::add(connection, log, kind, None, &text).await?;
    Ok(())
}

/// What became of a key that was to be revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revoked {
    /// It is revoked now.
    Now,
    /// It had been revoked before.
    Before(OffsetDateTime),
    /// There is no such key.
    Unknown,
}

/// All keys, oldest first, revoked ones included.
///
/// # Errors
/// The database is away.
pub async fn load_all(store: &Store) -> Result<Vec<StoredKey>, Error> {
    let rows = query("SELECT * FROM caller_key ORDER BY created, id").fetch_all(&store.pool).await?;
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

/// Makes a key; the text that comes back with it is the only copy.
///
/// # Errors
/// The database is away, or the system has no randomness to give.
pub async fn create(store: &Store, new: &NewKey, by: Option<&str>) -> Result<(StoredKey, String), Error> {
    let key = random_key()?;
    let hash = digest(&SHA256, key.as_bytes());
    let mut transaction = store.pool.begin().await?;
    let row = query(
        "INSERT INTO caller_key (id, hash, caller, team, role, expires, models, requests_per_minute, tokens_per_minute,
             concurrency, budget_day, budget_month)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
         RETURNING *",
    )
    .bind(random_id()?)
    .bind(hash.as_ref())
    .bind(&new.caller)
    .bind(&new.team)
    .bind(&new.role)
    .bind(new.expires)
    .bind(&new.terms.models)
    .bind(new.terms.requests_per_minute.map(signed))
    .bind(new.terms.tokens_per_minute.map(signed))
    .bind(new.terms.concurrency.map(signed))
    .bind(new.terms.budget_day.map(signed))
    .bind(new.terms.budget_month.map(signed))
    .fetch_one(&mut *transaction)
    .await?;
    let stored = read(&row)?;
    tell(store, &mut transaction, Kind::KeyCreate, &stored, by).await?;
    transaction.commit().await?;
    Ok((stored, key))
}

/// Revokes a key for good.
///
/// # Errors
/// The database is away.
pub async fn revoke(store: &Store, id: &str, by: Option<&str>) -> Result<Revoked, Error> {
    let mut transaction = store.pool.begin().await?;
    let row =
        query("SELECT * FROM caller_key WHERE id = $1 FOR UPDATE").bind(id).fetch_optional(&mut *transaction).await?;
    let Some(row) = row else { return Ok(Revoked::Unknown) };
    let stored = read(&row)?;
    if let Some(before) = stored.revoked {
        return Ok(Revoked::Before(before));
    }
    query("UPDATE caller_key SET revoked = now() WHERE id = $1").bind(id).execute(&mut *transaction).await?;
    tell(store, &mut transaction, Kind::KeyRevoke, &stored, by).await?;
    transaction.commit().await?;
    Ok(Revoked::Now)
}

fn read(row: &PgRow) -> Result<StoredKey, sqlx::Error> {
    let hash: Vec<u8> = row.try_get("hash")?;
    let limit = |column: &str| {
        // A negative limit, which nobody can have made here, lets nothing pass.
        let limit: Option<i64> = row.try_get(column)?;
        Ok::<_, sqlx::Error>(limit.map(|limit| u64::try_from(limit).unwrap_or_default()))
    };
    Ok(StoredKey {
        id: row.try_get("id")?,
        hash: hash.try_into().map_err(|_| sqlx::Error::Decode("a hash is not 32 bytes long".into()))?,
        caller: row.try_get("caller")?,
        team: row.try_get("team")?,
        role: row.try_get("role")?,
        created: row.try_get("created")?,
        expires: row.try_get("expires")?,
        revoked: row.try_get("revoked")?,
        terms: Terms {
            models: row.try_get("models")?,
            requests_per_minute: limit("requests_per_minute")?,
            tokens_per_minute: limit("tokens_per_minute")?,
            concurrency: limit("concurrency")?,
            budget_day: limit("budget_day")?,
            budget_month: limit("budget_month")?,
        },
    })
}

fn random_key() -> Result<String, Error> {
    let mut key = PREFIX.to_owned();
    while key.len() < PREFIX.len() + LETTERS {
        let mut bytes = [0; 64];
        fill(&mut bytes)?;
        // Bytes beyond the largest multiple of 62 would favour some letters.
        let letters = bytes.iter().filter(|byte| **byte < 248).filter_map(|byte| ALPHABET.get(usize::from(*byte % 62)));
        key.extend(letters.map(|letter| char::from(*letter)).take(PREFIX.len() + LETTERS - key.len()));
    }
    Ok(key)
}

fn random_id() -> Result<String, Error> {
    let mut bytes = [0; 8];
    fill(&mut bytes)?;
    Ok(bytes.iter().fold("key_".to_owned(), |id, byte| id + &format!("{byte:02x}")))
}

fn fill(bytes: &mut [u8]) -> Result<(), Error> {
    rand::fill(bytes).map_err(|_| Error::Unavailable("the system gives no random bytes".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_long_readable_and_never_the_same() {
        let keys: std::collections::BTreeSet<String> = (0..50).filter_map(|_| random_key().ok()).collect();
        assert_eq!(keys.len(), 50);
        for key in keys {
            assert_eq!(key.len(), PREFIX.len() + LETTERS, "{key}");
            assert!(key.strip_prefix("ck-").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_alphanumeric())));
        }
    }
}
