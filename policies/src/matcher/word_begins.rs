//! Which words a term may begin with, asked before the automaton is. It may say yes for nothing, never no for a term.

/// Letters by which a word is looked up of which the end is not known, or need not be.
const FEW: usize = 4;

/// Letters by which a word is looked up that may go on.
const SOME: usize = 6;

/// Letters by which a word is looked up that is known, besides their number.
const MANY: usize = 8;

/// Bits of a table: with the few thousand words that packs hold nearly all others are refused.
const BITS: u32 = 16;

/// The begins of terms.
#[derive(Debug)]
pub(crate) struct WordBegins {
    /// The first letters of first words, and of those that may go on.
    begins: Table,
    open: Table,
    /// More letters of those that have more.
    open_long: Table,
    /// First words that are whole terms.
    words: Table,
    /// First words after which another follows; by themselves, and with its first two letters.
    heads: Table,
    pairs: Table,
    /// Per character up to U+FFFF: whether a term begins with it.
    characters: Box<[u64]>,
}

impl WordBegins {
    /// Those of terms, as they are searched for.
    pub(crate) fn of<'a>(terms: impl Iterator<Item = &'a [u8]>) -> Self {
        let table = Table::new;
        let (begins, open, open_long) = (table(), table(), table());
        let (words, heads, pairs) = (table(), table(), table());
        let mut all = Self { begins, open, open_long, words, heads, pairs, characters: table().0 };
        for term in terms {
            let letters = term.strip_prefix(b" ").unwrap_or(term);
            match std::str::from_utf8(letters).ok().and_then(|letters| letters.chars().next()) {
                Some(first) => set(&mut all.characters, u32::from(first) as usize),
                None => all.characters.fill(u64::MAX),
            }
            all.add(letters);
        }
        all
    }

    fn add(&mut self, letters: &[u8]) {
        let end = letters.iter().position(|byte| *byte == b' ');
        let word = letters.get(..end.unwrap_or(letters.len())).unwrap_or_default();
        let few = word.get(..FEW).unwrap_or(word);
        if !few.is_ascii() {
            return;
        }
        self.begins.add_begin(few, end.is_none());
        let Some(end) = end else {
            return match word.get(..SOME).filter(|begin| begin.is_ascii()) {
                Some(begin) => self.open_long.set(key(begin, SOME)),
                None => self.open.add_begin(few, true),
            };
        };
        let key = key(word, word.len());
        match letters.get(end + 1..) {
            None | Some([]) => self.words.set(key),
            Some(rest) => {
                self.heads.set(key);
                match rest {
                    [one] => (0..0x80).for_each(|next| self.pairs.set(pair(key, [*one, next]))),
                    [first, second, ..] => self.pairs.set(pair(key, [*first, *second])),
                    [] => {}
                }
            }
        }
    }

    /// Whether a term may begin with the first `length` bytes, letters and digits that make a whole word; `next` holds
    /// the first two letters of the next word, if that stands one byte after it.
    #[inline]
    pub(crate) fn word(&self, bytes: &[u8], length: usize, next: Option<[u8; 2]>) -> bool {
        let key = key(bytes, length);
        self.words.has(key)
            || match next {
                Some(next) => self.pairs.has(pair(key, next)),
                None => self.heads.has(key),
            }
            || self.open.has(key & FEW_LETTERS)
            || (length >= SOME && self.open_long.has((key & SOME_LETTERS) | (SMALL & !SOME_LETTERS)))
    }

    /// Whether a term may begin with letters and digits of which the word may go on.
    #[inline]
    pub(crate) fn begin(&self, letters: &[u8]) -> bool {
        letters.len() < FEW || self.begins.has(key(letters, letters.len()) & FEW_LETTERS)
    }

    /// Whether a term may begin with a character.
    #[inline]
    pub(crate) fn character(&self, character: char) -> bool {
        let number = u32::from(character) as usize;
        number > 0xffff || has(&self.characters, number)
    }
}

/// What makes a capital small leaves small letters and digits as they are, and makes spaces of nothing.
const SMALL: u64 = 0x2020_2020_2020_2020;
const FEW_LETTERS: u64 = 0xffff_ffff;
const SOME_LETTERS: u64 = 0xffff_ffff_ffff;

