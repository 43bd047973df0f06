//! Scans a growing text: findings, and how much of it may leave. It changes nothing and knows no wire format.
//!
//! Each character is read once, whatever pieces the text comes in: the same text gives the same findings however it is
//! cut. What may leave is everything before the first byte that something live could still need.

use std::ops::Range;
use std::sync::Arc;

use aho_corasick::automaton::StateID;

use crate::finding::Finding;
use crate::matcher::{Terms, Use};
use crate::normalise::{Class, Step, Words};
use crate::pass::{self, Idle};
use crate::plan::Plan;
use crate::threads::{Arrival, Threads};
use crate::weigh::{Hit, Weigh};

/// Invisible characters in a row over which patterns are read; more of them part what stands on both sides.
const DROPPED_MOST: u8 = 16;

/// Bytes of the words reading whose places are remembered; more than the longest term.
const PLACES: usize = 256;

/// Letters after a term with `*` up to which its word is followed.
const WORD_MOST: usize = 64;

/// The scanner of one text.
#[derive(Debug, Clone)]
pub struct Scanner {
    plan: Arc<Plan>,
    state: State,
}

impl Scanner {
    pub(crate) fn new(plan: Arc<Plan>) -> Self {
        let state = State::new(&plan);
        Self { plan, state }
    }

    /// The same, taking no shortcut: what it finds is what must be found.
    #[cfg(test)]
    pub(crate) fn careful(&self) -> Self {
        let mut plan = Plan::clone(&self.plan);
        plan.passes = false;
        Self::new(Arc::new(plan))
    }

    /// Takes the next piece, adds what is found, and gives how many bytes of all text so far may leave.
    pub fn push(&mut self, text: &str, findings: &mut Vec<Finding>) -> usize {
        self.state.push(&self.plan, text);
        self.give(findings);
        if self.plan.holds {
            let free = self.state.free(&self.plan);
            self.state.released = self.state.released.max(free);
        } else {
            self.state.released = self.state.length;
        }
        self.state.released
    }

    /// Takes the end of the text, adds what is found, and gives the length of the text: all of it may leave.
    pub fn finish(&mut self, findings: &mut Vec<Finding>) -> usize {
        self.state.finish(&self.plan);
        self.give(findings);
        self.state.released = self.state.length;
        self.state.length
    }

    fn give(&mut self, findings: &mut Vec<Finding>) {
        for hit in self.state.weigh.hits.drain(..) {
            self.plan.judge(&hit, findings);
        }
    }
}

/// All hits in a whole text.
pub(crate) fn hits(plan: &Plan, text: &str) -> Vec<Hit> {
    let mut state = State::new(plan);
    state.push(plan, text);
    state.finish(plan);
    state.weigh.hits
}

/// A term with `*` whose word goes on.
#[derive(Debug, Clone)]
struct Open {
    term: usize,
    start: usize,
    /// Length of the words reading at which it is followed no further.
    until: usize,
}

/// A character as it is read.
#[derive(Debug)]
struct Letter<'a> {
    class: Class,
    plain: &'a [u8],
    words: &'a [u8],
    /// The text from here on, if it is ASCII, or nothing.
    ahead: &'a [u8],
    /// The one character that terms read, if it is one and not ASCII.
    one: Option<char>,
    look_alike: bool,
    span: Range<usize>,
}

/// Where the scan stands.
#[derive(Debug, Clone)]
struct State {
    /// Bytes of text so far, and of them those that may leave.
    length: usize,
    released: usize,
    /// Where the last character ended that is read as something.
    end: usize,
    /// Where the last letter ended.
    letter_end: usize,
    dropped: u8,
    words: Words,
    terms: StateID,
    /// Length of the words reading.
    read: usize,
    /// Where the characters of its last bytes begin, modulo 2^32; empty until the first is read.
    places: Vec<u32>,
    /// Length of the words reading after the last letter that only looked like what it is read as.
    look_alike: usize,
    open: Vec<Open>,
    threads: Threads,
    weigh: Weigh,
}

