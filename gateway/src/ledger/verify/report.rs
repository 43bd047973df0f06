//! What verifying a bundle comes to, as data.

use std::collections::BTreeMap;

use serde::Serialize;
use uuid::Uuid;

/// What is left of one record, or of one payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// All of it is there, as it was.
    PresentVerified,
    /// Its time was up.
    ExpiredUnderPolicy,
    /// Somebody who was allowed to has erased it.
    ErasedUnderAuthority,
    /// It is gone and nothing says why.
    Missing,
    /// It is not what was recorded.
    Altered,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::PresentVerified, Self::ExpiredUnderPolicy, Self::ErasedUnderAuthority, Self::Missing, Self::Altered];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PresentVerified => "present-verified",
            Self::ExpiredUnderPolicy => "expired-under-policy",
            Self::ErasedUnderAuthority => "erased-under-authority",
            Self::Missing => "missing",
            Self::Altered => "altered",
        }
    }
}

/// How grave a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// Something is not there that should be.
    Incomplete,
    /// Something is there that is not as it was.
    Invalid,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How grave it is.
    pub grade: Grade,
    /// What it is.
    pub what: String,
}

/// What became of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// Everything holds, under a key or a checkpoint that the auditor brought.
    Verified,
    /// Everything holds, but nothing that he brought says that this is the ledger.
    Unanchored,
    /// Something is missing.
    Incomplete,
    /// Something was changed.
    Invalid,
}

/// All that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// In one word.
    pub conclusion: Conclusion,
    /// The ledger's name.
    pub origin: String,
    /// Leaves in the bundle.
    pub leaves: u64,
    /// Leaves of the tree.
    pub size: u64,
    /// Name of the key that the head is signed with.
    pub signed_by: Option<String>,
    /// Checkpoints of the auditor that agree.
    pub anchors: usize,
    /// Number of records by what is left of them.
    pub records: BTreeMap<&'static str, u64>,
    /// Every record that is not wholly there, and what is left of it.
    pub exceptions: BTreeMap<Uuid, Status>,
    /// Exchanges that were running when the bundle was made.
    pub running: u64,
    /// Exchanges that had no leaf yet.
    pub unsealed: u64,
    /// What is wrong, the gravest first; of many of a kind the first hundred.
    pub problems: Vec<Problem>,
}
