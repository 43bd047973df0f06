//! Finding exchanges by words of their texts. What is sealed is indexed beside the traffic, in the ledger's order; what is
//! not indexed yet is read, up to a bound, and what was not looked at is told.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;
use sqlx::{PgConnection, query, query_as, query_scalar};
use time::{Date, Duration, OffsetDateTime, UtcOffset};
use tokio::task::spawn_blocking;
use uuid::Uuid;

use super::records::{Filter, Id, Record, load};
use super::rows::occurred_at;
use super::trace::{Parts, Trace, traces};
use super::words::{Bag, wanted};
use super::{Error, Store};
use crate::ledger::leaf::{Kind, Leaf};

/// Exchanges that are read at once, and bytes of their texts; a single one may have more.
const PAGE: usize = 200;
const PAGE_BYTES: i64 = 4 << 20;

/// Exchanges that are read where nothing is indexed yet.
const MOST_READ: usize = 20_000;

/// Leaves of one turn of indexing; about two stand for an exchange.
const TURN: i64 = 1_000;

/// Whoever puts words into the index or takes them out holds this, so that what is erased does not come back.
pub(super) const LOCK: &str = "SELECT pg_advisory_xact_lock(7164098315)";

/// How much of the time that was asked about was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Coverage {
    /// Days whose index was asked, newest first, until there was enough.
    pub indexed_days: usize,
    /// Exchanges that no index had yet and that were read.
    pub read: usize,
    /// Whether there was more to read than may be read at once.
    pub cut: bool,
}

/// Exchanges that pass a filter and in which all of these words stand, newest first. An exchange is found once its end is
/// stored.
///
/// # Errors
/// The database is away or not migrated.
pub async fn find(store: &Store, filter: &Filter, text: &str) -> Result<(Vec<Record>, Coverage), Error> {
    let wanted = wanted(text);
    let mut coverage = Coverage::default();
    let mut found = read_rest(store, filter, &wanted, &mut coverage).await?;
    let ids = ids_by_words(store, filter, &wanted, &mut coverage).await?;
    found.extend(load(store, &ids).await?);
    if filter.review {
        let ids: Vec<Uuid> = found.iter().map(|record| record.exchange).collect();
        let decided: HashSet<Uuid> =
            query_scalar("SELECT exchange FROM event WHERE kind = 'decision' AND exchange = ANY ($1)")
                .bind(ids)
                .fetch_all(&store.pool)
                .await?
                .into_iter()
                .collect();
        found.retain(|record| !decided.contains(&record.exchange));
    }
    // What was indexed after it was read is there twice.
    let mut seen = HashSet::new();
    found.retain(|record| seen.insert(record.exchange));
    found.sort_by_key(|record| std::cmp::Reverse(record.exchange));
    found.truncate(usize::try_from(filter.limit).unwrap_or(usize::MAX));
    Ok((found, coverage))
}

/// Asks the index day by day, newest first: a common word is in so much of it that all days at once would be read in vain.
async fn ids_by_words(
    store: &Store,
    filter: &Filter,
    wanted: &[String],
    coverage: &mut Coverage,
) -> Result<Vec<Id>, Error> {
    let first = filter.since.to_offset(UtcOffset::UTC).date();
    // The server may look at other tables' names before it joins; those have no date at their end.
    let days: Vec<Date> = query_scalar(
        "SELECT d.day FROM (
             SELECT to_date(substring(c.relname FROM '[0-9]{4}_[0-9]{2}_[0-9]{2}$'), 'YYYY_MM_DD') AS day
             FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'search'::regclass) d
         WHERE d.day >= $1 ORDER BY d.day DESC",
    )
    .bind(first)
    .fetch_all(&store.pool)
    .await?;
    let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
    let mut ids = Vec::new();
    for day in days {
        if ids.len() >= limit {
            break;
        }
        ids.extend(ids_of_day(store, filter, wanted, day).await?);
        coverage.indexed_days += 1;
    }
    Ok(ids)
}

async fn ids_of_day(store: &Store, filter: &Filter, wanted: &[String], day: Date) -> Result<Vec<Id>, Error> {
    let from = day.midnight().assume_utc();
    let found = query_as(
        "SELECT s.exchange, s.occurred_at FROM search s
         WHERE s.occurred_at >= $1 AND s.occurred_at < $14 AND s.words @> $3
           AND EXISTS (
               SELECT FROM record r
               WHERE r.exchange = s.exchange AND r.occurred_at = s.occurred_at
                 AND ($4::text IS NULL OR r.caller = $4)
                 AND ($5::text IS NULL OR r.model = $5)
                 AND ($6::text IS NULL OR r.upstream = $6)
                 AND ($7::text IS NULL OR r.outcome = $7)
                 AND ($8::text IS NULL OR $8 = ANY (r.manners))
                 AND ($9::text IS NULL OR r.ending = $9)
                 AND (NOT $13 OR r.review IS NOT NULL)
               OFFSET 0)
           AND (($10::text IS NULL AND $11::text IS NULL AND $12::text IS NULL) OR EXISTS (
               SELECT FROM finding f
               WHERE f.exchange = s.exchange AND f.occurred_at = s.occurred_at
                 AND ($10::text IS NULL OR f.rule = $10)
                 AND ($11::text IS NULL OR f.topic = $11)
                 AND ($12::text IS NULL OR f.action = $12)
               OFFSET 0))
         ORDER BY s.occurred_at DESC LIMIT $2",
    )
    .persistent(false)
    .bind(filter.since.max(from))
    .bind(i64::from(filter.limit))
    .bind(wanted)
    .bind(&filter.caller)
    .bind(&filter.model)
    .bind(&filter.upstream)
    .bind(&filter.outcome)
    .bind(&filter.manner)
    .bind(&filter.ending)
    .bind(&filter.rule)
    .bind(&filter.topic)
    .bind(&filter.action)
    .bind(filter.review)
    .bind(from + Duration::days(1));
    Ok(found.fetch_all(&store.pool).await?)
}

