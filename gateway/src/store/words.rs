//! Words of texts, as the search index keeps them: folded to small letters, and pairs of characters where a script is
//! written without spaces.

use std::collections::BTreeSet;
use std::ops::Range;

/// Words of one exchange that are indexed at most.
const MOST_WORDS: usize = 8_192;

/// Bytes of a word at most; what is longer is found by its beginning.
const LONGEST: usize = 64;

/// What must stand in an index for a text to be found: words, and for scripts without spaces pairs of characters.
pub(super) fn wanted(text: &str) -> Vec<String> {
    let mut wanted = BTreeSet::new();
    for word in Words(text) {
        match word {
            Word::Plain(word) => {
                let mut folded = String::new();
                fold(word, &mut folded);
                wanted.insert(folded);
            }
            Word::Dense(run) => match run.chars().count() {
                1 => drop(wanted.insert(run.to_owned())),
                _ => wanted.extend(pairs(run).map(str::to_owned)),
            },
        }
    }
    wanted.into_iter().collect()
}

/// Different words in one piece of memory: an exchange has thousands, and most of them several times.
#[derive(Default)]
pub(super) struct Bag {
    text: String,
    /// Where words stand in `text`; in order and each once when it has settled.
    words: Vec<Range<usize>>,
    full: bool,
}

impl Bag {
    /// Adds the words of a text, until there are too many.
    pub(super) fn add(&mut self, text: &str) {
        for word in Words(text) {
            match word {
                Word::Plain(word) => self.put(|text| fold(word, text)),
                Word::Dense(run) => {
                    for (at, c) in run.char_indices() {
                        self.put(|text| text.push_str(run.get(at..at + c.len_utf8()).unwrap_or_default()));
                    }
                    pairs(run).for_each(|pair| self.put(|text| text.push_str(pair)));
                }
            }
            if self.full {
                return;
            }
        }
    }

    fn put(&mut self, write: impl FnOnce(&mut String)) {
        let start = self.text.len();
        write(&mut self.text);
        self.words.push(start..self.text.len());
        if self.words.len() >= 2 * MOST_WORDS {
            self.settle();
            self.full |= self.words.len() >= MOST_WORDS;
        }
    }

    pub(super) fn settle(&mut self) {
        let word = |range: &Range<usize>| self.text.get(range.clone()).unwrap_or_default();
        self.words.sort_unstable_by(|one, other| word(one).cmp(word(other)));
        self.words.dedup_by(|one, other| word(one) == word(other));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.words.iter().filter_map(|range| self.text.get(range.clone()))
    }

    pub(super) fn holds(&self, wanted: &str) -> bool {
        self.words.binary_search_by(|range| self.text.get(range.clone()).unwrap_or_default().cmp(wanted)).is_ok()
    }
}

/// A word as it stands, or a run of a script that is written without spaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word<'a> {
    Plain(&'a str),
    Dense(&'a str),
}

/// Words of a text, in its order.
struct Words<'a>(&'a str);

impl<'a> Words<'a> {
    fn run(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let (run, rest) = self.0.split_at(self.0.find(|c| !fits(c)).unwrap_or(self.0.len()));
        self.0 = rest;
        run
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = Word<'a>;

    fn next(&mut self) -> Option<Word<'a>> {
        self.run(|c| !c.is_alphanumeric());
        let first = self.0.chars().next()?;
        Some(match is_dense(first) {
            true => Word::Dense(self.run(is_dense)),
            false => Word::Plain(self.run(|c| c.is_alphanumeric() && !is_dense(c))),
        })
    }
}

/// Neighbours in a run, two by two.
fn pairs(run: &str) -> impl Iterator<Item = &str> {
    let ends = run.char_indices().skip(1).map(|(at, c)| at + c.len_utf8());
    run.char_indices().zip(ends).filter_map(|((start, _), end)| run.get(start..end))
}

/// Writes a word in small letters, its beginning where it is too long.
fn fold(word: &str, into: &mut String) {
    let start = into.len();
    // A small letter may be longer than its capital, never by that much.
    let word = word.get(..word.floor_char_boundary(LONGEST)).unwrap_or_default();
    match word.is_ascii() {
        true => into.extend(word.bytes().map(|byte| char::from(byte.to_ascii_lowercase()))),
        false => into.extend(word.chars().flat_map(char::to_lowercase)),
    }
    into.truncate(into.floor_char_boundary(start + LONGEST));
}

/// Scripts that are written without spaces: Han, Kana, Thai, Lao, Khmer, Burmese.
fn is_dense(c: char) -> bool {
    matches!(u32::from(c),
        0x0e01..=0x0eff | 0x1000..=0x109f | 0x1780..=0x17ff | 0x3041..=0x30ff | 0x31f0..=0x31ff
        | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xf900..=0xfaff | 0x20000..=0x323af)
        && c.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_fall_into_words_and_pairs() {
        let indexed = |text: &str| {
            let mut bag = Bag::default();
            bag.add(text);
            bag.settle();
            bag.iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(indexed("Hello, HELLO world-7"), ["7", "hello", "world"]);
        assert_eq!(indexed("六四R1"), ["r1", "六", "六四", "四"]);
        assert_eq!(indexed("Straße"), ["straße"]);
        assert!(indexed("— … \u{0}").is_empty());
        assert_eq!(wanted("天安门 1989"), ["1989", "天安", "安门"]);
        assert_eq!(wanted("门"), ["门"]);
        assert!(indexed(&"A".repeat(500)).iter().all(|word| word.len() == LONGEST));
        assert!(indexed(&"İ".repeat(500)).iter().all(|word| word.len() <= LONGEST));
        let many: String = (0..50_000).map(|n| format!("w{n} ")).collect();
        assert!((MOST_WORDS..=2 * MOST_WORDS).contains(&indexed(&many).len()));
        assert_eq!(indexed(&"again and again ".repeat(50_000)), ["again", "and"]);
    }
}
