//! Evidence bundles out of the database: leaves, the rows and payloads that they commit to, and what proves them. It
//! judges nothing; `ledger::verify` does.

use std::io;

use sqlx::postgres::PgConnection;
use sqlx::{query, query_as, query_scalar};
use time::OffsetDateTime;
use uuid::Uuid;

use super::rows::{occurred_at, signed};
use super::seal::{stored, subtree};
use super::told::{Kept, begin_rows, end_rows, event_row, loss_row, payloads};
use super::{Error, Store};
use crate::cipher::Keys;
use crate::ledger::bundle::{
    Base64, Consistency, Document, EventLine, FORMAT, Head, LeafLine, Line, PayloadLine, RowLine, VERSION,
};
use crate::ledger::checkpoint::{Checkpoint, unverified};
use crate::ledger::leaf::{Kind, Leaf};
use crate::ledger::proof::{consistency_nodes, inclusion_nodes, range_nodes};
use crate::ledger::row::{self, PlaceText};
use crate::ledger::tree::Span;
use crate::record::wall_clock;

/// Leaves that are read at once.
const CHUNK: u64 = 500;

/// Which records a bundle is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// All that were ever sealed.
    All,
    /// Those of exchanges that began in this time, the second moment not included.
    Between(OffsetDateTime, OffsetDateTime),
}

/// Why there is no bundle.
#[derive(Debug)]
pub enum BundleError {
    /// The database is away, not migrated, or its ledger is damaged.
    Store(Error),
    /// Nothing of what is asked for is sealed.
    Nothing,
    /// A checkpoint that was to be proven is none, or is larger than the tree.
    Checkpoint(String),
    /// The bundle cannot be written.
    Write(io::Error),
}

impl std::fmt::Display for BundleError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Store(error) => write!(formatter, "{error}"),
            Self::Nothing => formatter.write_str("nothing of that time is sealed yet"),
            Self::Checkpoint(why) => write!(formatter, "the checkpoint {why}"),
            Self::Write(error) => write!(formatter, "write the bundle: {error}"),
        }
    }
}

impl std::error::Error for BundleError {}

impl<E: Into<Error>> From<E> for BundleError {
    fn from(error: E) -> Self {
        Self::Store(error.into())
    }
}

/// Takes a bundle's lines as they come.
pub struct Lines<W> {
    out: W,
    count: u64,
}

impl<W: io::Write> Lines<W> {
    fn put(&mut self, line: &Line) -> Result<(), BundleError> {
        self.count += 1;
        serde_json::to_writer(&mut self.out, line).map_err(|error| BundleError::Write(error.into()))?;
        self.out.write_all(b"\n").map_err(BundleError::Write)
    }
}

/// What went into a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Written {
    /// The first leaf.
    pub from: u64,
    /// The one behind the last.
    pub until: u64,
    /// Leaves of the tree.
    pub size: u64,
    /// Exchanges that have rows and no leaf yet.
    pub unsealed: u64,
}

/// Writes a bundle; `earlier` are signed notes that it shall be proven to continue. `progress` is told of leaves as they
/// are written: how many, of how many.
///
/// # Errors
/// See [`BundleError`].
pub async fn bundle<W: io::Write>(
    store: &Store,
    wish: Wish,
    earlier: &[String],
    out: W,
    mut progress: impl FnMut(u64, u64),
) -> Result<Written, BundleError> {
    // One state of the database from beginning to end, whatever is sealed or dropped meanwhile.
    let mut transaction = store.pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let connection = &mut *transaction;
    query("SET LOCAL statement_timeout = 0").execute(&mut *connection).await?;
    let tree = stored(connection).await?;
    let size = tree.frontier.size();
    let note: Option<String> = query_scalar("SELECT note FROM checkpoint WHERE size = $1 ORDER BY signed LIMIT 1")
        .bind(signed(size))
        .fetch_optional(&mut *connection)
        .await?;
    let note = note.ok_or(BundleError::Nothing)?;
    let span = span(connection, wish, size).await?;
    let mut lines = Lines { out, count: 0 };
    let made_at = row::micros(wall_clock());
    let head =
        Head { version: VERSION, log: tree.log, origin: tree.origin, made_at, from: span.start, until: span.end, size };
    lines.put(&Line::Bundle(head))?;
    let keys: Vec<String> =
        query_scalar("SELECT key FROM signing_key ORDER BY since").fetch_all(&mut *connection).await?;
    for key in keys {
        lines.put(&Line::Key(key))?;
    }
    lines.put(&Line::Checkpoint(note))?;
    lines.put(&Line::Range(hashes(connection, range_nodes(span, size)).await?))?;
    for note in earlier {
        let proof = consistency(connection, note, size).await?;
        lines.put(&Line::Consistency(proof))?;
    }
    documents(connection, &mut lines).await?;
    let mut at = span.start;
    while at < span.end {
        let next = (at + CHUNK).min(span.end);
        chunk(connection, Span { start: at, end: next }, &store.keys, &mut lines).await?;
        at = next;
        progress(at - span.start, span.len());
    }
    events_elsewhere(connection, span, size, &mut lines).await?;
    let unsealed = unsealed(connection, wish, &mut lines).await?;
    let count = lines.count;
    lines.put(&Line::End(count))?;
    lines.out.flush().map_err(BundleError::Write)?;
    Ok(Written { from: span.start, until: span.end, size, unsealed })
}

