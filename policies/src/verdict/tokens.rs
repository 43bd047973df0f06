//! Cuts a folded text into words, once for all that count them. It knows no language: a run of letters is a word, and so is
//! each ideograph.

/// A word of a folded text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word {
    pub(crate) hash: u64,
    /// What it means, as far as its first letters or, for an ideograph, the one before it tell; zero if it is too short.
    pub(crate) stem: u64,
    /// Bytes of the text.
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Whether it stands here for the first time.
    pub(crate) first: bool,
}

/// The words that begin in the first so many bytes of a text.
pub(crate) fn words(text: &str, most: usize) -> Vec<Word> {
    let mut cutting = Cutting { text, words: Vec::with_capacity(text.len().min(most) / 4 + 8), before: 0 };
    let mut at = 0;
    while at < most {
        let Some((start, single)) = next_start(text, at) else { break };
        at = if single.0 { start + single.1 } else { end_of_word(text, start) };
        if start < most {
            cutting.add(start, at, single.0);
        }
    }
    let mut seen = Seen::with_room(cutting.words.len());
    for word in &mut cutting.words {
        word.first = seen.insert(word.hash);
    }
    cutting.words
}

struct Cutting<'a> {
    text: &'a str,
    words: Vec<Word>,
    /// The ideograph just before, if there is one.
    before: u64,
}

impl Cutting<'_> {
    fn add(&mut self, start: usize, end: usize, single: bool) {
        let bytes = self.text.as_bytes();
        let hash = hash_of(bytes, start, end);
        let stem = match (single, self.before) {
            (true, 0) => 0,
            (true, before) => mix(before, hash),
            (false, _) if end - start > 3 => hash_of(bytes, start, end.min(start + stem_bytes(bytes, start))),
            (false, _) => 0,
        };
        self.before = if single { hash } else { 0 };
        self.words.push(Word { hash, stem, start, end, first: true });
    }
}

/// Where the next word begins, whether it is an ideograph, and how long that is.
fn next_start(text: &str, mut at: usize) -> Option<(usize, (bool, usize))> {
    let bytes = text.as_bytes();
    loop {
        let byte = *bytes.get(at)?;
        match CLASSES.get(usize::from(byte)) {
            Some(Class::Letter) => return Some((at, (false, 1))),
            Some(_) => {
                at += 1;
                continue;
            }
            None => {}
        }
        let character = text.get(at..)?.chars().next()?;
        if is_ideograph(character) {
            return Some((at, (true, character.len_utf8())));
        }
        if is_letter(character) {
            return Some((at, (false, character.len_utf8())));
        }
        at += character.len_utf8();
    }
}

fn end_of_word(text: &str, mut at: usize) -> usize {
    let bytes = text.as_bytes();
    while let Some(byte) = bytes.get(at) {
        match CLASSES.get(usize::from(*byte)) {
            Some(Class::Other) => break,
            Some(_) => {
                at += 1;
                continue;
            }
            None => {}
        }
        let Some(character) = text.get(at..).and_then(|rest| rest.chars().next()) else { break };
        if !is_letter(character) || is_ideograph(character) {
            break;
        }
        at += character.len_utf8();
    }
    at
}

/// What a plain byte is to a word.
#[derive(Debug, Clone, Copy)]
enum Class {
    Letter,
    /// Part of a word that has begun.
    Inner,
    Other,
}

const CLASSES: [Class; 128] = {
    let mut classes = [Class::Other; 128];
    let mut byte = 0_u8;
    while byte < 128 {
        if byte.is_ascii_alphanumeric() {
            classes[byte as usize] = Class::Letter;
        }
        byte += 1;
    }
    classes[b'\'' as usize] = Class::Inner;
    classes
};

fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30FF}' | '\u{4E00}'..='\u{9FFF}')
}

/// Whether a character beyond ASCII is a letter or digit; the commonest ranges are told without the tables.
fn is_letter(c: char) -> bool {
    matches!(c, '\u{0400}'..='\u{0481}' | '\u{0620}'..='\u{064A}' | '\u{AC00}'..='\u{D7A3}') || c.is_alphanumeric()
}

/// Bytes of the first letters that tell what a word means: seven of ASCII, five of two bytes, two of more.
fn stem_bytes(bytes: &[u8], start: usize) -> usize {
    match bytes.get(start) {
        Some(0..0x80) | None => 7,
        Some(0x80..0xE0) => 10,
        Some(_) => 6,
    }
}

