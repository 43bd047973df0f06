//! One text of one channel as it grows: its scanner, what may leave, what must be replaced.
//! It knows nothing of frames.

use std::ops::Range;
use std::sync::Arc;

use candor_policies as policies;
use candor_policies::Taken;

use super::found::Found;
use super::rules::{Watch, action, noted, routes};
use crate::exchange::{Action, Channel, Enforced};
use crate::stream::nested::Nested;

/// A stretch that must leave as something else.
#[derive(Debug, Clone)]
pub(super) struct Redaction {
    /// Bytes of the track's text.
    pub span: Range<usize>,
    /// What stands there instead.
    pub replacement: Arc<str>,
}

/// A text that must not be completed.
#[derive(Debug, Clone)]
pub(super) struct Halt {
    /// First byte that must not leave.
    pub at: usize,
    /// What the client may be told.
    pub message: Option<Arc<policies::Messages>>,
}

/// What a text's findings are weighed by, and where they go.
pub(super) struct Scope<'a> {
    pub selection: &'a policies::Selection,
    pub course: &'a mut policies::Course,
    pub found: &'a mut Found,
}

/// One growing text.
#[derive(Debug)]
pub(super) struct Track {
    /// Which choice.
    pub choice: u32,
    /// Which channel.
    pub channel: Channel,
    /// Which passage or tool call.
    pub part: u32,
    /// All text so far, up to the bound on what is kept.
    pub text: String,
    /// Bytes so far, kept or not.
    pub length: usize,
    /// Bytes that may leave.
    pub released: usize,
    scanner: Option<policies::Scanner>,
    /// Set where the text may be JSON, whose strings are what is read.
    nested: Option<Nested>,
    raw: Vec<policies::Finding>,
    /// What was settled when the text was parked; the scanner tells it once more if the text goes on.
    settled_early: Vec<(Arc<str>, Range<usize>)>,
    pub redactions: Vec<Redaction>,
    /// Those of text that has left, kept where the text may come once more.
    pub past: Vec<Redaction>,
    pub halt: Option<Halt>,
}

impl Track {
    pub(super) fn new(watch: &Watch, choice: u32, channel: Channel, part: u32) -> Self {
        Self {
            choice,
            channel,
            part,
            text: String::new(),
            length: 0,
            released: 0,
            scanner: watch.scanner(channel),
            nested: (channel == Channel::Tool).then(Nested::default),
            raw: Vec::new(),
            settled_early: Vec::new(),
            redactions: Vec::new(),
            past: Vec::new(),
            halt: None,
        }
    }

    /// Reads the text as what a tool is called with, which may be JSON.
    pub(super) fn read_nested(&mut self) {
        self.nested = Some(Nested::default());
    }

    /// Takes the next piece; `keep` bounds how much of it is kept for the record.
    pub(super) fn push(&mut self, piece: &str, keep: usize, scope: &mut Scope<'_>) {
        let kept = piece.floor_char_boundary(keep.min(piece.len()));
        self.text.push_str(piece.get(..kept).unwrap_or_default());
        self.length += piece.len();
        let Some(scanner) = &mut self.scanner else {
            self.released = self.length;
            return;
        };
        let safe = match &mut self.nested {
            None => scanner.push(piece, &mut self.raw),
            Some(nested) => {
                let safe = scanner.push(&nested.push(piece), &mut self.raw);
                nested.place(safe)
            }
        };
        self.place_findings();
        self.settle(safe, scope);
    }

    /// Says that another text of the same choice has begun: what is held here leaves, for this text may never go on.
    /// What would be a match if it ended here counts as one.
    pub(super) fn park(&mut self, scope: &mut Scope<'_>) {
        if self.released < self.length
            && let Some(mut scanner) = self.scanner.clone()
        {
            let _ = scanner.finish(&mut self.raw);
            self.place_findings();
            let early: Vec<_> = self.raw.iter().map(|finding| (finding.rule.clone(), finding.span.clone())).collect();
            self.settle(self.length, scope);
            self.settled_early.extend(early);
        }
        self.released = self.length;
    }

    /// Says that the text is whole.
    pub(super) fn finish(&mut self, scope: &mut Scope<'_>) {
        let Some(mut scanner) = self.scanner.take() else { return };
        if let Some(nested) = &mut self.nested {
            let _ = scanner.push(&nested.finish(), &mut self.raw);
        }
        let _ = scanner.finish(&mut self.raw);
        self.place_findings();
        self.settle(self.length, scope);
    }

    /// Moves findings from what was read to where it stands in the text.
    fn place_findings(&mut self) {
        let Some(nested) = &self.nested else { return };
        for finding in &mut self.raw {
            finding.span = nested.place(finding.span.start)..nested.place(finding.span.end);
        }
    }

    fn settle(&mut self, safe: usize, scope: &mut Scope<'_>) {
        let left = self.released;
        for finding in std::mem::take(&mut self.raw) {
            if self.settled_early.iter().any(|(rule, span)| *rule == finding.rule && *span == finding.span) {
                continue;
            }
            let at = (self.channel, self.choice, self.part);
            match scope.selection.take(&finding, scope.course) {
                Taken::Nothing => {}
                Taken::Counts => {
                    let enforced = self.apply(&finding, left);
                    scope.found.push(noted(&finding, at, enforced), &finding);
                }
                Taken::Waits => scope.found.wait(noted(&finding, at, Enforced::Observed), finding),
            }
        }
        self.released = self.released.max(safe.min(self.length));
    }

    /// Forgets redactions of text that has left, or only puts them aside.
    pub(super) fn forget_before(&mut self, at: usize, aside: bool) {
        let left = self.redactions.extract_if(.., |redaction| redaction.span.end <= at);
        if aside { self.past.extend(left) } else { left.for_each(drop) }
    }

    /// Notes what a finding demands, and says whether that can still be had.
    fn apply(&mut self, finding: &policies::Finding, left: usize) -> Enforced {
        let late = finding.span.start < left;
        match action(finding.action) {
            _ if finding.monitored => Enforced::Observed,
            Action::Allow | Action::Flag if routes(finding) => Enforced::Applied,
            Action::Allow | Action::Flag => Enforced::Observed,
            Action::Redact => {
                let replacement = finding.replacement.clone().unwrap_or_else(|| Arc::from("[redacted]"));
                let span = finding.span.start.max(left)..finding.span.end;
                if !span.is_empty() {
                    let changes = match &self.nested {
                        None => vec![(span, replacement)],
                        Some(nested) => nested.replacements(span, &replacement),
                    };
                    let redaction = |(span, replacement)| Redaction { span, replacement };
                    self.redactions.extend(changes.into_iter().map(redaction));
                }
                if late { Enforced::Late } else { Enforced::Applied }
            }
            Action::Stop => {
                let at = finding.span.start.max(left);
                if self.halt.as_ref().is_none_or(|halt| at < halt.at) {
                    self.halt = Some(Halt { at, message: finding.message.clone() });
                }
                if late { Enforced::Late } else { Enforced::Applied }
            }
        }
    }
}

/// Sorts redactions and joins those that touch, so that each byte is replaced once; the first's words stand.
pub(super) fn merged(mut redactions: Vec<Redaction>) -> Vec<Redaction> {
    redactions.sort_by_key(|redaction| (redaction.span.start, usize::MAX - redaction.span.end));
    let mut merged: Vec<Redaction> = Vec::with_capacity(redactions.len());
    for next in redactions {
        match merged.last_mut() {
            Some(last) if next.span.start < last.span.end => last.span.end = last.span.end.max(next.span.end),
            _ => merged.push(next),
        }
    }
    merged
}
