//! What bytes a match of a pattern can begin with, told from its automaton. It rules places out and never finds one.
//!
//! Sound because nothing is ruled out that any path through the automaton allows: what stands before is not looked at,
//! assertions count as true, and after the shortest match everything may follow.

use regex_automata::nfa::thompson::{self, NFA, State};
use regex_automata::util::primitives::StateID;
use regex_syntax::hir::Hir;

/// Bytes of a match that are looked at before it is begun.
pub(crate) const AHEAD: usize = 4;

/// Different first bytes of a pattern that are listed.
const PREFIXES_MOST: usize = 256;

/// A set of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ByteSet([u64; 4]);

impl ByteSet {
    const ALL: Self = Self([u64::MAX; 4]);

    fn insert(&mut self, byte: u8) {
        if let Some(bits) = self.0.get_mut(usize::from(byte >> 6)) {
            *bits |= 1 << (byte & 63);
        }
    }

    /// Whether a byte is in it.
    #[inline]
    pub(crate) fn has(&self, byte: u8) -> bool {
        self.0.get(usize::from(byte >> 6)).is_some_and(|bits| bits >> (byte & 63) & 1 == 1)
    }
}

/// The bytes with which matches of one pattern can begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ahead {
    /// For each of the first places, the bytes that can stand there.
    places: [ByteSet; AHEAD],
    /// The bytes that can stand after a match's first ASCII letters and digits, however many, and after the first of
    /// those; the first two bytes where it begins with neither.
    after_word: [ByteSet; 2],
    /// All that the first bytes can be, where that is not too much.
    prefixes: Option<Vec<[u8; AHEAD]>>,
}

impl Ahead {
    /// What nothing is ruled out by.
    const ANY: Self = Self { places: [ByteSet::ALL; AHEAD], after_word: [ByteSet::ALL; 2], prefixes: None };

    /// Reads it off a pattern.
    pub(crate) fn of(pattern: &Hir) -> Self {
        let Ok(nfa) = thompson::Compiler::new().build_from_hir(pattern) else { return Self::ANY };
        Self { places: places(&nfa), after_word: after_word(&nfa), prefixes: prefixes(&nfa) }
    }

    /// All that the first bytes can be, where that is not too much.
    pub(crate) fn prefixes(&self) -> Option<&[[u8; AHEAD]]> {
        self.prefixes.as_deref()
    }

    /// Whether a byte can stand at a place.
    #[inline]
    pub(crate) fn at(&self, place: usize, byte: u8) -> bool {
        self.places.get(place).is_none_or(|set| set.has(byte))
    }

    /// Whether a byte can stand after the first letters and digits, or one byte later.
    #[inline]
    pub(crate) fn after_word(&self, place: usize, byte: u8) -> bool {
        self.after_word.get(place).is_none_or(|set| set.has(byte))
    }
}

fn places(nfa: &NFA) -> [ByteSet; AHEAD] {
    let mut places = [ByteSet::ALL; AHEAD];
    let mut states = vec![nfa.start_anchored()];
    for place in &mut places {
        let reached = Reached::from(nfa, states);
        if reached.matched {
            break;
        }
        *place = reached.bytes(|_| true);
        states = reached.after(|_| true);
    }
    places
}

fn prefixes(nfa: &NFA) -> Option<Vec<[u8; AHEAD]>> {
    let mut prefixes = Vec::new();
    let mut under_way = vec![(Vec::new(), vec![nfa.start_anchored()])];
    while let Some((bytes, states)) = under_way.pop() {
        if let Ok(prefix) = <[u8; AHEAD]>::try_from(bytes.as_slice()) {
            prefixes.push(prefix);
            continue;
        }
        let reached = Reached::from(nfa, states);
        let next: Vec<u8> = (0..=u8::MAX).filter(|byte| reached.bytes(|one| one == *byte).has(*byte)).collect();
        if reached.matched || prefixes.len() + under_way.len() + next.len() > PREFIXES_MOST {
            return None;
        }
        for byte in next {
            under_way.push(([&bytes[..], &[byte]].concat(), reached.after(|one| one == byte)));
        }
    }
    Some(prefixes)
}

