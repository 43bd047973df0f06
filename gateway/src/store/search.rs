//! Finding exchanges by words of their texts. Days that are over are indexed beside the traffic; what is not indexed yet
//! is read, up to a bound, and what was not looked at is told.

use std::collections::{BTreeSet, HashSet};

use serde::Serialize;
use sqlx::{query, query_as, query_scalar};
use time::{Date, Duration, OffsetDateTime, UtcOffset};
use uuid::{Builder, Uuid};

use super::records::{Filter, Id, Record, load};
use super::rows::occurred_at;
use super::trace::{Parts, Trace, page};
use super::{Error, Store};
use crate::record::wall_clock;

/// Exchanges that are read at once.
const PAGE: u32 = 200;

/// Exchanges that are read where nothing is indexed yet.
const MOST_READ: u64 = 20_000;

/// Words of one exchange that are indexed at most.
const MOST_WORDS: usize = 8_192;

/// Bytes of a word at most; what is longer is found by its beginning.
const LONGEST: usize = 64;

/// How much of the time that was asked about was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Coverage {
    /// Days whose index was asked.
    pub indexed_days: usize,
    /// Exchanges of other days that were read.
    pub read: u64,
    /// Whether there was more to read than may be read at once.
    pub cut: bool,
}

/// Exchanges that pass a filter and in which all of these words stand, newest first.
///
/// # Errors
/// The database is away or not migrated.
pub async fn find(store: &Store, filter: &Filter, text: &str) -> Result<(Vec<Record>, Coverage), Error> {
    let wanted = wanted(text);
    let days: Vec<Date> = query_scalar("SELECT day FROM searchable WHERE day >= $1 ORDER BY day")
        .bind(filter.since.to_offset(UtcOffset::UTC).date())
        .fetch_all(&store.pool)
        .await?;
    let mut coverage = Coverage { indexed_days: days.len(), ..Coverage::default() };
    let mut found = read_rest(store, filter, &wanted, &days, &mut coverage).await?;
    if !days.is_empty() {
        let ids = ids_by_words(store, filter, &wanted).await?;
        found.extend(load(store, &ids).await?);
    }
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
    let mut seen = HashSet::new();
    found.retain(|record| seen.insert(record.exchange));
    found.sort_by_key(|record| std::cmp::Reverse(record.exchange));
    found.truncate(usize::try_from(filter.limit).unwrap_or(usize::MAX));
    Ok((found, coverage))
}

async fn ids_by_words(store: &Store, filter: &Filter, wanted: &[String]) -> Result<Vec<Id>, Error> {
    let found = query_as(
        "SELECT s.exchange, s.occurred_at FROM search s
         WHERE s.occurred_at >= $1 AND s.words @> $3
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
    .bind(filter.since)
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
    .bind(filter.review);
    Ok(found.fetch_all(&store.pool).await?)
}

/// Reads the exchanges of days that no index covers.
async fn read_rest(
    store: &Store,
    filter: &Filter,
    wanted: &[String],
    indexed: &[Date],
    coverage: &mut Coverage,
) -> Result<Vec<Record>, Error> {
    let indexed: HashSet<&Date> = indexed.iter().collect();
    let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
    let (mut found, mut before) = (Vec::new(), None);
    while found.len() < limit {
        let traces = page(store, filter.since, before, PAGE, Parts::Texts).await?;
        let Some(last) = traces.last() else { break };
        let day = day_of(&last.record);
        before = Some(match indexed.contains(&day) {
            // The rest of an indexed day is asked of its index.
            true => first_of(day.midnight().assume_utc()),
            false => last.record.exchange,
        });
        for trace in traces {
            if indexed.contains(&day_of(&trace.record)) {
                continue;
            }
            coverage.read += 1;
            if filter.passes(&trace) && holds(&trace, wanted) {
                found.push(trace.record);
            }
        }
        if coverage.read >= MOST_READ {
            coverage.cut = true;
            break;
        }
    }
    Ok(found)
}

/// Indexes the oldest day that is over and not indexed yet; tells which, and how many exchanges it had.
///
/// # Errors
/// The database is away or not migrated.
pub async fn index_a_day(store: &Store) -> Result<Option<(Date, u64)>, Error> {
    let today = wall_clock().to_offset(UtcOffset::UTC).date();
    // The server may look at other tables' names before it joins; those have no date at their end.
    let day: Option<Date> = query_scalar(
        "SELECT d.day FROM (
             SELECT to_date(substring(c.relname FROM '[0-9]{4}_[0-9]{2}_[0-9]{2}$'), 'YYYY_MM_DD') AS day
             FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'payload'::regclass) d
         WHERE d.day < $1 AND NOT EXISTS (SELECT FROM searchable s WHERE s.day = d.day) ORDER BY d.day LIMIT 1",
    )
    .bind(today)
    .fetch_optional(&store.pool)
    .await?;
    let Some(day) = day else { return Ok(None) };
    query("SELECT make_search($1)").bind(day).execute(&store.pool).await?;
    let from = day.midnight().assume_utc();
    let mut before = Some(first_of(from + Duration::days(1)));
    let mut count = 0;
    loop {
        let traces = page(store, from, before, PAGE, Parts::Texts).await?;
        let Some(last) = traces.last() else { break };
        before = Some(last.record.exchange);
        count += traces.len() as u64;
        insert(store, &traces).await?;
    }
    query("INSERT INTO searchable (day, exchanges) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(day)
        .bind(i64::try_from(count).unwrap_or(i64::MAX))
        .execute(&store.pool)
        .await?;
    Ok(Some((day, count)))
}

async fn insert(store: &Store, traces: &[Trace]) -> Result<(), Error> {
    let (mut exchanges, mut times, mut words) = (Vec::new(), Vec::new(), Vec::new());
    for trace in traces {
        let Some(at) = occurred_at(trace.record.exchange) else { continue };
        exchanges.push(trace.record.exchange);
        times.push(at);
        // No word holds a space, so that one text carries them all.
        words.push(words_of(trace).into_iter().collect::<Vec<_>>().join(" "));
    }
    query(
        "INSERT INTO search (exchange, occurred_at, words)
         SELECT exchange, occurred_at, string_to_array(words, ' ')
         FROM unnest($1::uuid[], $2::timestamptz[], $3::text[]) AS row (exchange, occurred_at, words)
         ON CONFLICT DO NOTHING",
    )
    .bind(exchanges)
    .bind(times)
    .bind(words)
    .execute(&store.pool)
    .await?;
    Ok(())
}

/// The day whose partition an exchange falls into.
fn day_of(record: &Record) -> Date {
    occurred_at(record.exchange).unwrap_or(record.accepted_at).to_offset(UtcOffset::UTC).date()
}

/// The first id of a moment.
fn first_of(at: OffsetDateTime) -> Uuid {
    let millis = u64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000)).unwrap_or_default();
    Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid()
}

