//! The texts of an exchange, read again from the bytes that are kept of it. It looks nothing up.

use serde::{Deserialize, Serialize};

use super::trace::{Payload, Trace};
use crate::dialect;
use crate::exchange::{Channel, Dialect};

/// One text of one channel. Spans of findings and evidence are bytes of `text`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// Which choice; 0 for prompts.
    pub choice: u32,
    /// Which channel, by its name in records.
    pub channel: String,
    /// Which passage of the prompt, or which tool call of the choice.
    pub part: u32,
    /// Who said it, for prompts.
    pub role: Option<String>,
    /// What it is to the model where that is no plain content, for prompts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Bytes at its start that the gateway wrote.
    #[serde(default)]
    pub authored_bytes: usize,
    /// The text.
    pub text: String,
}

/// Why there are no texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Absent {
    /// Nothing of that kind was recorded.
    NotRecorded,
    /// The bytes are damaged, or packed by a newer program.
    Unreadable,
    /// The bytes are there but are no message of their dialect.
    Malformed,
}

impl Absent {
    /// What a reader is told.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotRecorded => "nothing was recorded",
            Self::Unreadable => "the recorded bytes cannot be unpacked",
            Self::Malformed => "the recorded bytes are no message of their dialect",
        }
    }
}

impl Trace {
    /// The prompt's passages in the order that findings number them.
    ///
    /// # Errors
    /// Why there are none.
    pub fn prompt(&self) -> Result<Vec<Text>, Absent> {
        let raw = self.bytes("request")?;
        let dialect = Dialect::named(&self.record.dialect);
        let request = dialect.and_then(|dialect| dialect::read_request(dialect, raw.to_vec().into()).ok());
        let messages = request.ok_or(Absent::Malformed)?.messages;
        let passages = messages.into_iter().flat_map(|message| {
            let role = message.role;
            message.passages.into_iter().map(move |passage| (role.clone(), passage))
        });
        let text = |((role, passage), part): ((String, crate::exchange::Passage), u32)| Text {
            choice: 0,
            channel: Channel::Prompt.name().to_owned(),
            part,
            role: Some(role),
            kind: (passage.role != Channel::Answer).then(|| passage.role.name().to_owned()),
            authored_bytes: 0,
            text: passage.text,
        };
        Ok(passages.zip(0..).map(text).collect())
    }

    /// The reply's texts: reasoning, answer, tools, refusal.
    ///
    /// # Errors
    /// Why there are none.
    pub fn reply(&self) -> Result<Vec<Text>, Absent> {
        serde_json::from_slice(self.bytes("segments")?).map_err(|_| Absent::Malformed)
    }

    /// The bytes of one part.
    ///
    /// # Errors
    /// Why there are none.
    pub fn bytes(&self, part: &str) -> Result<&[u8], Absent> {
        match self.payloads.get(part) {
            Some(Payload::Whole(bytes)) => Ok(bytes),
            Some(Payload::Unreadable) => Err(Absent::Unreadable),
            None => Err(Absent::NotRecorded),
        }
    }
}
