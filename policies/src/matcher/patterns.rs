//! Patterns as automata that are begun anew at each place where a match may begin, so that the begin of everything live
//! is known. It keeps no text and no position.

use std::sync::Arc;

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::primitives::StateID;
use regex_automata::util::start;
use regex_automata::{Anchored, MatchKind};
use regex_syntax::hir::{Hir, HirKind, Look};
use regex_syntax::{ParserBuilder, hir};

use super::ahead::Ahead;
use super::{Border, Check};
use crate::normalise::Folding;

/// Longest text that a pattern may match, in bytes of the plain reading; a match that goes on is cut there.
pub(crate) const MATCH_MOST: usize = 4096;

/// Most memory for the automaton of one pattern.
const ALONE_MOST: usize = 4 << 20;

/// Most memory for an automaton of several patterns. Patterns that begin alike multiply when they share one; more, but
/// smaller, automata are made faster and cost a step more only where text looks like several of them.
const SHARED_MOST: usize = 256 << 10;

/// A pattern to compile.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) hir: Hir,
    /// Shown with findings, where the pattern has a name of its own.
    pub(crate) name: Option<Arc<str>>,
    pub(crate) border: Border,
    /// Whether it may begin and end inside words.
    pub(crate) inside_words: bool,
    pub(crate) check: Option<Check>,
}

impl Wanted {
    /// A pattern of a pack.
    pub(crate) fn plain(hir: Hir, inside_words: bool) -> Self {
        Self { hir, name: None, border: Border::default(), inside_words, check: None }
    }

    /// Whether it must not begin after a byte.
    pub(crate) fn bars(&self, before: u8) -> bool {
        self.border.before.as_bytes().contains(&before)
    }
}

/// The patterns of one subject.
#[derive(Debug)]
pub(crate) struct Group {
    /// Whose hits its matches are.
    pub(crate) subject: usize,
    dfa: dense::DFA<Vec<u32>>,
    /// The state at the start of the text, then that after each byte.
    starts: Vec<StateID>,
    patterns: Vec<Wanted>,
    /// What matches of each pattern can begin with.
    aheads: Vec<Ahead>,
    checks: bool,
}

impl Group {
    /// Whether a pattern fits an automaton of its own.
    pub(crate) fn fits(pattern: &Wanted) -> bool {
        build(&[&pattern.hir], ALONE_MOST).is_some()
    }

    /// Compiles patterns into as few automata as fit the memory that each may take.
    pub(crate) fn compile(subject: usize, mut patterns: Vec<Wanted>) -> Result<Vec<Self>, TooLarge> {
        let hirs: Vec<&Hir> = patterns.iter().map(|pattern| &pattern.hir).collect();
        let most = if hirs.len() == 1 { ALONE_MOST } else { SHARED_MOST };
        if let Some(dfa) = build(&hirs, most) {
            let starts = starts(&dfa);
            let checks = patterns.iter().any(|pattern| pattern.check.is_some());
            let aheads = patterns.iter().map(|pattern| Ahead::of(&pattern.hir)).collect();
            return Ok(vec![Self { subject, dfa, starts, patterns, aheads, checks }]);
        }
        let rest = patterns.split_off(patterns.len() / 2);
        if patterns.is_empty() {
            return Err(TooLarge(rest.into_iter().find_map(|pattern| pattern.name)));
        }
        let mut groups = Self::compile(subject, patterns)?;
        groups.extend(Self::compile(subject, rest)?);
        Ok(groups)
    }

    /// The state before a match that begins after a byte, or at the start of the text.
    #[inline]
    pub(crate) fn start(&self, before: Option<u8>) -> StateID {
        let index = before.map_or(0, |byte| usize::from(byte) + 1);
        self.starts.get(index).copied().unwrap_or_default()
    }

    /// The state after one more byte.
    #[inline]
    pub(crate) fn next(&self, state: StateID, byte: u8) -> StateID {
        self.dfa.next_state(state, byte)
    }

    /// The state after the end of the text.
    pub(crate) fn end(&self, state: StateID) -> StateID {
        self.dfa.next_eoi_state(state)
    }

    /// Whether a state is out of the ordinary: most are not, which spares the other questions.
    #[inline]
    pub(crate) fn is_special(&self, state: StateID) -> bool {
        self.dfa.is_special_state(state)
    }

    /// Whether nothing can match any more.
    #[inline]
    pub(crate) fn is_dead(&self, state: StateID) -> bool {
        self.dfa.is_dead_state(state)
    }

    /// Whether matches ended before the last byte.
    #[inline]
    pub(crate) fn is_match(&self, state: StateID) -> bool {
        self.dfa.is_special_state(state) && self.dfa.is_match_state(state)
    }

    /// Whether nothing longer can match after matches that ended.
    pub(crate) fn is_over(&self, state: StateID) -> bool {
        (0..=u8::MAX).all(|byte| self.dfa.is_dead_state(self.next(state, byte)))
            && !self.dfa.is_match_state(self.end(state))
    }

    /// The patterns that matched up to the last byte.
    pub(crate) fn matches(&self, state: StateID) -> impl Iterator<Item = usize> {
        (0..self.dfa.match_len(state)).map(move |index| self.dfa.match_pattern(state, index).as_usize())
    }

    /// A pattern.
    pub(crate) fn pattern(&self, index: usize) -> Option<&Wanted> {
        self.patterns.get(index)
    }

    /// What matches of each pattern can begin with, and whether that may be inside words.
    pub(crate) fn aheads(&self) -> impl Iterator<Item = (&Ahead, bool)> {
        self.aheads.iter().zip(&self.patterns).map(|(ahead, pattern)| (ahead, pattern.inside_words))
    }

