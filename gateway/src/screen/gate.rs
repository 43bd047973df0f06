//! Holds a reply's frames back exactly as long as a rule could still need them, and changes those that a rule changes.
//! It reads no frame itself: it is told which texts stand where in the bytes.
//!
//! A frame leaves when every text in it may leave; where nothing is held it leaves at once, as the bytes that came.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use candor_policies as policies;

use super::courses::Courses;
use super::found::Found;
use super::rules::Watch;
use super::track::{Redaction, Scope, Track, merged};
use crate::exchange::{Channel, Delta, Dialect, Observed, Segment, Written};
use crate::stream::reasoning::Splitter;
use crate::stream::splice;

/// A rule's order to end the exchange.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// What the client may be told.
    pub message: Option<Arc<policies::Messages>>,
}

impl Stop {
    /// What a client is told that speaks a dialect and wrote in a language.
    #[must_use]
    pub fn told(&self, dialect: Dialect, language: Option<&str>) -> Option<&str> {
        self.message.as_ref()?.pick(dialect.name(), language)
    }
}

/// One frame (or one whole reply) and the texts in it.
#[derive(Debug)]
pub struct Parcel {
    bytes: Bytes,
    pieces: Vec<Piece>,
    /// Values in it that repeat its texts; they go where a text is changed.
    echoes: Vec<Range<usize>>,
    /// Whether it also says that a choice ended; such a frame makes no sense after a stop.
    closes: bool,
}

/// Bytes of one wire text that stand in a parcel.
#[derive(Debug)]
struct Piece {
    wire: usize,
    span: Range<usize>,
    /// The JSON string token, or the JSON, in the parcel's bytes.
    at: Range<usize>,
    written: Written,
    /// Whether it is all of the text once more.
    repeats: bool,
}

/// A text as the frames carry it. Usually it is one track; with inline marks its runs go to two.
#[derive(Debug)]
struct Wire {
    choice: u32,
    channel: Channel,
    part: u32,
    length: usize,
    /// All of it, where it may come a second time and is not too long to be kept.
    said: String,
    /// Bytes whose channel is known.
    resolved: usize,
    splitter: Option<Splitter>,
    runs: Vec<Run>,
}

/// A stretch of a wire text that is a stretch of a track's text.
#[derive(Debug)]
struct Run {
    span: Range<usize>,
    track: usize,
    start: usize,
}

/// The state of one reply's screening.
#[derive(Debug)]
pub struct Gate {
    watch: Watch,
    /// Set where answers carry `<think>` marks: the channel that they open in.
    inline: Option<Channel>,
    keep: usize,
    wires: Vec<Wire>,
    tracks: Vec<Track>,
    /// What is known of each choice so far.
    courses: Courses,
    /// The track that each choice wrote to last.
    current: Vec<(u32, usize)>,
    queue: VecDeque<Parcel>,
    /// Whether texts may come a second time, whole.
    repeats: bool,
    found: Found,
    changed: bool,
    stop: Option<Stop>,
}

impl Gate {
    /// A gate for one reply. `keep` bounds the text kept for the record, in bytes.
    #[must_use]
    pub fn new(watch: Watch, keep: usize, inline: Option<Channel>) -> Self {
        Self {
            watch,
            inline,
            keep,
            wires: Vec::new(),
            tracks: Vec::new(),
            courses: Courses::default(),
            current: Vec::new(),
            queue: VecDeque::new(),
            repeats: false,
            found: Found::default(),
            changed: false,
            stop: None,
        }
    }

    /// Says that texts may come a second time, whole: what was changed in them is remembered.
    #[must_use]
    pub fn expecting_repeats(mut self, repeats: bool) -> Self {
        self.repeats = repeats;
        self
    }

    /// Takes a frame with the texts that stand in it, and gives what may leave now.
    pub fn push(&mut self, bytes: Bytes, observed: &Observed, out: &mut Vec<Bytes>) {
        if self.stop.is_some() {
            self.changed = true;
            return;
        }
        let mut pieces = Vec::with_capacity(observed.deltas.len());
        for delta in &observed.deltas {
            let (wire, span, repeats) = if delta.repeats { self.repeat(delta) } else { self.append(delta) };
            pieces.push(Piece { wire, span, at: delta.at.clone(), written: delta.written, repeats });
        }
        let closes = !observed.finishes.is_empty();
        self.queue.push_back(Parcel { bytes, pieces, echoes: observed.echoes.clone(), closes });
        self.release(out);
    }