impl State {
    fn new(plan: &Plan) -> Self {
        Self {
            length: 0,
            released: 0,
            end: 0,
            letter_end: 0,
            dropped: 0,
            words: Words::new(),
            // A text begins as after a space.
            terms: plan.matchers.terms.as_ref().map_or_else(StateID::default, |terms| terms.border),
            read: 1,
            places: Vec::new(),
            look_alike: 0,
            open: Vec::new(),
            threads: Threads::default(),
            weigh: Weigh::default(),
        }
    }

    fn push(&mut self, plan: &Plan, text: &str) {
        let start = self.length;
        let mut at = 0;
        loop {
            if plan.passes && text.as_bytes().get(at).is_some_and(u8::is_ascii) {
                if let Some(idle) = self.idle(plan) {
                    at = self.pass(plan, text.as_bytes(), at, idle);
                }
                let spelled = self.spell(plan, text.as_bytes(), at);
                if spelled > at {
                    at = spelled;
                    continue;
                }
            }
            let Some(rest) = text.get(at..) else { break };
            let Some(c) = rest.chars().next() else { break };
            self.read_one(plan, c, rest.as_bytes(), start + at);
            at += c.len_utf8();
        }
        self.length += text.len();
    }

    /// Reads ASCII letters of a word with care, as long as anything is under way in them.
    #[inline]
    fn spell(&mut self, plan: &Plan, piece: &[u8], from: usize) -> usize {
        let terms = plan.searched_terms();
        let stands = terms.is_none() || self.words.run(self.words.inside_word()).is_some();
        if !stands || !self.open.is_empty() || !piece.get(from).is_some_and(u8::is_ascii_alphanumeric) {
            return from;
        }
        let mut at = from;
        while let Some(byte) = piece.get(at).filter(|byte| byte.is_ascii_alphanumeric()) {
            let start = self.length + at;
            if self.weigh.due.is_some_and(|due| due < start) {
                self.weigh.settle(start);
            }
            if plan.searches_patterns {
                let ahead = piece.get(at..).unwrap_or_default();
                let arrival = Arrival { bytes: &[*byte], ahead, class: Class::Word, at: start, before: self.end };
                self.threads.push(plan, arrival, &mut self.weigh);
            }
            (self.end, self.letter_end) = (start + 1, start + 1);
            at += 1;
            let under_way = terms.is_some_and(|terms| self.spell_one(plan, terms, *byte, start));
            if !self.open.is_empty() || !(under_way || self.threads.are_live()) {
                break;
            }
        }
        self.dropped = 0;
        self.words.passed(true, 0);
        at
    }

    /// Feeds a letter to the terms, and says whether any is under way.
    #[inline]
    fn spell_one(&mut self, plan: &Plan, terms: &Terms, byte: u8, at: usize) -> bool {
        if self.terms == terms.idle {
            return false;
        }
        self.feed(plan, terms, &[byte.to_ascii_lowercase()], at, at + 1);
        self.terms != terms.idle
    }

    #[inline]
    fn read_one(&mut self, plan: &Plan, c: char, rest: &[u8], at: usize) {
        let ascii = u8::try_from(c).ok().and_then(|byte| Some((byte, plan.matchers.folding.of_ascii(byte)?)));
        if let Some((byte, (class, small))) = ascii {
            let span = at..at + 1;
            let letter =
                Letter { class, plain: &[byte], words: &[small], ahead: rest, one: None, look_alike: false, span };
            return self.character(plan, &letter);
        }
        let folded = plan.matchers.folding.of(c);
        let (mut plain, mut words) = ([0; 4], [0; 4]);
        let one = folded.one_word_character();
        let (plain, words) = (folded.plain(&mut plain), folded.words(&mut words));
        let (look_alike, span) = (folded.is_look_alike(), at..at + c.len_utf8());
        self.character(plan, &Letter { class: folded.class, plain, words, ahead: &[], one, look_alike, span });
    }