/// The first letters of a word of `length`, small, with spaces for those that it has not; its length where it has more.
#[inline]
fn key(bytes: &[u8], length: usize) -> u64 {
    let letters = match bytes.first_chunk::<MANY>() {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => bytes.iter().rev().fold(0, |letters, byte| letters << 8 | u64::from(*byte)),
    };
    if length >= MANY {
        return (letters | SMALL).wrapping_add((length as u64 - MANY as u64) << 56);
    }
    (letters & !(u64::MAX << (8 * length))) | SMALL
}

#[inline]
fn pair(key: u64, next: [u8; 2]) -> u64 {
    key ^ u64::from(u16::from_le_bytes(next)).wrapping_mul(0x5851_f42d_4c95_7f2d)
}

/// A set of which it may seem to have more in it than it has.
#[derive(Debug, Clone)]
pub(super) struct Table(Box<[u64]>);

impl Table {
    pub(super) fn new() -> Self {
        Self(vec![0_u64; 1 << (BITS - 6)].into_boxed_slice())
    }

    /// Adds the first letters of a word, and where it goes on, all that may follow them.
    fn add_begin(&mut self, few: &[u8], open: bool) {
        let mut known = vec![few.to_vec()];
        while let Some(letters) = known.pop() {
            self.set(key(&letters, letters.len()) & FEW_LETTERS);
            if open && letters.len() < FEW {
                known.extend((b'a'..=b'z').chain(b'0'..=b'9').map(|letter| [&letters[..], &[letter]].concat()));
            }
        }
    }

    pub(super) fn set(&mut self, key: u64) {
        let (index, bits) = place(key);
        if let Some(word) = self.0.get_mut(index) {
            *word |= bits;
        }
    }

    #[inline]
    pub(super) fn has(&self, key: u64) -> bool {
        let (index, bits) = place(key);
        self.0.get(index).is_none_or(|word| word & bits == bits)
    }
}

/// Where a key stands: a word of the table and two bits of it, so that one look tells nearly all apart.
#[inline]
fn place(key: u64) -> (usize, u64) {
    let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let index = (hash >> (64 - (BITS - 6))) as usize;
    (index, 1 << (hash >> 48 & 63) | 1 << (hash >> 42 & 63))
}

fn set(table: &mut [u64], index: usize) {
    if let Some(bits) = table.get_mut(index >> 6) {
        *bits |= 1 << (index & 63);
    }
}

#[inline]
fn has(table: &[u64], index: usize) -> bool {
    table.get(index >> 6).is_none_or(|bits| bits >> (index & 63) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_refused_only_where_no_term_begins_with_it() {
        let terms = [" falun gong ", " xi ", " un", " protest", "法轮功", " sтa", " whistleblowers ", " the island "];
        let begins = WordBegins::of(terms.map(str::as_bytes).into_iter());
        let whole = [
            ("falun", Some(*b"go"), true),
            ("FALUN", Some(*b"go"), true),
            ("falun", Some(*b"xi"), false),
            ("falun", None, true),
            ("xi", Some(*b"xi"), true),
            ("xia", None, false),
            ("undo", None, true),
            ("un", None, true),
            ("um", None, false),
            ("protesters", None, true),
            ("pro", None, false),
            ("whistleblowers", None, true),
            ("whistleblower", None, false),
            ("the", Some(*b"is"), true),
            ("the", Some(*b"en"), false),
            ("s", None, false),
        ];
        for (word, next, expected) in whole {
            assert_eq!(begins.word(word.as_bytes(), word.len(), next), expected, "{word}");
            assert_eq!(begins.word(format!("{word} and more").as_bytes(), word.len(), next), expected, "{word}");
        }
        for (letters, expected) in [("fal", true), ("falu", true), ("fala", false), ("whistle", true), ("gong", false)]
        {
            assert_eq!(begins.begin(letters.as_bytes()), expected, "{letters}");
        }
        for (character, expected) in [('法', true), ('轮', false), ('f', true), ('𝐚', true), ('é', false)] {
            assert_eq!(begins.character(character), expected, "{character}");
        }
    }
}
