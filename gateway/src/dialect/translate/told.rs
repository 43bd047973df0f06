//! A reply in no dialect: what happens in it, one thing after the other. Whole replies are the same, at once.

use std::collections::BTreeMap;

use serde_json::Value;

use super::proof::Proof;
use crate::exchange::Usage;

/// What happens in a reply.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Event {
    /// The reply begins.
    Begin { id: Option<String>, model: Option<String> },
    /// More of the answer.
    Text(String),
    /// How likely the tokens of the answer were that comes next, in the form that both of OpenAI's dialects have.
    Likelihoods(Vec<Value>),
    /// More of a refusal in the vendor's own field for such.
    Refusal(String),
    /// More of the reasoning.
    Thinking(String),
    /// What the reasoning that came is known again by; without any it stands for reasoning that is hidden.
    Proof(Proof),
    /// What came last is whole: what follows is another stretch of reasoning or answer.
    Ends,
    /// A tool is called; `key` tells calls of one reply apart.
    Call { key: u32, id: String, name: String },
    /// More of what it is called with, as JSON.
    Arguments { key: u32, text: String },
    /// Why the reply ended.
    Finish(Finish),
    /// Token counts so far.
    Usage(Usage),
    /// The host failed.
    Failed(Failure),
}

/// Why a reply ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finish {
    Stop,
    /// At one of the client's stop sequences.
    Sequence(String),
    Length,
    Tools,
    /// The model or its host would not.
    Refused,
}

/// A host's failure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Failure {
    pub kind: String,
    pub code: String,
    pub message: String,
}

impl Failure {
    /// Whether the host says a word of it, as its type or its code.
    pub(super) fn says(&self, word: &str) -> bool {
        self.kind.contains(word) || self.code.contains(word)
    }
}

/// All that was told of a reply.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    pub id: Option<String>,
    pub model: Option<String>,
    pub pieces: Vec<Piece>,
    /// How likely the tokens of pieces were, by the pieces' places.
    pub likelihoods: BTreeMap<usize, Vec<Value>>,
    pub finish: Option<Finish>,
    pub usage: Usage,
    pub failed: Option<Failure>,
    /// Whether the last piece is whole.
    closed: bool,
}

/// A piece of a reply.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    Text(String),
    Refusal(String),
    Thought { text: String, proof: Option<Proof> },
    Call { key: u32, id: String, name: String, arguments: String },
}

impl Told {
    /// All events at once.
    pub(super) fn of(events: impl IntoIterator<Item = Event>) -> Self {
        let mut told = Self::default();
        for event in events {
            told.take(event);
        }
        told
    }

    /// Takes what happens next.
    pub(super) fn take(&mut self, event: Event) {
        if let Event::Likelihoods(list) = event {
            let goes_on = !self.closed && matches!(self.pieces.last(), Some(Piece::Text(_)));
            let place = self.pieces.len().saturating_sub(usize::from(goes_on));
            return self.likelihoods.entry(place).or_default().extend(list);
        }
        let closed = std::mem::take(&mut self.closed);
        let last = self.pieces.last_mut().filter(|_| !closed);
        match (event, last) {
            (Event::Begin { id, model }, _) => {
                self.id = id.or_else(|| self.id.take());
                self.model = model.or_else(|| self.model.take());
            }
            (Event::Text(more), Some(Piece::Text(text))) | (Event::Refusal(more), Some(Piece::Refusal(text))) => {
                text.push_str(&more);
            }
            (Event::Text(text), _) => self.pieces.push(Piece::Text(text)),
            (Event::Refusal(text), _) => self.pieces.push(Piece::Refusal(text)),
            (Event::Thinking(more), Some(Piece::Thought { text, proof: None })) => text.push_str(&more),
            (Event::Thinking(text), _) => self.pieces.push(Piece::Thought { text, proof: None }),
            (Event::Proof(given), Some(Piece::Thought { proof: proof @ None, .. })) => *proof = Some(given),
            (Event::Proof(proof), _) => self.pieces.push(Piece::Thought { text: String::new(), proof: Some(proof) }),
            (Event::Ends, _) => self.closed = true,
            (Event::Likelihoods(_), _) => {}
            (Event::Call { key, id, name }, _) => {
                self.pieces.push(Piece::Call { key, id, name, arguments: String::new() });
            }
            (Event::Arguments { key, text }, _) => {
                let known = self.pieces.iter_mut().rev().find_map(|piece| match piece {
                    Piece::Call { key: of, arguments, .. } if *of == key => Some(arguments),
                    _ => None,
                });
                if let Some(arguments) = known {
                    arguments.push_str(&text);
                }
            }
            (Event::Finish(finish), _) => self.finish = Some(finish),
            (Event::Usage(usage), _) => self.usage = usage.or(self.usage),
            (Event::Failed(failure), _) => self.failed = Some(failure),
        }
    }

    /// Whether the vendor's own field for refusals was used.
    pub(super) fn refuses(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Refusal(_)))
    }
}