    /// How the reading stands, if nothing is under way in it.
    #[inline]
    fn idle(&self, plan: &Plan) -> Option<Idle> {
        if self.threads.are_live() || !self.open.is_empty() {
            return None;
        }
        let Some(terms) = plan.searched_terms() else {
            return Some(Idle { inside_word: self.threads.inside_word(), run: 0, letter_end: None });
        };
        let inside_word = self.words.inside_word();
        let nothing_begun = self.terms == if inside_word { terms.idle } else { terms.border };
        let agree = !plan.searches_patterns || self.threads.inside_word() == inside_word;
        let run = self.words.run(inside_word).filter(|_| nothing_begun && agree)?;
        Some(Idle { inside_word, run, letter_end: None })
    }

    /// Passes over text in which nothing begins, from a place in the piece on.
    fn pass(&mut self, plan: &Plan, piece: &[u8], from: usize, mut idle: Idle) -> usize {
        let to = pass::pass(plan, piece, from, &mut idle);
        let Some(last) = piece.get(..to).and_then(<[u8]>::last).filter(|_| to > from) else { return from };
        let (first_at, last_at) = (self.length + from, self.length + to - 1);
        while let Some(due) = self.weigh.due.filter(|due| *due < last_at) {
            self.weigh.settle(first_at.max(due + 1));
        }
        self.dropped = 0;
        self.end = last_at + 1;
        if let Some(end) = idle.letter_end {
            self.letter_end = self.length + end;
        }
        if let Some(class) = plan.matchers.folding.of_ascii(*last).map(|(class, _)| class) {
            self.threads.passed(to - from, (class, *last));
        }
        if let Some(terms) = plan.searched_terms() {
            self.words.passed(idle.inside_word, idle.run);
            self.terms = if idle.inside_word { terms.idle } else { terms.border };
        }
        to
    }

    #[inline]
    fn character(&mut self, plan: &Plan, letter: &Letter<'_>) {
        let (start, end) = (letter.span.start, letter.span.end);
        if self.weigh.due.is_some_and(|due| due < start) {
            self.weigh.settle(start);
        }
        if letter.class == Class::Drop {
            self.drop(plan);
        } else {
            self.dropped = 0;
            if plan.searches_patterns {
                let Letter { plain: bytes, ahead, class, .. } = *letter;
                let arrival = Arrival { bytes, ahead, class, at: start, before: self.end };
                self.threads.push(plan, arrival, &mut self.weigh);
            }
            self.end = end;
        }
        if let Some(terms) = plan.searched_terms() {
            self.word(plan, terms, letter);
        }
    }

    /// Takes a character that is read as nothing.
    fn drop(&mut self, plan: &Plan) {
        self.dropped = self.dropped.saturating_add(1);
        if self.dropped == DROPPED_MOST && plan.searches_patterns {
            self.threads.finish(plan, self.end, &mut self.weigh);
        }
    }

    #[inline]
    fn word(&mut self, plan: &Plan, terms: &Terms, letter: &Letter<'_>) {
        let start = letter.span.start;
        let step = self.words.step(letter.class);
        if !self.open.is_empty() {
            self.follow(plan, terms, step);
        }
        match step {
            Step::Nothing => return,
            Step::Space => return self.feed(plan, terms, b" ", start, self.letter_end),
            Step::Cut => {
                self.feed(plan, terms, &[crate::normalise::CUT], start, self.letter_end);
                return self.feed(plan, terms, b" ", start, self.letter_end);
            }
            Step::SpaceLetters => self.feed(plan, terms, b" ", start, self.letter_end),
            Step::Letters => {}
        }
        self.letter_end = letter.span.end;
        if letter.look_alike {
            self.look_alike = self.read + 1;
        }
        // What is open is followed for so many letters, so they count.
        if plan.passes && self.open.is_empty() && self.begins_nothing(terms, step, letter) {
            self.terms = terms.idle;
            return;
        }
        self.feed(plan, terms, letter.words, start, letter.span.end);
    }

    /// Whether nothing is under way in the terms, nor begins with a letter.
    #[inline]
    fn begins_nothing(&self, terms: &Terms, step: Step, letter: &Letter<'_>) -> bool {
        let outside = self.terms == terms.border;
        if self.terms != terms.idle && !outside {
            return false;
        }
        match letter.one {
            Some(one) => !terms.begins.character(one),
            None => letter.words.len() == 1 && !outside && step == Step::Letters,
        }
    }

