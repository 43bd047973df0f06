//! The sealer: leaves that wait get dense numbers and a signed head over them. One gateway at a time does so, whichever
//! comes first; being killed in the middle leaves nothing half done.

use sqlx::postgres::PgBindIterExt;
use sqlx::{PgConnection, query, query_as, query_scalar};
use uuid::Uuid;

use super::rows::signed;
use super::{Error, Store};
use crate::ledger::checkpoint::{Checkpoint, Signer};
use crate::ledger::hash::Hash;
use crate::ledger::leaf::{Kind, Leaf};
use crate::ledger::tree::{Frontier, Node, Span};

/// Leaves after which a transaction takes no further batch of them.
const ENOUGH: i64 = 10_000;

/// Levels of nodes that are stored: a subtree of any size is then made of 255 rows at most for each such level.
const STEP: u32 = 8;

/// What became of a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// Another gateway was at it.
    Busy,
    /// Nothing waited, and the head is signed by this key already.
    Idle,
    /// The tree has a new head, or this key has signed the one it had.
    Sealed(Signed),
}

/// A head that was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// The note.
    pub note: String,
    /// How many leaves were added.
    pub added: u64,
    /// Whether leaves were left for the next turn.
    pub more: bool,
}

/// Why nothing is sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SealError {
    /// The database is away or not migrated.
    Store(Error),
    /// The database's tree is not a continuation of the head that this gateway knows: somebody has put an older or
    /// another state in its place.
    Rewound {
        /// Leaves of the head that is known.
        known: u64,
        /// Leaves that the database has.
        found: u64,
    },
}

impl std::fmt::Display for SealError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Store(error) => write!(formatter, "{error}"),
            Self::Rewound { known, found } if found < known => write!(
                formatter,
                "the ledger was signed with {known} leaves and the database has {found}: it was set back"
            ),
            Self::Rewound { known, .. } => write!(
                formatter,
                "the first {known} leaves in the database are not those that were signed: they were replaced"
            ),
        }
    }
}

impl std::error::Error for SealError {}

impl<E: Into<Error>> From<E> for SealError {
    fn from(error: E) -> Self {
        Self::Store(error.into())
    }
}

/// The tree as the database has it.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) log: Uuid,
    pub(super) origin: String,
    pub(super) frontier: Frontier,
}

/// Seals what waits, as much as one transaction takes. `known` is the newest head that this gateway has signed or seen;
/// a database that does not continue it is not signed.
///
/// # Errors
/// The database is away, or was set back.
pub async fn seal(store: &Store, signer: &Signer, known: Option<&Checkpoint>) -> Result<Turn, SealError> {
    let mut transaction = store.pool.begin().await?;
    let first: bool = query_scalar("SELECT pg_try_advisory_xact_lock(7164098312)").fetch_one(&mut *transaction).await?;
    if !first {
        return Ok(Turn::Busy);
    }
    let Stored { log, origin, mut frontier } = stored(&mut transaction).await?;
    check(&mut transaction, &frontier, known).await?;
    let key = signer.verifier().to_string();
    introduce(&mut transaction, log, &key).await?;
    let leaves = take(&mut transaction).await?;
    let added = leaves.len() as u64;
    if added == 0 {
        let idle: bool = query_scalar("SELECT EXISTS (SELECT FROM checkpoint WHERE size = $1 AND key = $2)")
            .bind(signed(frontier.size()))
            .bind(&key)
            .fetch_one(&mut *transaction)
            .await?;
        if idle {
            return Ok(Turn::Idle);
        }
    }
    append(&mut transaction, &mut frontier, &leaves).await?;
    let checkpoint = Checkpoint { origin, size: frontier.size(), root: frontier.root() };
    let note = signer.sign(&checkpoint);
    query("INSERT INTO checkpoint (size, key, note) VALUES ($1, $2, $3)")
        .bind(signed(checkpoint.size))
        .bind(&key)
        .bind(&note)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(Turn::Sealed(Signed { checkpoint, note, added, more: signed(added) >= ENOUGH }))
}

/// The tree's right edge.
pub(super) async fn stored(connection: &mut PgConnection) -> Result<Stored, Error> {
    let (log, origin, size, roots): (Uuid, String, i64, Vec<u8>) =
        query_as("SELECT log, origin, size, roots FROM ledger").fetch_one(connection).await?;
    let roots = roots.chunks(32).map(Hash::read).collect::<Option<Vec<_>>>();
    let frontier = roots.and_then(|roots| Frontier::read(u64::try_from(size).ok()?, roots));
    let frontier = frontier.ok_or_else(|| Error::Refused("the ledger's head is damaged".to_owned()))?;
    Ok(Stored { log, origin, frontier })
}

