//! Turns an exchange into numbers: what the answer says, how it is built, and how it stands to what was asked. It knows no
//! weights.

use std::borrow::Cow;

use super::shape::Shape;
use crate::verdict::fold::Folded;
use crate::verdict::language::Languages;
use crate::verdict::phrases::{Hit, Kind};
use crate::verdict::reading::{Reading, declines};

/// One exchange as numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Features {
    /// Measured quantities, each about between -1 and 1, at fixed places.
    pub(crate) dense: Vec<f32>,
    /// Pieces of text by hashed place, each group of unit length.
    pub(crate) sparse: Vec<(u32, f32)>,
}

/// What features are made from, already read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Material<'a> {
    pub(crate) prompt: &'a Folded,
    pub(crate) answer: &'a Reading<'a>,
    pub(crate) reasoning: Option<&'a Reading<'a>>,
    pub(crate) languages: &'a Languages,
}

/// Makes the features of one exchange.
pub(crate) fn features(material: &Material<'_>) -> Features {
    let mut dense = Vec::with_capacity(DENSE);
    let shape = Shape::of(material);
    shape.write(&mut dense);
    phrase_counts(material.answer, &mut dense);
    thinking(material, &mut dense);
    dense.resize(DENSE, 0.0);
    let mut sparse = Vec::with_capacity(6_000);
    let own = own_words(material.answer);
    let opening = head(&own, OPENING_BYTES);
    let tail = end(&own, TAIL_BYTES);
    group(&mut sparse, 1.0, |add| grams(opening.trim_start(), 2..=5, 1, add));
    group(&mut sparse, 0.7, |add| openers(opening.trim_start(), add));
    group(&mut sparse, 0.8, |add| words(head(&own, WHOLE_BYTES), 3, add));
    group(&mut sparse, 0.4, |add| grams(tail, 3..=4, 4, add));
    group(&mut sparse, 0.4, |add| shape.crossings(add));
    Features { dense, sparse }
}

/// The answer without the refusals that it only quotes.
fn own_words<'a>(reading: &'a Reading<'_>) -> Cow<'a, str> {
    if reading.quoted.is_empty() {
        return Cow::Borrowed(&reading.folded.text);
    }
    let mut own = String::with_capacity(reading.folded.text.len());
    let mut at = 0;
    for span in &reading.quoted {
        own.push_str(reading.folded.text.get(at..span.start).unwrap_or_default());
        at = at.max(span.end);
    }
    own.push_str(reading.folded.text.get(at..).unwrap_or_default());
    Cow::Owned(own)
}

/// How many phrases of each kind stand where.
fn phrase_counts(reading: &Reading<'_>, dense: &mut Vec<f32>) {
    let per = 1_000.0 / (reading.folded.letters.max(200) as f32);
    for kind in KINDS {
        let early = reading.early(kind).count() as f32;
        let all = reading.all(kind).count() as f32;
        dense.push(early.min(1.0));
        dense.push(early.min(4.0) / 4.0);
        dense.push((all + 1.0).ln() / 3.0);
        dense.push((all * per).min(6.0) / 6.0);
    }
    let first = |wanted: fn(&Hit) -> bool| reading.hits.iter().find(|hit| wanted(hit)).map(|hit| hit.span.start as f32);
    let near = |at: Option<f32>| at.map_or(0.0, |at| 1.0 / (1.0 + at / 60.0));
    dense.push(near(first(declines)));
    dense.push(near(first(|hit| hit.kind == Kind::PartyLine)));
    dense.push(near(first(|hit| hit.kind == Kind::Premise)));
    dense.push(near(first(|hit| hit.kind == Kind::Hedge)));
    dense.push(near(first(|hit| hit.kind == Kind::Comply)));
    let (blunt, lines) = (reading.all(Kind::Blunt).count() as f32, reading.all(Kind::PartyLine).count() as f32);
    dense.push(((blunt - lines) / (blunt + lines + 1.0)).clamp(-1.0, 1.0));
}

/// What the thinking shows, where there is one. Whether there is none says more of the route than of the answer.
fn thinking(material: &Material<'_>, dense: &mut Vec<f32>) {
    let shown = material.reasoning.filter(|reading| reading.folded.letters > 5);
    let Some(reading) = shown else {
        dense.extend([0.0; 5]);
        return;
    };
    let letters = reading.folded.letters as f32;
    let count = |kind| (reading.all(kind).count() as f32).min(5.0) / 5.0;
    dense.push(count(Kind::Scripted));
    dense.push(count(Kind::Refusal));
    dense.push(count(Kind::PartyLine));
    dense.push(count(Kind::Hedge));
    dense.push(((letters + 1.0) / (material.answer.folded.letters as f32 + 1.0)).ln().clamp(-3.0, 3.0) / 3.0);
}

