//! What rules find: spans of text, and what is to be done about them. It does nothing about them itself.

use std::ops::Range;
use std::sync::Arc;

use crate::action::{Action, Severity};
use crate::demand::Demands;
use crate::matcher::Subject;
use crate::message::Messages;

/// One hit of one rule. Whether it counts is for [`crate::Selection::take`] to say: some rules also ask what else was
/// found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule's id.
    pub rule: Arc<str>,
    /// The pack that the rule is from.
    pub pack: Arc<str>,
    /// The topic, where one was found.
    pub topic: Option<Arc<str>>,
    /// The detector's or the format's name; for a topic, its id.
    pub detector: Arc<str>,
    /// Bytes of the text.
    pub span: Range<usize>,
    /// What the rule orders.
    pub action: Action,
    /// Whether the rule is only on trial: nothing is changed.
    pub monitored: bool,
    /// What a judge model must answer with yes before it counts.
    pub ask: Option<Arc<str>>,
    /// What a redacted span leaves as.
    pub replacement: Option<Arc<str>>,
    /// What a client may be told of a stop.
    pub message: Option<Arc<Messages>>,
    /// What the rule demands beside.
    pub demands: Option<Arc<Demands>>,
    /// How grave it is.
    pub severity: Severity,
    pub(crate) standing: Standing,
}

/// What a finding counts for as it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It counts.
    Plain,
    /// It says that a topic was found, for rules that ask; it is no finding of its own.
    Note(usize),
    /// The rule of this number says whether it counts.
    Asks(usize),
}

impl Finding {
    /// Word that a topic was found.
    pub(crate) fn note(index: usize, subject: &Subject, span: Range<usize>) -> Self {
        Self {
            rule: Arc::clone(&subject.id),
            pack: Arc::clone(&subject.pack),
            topic: Some(Arc::clone(&subject.id)),
            detector: Arc::clone(&subject.id),
            span,
            action: Action::Allow,
            monitored: true,
            ask: None,
            replacement: None,
            message: None,
            demands: None,
            severity: Severity::Info,
            standing: Standing::Note(index),
        }
    }
}
