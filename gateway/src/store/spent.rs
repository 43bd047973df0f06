//! What callers took, as gateways that share the database tell each other. Each writes rows of its own and only reads those
//! of others.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::postgres::PgBindIterExt;
use sqlx::{query, query_as};
use time::Date;
use uuid::Uuid;

use super::rows::signed;
use super::{Error, Store};

/// What was taken of one scope in a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    /// Requests that were let in.
    pub requests: u64,
    /// Tokens.
    pub tokens: u64,
    /// Billionths of a dollar.
    pub nanos: u64,
    /// Requests under way; of gateways that were heard of lately.
    pub running: u64,
}

/// Writes this gateway's sums in place of those that it wrote before.
///
/// # Errors
/// The database is away or not migrated.
pub async fn tell(store: &Store, replica: Uuid, sums: &[(Arc<str>, Date, Spent)]) -> Result<(), Error> {
    if sums.is_empty() {
        return Ok(());
    }
    query(
        "INSERT INTO spent (replica, scope, day, requests, tokens, nanos, running)
         SELECT $1, * FROM unnest($2::text[], $3::date[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
         ON CONFLICT (day, scope, replica) DO UPDATE SET requests = excluded.requests, tokens = excluded.tokens,
             nanos = excluded.nanos, running = excluded.running, told = now()",
    )
    .bind(replica)
    .bind(sums.iter().map(|(scope, ..)| &**scope).bind_iter())
    .bind(sums.iter().map(|(_, day, _)| *day).bind_iter())
    .bind(sums.iter().map(|(.., spent)| signed(spent.requests)).bind_iter())
    .bind(sums.iter().map(|(.., spent)| signed(spent.tokens)).bind_iter())
    .bind(sums.iter().map(|(.., spent)| signed(spent.nanos)).bind_iter())
    .bind(sums.iter().map(|(.., spent)| signed(spent.running)).bind_iter())
    .execute(&store.pool)
    .await?;
    Ok(())
}

/// What all others took in a day, by scope.
///
/// # Errors
/// The database is away or not migrated.
pub async fn others(store: &Store, replica: Uuid, day: Date) -> Result<HashMap<String, Spent>, Error> {
    let rows: Vec<(String, i64, i64, i64, i64)> = query_as(
        "SELECT scope, sum(requests)::bigint, sum(tokens)::bigint, sum(nanos)::bigint,
                coalesce(sum(running) FILTER (WHERE told > now() - interval '10 seconds'), 0)::bigint
         FROM spent WHERE day = $1 AND replica <> $2 GROUP BY scope",
    )
    .bind(day)
    .bind(replica)
    .fetch_all(&store.pool)
    .await?;
    let unsigned = |number: i64| u64::try_from(number).unwrap_or_default();
    let spent = rows.into_iter().map(|(scope, requests, tokens, nanos, running)| {
        let [requests, tokens, nanos, running] = [requests, tokens, nanos, running].map(unsigned);
        (scope, Spent { requests, tokens, nanos, running })
    });
    Ok(spent.collect())
}

/// Billionths of a dollar that all gateways together took from one day up to another, by scope.
///
/// # Errors
/// The database is away or not migrated.
pub async fn earlier(store: &Store, from: Date, until: Date) -> Result<HashMap<String, u64>, Error> {
    let rows: Vec<(String, i64)> =
        query_as("SELECT scope, sum(nanos)::bigint FROM spent WHERE day >= $1 AND day < $2 GROUP BY scope")
            .bind(from)
            .bind(until)
            .fetch_all(&store.pool)
            .await?;
    Ok(rows.into_iter().map(|(scope, nanos)| (scope, u64::try_from(nanos).unwrap_or_default())).collect())
}

/// Forgets what was taken before a day.
///
/// # Errors
/// The database is away, not migrated, or does not let this gateway.
pub async fn forget(store: &Store, before: Date) -> Result<u64, Error> {
    Ok(query("DELETE FROM spent WHERE day < $1").bind(before).execute(&store.pool).await?.rows_affected())
}