/// Whether the tree continues a head that is known.
async fn check(
    connection: &mut PgConnection,
    frontier: &Frontier,
    known: Option<&Checkpoint>,
) -> Result<(), SealError> {
    let Some(known) = known else { return Ok(()) };
    let found = frontier.size();
    let same = match found {
        found if found < known.size => false,
        found if found == known.size => frontier.root() == known.root,
        _ => subtree(connection, Span { start: 0, end: known.size }).await? == known.root,
    };
    if same { Ok(()) } else { Err(SealError::Rewound { known: known.size, found }) }
}

/// A key that signs here for the first time is told to the ledger itself.
async fn introduce(connection: &mut PgConnection, log: Uuid, key: &str) -> Result<(), Error> {
    let new = query("INSERT INTO signing_key (key) VALUES ($1) ON CONFLICT DO NOTHING")
        .bind(key)
        .execute(&mut *connection)
        .await?;
    if new.rows_affected() > 0 {
        #[derive(serde::Serialize)]
        struct Rotation<'a> {
            key: &'a str,
        }
        super::events::add(connection, log, Kind::KeyRotation, None, &Rotation { key }).await?;
    }
    Ok(())
}

/// Takes the leaves that have waited longest, whole batches of them.
async fn take(connection: &mut PgConnection) -> Result<Vec<Vec<u8>>, Error> {
    let mut batches: Vec<(i64, Vec<Vec<u8>>)> = query_as(
        "DELETE FROM pending WHERE id IN (
             SELECT id FROM (
                 SELECT id, sum(count) OVER (ORDER BY id) - count AS before
                 FROM (SELECT id, count FROM pending ORDER BY id LIMIT $1) AS oldest) AS run
             WHERE before < $1)
         RETURNING id, leaves",
    )
    .bind(ENOUGH)
    .fetch_all(connection)
    .await?;
    batches.sort_unstable_by_key(|(id, _)| *id);
    Ok(batches.into_iter().flat_map(|(_, leaves)| leaves).collect())
}

/// Puts leaves at the right edge.
async fn append(connection: &mut PgConnection, frontier: &mut Frontier, leaves: &[Vec<u8>]) -> Result<(), Error> {
    let start = frontier.size();
    let mut nodes: Vec<Node> = Vec::new();
    for leaf in leaves {
        frontier.push_and_note(Hash::leaf(leaf), |node| {
            if node.level % STEP == 0 {
                nodes.push(node);
            }
        });
    }
    query("INSERT INTO leaf (leaf_index, record, bytes) SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::bytea[])")
        .bind((start..frontier.size()).map(signed).bind_iter())
        .bind(leaves.iter().map(|leaf| Leaf::read(leaf).map_or(Uuid::nil(), |leaf| leaf.record)).bind_iter())
        .bind(leaves.iter().map(Vec::as_slice).bind_iter())
        .execute(&mut *connection)
        .await?;
    query("INSERT INTO node (level, node_index, hash) SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bytea[])")
        .bind(nodes.iter().map(|node| i16::try_from(node.level).unwrap_or(i16::MAX)).bind_iter())
        .bind(nodes.iter().map(|node| signed(node.index)).bind_iter())
        .bind(nodes.iter().map(|node| node.hash.0).bind_iter())
        .execute(&mut *connection)
        .await?;
    query("UPDATE ledger SET size = $1, roots = $2")
        .bind(signed(frontier.size()))
        .bind(frontier.roots().iter().flat_map(|root| root.0).collect::<Vec<u8>>())
        .execute(connection)
        .await?;
    Ok(())
}

/// The hash of the tree over some leaves.
pub(super) async fn subtree(connection: &mut PgConnection, span: Span) -> Result<Hash, Error> {
    // The right edge of a span that begins with a whole subtree is its fewest whole subtrees, joined from the right.
    let mut roots = Vec::new();
    for (level, index) in span.whole() {
        roots.push(whole(connection, level, index).await?);
    }
    let mut roots = roots.into_iter().rev();
    let Some(last) = roots.next() else { return Ok(Hash::empty()) };
    Ok(roots.fold(last, |right, left| Hash::node(&left, &right)))
}