/// Reads the exchanges that are in no index yet, newest first.
async fn read_rest(
    store: &Store,
    filter: &Filter,
    wanted: &[String],
    coverage: &mut Coverage,
) -> Result<Vec<Record>, Error> {
    let mut rest = unindexed(store, coverage).await?;
    rest.retain(|(_, at)| *at >= filter.since);
    rest.sort_unstable_by_key(|(exchange, _)| std::cmp::Reverse(*exchange));
    rest.dedup();
    if rest.len() > MOST_READ {
        rest.truncate(MOST_READ);
        coverage.cut = true;
    }
    let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
    let mut found = Vec::new();
    for some in rest.chunks(PAGE) {
        for portion in portions(store, some).await? {
            coverage.read += portion.len();
            let traces = traces(store, portion, Parts::Texts).await?;
            let holding = traces.into_iter().filter(|trace| filter.passes(trace) && holds(trace, wanted));
            found.extend(holding.map(|trace| trace.record));
            if found.len() >= limit {
                return Ok(found);
            }
        }
    }
    Ok(found)
}

/// Ended exchanges above the mark that the index has reached: those that wait for the sealer, then those that it has sealed
/// since. The oldest are left out where there are very many.
async fn unindexed(store: &Store, coverage: &mut Coverage) -> Result<Vec<Id>, Error> {
    let most = i64::try_from(2 * MOST_READ).unwrap_or(i64::MAX);
    let pending: Vec<Vec<Vec<u8>>> = query_scalar(
        "SELECT leaves FROM pending WHERE id IN (
             SELECT id FROM (
                 SELECT id, sum(count) OVER (ORDER BY id DESC) - count AS after
                 FROM (SELECT id, count FROM pending ORDER BY id DESC LIMIT $1) AS newest) AS run
             WHERE after < $1)",
    )
    .bind(most)
    .fetch_all(&store.pool)
    .await?;
    let sealed: Vec<Vec<u8>> = query_scalar(
        "SELECT bytes FROM leaf WHERE leaf_index >= (SELECT next FROM searched) ORDER BY leaf_index DESC LIMIT $1",
    )
    .bind(most)
    .fetch_all(&store.pool)
    .await?;
    let waiting: usize = pending.iter().map(Vec::len).sum();
    coverage.cut = [waiting, sealed.len()].into_iter().any(|leaves| leaves >= 2 * MOST_READ);
    Ok(pending.iter().flatten().chain(&sealed).filter_map(|leaf| ended(leaf)).collect())
}

/// The exchange whose end a leaf stands for.
fn ended(leaf: &[u8]) -> Option<Id> {
    let leaf = Leaf::read(leaf).filter(|leaf| leaf.kind == Kind::End)?;
    Some((leaf.record, occurred_at(leaf.record)?))
}

/// Indexes some of what was sealed since; gives the number of exchanges, `None` where nothing waits or another gateway is
/// at it.
///
/// # Errors
/// The database is away or not migrated.
pub async fn index(store: &Store) -> Result<Option<usize>, Error> {
    let mut transaction = store.pool.begin().await?;
    let first: bool = query_scalar("SELECT pg_try_advisory_xact_lock(7164098315)").fetch_one(&mut *transaction).await?;
    if !first {
        return Ok(None);
    }
    let leaves: Vec<(i64, Vec<u8>)> = query_as(
        "SELECT leaf_index, bytes FROM leaf WHERE leaf_index >= (SELECT next FROM searched)
         ORDER BY leaf_index LIMIT $1",
    )
    .bind(TURN)
    .fetch_all(&mut *transaction)
    .await?;
    let Some((last, _)) = leaves.last() else { return Ok(None) };
    let ids: Vec<Id> = leaves.iter().filter_map(|(_, leaf)| ended(leaf)).collect();
    let mut indexed = 0;
    for some in by_day(&mut transaction, ids).await?.chunks(PAGE) {
        for portion in portions(store, some).await? {
            let traces = traces(store, portion, Parts::Texts).await?;
            // What is shipped and sealed meanwhile shares this thread.
            let words = spawn_blocking(move || indexed_words(&traces)).await;
            let words = words.map_err(|error| Error::Refused(error.to_string()))?;
            indexed += words.len();
            insert(&mut transaction, words).await?;
        }
    }
    query("UPDATE searched SET next = $1").bind(last + 1).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(Some(indexed))
}