/// A number for the bytes of a word, eight at a time.
fn hash_of(bytes: &[u8], start: usize, end: usize) -> u64 {
    let mut hash = seed((end - start) as u64);
    let mut at = start;
    while at < end {
        let length = (end - at).min(8);
        let value = match bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
            Some(chunk) => u64::from_le_bytes(*chunk) & (u64::MAX >> (64 - 8 * length)),
            None => bytes.iter().take(end).skip(at).rev().fold(0, |value, byte| value << 8 | u64::from(*byte)),
        };
        hash = mix(hash, value);
        at += length;
    }
    hash
}

/// The number of a word that stands alone.
pub(crate) fn hash_word(word: &str) -> u64 {
    hash_of(word.as_bytes(), 0, word.len())
}

/// A number of its own for each kind of feature.
pub(crate) const fn seed(space: u64) -> u64 {
    mix(0x9E37_79B9_7F4A_7C15, space)
}

/// One number of two.
pub(crate) const fn mix(hash: u64, value: u64) -> u64 {
    (hash.rotate_left(5) ^ value).wrapping_mul(0x517c_c1b7_2722_0a95)
}

/// A set of numbers that are hashes already. Zero is never in it.
#[derive(Debug)]
pub(crate) struct Seen {
    slots: Vec<u64>,
}

impl Seen {
    /// An empty set with room for so many.
    pub(crate) fn with_room(most: usize) -> Self {
        Self { slots: vec![0; (most * 2).next_power_of_two().max(8)] }
    }

    /// Adds a number; whether it was not there. A full set takes no more.
    pub(crate) fn insert(&mut self, hash: u64) -> bool {
        let Some(at) = self.place(hash).filter(|_| hash != 0) else { return false };
        match self.slots.get_mut(at) {
            Some(slot) if *slot == 0 => {
                *slot = hash;
                true
            }
            _ => false,
        }
    }

    /// The place of a number that is in it.
    pub(crate) fn find(&self, hash: u64) -> Option<usize> {
        self.place(hash).filter(|at| hash != 0 && self.slots.get(*at) == Some(&hash))
    }

    /// How many places there are.
    pub(crate) fn room(&self) -> usize {
        self.slots.len()
    }

    /// Where a number is or would be.
    fn place(&self, hash: u64) -> Option<usize> {
        let mask = self.slots.len() - 1;
        let mut at = (hash >> 32) as usize & mask;
        for _ in 0..self.slots.len() {
            let slot = *self.slots.get(at)?;
            if slot == hash || slot == 0 {
                return Some(at);
            }
            at = (at + 1) & mask;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let words = words(text, 1_000);
        let found: Vec<&str> = words.iter().map(|word| &text[word.start..word.end]).collect();
        assert_eq!(found, expected, "{text:?}");
        for word in &words {
            assert_eq!(
                word.hash,
                hash_word(&text[word.start..word.end]),
                "a word's number does not depend on its place"
            );
        }
    }

    #[test]
    fn runs_of_letters_and_single_ideographs_are_words() {
        check("i can't, sorry", &["i", "can't", "sorry"]);
        check("我无法help回答1989年", &["我", "无", "法", "help", "回", "答", "1989", "年"]);
        check("не могу - 죄송하지만", &["не", "могу", "죄송하지만"]);
        check("'quoted' - '", &["quoted'"]);
        check("", &[]);
        check("...", &[]);
    }

    #[test]
    fn a_word_stands_somewhere_for_the_first_time() {
        let first: Vec<bool> = words("the cat and the dog", 100).iter().map(|word| word.first).collect();
        assert_eq!(first, [true, true, true, false, true]);
    }

    #[test]
    fn words_that_begin_alike_have_one_stem() {
        let stems: Vec<u64> = words("criticism criticise it", 100).iter().map(|word| word.stem).collect();
        assert!(stems[0] == stems[1] && stems[0] != 0 && stems[2] == 0, "{stems:?}");
    }

    #[test]
    fn a_set_knows_what_it_was_given() {
        let mut seen = Seen::with_room(3);
        assert!(seen.insert(5 << 32) && seen.insert(13 << 32) && !seen.insert(5 << 32));
        assert!(seen.find(13 << 32).is_some() && seen.find(21 << 32).is_none());
        assert!(!seen.insert(0) && seen.find(0).is_none());
    }
}
