//! The lines of an evidence bundle: JSON, one object a line, each with one key that says what it is. `FORMAT.md` beside
//! this file is the description that goes into every bundle. It judges nothing.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::hash::Hash;

/// The version of the format that this program writes and reads.
pub const VERSION: u32 = 1;

/// What an auditor needs to read bundles with a program of his own.
pub const FORMAT: &str = include_str!("FORMAT.md");

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// What the bundle is; always the first line.
    Bundle(Head),
    /// A key that the ledger has signed with, as [`super::checkpoint::Verifier`] writes it.
    Key(String),
    /// The signed head that everything is proven against.
    Checkpoint(String),
    /// The hashes beside the bundle's leaves, from left to right.
    Range(Vec<Base64>),
    /// That an earlier signed head is the beginning of the bundle's.
    Consistency(Consistency),
    /// A leaf; they come without a gap.
    Leaf(LeafLine),
    /// The row that a leaf commits to, where it is still there.
    Row(RowLine),
    /// A payload that a leaf commits to, where it is still there.
    Payload(PayloadLine),
    /// An event whose leaf lies outside the bundle's range.
    Event(EventLine),
    /// An exchange in the bundle's time that has rows and no leaf yet.
    Unsealed(Uuid),
    /// A text that explains: this format, rules that were in force.
    Document(Document),
    /// How many lines came before; always the last line.
    End(u64),
}

/// What a bundle is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Of the format.
    pub version: u32,
    /// The ledger's id, which every leaf names.
    pub log: Uuid,
    /// The ledger's name, which every checkpoint names.
    pub origin: String,
    /// When the bundle was made, in microseconds since 1970.
    pub made_at: i64,
    /// The first leaf in it.
    pub from: u64,
    /// The one behind the last.
    pub until: u64,
    /// Leaves of the tree that it is proven against.
    pub size: u64,
}

/// That one head is the beginning of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consistency {
    /// The earlier head's signed note.
    pub checkpoint: String,
    /// The proof, as RFC 6962 has it.
    pub proof: Vec<Base64>,
}

/// A leaf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeafLine {
    /// Its place in the tree.
    pub index: u64,
    /// [`super::leaf::Leaf`], written.
    pub bytes: Base64,
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowLine {
    /// Its leaf.
    pub index: u64,
    /// What was hashed before it.
    pub salt: Base64,
    /// [`super::row`]'s text: the very bytes that were hashed.
    pub text: String,
}

/// A payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PayloadLine {
    /// Its leaf.
    pub index: u64,
    /// Its name there.
    pub part: String,
    /// What was hashed before it.
    pub salt: Base64,
    /// The bytes, uncompressed.
    pub bytes: Base64,
}

/// An event from elsewhere in the tree: it may explain why something is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventLine {
    /// Its leaf's place in the tree.
    pub index: u64,
    /// The leaf, written.
    pub bytes: Base64,
    /// Its audit path, as RFC 6962 has it.
    pub proof: Vec<Base64>,
    /// What was hashed before the row.
    pub salt: Base64,
    /// The row's text.
    pub text: String,
}

/// A text that explains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// What it would be called as a file.
    pub name: String,
    /// What it says.
    pub text: String,
}

/// Bytes that are base64 in JSON: the standard alphabet, padded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Base64(pub Vec<u8>);

impl Base64 {
    /// The hash that these bytes are, where they are one.
    #[must_use]
    pub fn hash(&self) -> Option<Hash> {
        Hash::read(&self.0)
    }
}

impl From<Hash> for Base64 {
    fn from(hash: Hash) -> Self {
        Self(hash.0.to_vec())
    }
}

impl Serialize for Base64 {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use base64::Engine as _;
        serializer.serialize_str(&base64::engine::general_purpose::STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use base64::Engine as _;
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let bytes = base64::engine::general_purpose::STANDARD.decode(text.as_bytes());
        bytes.map(Self).map_err(|_| serde::de::Error::custom("not base64"))
    }
}
