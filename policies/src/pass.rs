//! Passes over ASCII text in which nothing begins, a word at a time. It stops before the first character that has to be
//! read with care, and finds nothing.
//!
//! Sound because it is asked only where nothing is under way, and because terms and patterns say of each place whether
//! one of them may begin there by bytes that are known: what the careful reading would begin there, and lose again on
//! the same bytes, leaves nothing behind.

use crate::matcher::{AHEAD, Front, Starts, WordBegins};
use crate::normalise::RUN_MOST;
use crate::plan::Plan;

/// Where a reading stands that has nothing under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Idle {
    /// Whether the last character was a letter.
    pub(crate) inside_word: bool,
    /// Characters in a row that were none.
    pub(crate) run: u8,
    /// Where the last letter passed ended.
    pub(crate) letter_end: Option<usize>,
}

/// Passes over text from a place on, and gives where it stops.
#[inline]
pub(crate) fn pass(plan: &Plan, text: &[u8], mut at: usize, idle: &mut Idle) -> usize {
    let begins = plan.searched_terms().map(|terms| &terms.begins);
    while let Some(byte) = text.get(at) {
        let next = match kind(*byte) {
            Kind::Letter => word(&plan.starts, begins, text, at, idle),
            Kind::Between => between(&plan.starts, text, at, idle),
            Kind::Other => return at,
        };
        if next == at {
            return at;
        }
        at = next;
    }
    at
}

/// Passes over letters up to the end of their word, or to where a pattern may begin inside it.
#[inline]
fn word(starts: &Starts, begins: Option<&WordBegins>, text: &[u8], at: usize, idle: &mut Idle) -> usize {
    let end = word_end(text, at);
    let mut next = at;
    if !idle.inside_word {
        let pattern = text.get(at).is_some_and(|byte| starts.with(*byte, false));
        if pattern && starts.any(front(text, at, Some(end)))
            || begins.is_some_and(|begins| may_begin(begins, text, at, end))
        {
            return at;
        }
        next += 1;
    }
    if starts.inside_words() {
        while let Some(byte) = text.get(next).filter(|_| next < end) {
            let front = || Front { inside_word: true, ..front(text, next, None) };
            if starts.with(*byte, true) && starts.any(front()) {
                break;
            }
            next += 1;
        }
    } else {
        next = end;
    }
    if next > at {
        *idle = Idle { inside_word: true, run: 0, letter_end: Some(next) };
    }
    next
}

/// Whether a term may begin with a word, as far as it and what follows is known.
#[inline]
fn may_begin(begins: &WordBegins, text: &[u8], at: usize, end: usize) -> bool {
    let word = text.get(at..).unwrap_or_default();
    match text.get(end..).unwrap_or_default() {
        [after, rest @ ..] if after.is_ascii() => begins.word(word, end - at, next_letters(rest)),
        _ => begins.begin(word.get(..end - at).unwrap_or_default()),
    }
}

/// The first two letters of a word that stands here, small, with a space where it has only one.
#[inline]
fn next_letters(text: &[u8]) -> Option<[u8; 2]> {
    let [first, second, ..] = text else { return None };
    match (kind(*first), kind(*second)) {
        (Kind::Letter, Kind::Letter) => Some([first | 0x20, second | 0x20]),
        (Kind::Letter, Kind::Between) => Some([first | 0x20, b' ']),
        _ => None,
    }
}

/// Passes over a character between words.
#[inline]
fn between(starts: &Starts, text: &[u8], at: usize, idle: &mut Idle) -> usize {
    let begins = text.get(at).is_some_and(|byte| starts.with(*byte, false)) && starts.any(front(text, at, Some(at)));
    let run = idle.run.saturating_add(1);
    if begins || run == RUN_MOST {
        return at;
    }
    idle.run = run;
    idle.inside_word = false;
    at + 1
}

/// What stands at a place outside words, whose letters end at `end`.
#[inline]
pub(crate) fn front(text: &[u8], at: usize, end: Option<usize>) -> Front<'_> {
    let after_word = end.map_or(&[][..], |end| ascii::<2>(text, end));
    Front { bytes: ascii::<AHEAD>(text, at), after_word, inside_word: false }
}

/// The bytes at a place up to one that is not ASCII, so many at most.
#[inline]
fn ascii<const MOST: usize>(text: &[u8], at: usize) -> &[u8] {
    let bytes = text.get(at..).unwrap_or_default();
    match bytes.first_chunk::<MOST>() {
        Some(chunk) if chunk.iter().fold(0, |all, byte| all | byte) < 0x80 => chunk,
        _ => {
            let known = bytes.iter().take(MOST).take_while(|byte| byte.is_ascii()).count();
            bytes.get(..known).unwrap_or_default()
        }
    }
}

/// Where the letters and digits end that stand at a place.
#[inline]
pub(crate) fn word_end(text: &[u8], at: usize) -> usize {
    let mut end = at;
    while let Some(chunk) = text.get(end..).and_then(<[u8]>::first_chunk::<8>) {
        let others = !letters(u64::from_le_bytes(*chunk)) & each(0x80);
        if others != 0 {
            return end + (others.trailing_zeros() / 8) as usize;
        }
        end += 8;
    }
    let rest = text.get(end..).unwrap_or_default();
    end + rest.iter().position(|byte| kind(*byte) != Kind::Letter).unwrap_or(rest.len())
}

/// The high bit of each of eight bytes that is a letter or digit.
#[inline]
const fn letters(bytes: u64) -> u64 {
    let low = bytes & each(0x7f);
    let small = low | each(0x20);
    // Seven bits and an offset below 128 make no carry; it reaches the high bit from the first of a range on.
    let letter = (small + each(0x80 - b'a')) & !(small + each(0x7f - b'z'));
    let digit = (low + each(0x80 - b'0')) & !(low + each(0x7f - b'9'));
    (letter | digit) & !bytes & each(0x80)
}

const fn each(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// What a byte does to words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Letter,
    Between,
    Other,
}

#[inline]
fn kind(byte: u8) -> Kind {
    KINDS.get(usize::from(byte)).copied().unwrap_or(Kind::Other)
}

const KINDS: [Kind; 256] = {
    let mut kinds = [Kind::Other; 256];
    let mut byte = 0;
    while byte < 128 {
        kinds[byte as usize] = if (byte as u8).is_ascii_alphanumeric() { Kind::Letter } else { Kind::Between };
        byte += 1;
    }
    kinds
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalise::{Class, Folding};

    #[test]
    fn ascii_is_letters_and_what_stands_between() {
        let folding = Folding::new();
        for byte in 0..=u8::MAX {
            let expected = match folding.of_ascii(byte) {
                None => Kind::Other,
                Some((Class::Word, small)) if small == byte | 0x20 => Kind::Letter,
                Some((Class::Gap | Class::Break, _)) => Kind::Between,
                Some(other) => panic!("{byte}: {other:?}"),
            };
            assert_eq!(kind(byte), expected, "{byte}");
            for place in 0..8 {
                let mut text = *b"aZz09A5q~";
                text[place] = byte;
                let end = if expected == Kind::Letter { 8 } else { place };
                assert_eq!(word_end(&text, 0), end, "{byte} at {place}");
            }
        }
    }
}
