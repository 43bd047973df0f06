//! Finds phrases that begin where words begin, any number of them at once: most places of a text are passed over after one
//! look at four bytes. It knows nothing of what a phrase means.

use std::ops::Range;

use super::tokens::Seen;

/// Phrases, each a row of groups of which one choice must stand after the other.
#[derive(Debug)]
pub(crate) struct Starts {
    /// The first bytes of phrases.
    heads: Heads,
    /// First eight bytes of phrases, or all of a shorter one.
    keys: Seen,
    /// For each place in `keys`, the part of `owners` that begins so.
    parts: Vec<Range<usize>>,
    owners: Vec<u32>,
    phrases: Vec<Vec<Group>>,
}

/// Hashes of the first four bytes of all phrases, and of the first eight: a bit for each.
#[derive(Debug, Default)]
struct Heads {
    short: Vec<u64>,
    long: Vec<u64>,
}

/// One of these stands here: sorted, and whether nothing may stand here as well.
#[derive(Debug)]
struct Group {
    choices: Vec<String>,
    optional: bool,
}

/// A phrase in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its place among those given.
    pub(crate) phrase: usize,
    pub(crate) span: Range<usize>,
}

impl Starts {
    /// Compiles phrases. A group of braces holds alternatives, of which one may be empty: `i {can't|won't} help`.
    pub(crate) fn new(phrases: impl IntoIterator<Item = Vec<Vec<String>>>) -> Self {
        let phrases: Vec<Vec<Group>> =
            phrases.into_iter().map(|groups| groups.into_iter().map(Group::new).collect()).collect();
        let mut pairs: Vec<(u64, u32)> = Vec::new();
        for (place, groups) in (0_u32..).zip(&phrases) {
            let mut beginnings = Vec::new();
            begin(groups, [0; KEY], 0, &mut beginnings);
            pairs.extend(beginnings.into_iter().map(|key| (key, place)));
        }
        pairs.sort_unstable();
        pairs.dedup();
        let mut keys = Seen::with_room(pairs.len());
        for (key, _) in &pairs {
            keys.insert(mix(*key));
        }
        let mut out = Self { heads: Heads::new(), parts: vec![0..0; keys.room()], keys, owners: Vec::new(), phrases };
        for (key, place) in pairs {
            let end = out.owners.len();
            out.owners.push(place);
            out.heads.add(key);
            if let Some(part) = out.keys.find(mix(key)).and_then(|at| out.parts.get_mut(at)) {
                *part = if part.end == 0 { end..end + 1 } else { part.start..end + 1 };
            }
        }
        out
    }

    /// Calls `each` with every phrase of a folded text, in order of where they begin; a phrase is as long as it can be. Ends
    /// when told to.
    pub(crate) fn find(&self, text: &str, mut each: impl FnMut(Found) -> bool) {
        let bytes = text.as_bytes();
        let mut joined = false;
        let mut visit = |at: usize, key: [u8; KEY]| {
            let begins = begins(key[0], &mut joined);
            begins && self.heads.may_begin(key) && self.at(key, text, at).any(|found| !each(found))
        };
        let mut windows = bytes.windows(KEY).enumerate();
        if windows.any(|(at, window)| visit(at, window.first_chunk::<KEY>().copied().unwrap_or_default())) {
            return;
        }
        // Zeros stand after the end.
        for at in bytes.len().saturating_sub(KEY - 1)..bytes.len() {
            let mut key = [0; KEY];
            for (slot, byte) in key.iter_mut().zip(bytes.get(at..).unwrap_or_default()) {
                *slot = *byte;
            }
            if visit(at, key) {
                return;
            }
        }
    }

    fn at<'a>(&'a self, key: [u8; KEY], text: &'a str, at: usize) -> impl Iterator<Item = Found> + 'a {
        let key = u64::from_le_bytes(key);
        // Where the text ends within a mask, that is zeros there, the shorter mask has found all there is.
        let masks = MASKS.iter().filter(move |mask| key & *mask > *mask >> 8);
        let keys = masks.map(move |mask| key & mask).filter(|key| self.heads.has(*key));
        let owners = keys.flat_map(|key| {
            let part = self.keys.find(mix(key)).and_then(|at| self.parts.get(at)).cloned();
            self.owners.get(part.unwrap_or_default()).unwrap_or_default()
        });
        owners.filter_map(move |owner| {
            let phrase = *owner as usize;
            let end = end_of(self.phrases.get(phrase)?, text, at)?;
            Some(Found { phrase, span: at..end })
        })
    }
}

/// Whether a phrase may begin with this byte. A letter of a spaced script begins none where one stands before it.
fn begins(byte: u8, joined: &mut bool) -> bool {
    if byte & 0xC0 == 0x80 {
        return false;
    }
    let spaced = is_spaced(byte);
    let inside = *joined && spaced;
    *joined = spaced;
    !inside
}

impl Group {
    fn new(mut choices: Vec<String>) -> Self {
        choices.sort();
        choices.dedup();
        let optional = choices.first().is_some_and(String::is_empty);
        choices.retain(|choice| !choice.is_empty());
        Self { choices, optional }
    }