fn after_word(nfa: &NFA) -> [ByteSet; 2] {
    let letter = |byte: u8| byte.is_ascii_alphanumeric();
    let mut known = vec![false; nfa.states().len()];
    let mut all = Reached::default();
    let mut states = vec![nfa.start_anchored()];
    while !states.is_empty() {
        let reached = Reached::from(nfa, states);
        if reached.matched {
            return [ByteSet::ALL; 2];
        }
        states = reached.after(letter);
        states.retain(|state| known.get_mut(state.as_usize()).is_some_and(|known| !std::mem::replace(known, true)));
        all.steps.extend(reached.steps);
    }
    let next = Reached::from(nfa, all.after(|byte| !letter(byte)));
    let second = if next.matched { ByteSet::ALL } else { next.bytes(|_| true) };
    [all.bytes(|byte| !letter(byte)), second]
}

/// What can be read next in some states.
#[derive(Debug, Default)]
struct Reached {
    steps: Vec<(u8, u8, StateID)>,
    matched: bool,
}

impl Reached {
    fn from(nfa: &NFA, mut states: Vec<StateID>) -> Self {
        let mut reached = Self::default();
        let mut known = vec![false; nfa.states().len()];
        while let Some(id) = states.pop() {
            match known.get_mut(id.as_usize()) {
                Some(known) if !*known => *known = true,
                _ => continue,
            }
            match nfa.state(id) {
                State::ByteRange { trans } => reached.steps.push((trans.start, trans.end, trans.next)),
                State::Sparse(sparse) => {
                    reached.steps.extend(sparse.transitions.iter().map(|step| (step.start, step.end, step.next)));
                }
                State::Dense(dense) => {
                    let steps = (0..=u8::MAX).zip(dense.transitions.iter()).filter(|(_, next)| **next != StateID::ZERO);
                    reached.steps.extend(steps.map(|(byte, next)| (byte, byte, *next)));
                }
                State::Look { next, .. } | State::Capture { next, .. } => states.push(*next),
                State::Union { alternates } => states.extend(alternates.iter()),
                State::BinaryUnion { alt1, alt2 } => states.extend([*alt1, *alt2]),
                State::Match { .. } => reached.matched = true,
                State::Fail => {}
            }
        }
        reached
    }

    fn bytes(&self, wanted: impl Fn(u8) -> bool) -> ByteSet {
        let mut set = ByteSet::default();
        for (first, last, _) in &self.steps {
            (*first..=*last).filter(|byte| wanted(*byte)).for_each(|byte| set.insert(byte));
        }
        set
    }

    fn after(&self, wanted: impl Fn(u8) -> bool) -> Vec<StateID> {
        let steps = self.steps.iter().filter(|(first, last, _)| (*first..=*last).any(&wanted));
        let mut states: Vec<StateID> = steps.map(|(_, _, next)| *next).collect();
        states.sort_unstable();
        states.dedup();
        states
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matcher::parse;
    use crate::normalise::Folding;

    #[track_caller]
    fn check(pattern: &str, text: &str, after: &str, expected: bool) {
        let ahead = Ahead::of(&parse(pattern, true, &Folding::new()).unwrap());
        let listed = |prefixes: &[[u8; AHEAD]]| prefixes.iter().any(|prefix| text.as_bytes().starts_with(prefix));
        let listed = text.len() < AHEAD || ahead.prefixes().is_none_or(listed);
        let begins = listed
            && text.bytes().enumerate().all(|(place, byte)| ahead.at(place, byte))
            && after.bytes().enumerate().all(|(place, byte)| ahead.after_word(place, byte));
        assert_eq!(begins, expected, "{pattern} {text}");
    }

    #[test]
    fn a_place_is_ruled_out_only_where_nothing_can_begin() {
        check("gh[po]_[a-z]{3}", "gho_", "_", true);
        check("gh[po]_[a-z]{3}", "ghx_", "_", false);
        check("gh[po]_[a-z]{3}", "gho_", "-", false);
        check("ab", "abzz", "?", true);
        check("a?bc", "bc!!", "!", true);
        check("[a-z]{1,9}@[a-z]{1,9}", "name", "@", true);
        check("[a-z]{1,9}@[a-z]{1,9}", "name", "@h", true);
        check("[a-z]{1,9}@[a-z]{1,9}", "name", "@ ", false);
        check("[a-z]{1,9}@[a-z]{1,9}", "name", " ", false);
        check(r"-+BEGIN", "--BE", "-", true);
        check(r"-+BEGIN", "-x", "-", false);
        check("(?:abc|x.{0,9}z)y", "xqqq", "!", true);
    }
}
