//! Screens a request: every passage as the prompt, redactions spliced into the original bytes.

use std::ops::Range;

use bytes::Bytes;

use super::found::Found;
use super::gate::Stop;
use super::rules::Watch;
use super::track::{Scope, Track, merged};
use crate::exchange::{Channel, Request, Written};
use crate::stream::splice;

/// Something that has passed screening; only this module can make one.
#[derive(Debug, Clone)]
pub struct Screened<T>(T);

impl<T> Screened<T> {
    /// What was screened, with redactions applied.
    pub fn get(&self) -> &T {
        &self.0
    }

    /// Skips screening.
    #[cfg(test)]
    pub(crate) fn for_test(inner: T) -> Self {
        Self(inner)
    }
}

/// What screening a request came to.
#[derive(Debug)]
pub enum Outcome {
    /// It may go on, changed where a rule redacted.
    Pass(Box<Screened<Request>>),
    /// A rule stopped it.
    Stop(Stop),
}

impl Watch {
    /// Screens all passages of a request, adding what is found to `found`.
    pub fn prompt(&mut self, request: Request, found: &mut Found) -> Outcome {
        let mut edits: Vec<(Range<usize>, String)> = Vec::new();
        let mut request = request;
        let texts = request.messages.iter().flat_map(|message| &message.passages).map(|passage| passage.text.as_str());
        self.note_topics(texts);
        let mut stop = self.find_whole(found);
        let passages = request.messages.iter_mut().flat_map(|message| &mut message.passages);
        for (passage, part) in passages.zip(0..) {
            let mut track = Track::new(self, 0, Channel::Prompt, part);
            if passage.role == Channel::Tool {
                track.read_nested();
            }
            let mut scope = Scope { selection: &self.selection, course: &mut self.course, found };
            track.push(&passage.text, 0, &mut scope);
            track.finish(&mut scope);
            if let Some(halt) = track.halt {
                stop.get_or_insert(Stop { message: halt.message });
            }
            if track.redactions.is_empty() {
                continue;
            }
            let replacements: Vec<_> =
                merged(track.redactions).into_iter().map(|redaction| (redaction.span, redaction.replacement)).collect();
            let token = request.raw.get(passage.at.clone()).and_then(|token| std::str::from_utf8(token).ok());
            let left = match passage.written {
                Written::Quoted => splice::redact_json_string(token.unwrap_or_default(), &replacements),
                Written::Bare => splice::redact_text(token.unwrap_or_default(), &replacements),
            };
            edits.push((passage.at.clone(), left));
            passage.text = splice::redact_text(&passage.text, &replacements);
        }
        match stop {
            Some(stop) => Outcome::Stop(stop),
            None => Outcome::Pass(Box::new(Screened(apply(request, edits)))),
        }
    }
}

/// Splices the edits in and moves every place that stands behind one.
fn apply(mut request: Request, mut edits: Vec<(Range<usize>, String)>) -> Request {
    if edits.is_empty() {
        return request;
    }
    edits.sort_by_key(|(at, _)| at.start);
    request.raw = Bytes::from(splice::replace(&request.raw, &edits));
    request.edited = true;
    let moved = |at: &Range<usize>| {
        let mut start = at.start;
        let mut end = at.end;
        for (edited, text) in &edits {
            if edited.start < at.start {
                start = (start + text.len()).saturating_sub(edited.len());
            }
            if edited.start < at.end {
                end = (end + text.len()).saturating_sub(edited.len());
            }
        }
        start..end
    };
    request.model_at = moved(&request.model_at);
    for passage in request.messages.iter_mut().flat_map(|message| &mut message.passages) {
        passage.at = moved(&passage.at);
    }
    request
}