    /// Says that the reply is whole: what was held leaves, changed where it must be.
    pub fn finish(&mut self, out: &mut Vec<Bytes>) {
        for wire in 0..self.wires.len() {
            self.resolve_rest(wire);
        }
        let Self { watch, tracks, courses, found, .. } = self;
        for track in tracks {
            let course = courses.of(track.choice, watch);
            track.finish(&mut Scope { selection: &watch.selection, course, found });
        }
        self.release(out);
    }

    /// The stop that a rule demanded, once one has.
    #[must_use]
    pub fn stopped(&self) -> Option<&Stop> {
        self.stop.as_ref()
    }

    /// Whether anything left otherwise than it came.
    #[must_use]
    pub fn changed(&self) -> bool {
        self.changed
    }

    /// Whether a rule could change or stop this reply.
    #[must_use]
    pub fn enforces(&self) -> bool {
        self.watch.enforces()
    }

    /// Whether frames are waiting.
    #[must_use]
    pub fn holds(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether any text of a channel has come.
    #[must_use]
    pub fn has_text(&self, channel: Channel) -> bool {
        self.tracks.iter().any(|track| track.channel == channel && track.length > 0)
    }

    /// Choices that have begun.
    pub fn choices(&self) -> impl Iterator<Item = u32> {
        self.current.iter().map(|(choice, _)| *choice)
    }

    /// What came to be known of a choice, once the reply is over.
    #[must_use]
    pub fn take_courses(&mut self) -> Courses {
        std::mem::take(&mut self.courses)
    }

    /// The whole texts and all that was found in them, once the reply is over.
    pub fn take_parts(&mut self) -> (Vec<Segment>, Found) {
        let segments = std::mem::take(&mut self.tracks).into_iter().map(|track| Segment {
            choice: track.choice,
            channel: track.channel,
            part: track.part,
            role: None,
            text: track.text,
            authored_bytes: 0,
        });
        (segments.collect(), std::mem::take(&mut self.found))
    }

    fn wire(&mut self, choice: u32, channel: Channel, part: u32) -> usize {
        let known =
            self.wires.iter().position(|wire| wire.choice == choice && wire.channel == channel && wire.part == part);
        known.unwrap_or_else(|| {
            let splitter = self.inline.filter(|_| channel == Channel::Answer).map(Splitter::new);
            self.wires.push(Wire {
                choice,
                channel,
                part,
                length: 0,
                said: String::new(),
                resolved: 0,
                splitter,
                runs: Vec::new(),
            });
            self.wires.len() - 1
        })
    }

    fn append(&mut self, delta: &Delta) -> (usize, Range<usize>, bool) {
        let wire = self.wire(delta.choice, delta.channel, delta.part);
        let span = self.extend(wire, &delta.text);
        (wire, span, false)
    }

    /// A text once more. What of it had not come is screened now; one that is not what came is a text of its own.
    fn repeat(&mut self, delta: &Delta) -> (usize, Range<usize>, bool) {
        for part in [delta.part, delta.part | OTHER] {
            let wire = self.wire(delta.choice, delta.channel, part);
            let Some(rest) = self.text_of(wire).and_then(|known| delta.text.strip_prefix(known)) else { continue };
            if !rest.is_empty() {
                self.extend(wire, rest);
            }
            return (wire, 0..delta.text.len(), true);
        }
        self.append(&Delta { part: delta.part | OTHER, ..delta.clone() })
    }

    /// All text of a wire, where that is still known.
    fn text_of(&self, wire: usize) -> Option<&str> {
        let wire = self.wires.get(wire)?;
        (wire.said.len() == wire.length).then_some(wire.said.as_str())
    }

    /// Adds text to a wire and to the tracks that it belongs to; gives its span in the wire's text.
    fn extend(&mut self, index: usize, text: &str) -> Range<usize> {
        let Some(wire) = self.wires.get_mut(index) else { return 0..0 };
        let span = wire.length..wire.length + text.len();
        wire.length = span.end;
        if self.repeats && text.len() <= self.keep {
            wire.said.push_str(text);
        }
        match &mut wire.splitter {
            None => {
                let channel = wire.channel;
                wire.resolved = span.end;
                self.add_run(index, channel, span.clone(), text);
            }
            Some(splitter) => {
                let pieces = splitter.push(text);
                wire.resolved = splitter.resolved();
                for piece in pieces {
                    self.add_run(index, piece.channel, piece.span, &piece.text);
                }
            }
        }
        span
    }

    fn resolve_rest(&mut self, index: usize) {
        let Some(wire) = self.wires.get_mut(index) else { return };
        let Some(mut splitter) = wire.splitter.take() else { return };
        wire.resolved = wire.length;
        for piece in splitter.finish() {
            self.add_run(index, piece.channel, piece.span, &piece.text);
        }
    }

    fn add_run(&mut self, wire: usize, channel: Channel, span: Range<usize>, text: &str) {
        let Some((choice, part)) = self.wires.get(wire).map(|wire| (wire.choice, wire.part)) else { return };
        let index = self.track(choice, channel, part);
        self.make_current(choice, index);
        let keep = self.keep;
        let Self { watch, tracks, courses, found, .. } = self;
        let Some(track) = tracks.get_mut(index) else { return };
        let start = track.length;
        let course = courses.of(choice, watch);
        track.push(text, keep, &mut Scope { selection: &watch.selection, course, found });
        self.keep = keep.saturating_sub(text.len());
        let Some(wire) = self.wires.get_mut(wire) else { return };
        match wire.runs.last_mut() {
            Some(last) if last.track == index && last.span.end == span.start => last.span.end = span.end,
            _ => wire.runs.push(Run { span, track: index, start }),
        }
    }

    fn track(&mut self, choice: u32, channel: Channel, part: u32) -> usize {
        let same = |track: &Track| track.choice == choice && track.channel == channel && track.part == part;
        self.tracks.iter().position(same).unwrap_or_else(|| {
            self.tracks.push(Track::new(&self.watch, choice, channel, part));
            self.tracks.len() - 1
        })
    }

    /// Parks the text that the choice wrote before: its held end must not hold up what follows.
    fn make_current(&mut self, choice: u32, index: usize) {
        let Self { watch, tracks, courses, found, current, .. } = self;
        match current.iter_mut().find(|(known, _)| *known == choice) {
            Some((_, current)) if *current == index => {}
            Some((_, current)) => {
                let before = std::mem::replace(current, index);
                if let Some(track) = tracks.get_mut(before) {
                    let course = courses.of(choice, watch);
                    track.park(&mut Scope { selection: &watch.selection, course, found });
                }
            }
            None => current.push((choice, index)),
        }
    }

    fn release(&mut self, out: &mut Vec<Bytes>) {
        if self.tracks.iter().any(|track| track.halt.is_some()) {
            self.halt(out);
            return;
        }
        while self.queue.front().is_some_and(|parcel| self.may_leave(parcel)) {
            let Some(parcel) = self.queue.pop_front() else { return };
            out.push(self.redacted(parcel));
        }
    }

    fn may_leave(&self, parcel: &Parcel) -> bool {
        parcel.pieces.iter().all(|piece| {
            let Some(wire) = self.wires.get(piece.wire) else { return false };
            wire.resolved >= piece.span.end && self.runs_in(piece).all(|(track, span)| track.released >= span.end)
        })
    }

    /// The stretches of tracks that a piece consists of.
    fn runs_in(&self, piece: &Piece) -> impl Iterator<Item = (&Track, Range<usize>)> {
        let runs = self.wires.get(piece.wire).map_or(&[][..], |wire| &wire.runs);
        runs.iter().filter_map(|run| {
            let span = overlap(&run.span, &piece.span)?;
            let moved = span.start - run.span.start + run.start..span.end - run.span.start + run.start;
            Some((self.tracks.get(run.track)?, moved))
        })
    }

    /// The parcel's bytes, with redactions spliced in where there are any.
    fn redacted(&mut self, parcel: Parcel) -> Bytes {
        let clean = |track: &Track| track.redactions.is_empty() && (!self.repeats || track.past.is_empty());
        if self.tracks.iter().all(clean) {
            return parcel.bytes;
        }
        let mut edits = Vec::new();
        for piece in &parcel.pieces {
            let changes = self.changes(piece, None);
            self.edit(&parcel, piece, &changes, &mut edits);
        }
        for piece in &parcel.pieces {
            self.forget(piece);
        }
        self.rewritten(&parcel, edits)
    }

    /// What must be replaced in a piece, in bytes of the piece's own text. `limits`, where given, cuts each track.
    fn changes(&self, piece: &Piece, limits: Option<&[usize]>) -> Vec<(Range<usize>, Arc<str>)> {
        let runs = self.wires.get(piece.wire).map_or(&[][..], |wire| &wire.runs);
        let mut changes: Vec<Redaction> = Vec::new();
        for run in runs {
            let (Some(span), Some(track)) = (overlap(&run.span, &piece.span), self.tracks.get(run.track)) else {
                continue;
            };
            let inside = span.start - run.span.start + run.start..span.end - run.span.start + run.start;
            let to_piece = |at: usize| at - inside.start + span.start - piece.span.start;
            let past = track.past.iter().filter(|_| piece.repeats);
            for redaction in past.chain(&track.redactions) {
                let Some(hit) = overlap(&redaction.span, &inside) else { continue };
                // The words that replace a span stand where it begins; its other parts leave nothing.
                let begins = redaction.span.start >= inside.start;
                let replacement = if begins { redaction.replacement.clone() } else { Arc::from("") };
                changes.push(Redaction { span: to_piece(hit.start)..to_piece(hit.end), replacement });
            }
            if let Some(limit) = limits.and_then(|limits| limits.get(run.track))
                && *limit < inside.end
            {
                let cut = to_piece((*limit).max(inside.start))..to_piece(inside.end);
                changes.retain(|change| change.span.start < cut.start);
                changes.push(Redaction { span: cut, replacement: Arc::from("") });
            }
        }
        merged(changes).into_iter().map(|change| (change.span, change.replacement)).collect()
    }

    /// Forgets redactions that stand in a piece which leaves now, so that a reply full of them stays linear.
    fn forget(&mut self, piece: &Piece) {
        let Some(wire) = self.wires.get(piece.wire) else { return };
        for run in &wire.runs {
            let Some(hit) = overlap(&run.span, &piece.span) else { continue };
            if let Some(track) = self.tracks.get_mut(run.track) {
                track.forget_before(hit.end - run.span.start + run.start, self.repeats);
            }
        }
    }

    fn edit(
        &self,
        parcel: &Parcel,
        piece: &Piece,
        changes: &[(Range<usize>, Arc<str>)],
        edits: &mut Vec<(Range<usize>, String)>,
    ) {
        if changes.is_empty() {
            return;
        }
        let token = parcel.bytes.get(piece.at.clone()).and_then(|token| std::str::from_utf8(token).ok());
        if let Some(token) = token {
            let left = match piece.written {
                Written::Quoted => splice::redact_json_string(token, changes),
                Written::Bare => splice::redact_text(token, changes),
            };
            edits.push((piece.at.clone(), left));
        }
    }

    fn rewritten(&mut self, parcel: &Parcel, mut edits: Vec<(Range<usize>, String)>) -> Bytes {
        if edits.is_empty() {
            return parcel.bytes.clone();
        }
        self.changed = true;
        edits.extend(parcel.echoes.iter().map(|at| (at.clone(), "null".to_owned())));
        edits.sort_by_key(|(at, _)| at.start);
        Bytes::from(splice::replace(&parcel.bytes, &edits))
    }

    /// Lets what came before the halt leave, cut at the byte, and drops the rest.
    fn halt(&mut self, out: &mut Vec<Bytes>) {
        let limits: Vec<usize> =
            self.tracks.iter().map(|track| track.halt.as_ref().map_or(track.released, |halt| halt.at)).collect();
        let message = self.tracks.iter().find_map(|track| track.halt.as_ref()?.message.clone());
        while let Some(parcel) = self.queue.pop_front() {
            if parcel.closes || !self.leaves_text(&parcel, &limits) {
                continue;
            }
            let mut edits = Vec::new();
            for piece in &parcel.pieces {
                let changes = self.changes(piece, Some(&limits));
                self.edit(&parcel, piece, &changes, &mut edits);
            }
            out.push(self.rewritten(&parcel, edits));
        }
        self.changed = true;
        self.stop = Some(Stop { message });
    }

    fn leaves_text(&self, parcel: &Parcel, limits: &[usize]) -> bool {
        let runs = |piece: &Piece| {
            self.wires.get(piece.wire).map_or(&[][..], |wire| &wire.runs).iter().any({
                let span = piece.span.clone();
                move |run| {
                    overlap(&run.span, &span).is_some_and(|hit| {
                        limits.get(run.track).is_some_and(|limit| hit.start - run.span.start + run.start < *limit)
                    })
                }
            })
        };
        parcel.pieces.is_empty() || parcel.pieces.iter().any(runs)
    }
}

/// Set in the number of a part whose repetition said something else than its pieces.
const OTHER: u32 = 1 << 31;

fn overlap(a: &Range<usize>, b: &Range<usize>) -> Option<Range<usize>> {
    let both = a.start.max(b.start)..a.end.min(b.end);
    (!both.is_empty()).then_some(both)
}
