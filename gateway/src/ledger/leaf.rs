//! What one leaf says, as bytes and back. It commits to rows and payloads and holds neither.
//!
//! All numbers are big-endian: magic "CDL1", kind 1, log 16, record 16, stream 16, sequence 8, time 8 (signed
//! microseconds since 1970), hash of the row 32, number of payloads 1, then for each the length of its name 1, the name,
//! its size 8 and its hash 32.

use uuid::Uuid;

use super::hash::Hash;

const MAGIC: [u8; 4] = *b"CDL1";

/// What a leaf is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// An exchange began.
    Begin,
    /// An exchange ended.
    End,
    /// Frames were lost, counted.
    Loss,
    /// A frame that came twice under two numbers; the first one stands.
    Duplicate,
    /// A replica began a stream of records.
    StreamOpen,
    /// A stream is stored as a whole; its sequence is the last one.
    StreamClose,
    /// A reviewer decided.
    Decision,
    /// Somebody looked at payloads.
    Reveal,
    /// Records must not be erased.
    Hold,
    /// They may be again.
    Release,
    /// Payloads were erased, with their salts.
    Erase,
    /// A partition was dropped because its time was up.
    RetentionDrop,
    /// Other rules are in force.
    PolicyChange,
    /// Checkpoints are signed by another key.
    KeyRotation,
    /// A caller got a key.
    KeyCreate,
    /// A caller's key is good no longer.
    KeyRevoke,
}

impl Kind {
    /// All of them, in the order of their codes, which begin at 1.
    pub const ALL: [Self; 16] = [
        Self::Begin,
        Self::End,
        Self::Loss,
        Self::Duplicate,
        Self::StreamOpen,
        Self::StreamClose,
        Self::Decision,
        Self::Reveal,
        Self::Hold,
        Self::Release,
        Self::Erase,
        Self::RetentionDrop,
        Self::PolicyChange,
        Self::KeyRotation,
        Self::KeyCreate,
        Self::KeyRevoke,
    ];

    /// Those that happen to records, or to what they are made under, beside the traffic: rows of `event`.
    pub fn events() -> impl Iterator<Item = Self> {
        let of_streams = |kind: &Self| {
            use Kind::{Begin, Duplicate, End, Loss, StreamClose, StreamOpen};
            matches!(kind, Begin | End | Loss | Duplicate | StreamOpen | StreamClose)
        };
        Self::ALL.into_iter().filter(move |kind| !of_streams(kind))
    }

    /// Its name in tables and bundles.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::End => "end",
            Self::Loss => "loss",
            Self::Duplicate => "duplicate",
            Self::StreamOpen => "stream_open",
            Self::StreamClose => "stream_close",
            Self::Decision => "decision",
            Self::Reveal => "reveal",
            Self::Hold => "hold",
            Self::Release => "release",
            Self::Erase => "erase",
            Self::RetentionDrop => "retention_drop",
            Self::PolicyChange => "policy_change",
            Self::KeyRotation => "key_rotation",
            Self::KeyCreate => "key_create",
            Self::KeyRevoke => "key_revoke",
        }
    }

    /// The kind of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    fn code(self) -> u8 {
        Self::ALL.iter().zip(1..).find(|(kind, _)| **kind == self).map_or(0, |(_, code)| code)
    }

    fn coded(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }
}

/// What a leaf says of one payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Which payload: `request`, `received` ...
    pub name: String,
    /// Its bytes, uncompressed.
    pub size: u64,
    /// [`Hash::payload`] of it.
    pub hash: Hash,
}

/// One leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// What it is about.
    pub kind: Kind,
    /// The ledger it was made for.
    pub log: Uuid,
    /// The exchange, or the event.
    pub record: Uuid,
    /// The stream that it came by; nil for events.
    pub stream: Uuid,
    /// Its number in the stream; 0 for events.
    pub sequence: u64,
    /// When it happened, in microseconds since 1970.
    pub time: i64,
    /// [`Hash::row`] of its row.
    pub row: Hash,
    /// Its payloads.
    pub parts: Vec<Part>,
}

impl Leaf {
    /// The bytes that are hashed into the tree.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(102 + self.parts.len() * 56);
        out.extend_from_slice(&MAGIC);
        out.push(self.kind.code());
        out.extend_from_slice(self.log.as_bytes());
        out.extend_from_slice(self.record.as_bytes());
        out.extend_from_slice(self.stream.as_bytes());
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.time.to_be_bytes());
        out.extend_from_slice(&self.row.0);
        // Names and numbers of parts are the gateway's own: fewer than a dozen, none longer than a word.
        out.push(u8::try_from(self.parts.len()).unwrap_or(u8::MAX));
        for part in self.parts.iter().take(usize::from(u8::MAX)) {
            let name = part.name.as_bytes().get(..part.name.len().min(255)).unwrap_or_default();
            out.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
            out.extend_from_slice(name);
            out.extend_from_slice(&part.size.to_be_bytes());
            out.extend_from_slice(&part.hash.0);
        }
        out
    }

    /// Reads a leaf's bytes; `None` for anything that [`Leaf::write`] does not write.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = Rest(bytes);
        if rest.take::<4>()? != MAGIC {
            return None;
        }
        let [kind] = rest.take()?;
        let leaf = Self {
            kind: Kind::coded(kind)?,
            log: Uuid::from_bytes(rest.take()?),
            record: Uuid::from_bytes(rest.take()?),
            stream: Uuid::from_bytes(rest.take()?),
            sequence: u64::from_be_bytes(rest.take()?),
            time: i64::from_be_bytes(rest.take()?),
            row: Hash(rest.take()?),
            parts: rest.parts()?,
        };
        rest.0.is_empty().then_some(leaf)
    }
}

/// Bytes that have not been read yet.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    fn parts(&mut self) -> Option<Vec<Part>> {
        let [count] = self.take()?;
        (0..count).map(|_| self.part()).collect()
    }

    fn part(&mut self) -> Option<Part> {
        let [length] = self.take()?;
        let (name, rest) = self.0.split_at_checked(usize::from(length))?;
        self.0 = rest;
        let name = std::str::from_utf8(name).ok()?.to_owned();
        Some(Part { name, size: u64::from_be_bytes(self.take()?), hash: Hash(self.take()?) })
    }
}
