//! Content rules and verdicts: text in, findings and verdicts out. No I/O, no clock, no runtime.
//!
//! Code map, in reading order: `source` is the pack format, `compile` makes a [`Ruleset`] of packs and names every
//! mistake, `conditions` and `expression` say for which exchanges a rule holds and `facts` what they are asked about,
//! `demand` and `message` what a rule wants beside its action, `normalise` says how text is read, `matcher` holds the automata, `selection` is the rules that watch one exchange, `plan` what one channel of it
//! is searched for, `scan` feeds text through it (`pass` leaves out what nothing begins in, `threads` are live patterns, `weigh` makes hits of what is found),
//! `trial` runs the packs' own tests. `verdict` says what a model did, and shares nothing with the rest but channels;
//! `question` is what a judge model is asked about it, for a verdict or for a rule.

mod action;
mod compile;
mod conditions;
mod demand;
mod expression;
mod facts;
mod finding;
mod matcher;
mod message;
mod mistake;
mod normalise;
mod pass;
mod plan;
mod question;
mod ruleset;
mod scan;
mod selection;
mod shipped;
mod source;
mod threads;
mod trial;
mod verdict;
mod weigh;

#[cfg(test)]
mod tests;

pub use action::{Action, Severity};
pub use compile::compile;
pub use demand::{Demands, RouteDemand};
pub use facts::{Conduct, Course, Facts, Upstream};
pub use finding::Finding;
pub use message::Messages;
pub use mistake::Mistake;
pub use question::{Answer, Judgement, Question, Unreadable};
pub use ruleset::{Ruleset, TopicHit};
pub use scan::Scanner;
pub use selection::{Selection, Taken};
pub use shipped::{shipped, shipped_names, usual_names};
pub use source::{moment, pack_schema};
pub use trial::TestResult;
pub use verdict::{
    Case, Ending, Evidence, Example, HostError, Judge, Label, Manner, Memory, ModelError, Observation, Origin, Outcome,
    Step, TrainError, Trained, Verdict, train,
};

pub(crate) use source::Place;

/// What a text is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// What is asked.
    Prompt,
    /// The model's thinking.
    Reasoning,
    /// Its answer.
    Answer,
    /// Arguments of a tool call.
    Tool,
    /// A vendor's own refusal field.
    Refusal,
}

impl Channel {
    /// All channels.
    pub const ALL: [Self; 5] = [Self::Prompt, Self::Reasoning, Self::Answer, Self::Tool, Self::Refusal];
}

/// A pack as it is handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pack {
    /// Its file, or the name of a shipped one; mistakes name it.
    pub name: String,
    /// The YAML text.
    pub text: String,
}