/// The root of a whole subtree, from the nearest level below it that is stored.
async fn whole(connection: &mut PgConnection, level: u32, index: u64) -> Result<Hash, Error> {
    let below = level / STEP * STEP;
    let (start, end) = (index << (level - below), (index + 1) << (level - below));
    let hashes: Vec<Hash> = if below == 0 {
        let leaves: Vec<Vec<u8>> =
            query_scalar("SELECT bytes FROM leaf WHERE leaf_index >= $1 AND leaf_index < $2 ORDER BY leaf_index")
                .bind(signed(start))
                .bind(signed(end))
                .fetch_all(connection)
                .await?;
        leaves.iter().map(|leaf| Hash::leaf(leaf)).collect()
    } else {
        let nodes: Vec<Vec<u8>> = query_scalar(
            "SELECT hash FROM node WHERE level = $1 AND node_index >= $2 AND node_index < $3 ORDER BY node_index",
        )
        .bind(i16::try_from(below).unwrap_or(i16::MAX))
        .bind(signed(start))
        .bind(signed(end))
        .fetch_all(connection)
        .await?;
        nodes.iter().filter_map(|hash| Hash::read(hash)).collect()
    };
    if hashes.len() as u64 != end - start {
        return Err(Error::Refused(format!("the ledger lacks hashes of level {below}, {start} to {end}")));
    }
    let mut level = hashes;
    while level.len() > 1 {
        level = level.chunks(2).filter_map(|pair| Some(Hash::node(pair.first()?, pair.get(1)?))).collect();
    }
    level.first().copied().ok_or_else(|| Error::Refused("the ledger lacks a hash".to_owned()))
}

/// How many leaves are sealed, and how many wait.
///
/// # Errors
/// The database is away or not migrated.
pub async fn waiting(store: &Store) -> Result<(u64, u64), Error> {
    let (sealed, pending): (i64, i64) =
        query_as("SELECT size, (SELECT coalesce(sum(count), 0)::bigint FROM pending) FROM ledger")
            .fetch_one(&store.pool)
            .await?;
    Ok((u64::try_from(sealed).unwrap_or_default(), u64::try_from(pending).unwrap_or_default()))
}

/// Where the ledger stands.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Standing {
    /// Its name.
    pub origin: String,
    /// Leaves in the tree.
    pub sealed: i64,
    /// Leaves that wait for the sealer.
    pub pending: i64,
    /// The newest head's signed note.
    pub note: Option<String>,
    /// When it was signed.
    #[serde(with = "time::serde::rfc3339::option")]
    pub signed: Option<time::OffsetDateTime>,
    /// Keys that have signed.
    pub keys: Vec<String>,
    /// Streams of records, newest first.
    pub streams: Vec<Stream>,
}

/// One stream of records.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Stream {
    /// Its id.
    pub stream: Uuid,
    /// The last number that is stored.
    pub last: i64,
    /// When its gateway was last heard of.
    #[serde(with = "time::serde::rfc3339")]
    pub heartbeat: time::OffsetDateTime,
    /// When it was stored as a whole.
    #[serde(with = "time::serde::rfc3339::option")]
    pub closed: Option<time::OffsetDateTime>,
}

/// Streams that are told at most.
const STREAMS: i64 = 100;

/// Where the ledger stands.
///
/// # Errors
/// The database is away or not migrated.
pub async fn standing(store: &Store) -> Result<Standing, Error> {
    let mut connection = store.pool.acquire().await?;
    let Stored { origin, frontier, .. } = stored(&mut connection).await?;
    let pending =
        query_scalar("SELECT coalesce(sum(count), 0)::bigint FROM pending").fetch_one(&mut *connection).await?;
    let newest: Option<(String, time::OffsetDateTime)> =
        query_as("SELECT note, signed FROM checkpoint ORDER BY size DESC, signed DESC LIMIT 1")
            .fetch_optional(&mut *connection)
            .await?;
    let keys = query_scalar("SELECT key FROM signing_key ORDER BY since").fetch_all(&mut *connection).await?;
    let streams: Vec<(Uuid, i64, time::OffsetDateTime, Option<time::OffsetDateTime>)> =
        query_as("SELECT stream, last_sequence, heartbeat, closed FROM stream ORDER BY opened DESC LIMIT $1")
            .bind(STREAMS)
            .fetch_all(&mut *connection)
            .await?;
    let stream = |(stream, last, heartbeat, closed)| Stream { stream, last, heartbeat, closed };
    Ok(Standing {
        origin,
        sealed: signed(frontier.size()),
        pending,
        signed: newest.as_ref().map(|(_, signed)| *signed),
        note: newest.map(|(note, _)| note),
        keys,
        streams: streams.into_iter().map(stream).collect(),
    })
}