    /// The choices that begin with the byte that stands here.
    fn near(&self, first: u8) -> &[String] {
        let head = |choice: &String| choice.bytes().next().unwrap_or_default();
        let from = self.choices.partition_point(|choice| head(choice) < first);
        let rest = self.choices.get(from..).unwrap_or_default();
        rest.get(..rest.partition_point(|choice| head(choice) == first)).unwrap_or_default()
    }
}

/// Where a phrase ends that has reached `at`, taking the longest way through its groups.
fn end_of(groups: &[Group], text: &str, at: usize) -> Option<usize> {
    let Some((group, rest)) = groups.split_first() else { return Some(at) };
    let without = if group.optional { end_of(rest, text, at) } else { None };
    let here = text.get(at..)?;
    let Some(first) = here.bytes().next() else { return without };
    let fits = group.near(first).iter().filter(|choice| here.starts_with(choice.as_str()));
    fits.filter_map(|choice| end_of(rest, text, at + choice.len())).max().max(without)
}

/// All ways in which phrases begin, eight bytes of each. A shorter one begins with itself and zeros.
fn begin(groups: &[Group], key: [u8; KEY], length: usize, out: &mut Vec<u64>) {
    let Some((group, rest)) = groups.split_first().filter(|_| length < KEY) else {
        out.push(u64::from_le_bytes(key));
        return;
    };
    if group.optional {
        begin(rest, key, length, out);
    }
    for choice in &group.choices {
        let mut key = key;
        for (slot, byte) in key.iter_mut().skip(length).zip(choice.bytes()) {
            *slot = byte;
        }
        begin(rest, key, (length + choice.len()).min(KEY), out);
    }
}

impl Heads {
    fn new() -> Self {
        Self { short: vec![0; BITS / 64], long: vec![0; BITS / 64] }
    }

    fn add(&mut self, key: u64) {
        set(&mut self.long, key);
        // One shorter than four bytes may go on in any way.
        let open = if key <= FIRST >> 8 { u64::from(u8::MAX) } else { 0 };
        for last in 0..=open {
            set(&mut self.short, key & FIRST | last << 24);
        }
    }

    /// Whether some phrase begins with the same four bytes, or seems to.
    fn may_begin(&self, key: [u8; KEY]) -> bool {
        is_set(&self.short, u64::from_le_bytes(key) & FIRST)
    }

    fn has(&self, key: u64) -> bool {
        is_set(&self.long, key)
    }
}

fn set(bits: &mut [u64], key: u64) {
    if let Some(bits) = bits.get_mut(slot(key) / 64) {
        *bits |= 1 << (slot(key) % 64);
    }
}

fn is_set(bits: &[u64], key: u64) -> bool {
    bits.get(slot(key) / 64).is_some_and(|bits| bits >> (slot(key) % 64) & 1 == 1)
}

/// Whether a byte is, or begins, a letter of a script that puts spaces between words.
fn is_spaced(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, 0xC3..=0xD4)
}

fn slot(key: u64) -> usize {
    (mix(key) >> (64 - BITS.trailing_zeros())) as usize
}

/// A number of its own for each key, well mixed in its high bits.
fn mix(key: u64) -> u64 {
    key.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Bytes by which a beginning is known.
const KEY: usize = 8;
/// The first four of them.
const FIRST: u64 = 0xFFFF_FFFF;
/// The first three to eight of them, as phrases may be shorter.
const MASKS: [u64; 6] = [u64::MAX >> 40, u64::MAX >> 32, u64::MAX >> 24, u64::MAX >> 16, u64::MAX >> 8, u64::MAX];
const BITS: usize = 1 << 17;

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(groups: &[&[&str]]) -> Vec<Vec<String>> {
        groups.iter().map(|group| group.iter().map(|choice| (*choice).to_owned()).collect()).collect()
    }

    #[track_caller]
    fn check(text: &str, expected: &[(usize, &str)]) {
        let starts = Starts::new([
            groups(&[&["i "], &["can't", "can", "won't"], &["", " not"], &[" help", " help you"]]),
            groups(&[&["我", ""], &["必须", "必"], &["指出"]]),
            groups(&[&["noe"]]),
            groups(&[&["ни"], &[" за", " за что"]]),
        ]);
        let mut found = Vec::new();
        starts.find(text, |one| {
            found.push((one.phrase, text.get(one.span).unwrap()));
            true
        });
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn a_phrase_is_found_where_a_word_begins_and_as_long_as_it_can_be() {
        check("so i can't help you.", &[(0, "i can't help you")]);
        check("i can not help", &[(0, "i can not help")]);
        check("hi can help i canhelp", &[]);
        check("他我必须指出", &[(1, "我必须指出"), (1, "必须指出")]);
        check("noel knoe noe.", &[(2, "noe"), (2, "noe")]);
        check("мне ни за что", &[(3, "ни за что")]);
        check("они за", &[]);
        check("", &[]);
        check("noe", &[(2, "noe")]);
        check("no", &[]);
    }
}