/// Makes the index's partitions for days whose texts are kept, and leaves the other exchanges out.
async fn by_day(connection: &mut PgConnection, ids: Vec<Id>) -> Result<Vec<Id>, Error> {
    let mut days: BTreeMap<Date, Vec<Id>> = BTreeMap::new();
    for id in ids {
        days.entry(id.1.to_offset(UtcOffset::UTC).date()).or_default().push(id);
    }
    let mut kept = Vec::new();
    for (day, ids) in days {
        let there: bool = query_scalar("SELECT to_regclass('payload_' || to_char($1::date, 'YYYY_MM_DD')) IS NOT NULL")
            .bind(day)
            .fetch_one(&mut *connection)
            .await?;
        if there {
            query("SELECT make_search($1)").bind(day).execute(&mut *connection).await?;
            kept.extend(ids);
        }
    }
    Ok(kept)
}

/// Cuts a list where the texts become too many to be held at once: an exchange has a few kilobytes, or megabytes.
async fn portions<'a>(store: &Store, ids: &'a [Id]) -> Result<Vec<&'a [Id]>, Error> {
    let (exchanges, times): (Vec<Uuid>, Vec<OffsetDateTime>) = ids.iter().copied().unzip();
    let sizes: HashMap<Uuid, i64> = query_as(
        "SELECT p.exchange, sum(p.size)::bigint FROM unnest($1::uuid[], $2::timestamptz[]) AS wanted (exchange, occurred_at)
         JOIN payload p ON p.exchange = wanted.exchange AND p.occurred_at = wanted.occurred_at
         WHERE p.part = ANY ($3) GROUP BY p.exchange",
    )
    .bind(exchanges)
    .bind(times)
    .bind(Parts::Texts.names())
    .fetch_all(&store.pool)
    .await?
    .into_iter()
    .collect();
    Ok(cut(ids, |(exchange, _)| sizes.get(exchange).copied().unwrap_or_default()))
}

/// Runs of a list that are together within [`PAGE_BYTES`], or alone.
fn cut(ids: &[Id], size: impl Fn(&Id) -> i64) -> Vec<&[Id]> {
    let mut portions = Vec::new();
    let mut rest = ids;
    while !rest.is_empty() {
        let mut bytes = 0_i64;
        let fitting = rest.iter().take_while(|id| {
            bytes = bytes.saturating_add(size(id));
            bytes <= PAGE_BYTES
        });
        let Some((now, later)) = rest.split_at_checked(fitting.count().max(1)) else { break };
        portions.push(now);
        rest = later;
    }
    portions
}

/// A row of `search`; no word holds a space, so that one text carries them all.
type WordsRow = (Uuid, OffsetDateTime, String);

/// The words of exchanges of which texts are kept.
fn indexed_words(traces: &[Trace]) -> Vec<WordsRow> {
    let kept = traces.iter().filter(|trace| !trace.payloads.is_empty());
    let row = |trace: &Trace| {
        let exchange = trace.record.exchange;
        Some((exchange, occurred_at(exchange)?, words_of(trace).iter().collect::<Vec<_>>().join(" ")))
    };
    kept.filter_map(row).collect()
}

async fn insert(connection: &mut PgConnection, rows: Vec<WordsRow>) -> Result<(), Error> {
    let (exchanges, (times, words)): (Vec<Uuid>, (Vec<OffsetDateTime>, Vec<String>)) =
        rows.into_iter().map(|(exchange, at, words)| (exchange, (at, words))).unzip();
    query(
        "INSERT INTO search (exchange, occurred_at, words)
         SELECT exchange, occurred_at, string_to_array(words, ' ')
         FROM unnest($1::uuid[], $2::timestamptz[], $3::text[]) AS row (exchange, occurred_at, words)
         ON CONFLICT DO NOTHING",
    )
    .bind(exchanges)
    .bind(times)
    .bind(words)
    .execute(connection)
    .await?;
    Ok(())
}

fn holds(trace: &Trace, wanted: &[String]) -> bool {
    let words = words_of(trace);
    wanted.iter().all(|word| words.holds(word))
}

/// The words of all texts of an exchange.
fn words_of(trace: &Trace) -> Bag {
    let mut bag = Bag::default();
    for text in trace.prompt().unwrap_or_default().into_iter().chain(trace.reply().unwrap_or_default()) {
        bag.add(&text.text);
    }
    bag.settle();
    bag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_large_texts_are_held_at_once() {
        let sizes = [1, PAGE_BYTES - 1, 1, i64::MAX, 2, 3];
        let ids = sizes.map(|size| (Uuid::from_u128(size as u128), OffsetDateTime::UNIX_EPOCH));
        let portions = cut(&ids, |(id, _)| id.as_u128() as i64);
        assert_eq!(portions.iter().map(|portion| portion.len()).collect::<Vec<_>>(), [2, 1, 1, 2]);
        assert_eq!(portions.concat(), ids);
        assert!(cut(&[], |_| 0).is_empty());
    }
}
