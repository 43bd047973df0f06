//! What a reply was seen to carry, frame by frame or whole, whatever its dialect.

use std::ops::Range;

use super::{Channel, Written};

/// What one frame of a stream, or one whole reply, was seen to carry.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    /// Runs of text in the order they stand.
    pub deltas: Vec<Delta>,
    /// Tool calls that begin here, in that order, where the number of a call does not tell it from others.
    pub calls: Vec<CallBegin>,
    /// Where values stand that repeat the texts token by token; they must not outlive a text that is changed.
    pub echoes: Vec<Range<usize>>,
    /// Choices that ended here, with the upstream's reason.
    pub finishes: Vec<(u32, String)>,
    /// Token counts.
    pub usage: Option<Usage>,
    /// The model that the upstream says answered.
    pub model: Option<String>,
    /// The upstream's id of the reply.
    pub id: Option<String>,
    /// An error object inside the reply, as its JSON text.
    pub error: Option<String>,
    /// Whether this carries meaning: text, tool calls, a finish or an error; not a role, usage or padding alone.
    pub semantic: bool,
    /// Whether it is the last event of its stream.
    pub last: bool,
}

/// The beginning of a tool call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallBegin {
    /// Which of `n` choices.
    pub choice: u32,
    /// The number that its runs of text have as their part.
    pub part: u32,
    /// Its id; empty where its server gives none.
    pub id: String,
    /// Whether it comes with any of its arguments.
    pub says: bool,
    /// How many runs of text stand before it.
    pub after: usize,
}

/// A run of text in a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    /// Which of `n` choices.
    pub choice: u32,
    /// Which channel.
    pub channel: Channel,
    /// Which tool call of the choice; 0 for other channels.
    pub part: u32,
    /// The text, unescaped.
    pub text: String,
    /// Where it stands in the bytes it was read from, quotes included.
    pub at: Range<usize>,
    /// How it stands there.
    pub written: Written,
    /// Whether it is all of that text once more, not the next piece of it.
    pub repeats: bool,
}

/// Token counts as the upstream gave them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt, cached ones included.
    pub prompt: Option<u64>,
    /// Tokens of the completion, reasoning included.
    pub completion: Option<u64>,
    /// Tokens of reasoning among the completion's.
    pub reasoning: Option<u64>,
    /// Prompt tokens that came from a cache.
    pub cached: Option<u64>,
    /// Prompt tokens that were written to a cache.
    pub written: Option<u64>,
}

impl Usage {
    /// These counts, and those of an earlier one where these say nothing.
    #[must_use]
    pub fn or(self, earlier: Self) -> Self {
        Self {
            prompt: self.prompt.or(earlier.prompt),
            completion: self.completion.or(earlier.completion),
            reasoning: self.reasoning.or(earlier.reasoning),
            cached: self.cached.or(earlier.cached),
            written: self.written.or(earlier.written),
        }
    }
}