/// Adds a group of pieces, scaled to the given length.
fn group(sparse: &mut Vec<(u32, f32)>, length: f32, fill: impl FnOnce(&mut dyn FnMut(u64))) {
    let mut places: Vec<u32> = Vec::with_capacity(2_000);
    fill(&mut |hash| places.push(bucket(hash)));
    places.sort_unstable();
    let start = sparse.len();
    for place in places {
        match sparse.get_mut(start..).and_then(<[_]>::last_mut) {
            Some((last, count)) if *last == place => *count += 1.0,
            _ => sparse.push((place, 1.0)),
        }
    }
    let Some(added) = sparse.get_mut(start..) else { return };
    let mut norm = 0.0_f32;
    for (_, value) in added.iter_mut() {
        *value = 1.0 + value.ln();
        norm += *value * *value;
    }
    let scale = length / norm.sqrt().max(1e-6);
    added.iter_mut().for_each(|(_, value)| *value *= scale);
}

/// Runs of characters.
fn grams(text: &str, sizes: std::ops::RangeInclusive<usize>, space: u64, add: &mut dyn FnMut(u64)) {
    let characters: Vec<char> = text.chars().collect();
    for start in 0..characters.len() {
        let mut hash = seed(space);
        for (length, character) in characters.iter().skip(start).take(*sizes.end()).enumerate() {
            hash = mix(hash, u64::from(u32::from(if character.is_ascii_digit() { '0' } else { *character })));
            if sizes.contains(&(length + 1)) {
                add(mix(hash, length as u64));
            }
        }
    }
}

/// The first words, each run of them from the very start.
fn openers(text: &str, add: &mut dyn FnMut(u64)) {
    let mut hash = seed(2);
    for (count, word) in tokens(text).take(8).enumerate() {
        hash = mix(hash, hash_of(word));
        add(hash);
        add(mix(mix(seed(5), count.min(3) as u64), hash_of(word)));
    }
}

/// Words and pairs of words.
fn words(text: &str, space: u64, add: &mut dyn FnMut(u64)) {
    let mut before = 0;
    for word in tokens(text) {
        let hash = hash_of(word);
        add(mix(seed(space), hash));
        add(mix(mix(seed(space), before), hash));
        before = hash;
    }
}

/// Words of spaced scripts; single ideographs and kana of the others.
pub(super) fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c: char| !c.is_alphanumeric());
        let first = rest.chars().next()?;
        let end = if is_ideograph(first) {
            first.len_utf8()
        } else {
            rest.find(|c: char| !(c.is_alphanumeric() || c == '\'') || is_ideograph(c)).unwrap_or(rest.len())
        };
        let (word, left) = rest.split_at(end);
        rest = left;
        Some(word)
    })
}

fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30FF}' | '\u{4E00}'..='\u{9FFF}')
}

pub(super) fn head(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or_default()
}

fn end(text: &str, most: usize) -> &str {
    text.get(text.ceil_char_boundary(text.len().saturating_sub(most))..).unwrap_or_default()
}

pub(super) fn seed(space: u64) -> u64 {
    mix(0x9E37_79B9_7F4A_7C15, space)
}

pub(super) fn mix(hash: u64, value: u64) -> u64 {
    (hash.rotate_left(5) ^ value).wrapping_mul(0x517c_c1b7_2722_0a95)
}

pub(super) fn hash_of(word: &str) -> u64 {
    word.bytes().fold(seed(0), |hash, byte| mix(hash, u64::from(byte)))
}

/// The place of a hash; its high bits are the well-mixed ones.
fn bucket(hash: u64) -> u32 {
    (hash >> (64 - BUCKET_BITS)) as u32
}

pub(super) const KINDS: [Kind; Kind::COUNT] = [
    Kind::Canned,
    Kind::Refusal,
    Kind::Capability,
    Kind::Deflection,
    Kind::Pivot,
    Kind::Hedge,
    Kind::PartyLine,
    Kind::Premise,
    Kind::Scripted,
    Kind::Comply,
    Kind::Omission,
    Kind::Blunt,
];
/// Measured quantities.
pub(crate) const DENSE: usize = 160;
/// Hashed places are numbered in so many bits.
pub(crate) const BUCKET_BITS: u32 = 18;
const OPENING_BYTES: usize = 900;
const TAIL_BYTES: usize = 260;
const WHOLE_BYTES: usize = 9_000;