    /// Feeds bytes of one character; what ends with them ends in the text at `end`.
    #[inline]
    fn feed(&mut self, plan: &Plan, terms: &Terms, bytes: &[u8], at: usize, end: usize) {
        if self.places.is_empty() {
            self.places.resize(PLACES, 0);
        }
        for byte in bytes {
            if let Some(place) = self.places.get_mut(self.read % PLACES) {
                *place = low_bits(at);
            }
            self.read += 1;
            self.terms = terms.next(self.terms, *byte);
            if terms.is_match(self.terms) {
                self.found(plan, terms, end);
            }
        }
    }

    fn found(&mut self, plan: &Plan, terms: &Terms, end: usize) {
        for index in terms.matches(self.terms) {
            let Some((term, uses)) = terms.term(index) else { continue };
            let letters = letters(&term.bytes);
            let first = self.read.saturating_sub(term.bytes.len()) + letters.start;
            if term.exact && self.look_alike > first {
                continue;
            }
            let start = self.place(first, end);
            if term.open {
                self.open.push(Open { term: index, start, until: self.read + WORD_MOST });
            } else {
                self.deliver(plan, uses, start..end);
            }
        }
    }

    /// Follows the words of open terms to their ends.
    fn follow(&mut self, plan: &Plan, terms: &Terms, step: Step) {
        let goes_on = matches!(step, Step::Letters | Step::Nothing);
        let mut index = 0;
        while let Some(open) = self.open.get(index) {
            if goes_on && self.read < open.until {
                index += 1;
                continue;
            }
            let open = self.open.remove(index);
            if let Some((_, uses)) = terms.term(open.term) {
                self.deliver(plan, uses, open.start..self.letter_end);
            }
        }
    }

    fn deliver(&mut self, plan: &Plan, uses: &[Use], span: Range<usize>) {
        for used in uses {
            match used {
                Use::Hit(subject) if plan.searches(*subject) => {
                    self.weigh.hit(plan, Hit { subject: *subject, format: None, span: span.clone() });
                }
                Use::List(list) if !plan.combinations_of(*list).is_empty() => {
                    self.weigh.word(plan, *list, span.clone());
                }
                Use::Unless(subject) if plan.searches(*subject) => self.weigh.unless(*subject, span.clone()),
                _ => {}
            }
        }
    }

    /// Where in the text a byte of the words reading stands; `near` is a later place in the text.
    fn place(&self, read: usize, near: usize) -> usize {
        let low = self.places.get(read % PLACES).copied().unwrap_or_default();
        near - low_bits(near).wrapping_sub(low) as usize
    }

    fn finish(&mut self, plan: &Plan) {
        if plan.searches_patterns {
            self.threads.finish(plan, self.end, &mut self.weigh);
        }
        if let Some(terms) = plan.searched_terms() {
            let step = self.words.finish();
            self.follow(plan, terms, Step::Space);
            if step == Step::Space {
                self.feed(plan, terms, b" ", self.length, self.letter_end);
            }
        }
        self.weigh.settle(usize::MAX);
    }

    /// How many bytes nothing live can need any more.
    fn free(&self, plan: &Plan) -> usize {
        let mut frontier = self.length;
        if let Some(terms) = plan.searched_terms() {
            let depth = plan.depth(self.terms);
            if depth > 0 {
                frontier = self.place(self.read - depth, frontier);
            }
            for open in &self.open {
                let holds = |(_, uses): (_, &[Use])| uses.iter().any(|used| plan.holds_use(used));
                if terms.term(open.term).is_some_and(holds) {
                    frontier = frontier.min(open.start);
                }
            }
        }
        frontier = self.threads.held(plan, frontier);
        self.weigh.held(plan, frontier)
    }
}

/// The letters of a term, without the spaces that say where its words begin and end.
fn letters(bytes: &[u8]) -> Range<usize> {
    let start = usize::from(bytes.first() == Some(&b' '));
    let end = bytes.len() - usize::from(bytes.len() > 1 && bytes.last() == Some(&b' '));
    start..end
}

#[expect(clippy::cast_possible_truncation, reason = "only the low bits are wanted")]
fn low_bits(at: usize) -> u32 {
    at as u32
}