/// The smallest id of a time.
fn first_of(at: OffsetDateTime) -> Uuid {
    let millis = u64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000)).unwrap_or_default();
    let [_, _, a, b, c, d, e, f] = millis.to_be_bytes();
    Uuid::from_bytes([a, b, c, d, e, f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
}

async fn span(connection: &mut PgConnection, wish: Wish, size: u64) -> Result<Span, BundleError> {
    let Wish::Between(since, until) = wish else { return Ok(Span { start: 0, end: size }) };
    let (first, last): (Option<i64>, Option<i64>) =
        query_as("SELECT min(leaf_index), max(leaf_index) FROM leaf WHERE record >= $1 AND record < $2")
            .bind(first_of(since))
            .bind(first_of(until))
            .fetch_one(connection)
            .await?;
    let unsigned = |index: i64| u64::try_from(index).unwrap_or_default();
    match (first, last) {
        (Some(first), Some(last)) => Ok(Span { start: unsigned(first), end: unsigned(last) + 1 }),
        _ => Err(BundleError::Nothing),
    }
}

async fn hashes(connection: &mut PgConnection, nodes: Vec<Span>) -> Result<Vec<Base64>, Error> {
    let mut hashes = Vec::with_capacity(nodes.len());
    for node in nodes {
        hashes.push(subtree(connection, node).await?.into());
    }
    Ok(hashes)
}

async fn consistency(connection: &mut PgConnection, note: &str, size: u64) -> Result<Consistency, BundleError> {
    let Some(Checkpoint { size: old, .. }) = unverified(note) else {
        return Err(BundleError::Checkpoint("is no signed checkpoint".to_owned()));
    };
    if old > size {
        let why = format!("has {old} leaves and the database only {size}: the database was set back");
        return Err(BundleError::Checkpoint(why));
    }
    let proof = hashes(connection, consistency_nodes(old, size)).await?;
    Ok(Consistency { checkpoint: note.to_owned(), proof })
}

async fn documents<W: io::Write>(connection: &mut PgConnection, lines: &mut Lines<W>) -> Result<(), BundleError> {
    let format = Document { name: "FORMAT.md".to_owned(), text: FORMAT.to_owned() };
    lines.put(&Line::Document(format))?;
    let stored: Vec<(String, String, String)> =
        query_as("SELECT digest, name, text FROM document ORDER BY since").fetch_all(connection).await?;
    for (digest, name, text) in stored {
        lines.put(&Line::Document(Document { name: format!("{digest}/{name}"), text }))?;
    }
    Ok(())
}

async fn chunk<W: io::Write>(
    connection: &mut PgConnection,
    span: Span,
    keys: &Keys,
    lines: &mut Lines<W>,
) -> Result<(), BundleError> {
    let leaves: Vec<(i64, Vec<u8>)> =
        query_as("SELECT leaf_index, bytes FROM leaf WHERE leaf_index >= $1 AND leaf_index < $2 ORDER BY leaf_index")
            .bind(signed(span.start))
            .bind(signed(span.end))
            .fetch_all(&mut *connection)
            .await?;
    let read: Vec<(u64, Vec<u8>, Option<Leaf>)> = leaves
        .into_iter()
        .map(|(index, bytes)| (u64::try_from(index).unwrap_or_default(), Leaf::read(&bytes), bytes))
        .map(|(index, leaf, bytes)| (index, bytes, leaf))
        .collect();
    let of = |kind| read.iter().filter_map(|(_, _, leaf)| leaf.as_ref()).filter(move |leaf| leaf.kind == kind);
    let ids = |kind| of(kind).filter_map(|leaf| Some((leaf.record, occurred_at(leaf.record)?))).unzip();
    let (begins, begin_times): (Vec<Uuid>, Vec<OffsetDateTime>) = ids(Kind::Begin);
    let (ends, end_times): (Vec<Uuid>, Vec<OffsetDateTime>) = ids(Kind::End);
    let begin_rows = begin_rows(connection, (&begins, &begin_times)).await?;
    let end_rows = end_rows(connection, (&ends, &end_times)).await?;
    let all: (Vec<Uuid>, Vec<OffsetDateTime>) = ([begins, ends].concat(), [begin_times, end_times].concat());
    let payloads = payloads(connection, (&all.0, &all.1), keys).await?;
    for (index, bytes, leaf) in read {
        lines.put(&Line::Leaf(LeafLine { index, bytes: Base64(bytes) }))?;
        let Some(leaf) = leaf else { continue };
        let told = match leaf.kind {
            Kind::Begin => begin_rows.get(&leaf.record).cloned(),
            Kind::End => end_rows.get(&leaf.record).cloned(),
            Kind::Loss => loss_row(connection, &leaf).await?,
            Kind::Duplicate | Kind::StreamOpen | Kind::StreamClose => {
                let place = PlaceText { stream: leaf.stream, sequence: signed(leaf.sequence) };
                Some((Some(Vec::new()), row::text(&place))).filter(|_| leaf.kind != Kind::Duplicate)
            }
            _ => event_row(connection, leaf.record).await?,
        };
        if let Some((Some(salt), text)) = told {
            lines.put(&Line::Row(RowLine { index, salt: Base64(salt), text }))?;
        }
        for kept in leaf.parts.iter().filter_map(|part| payloads.get(&(leaf.record, part.name.clone()))) {
            if let Kept { part, salt: Some(salt), bytes } = kept {
                let (salt, bytes) = (Base64(salt.clone()), Base64(bytes.clone()));
                lines.put(&Line::Payload(PayloadLine { index, part: part.clone(), salt, bytes }))?;
            }
        }
    }
    Ok(())
}

/// Events beside the bundle's leaves that may say why something in it is gone.
async fn events_elsewhere<W: io::Write>(
    connection: &mut PgConnection,
    span: Span,
    size: u64,
    lines: &mut Lines<W>,
) -> Result<(), BundleError> {
    let events: Vec<(i64, Vec<u8>, String, Vec<u8>)> = query_as(
        "SELECT l.leaf_index, l.bytes, e.text, e.salt
         FROM event e JOIN leaf l ON l.record = e.id
         WHERE (l.leaf_index < $1 OR l.leaf_index >= $2)
           AND (e.kind = 'retention_drop' OR (e.kind = 'erase' AND EXISTS (
                SELECT FROM leaf of WHERE of.record = e.exchange AND of.leaf_index >= $1 AND of.leaf_index < $2)))
         ORDER BY l.leaf_index",
    )
    .bind(signed(span.start))
    .bind(signed(span.end))
    .fetch_all(&mut *connection)
    .await?;
    for (index, bytes, text, salt) in events {
        let index = u64::try_from(index).unwrap_or_default();
        let proof = hashes(connection, inclusion_nodes(index, size)).await?;
        let event = EventLine { index, bytes: Base64(bytes), proof, salt: Base64(salt), text };
        lines.put(&Line::Event(event))?;
    }
    Ok(())
}

/// Exchanges that have a row and no leaf: they wait for the sealer, or somebody has put them there by hand.
async fn unsealed<W: io::Write>(
    connection: &mut PgConnection,
    wish: Wish,
    lines: &mut Lines<W>,
) -> Result<u64, BundleError> {
    let (since, until) = match wish {
        Wish::All => (None, None),
        Wish::Between(since, until) => (Some(since), Some(until)),
    };
    let rows: Vec<Uuid> = query_scalar(
        "SELECT b.exchange FROM record_begin b
         WHERE ($1::timestamptz IS NULL OR b.occurred_at >= $1) AND ($2::timestamptz IS NULL OR b.occurred_at < $2)
           AND NOT EXISTS (SELECT FROM leaf WHERE leaf.record = b.exchange)",
    )
    .persistent(false)
    .bind(since)
    .bind(until)
    .fetch_all(connection)
    .await?;
    for exchange in &rows {
        lines.put(&Line::Unsealed(*exchange))?;
    }
    Ok(rows.len() as u64)
}