fn holds(trace: &Trace, wanted: &[String]) -> bool {
    let words = words_of(trace);
    wanted.iter().all(|word| words.contains(word))
}

/// The words of all texts of an exchange.
fn words_of(trace: &Trace) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    let texts = trace.prompt().unwrap_or_default().into_iter().chain(trace.reply().unwrap_or_default());
    for text in texts {
        for word in Words::of(&text.text) {
            if words.len() >= MOST_WORDS {
                return words;
            }
            word.indexed(&mut words);
        }
    }
    words
}

/// What must stand in an index for a text to be found: words, and for scripts without spaces pairs of characters.
fn wanted(text: &str) -> Vec<String> {
    let mut wanted = BTreeSet::new();
    for word in Words::of(text) {
        match word {
            Word::Plain(word) => drop(wanted.insert(word)),
            Word::Dense(run) => match run.as_slice() {
                [single] => drop(wanted.insert(single.to_string())),
                run => wanted.extend(run.windows(2).map(|pair| pair.iter().collect::<String>())),
            },
        }
    }
    wanted.into_iter().collect()
}

/// A word, or a run of a script that is written without spaces.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    Plain(String),
    Dense(Vec<char>),
}

impl Word {
    fn indexed(self, words: &mut BTreeSet<String>) {
        match self {
            Self::Plain(word) => drop(words.insert(word)),
            Self::Dense(run) => {
                words.extend(run.iter().map(char::to_string));
                words.extend(run.windows(2).map(|pair| pair.iter().collect::<String>()));
            }
        }
    }
}

/// Words of a text, in its order.
struct Words<'a>(std::iter::Peekable<std::str::Chars<'a>>);

impl<'a> Words<'a> {
    fn of(text: &'a str) -> Self {
        Self(text.chars().peekable())
    }

    fn run(&mut self, fits: impl Fn(char) -> bool) -> Vec<char> {
        let mut run = Vec::new();
        while let Some(c) = self.0.next_if(|c| fits(*c)) {
            run.push(c);
        }
        run
    }
}

impl Iterator for Words<'_> {
    type Item = Word;

    fn next(&mut self) -> Option<Word> {
        self.run(|c| !c.is_alphanumeric());
        let first = *self.0.peek()?;
        if is_dense(first) {
            return Some(Word::Dense(self.run(is_dense)));
        }
        let run = self.run(|c| c.is_alphanumeric() && !is_dense(c));
        let mut word: String = run.into_iter().flat_map(char::to_lowercase).collect();
        word.truncate(word.floor_char_boundary(LONGEST));
        Some(Word::Plain(word))
    }
}

/// Scripts that are written without spaces: Han, Kana, Thai, Lao, Khmer, Burmese.
fn is_dense(c: char) -> bool {
    matches!(u32::from(c),
        0x0e01..=0x0eff | 0x1000..=0x109f | 0x1780..=0x17ff | 0x3041..=0x30ff | 0x31f0..=0x31ff
        | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xf900..=0xfaff | 0x20000..=0x323af)
        && c.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_fall_into_words_and_pairs() {
        let indexed = |text: &str| {
            let mut words = BTreeSet::new();
            Words::of(text).for_each(|word| word.indexed(&mut words));
            words.into_iter().collect::<Vec<_>>()
        };
        assert_eq!(indexed("Hello, HELLO world-7"), ["7", "hello", "world"]);
        assert_eq!(indexed("六四R1"), ["r1", "六", "六四", "四"]);
        assert_eq!(indexed("Straße"), ["straße"]);
        assert!(indexed("— … \u{0}").is_empty());
        assert_eq!(wanted("天安门 1989"), ["1989", "天安", "安门"]);
        assert_eq!(wanted("门"), ["门"]);
        assert!(indexed(&"a".repeat(500)).iter().all(|word| word.len() == LONGEST));
    }
}