    /// Whether a match may begin with a byte.
    pub(crate) fn begins_with(&self, byte: u8) -> bool {
        self.starts.iter().any(|start| !self.is_dead(self.next(*start, byte)))
    }

    /// Whether some pattern may begin inside a word.
    pub(crate) fn begins_inside_words(&self) -> bool {
        self.patterns.iter().any(|pattern| pattern.inside_words)
    }

    /// Whether no pattern may begin after a byte.
    #[inline]
    pub(crate) fn bars(&self, before: Option<u8>) -> bool {
        before.is_some_and(|byte| self.patterns.iter().all(|pattern| pattern.bars(byte)))
    }

    /// Whether some pattern must be looked at once more.
    pub(crate) fn checks(&self) -> bool {
        self.checks
    }

    /// Bytes that the automaton takes.
    pub(crate) fn memory(&self) -> usize {
        self.dfa.memory_usage()
    }
}

fn build(hirs: &[&Hir], most: usize) -> Option<dense::DFA<Vec<u32>>> {
    let nfa = thompson::Compiler::new()
        .configure(thompson::Config::new().nfa_size_limit(Some(ALONE_MOST)))
        .build_many_from_hir(hirs)
        .ok()?;
    let config = dense::Config::new()
        .match_kind(MatchKind::All)
        .start_kind(StartKind::Anchored)
        .accelerate(false)
        .dfa_size_limit(Some(most))
        .determinize_size_limit(Some(4 * most));
    dense::Builder::new().configure(config).build_from_nfa(&nfa).ok()
}

fn starts(dfa: &dense::DFA<Vec<u32>>) -> Vec<StateID> {
    let bytes = std::iter::once(None).chain((0..=u8::MAX).map(Some));
    let config = start::Config::new().anchored(Anchored::Yes);
    bytes.map(|byte| dfa.start_state(&config.clone().look_behind(byte)).unwrap_or_default()).collect()
}

/// A pattern that no automaton of the size allowed can hold: its name, where it has one.
#[derive(Debug)]
pub(crate) struct TooLarge(pub(crate) Option<Arc<str>>);

/// Why a pattern cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub(crate) enum Error {
    /// It is not a pattern.
    Syntax(String),
    /// It matches the empty text.
    Empty,
    /// It may match text of any length.
    Unbounded,
    /// It may match more than is allowed.
    TooLong(usize),
}

/// Reads a pattern, and makes sure that what it matches is neither empty nor without end.
pub(crate) fn bounded(pattern: &str, case_sensitive: bool, folding: &Folding) -> Result<Hir, Error> {
    let hir = parse(pattern, case_sensitive, folding)?;
    let properties = hir.properties();
    match (properties.minimum_len(), properties.maximum_len()) {
        (Some(0), _) => Err(Error::Empty),
        (_, None) => Err(Error::Unbounded),
        (_, Some(length)) if length > MATCH_MOST => Err(Error::TooLong(length)),
        _ => Ok(hir),
    }
}

/// Reads a pattern as it reads text that is folded.
pub(crate) fn parse(pattern: &str, case_sensitive: bool, folding: &Folding) -> Result<Hir, Error> {
    let folded = fold_pattern(pattern, folding);
    let parsed = ParserBuilder::new().case_insensitive(!case_sensitive).utf8(true).build().parse(&folded);
    parsed.map(|hir| ascii_borders(&hir)).map_err(|error| Error::Syntax(reason(&error)))
}

/// A pattern in the characters that folded text has. What its author wrote as a plain character stays one: a wide bar
/// does not become an alternative.
fn fold_pattern(pattern: &str, folding: &Folding) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut escaped = false;
    for c in pattern.chars() {
        let read = folded(c, folding);
        if read != c && !escaped && regex_syntax::is_meta_character(read) {
            out.push('\\');
        }
        out.push(read);
        escaped = c == '\\' && !escaped;
    }
    out
}

/// The character that the text will hold in its place.
fn folded(c: char, folding: &Folding) -> char {
    if c.is_ascii() {
        return c;
    }
    let read = folding.of(c);
    let mut buffer = [0; 4];
    let mut chars = std::str::from_utf8(read.plain(&mut buffer)).unwrap_or_default().chars();
    match (chars.next(), chars.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

fn reason(error: &regex_syntax::Error) -> String {
    match error {
        regex_syntax::Error::Parse(error) => error.kind().to_string(),
        regex_syntax::Error::Translate(error) => error.kind().to_string(),
        _ => "not a pattern".to_owned(),
    }
}

/// Makes word borders ASCII ones: accents are folded away before, and unspaced scripts have none.
fn ascii_borders(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Look(look) => Hir::look(match look {
            Look::WordUnicode => Look::WordAscii,
            Look::WordUnicodeNegate => Look::WordAsciiNegate,
            Look::WordStartUnicode => Look::WordStartAscii,
            Look::WordEndUnicode => Look::WordEndAscii,
            Look::WordStartHalfUnicode => Look::WordStartHalfAscii,
            Look::WordEndHalfUnicode => Look::WordEndHalfAscii,
            other => *other,
        }),
        HirKind::Repetition(repetition) => {
            Hir::repetition(hir::Repetition { sub: Box::new(ascii_borders(&repetition.sub)), ..repetition.clone() })
        }
        // Nothing asks for what a group captured.
        HirKind::Capture(capture) => ascii_borders(&capture.sub),
        HirKind::Concat(parts) => Hir::concat(parts.iter().map(ascii_borders).collect()),
        HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(ascii_borders).collect()),
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) => hir.clone(),
    }
}
