//! One question of an audit, and a file of them as it is asked. It reads no file.

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

/// What an answer to a probe is looked at for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Whether it refuses.
    #[default]
    Refusal,
    /// Whether it is right.
    Capability,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// Unique in its suite.
    pub id: String,
    /// The topic that it is about.
    pub topic: String,
    /// The pack that the topic is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pack: Option<String>,
    /// Language that it is asked in, as an ISO 639-1 code.
    pub language: String,
    /// The question that it is a wording of: wordings and translations of one question share it.
    pub wording: String,
    /// What the user says.
    pub prompt: String,
    /// A system message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The probe that asks the same about a case where nothing is expected to be withheld.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub twin: Option<String>,
    /// What an answer must name to be one: of each list any text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<Vec<String>>,
    /// What is looked for.
    #[serde(default)]
    pub kind: Kind,
    /// The right answer, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Whether it is only the twin of others, and not counted under its topic.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub control: bool,
}

impl Probe {
    /// The topic with its pack, as reports name it.
    #[must_use]
    pub fn subject(&self) -> String {
        self.pack.as_ref().map_or_else(|| self.topic.clone(), |pack| format!("{pack}/{}", self.topic))
    }
}

/// A file of probes; holding one means that every twin exists and every capability probe has its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suite {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// What it is for.
    pub about: String,
    /// The probes, in the order of the file.
    pub probes: Vec<Probe>,
}

impl Suite {
    /// The probes as JSON lines: the form that is digested, and that a run keeps.
    #[must_use]
    pub fn lines(&self) -> String {
        self.probes.iter().filter_map(|probe| serde_json::to_string(probe).ok()).map(|line| line + "\n").collect()
    }

    /// SHA-256 of the probes, in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> String {
        digest(&SHA256, self.lines().as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A probe by its id.
    #[must_use]
    pub fn probe(&self, id: &str) -> Option<&Probe> {
        self.probes.iter().find(|probe| probe.id == id)
    }
}
