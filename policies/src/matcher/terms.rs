//! One automaton over all terms of all packs, stepped byte by byte. It keeps no text and no position.

use std::collections::HashMap;

use aho_corasick::Anchored;
use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::nfa::{contiguous, noncontiguous};

use super::word_begins::WordBegins;
use crate::normalise::Term;

/// Longest term, in bytes of the words reading.
pub(crate) const TERM_MOST: usize = 240;

/// What a term is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// It is a hit of a subject.
    Hit(usize),
    /// It is a word of a list.
    List(usize),
    /// Near a hit of a subject it makes it none.
    Unless(usize),
}

/// Gathers terms; the same term is searched for once.
#[derive(Debug, Default)]
pub(crate) struct TermsBuilder {
    known: HashMap<(Vec<u8>, bool, bool), usize>,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    term: Term,
    uses: Vec<Use>,
}

impl TermsBuilder {
    /// Adds a term, or a use to a known one.
    pub(crate) fn add(&mut self, term: Term, used: Use) {
        let key = (term.bytes.clone(), term.open, term.exact);
        let next = self.entries.len();
        let index = *self.known.entry(key).or_insert(next);
        match self.entries.get_mut(index) {
            Some(entry) if entry.uses.contains(&used) => {}
            Some(entry) => entry.uses.push(used),
            None => self.entries.push(Entry { term, uses: vec![used] }),
        }
    }

    /// Builds the automaton; `None` where there are no terms.
    pub(crate) fn build(self) -> Result<Option<Terms>, aho_corasick::BuildError> {
        if self.entries.is_empty() {
            return Ok(None);
        }
        let bytes: Vec<&[u8]> = self.entries.iter().map(|entry| entry.term.bytes.as_slice()).collect();
        let automaton = automaton(&bytes)?;
        let begins = WordBegins::of(bytes.iter().copied());
        let idle = automaton.start_state(Anchored::No).unwrap_or_default();
        let border = automaton.next_state(Anchored::No, idle, b' ');
        let are_words = bytes.iter().all(|bytes| bytes.first().is_some_and(|byte| *byte == b' ' || !byte.is_ascii()));
        Ok(Some(Terms { automaton, idle, border, begins, are_words, entries: self.entries }))
    }
}

fn automaton(terms: &[&[u8]]) -> Result<contiguous::NFA, aho_corasick::BuildError> {
    let first = noncontiguous::Builder::new().prefilter(false).build(terms)?;
    // Words begin at a space, so the first three bytes are where nearly all text falls out again.
    contiguous::Builder::new().prefilter(false).dense_depth(3).build_from_noncontiguous(&first)
}

/// All terms.
#[derive(Debug)]
pub(crate) struct Terms {
    automaton: contiguous::NFA,
    /// The state in which nothing has begun, and that in which only a space has been read.
    pub(crate) idle: StateID,
    pub(crate) border: StateID,
    /// What terms begin with.
    pub(crate) begins: WordBegins,
    are_words: bool,
    entries: Vec<Entry>,
}

impl Terms {
    /// Whether no term begins with an ASCII letter inside a word.
    pub(crate) fn are_words(&self) -> bool {
        self.are_words
    }

    /// The state after one more byte.
    #[inline]
    pub(crate) fn next(&self, state: StateID, byte: u8) -> StateID {
        self.automaton.next_state(Anchored::No, state, byte)
    }

    /// Whether a term ends here.
    #[inline]
    pub(crate) fn is_match(&self, state: StateID) -> bool {
        self.automaton.is_special(state) && self.automaton.is_match(state)
    }

    /// The terms that end here, longest first.
    pub(crate) fn matches(&self, state: StateID) -> impl Iterator<Item = usize> {
        (0..self.automaton.match_len(state)).map(move |index| self.automaton.match_pattern(state, index).as_usize())
    }

    /// A term.
    pub(crate) fn term(&self, index: usize) -> Option<(&Term, &[Use])> {
        self.entries.get(index).map(|entry| (&entry.term, entry.uses.as_slice()))
    }

    /// For each state in which a term of which `wanted` is true may be under way, how many bytes back its letters begin.
    pub(crate) fn depths(&self, wanted: impl Fn(&[Use]) -> bool) -> Vec<u16> {
        let mut depths = Vec::new();
        let chosen: Vec<&[u8]> =
            self.entries.iter().filter(|entry| wanted(&entry.uses)).map(|entry| entry.term.bytes.as_slice()).collect();
        let Ok(chosen) = Begun::new(&chosen) else { return depths };
        for entry in &self.entries {
            let (mut state, mut chosen_state) = (self.idle, chosen.start);
            for byte in &entry.term.bytes {
                state = self.next(state, *byte);
                chosen_state = chosen.automaton.next_state(Anchored::No, chosen_state, *byte);
                if let Some(depth) = chosen.depths.get(&chosen_state).filter(|depth| **depth > 0) {
                    let index = state.as_usize();
                    if depths.len() <= index {
                        depths.resize(index + 1, 0);
                    }
                    if let Some(entry) = depths.get_mut(index) {
                        *entry = *depth;
                    }
                }
            }
        }
        depths
    }

    /// Whether any term is a hit of an active subject or a word of a list that is part of something.
    pub(crate) fn serves(&self, active: &[bool], combinations_of_list: &[Vec<usize>]) -> bool {
        self.entries.iter().flat_map(|entry| &entry.uses).any(|used| match used {
            Use::Hit(subject) => active.get(*subject).copied().unwrap_or(false),
            Use::List(list) => combinations_of_list.get(*list).is_some_and(|list| !list.is_empty()),
            Use::Unless(_) => false,
        })
    }

    /// Bytes that the automaton takes.
    pub(crate) fn memory(&self) -> usize {
        self.automaton.memory_usage()
    }
}

/// An automaton over some terms, with the length of what has begun in each of its states.
struct Begun {
    automaton: contiguous::NFA,
    start: StateID,
    depths: HashMap<StateID, u16>,
}

impl Begun {
    fn new(terms: &[&[u8]]) -> Result<Self, aho_corasick::BuildError> {
        let automaton = automaton(terms)?;
        let start = automaton.start_state(Anchored::No).unwrap_or_default();
        let mut begun = Self { automaton, start, depths: HashMap::new() };
        for term in terms {
            for length in 1..term.len() {
                let part = term.get(..length).unwrap_or_default();
                begun.depths.insert(begun.after(part), letters_in(part));
            }
        }
        // A whole term is over; what may still be under way is a shorter end of it.
        for term in terms {
            let state = begun.after(term);
            if !begun.depths.contains_key(&state) {
                let ends = (1..term.len()).filter_map(|from| term.get(from..));
                let under_way = ends.map(|end| begun.after(end)).find_map(|end| begun.depths.get(&end).copied());
                begun.depths.insert(state, under_way.unwrap_or(0));
            }
        }
        Ok(begun)
    }

    fn after(&self, bytes: &[u8]) -> StateID {
        bytes.iter().fold(self.start, |state, byte| self.automaton.next_state(Anchored::No, state, *byte))
    }
}

/// Bytes of the begin of a term without the space before it.
fn letters_in(begin: &[u8]) -> u16 {
    let letters = begin.len() - usize::from(begin.first() == Some(&b' '));
    u16::try_from(letters).unwrap_or(u16::MAX)
}
