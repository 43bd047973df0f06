//! The places at which a match of some pattern may begin, asked with as few steps as possible. It begins none.
//!
//! Patterns share 64 bits, each bit for one automaton's patterns or some of them; a table per place of a match says which bits a byte
//! leaves. What is left is asked pattern by pattern. A place is refused only on bytes that are known, so a match that
//! is refused here would have died on the same bytes.

use super::Group;
use super::ahead::{AHEAD, Ahead};
use super::word_begins::Table;

const BITS: usize = 64;

/// What stands where a match may begin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Front<'a> {
    /// The first bytes of the plain reading from here, as far as they are known.
    pub(crate) bytes: &'a [u8],
    /// The two bytes after the first letters and digits, as far as they are known.
    pub(crate) after_word: &'a [u8],
    /// Whether the place is inside a word.
    pub(crate) inside_word: bool,
}

/// A pattern, and the automaton that it is part of.
#[derive(Debug, Clone)]
struct Entry {
    group: usize,
    ahead: Ahead,
    inside_words: bool,
}

/// Where matches may begin.
#[derive(Debug, Clone)]
pub(crate) struct Starts {
    places: [Box<[u64]>; AHEAD],
    after_word: [Box<[u64]>; 2],
    inside: u64,
    /// The bits of patterns of which all that the first bytes can be is listed, and that list.
    listed: u64,
    prefixes: Table,
    entries: Vec<Vec<Entry>>,
}

impl Starts {
    /// Those of some automata, in the order of their numbers.
    pub(crate) fn of<'a>(groups: impl Iterator<Item = (usize, &'a Group)>) -> Self {
        let mut all: Vec<Entry> = groups
            .flat_map(|(group, of)| {
                let entry =
                    move |(ahead, inside_words): (&Ahead, bool)| Entry { group, ahead: ahead.clone(), inside_words };
                of.aheads().map(entry)
            })
            .collect();
        // Patterns that begin alike share a bit, so that few bits are left by a word.
        all.sort_by_key(|entry| (0..=u8::MAX).find(|byte| entry.ahead.at(0, *byte)));
        let (listed, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|entry| entry.ahead.prefixes().is_some());
        // Those that are not listed have more need of a bit of their own.
        let bits = BITS - others.len().min(BITS * 3 / 4);
        let mut entries: Vec<Vec<Entry>> = chunks(&listed, bits);
        let listed = entries.len();
        entries.extend(chunks(&others, BITS - listed));
        let empty = || vec![0_u64; 256].into_boxed_slice();
        let mut starts = Self {
            places: std::array::from_fn(|_| empty()),
            after_word: [empty(), empty()],
            inside: 0,
            listed: u64::MAX.checked_shr(u32::try_from(BITS - listed).unwrap_or(u32::MAX)).unwrap_or(0),
            prefixes: Table::new(),
            entries,
        };
        for (bit, entries) in starts.entries.iter().enumerate() {
            for entry in entries {
                for byte in 0..=u8::MAX {
                    let mark = |table: &mut Box<[u64]>, stands: bool| {
                        if let Some(bits) = table.get_mut(usize::from(byte)) {
                            *bits |= u64::from(stands) << bit;
                        }
                    };
                    for (place, table) in starts.places.iter_mut().enumerate() {
                        mark(table, entry.ahead.at(place, byte));
                    }
                    for (place, table) in starts.after_word.iter_mut().enumerate() {
                        mark(table, entry.ahead.after_word(place, byte));
                    }
                }
                for prefix in entry.ahead.prefixes().into_iter().flatten() {
                    starts.prefixes.set(u64::from(u32::from_le_bytes(*prefix)));
                }
                starts.inside |= u64::from(entry.inside_words) << bit;
            }
        }
        starts
    }

    /// Whether any match may begin inside a word.
    pub(crate) fn inside_words(&self) -> bool {
        self.inside != 0
    }

    /// Whether a match may begin with a byte, inside a word or not; which says no more than it must.
    #[inline]
    pub(crate) fn with(&self, byte: u8, inside_word: bool) -> bool {
        let bits = self.places[0].get(usize::from(byte)).copied().unwrap_or_default();
        bits & (if inside_word { self.inside } else { u64::MAX }) != 0
    }

    /// The same of all bytes of a character.
    #[inline]
    pub(crate) fn with_all(&self, bytes: &[u8], inside_word: bool) -> bool {
        let mut bits = if inside_word { self.inside } else { u64::MAX };
        for (table, byte) in self.places.iter().zip(bytes) {
            bits &= table.get(usize::from(*byte)).copied().unwrap_or_default();
        }
        bits != 0
    }

    /// Whether a match may begin.
    #[inline]
    pub(crate) fn any(&self, front: Front<'_>) -> bool {
        let bits = self.bits(front);
        bits != 0 && self.left(bits, front).next().is_some()
    }

    /// Adds the automata of which a match may begin, in the order of their numbers.
    pub(crate) fn groups(&self, front: Front<'_>, groups: &mut Vec<usize>) {
        let bits = self.bits(front);
        if bits != 0 {
            groups.extend(self.left(bits, front));
            groups.sort_unstable();
            groups.dedup();
        }
    }

    #[inline]
    fn bits(&self, front: Front<'_>) -> u64 {
        let mut bits = if front.inside_word { self.inside } else { u64::MAX };
        // What follows the word tells most; a space, nearly all.
        for (table, byte) in self.after_word.iter().zip(front.after_word) {
            bits &= table.get(usize::from(*byte)).copied().unwrap_or_default();
        }
        for (table, byte) in self.places.iter().zip(front.bytes) {
            bits &= table.get(usize::from(*byte)).copied().unwrap_or_default();
        }
        if let Ok(prefix) = <[u8; AHEAD]>::try_from(front.bytes)
            && !self.prefixes.has(u64::from(u32::from_le_bytes(prefix)))
        {
            bits &= !self.listed;
        }
        bits
    }

    fn left<'a>(&'a self, mut bits: u64, front: Front<'a>) -> impl Iterator<Item = usize> + 'a {
        let entries = std::iter::from_fn(move || {
            let bit = bits.trailing_zeros();
            bits &= bits.wrapping_sub(1);
            self.entries.get(bit as usize)
        });
        entries.flatten().filter(move |entry| entry.begins(front)).map(|entry| entry.group)
    }
}

fn chunks(entries: &[Entry], most: usize) -> Vec<Vec<Entry>> {
    entries.chunks(entries.len().div_ceil(most.max(1)).max(1)).map(<[Entry]>::to_vec).collect()
}

impl Entry {
    fn begins(&self, front: Front<'_>) -> bool {
        (!front.inside_word || self.inside_words)
            && front.bytes.iter().take(AHEAD).enumerate().all(|(place, byte)| self.ahead.at(place, *byte))
            && front.after_word.iter().enumerate().all(|(place, byte)| self.ahead.after_word(place, *byte))
    }
}
