//! Turns an exchange into numbers: what the answer says, how it is built, and how it stands to what was asked. It knows no
//! weights.

use super::marks::Marks;
use super::shape::Shape;
use crate::verdict::asked::Asked;
use crate::verdict::phrases::{Hit, Kind};
use crate::verdict::reading::{Reading, declines};
use crate::verdict::tokens::{Word, mix, seed, words};

/// One exchange as numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Features {
    /// Measured quantities, each about between -1 and 1, at fixed places.
    pub(crate) dense: Vec<f32>,
    /// Pieces of text by hashed place, each group of about unit length.
    pub(crate) sparse: Vec<(u32, f32)>,
}

/// What features are made from, already read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Material<'a> {
    pub(crate) asked: &'a Asked,
    pub(crate) answer: &'a Reading<'a>,
    pub(crate) reasoning: Option<&'a Reading<'a>>,
    /// Language of the answer.
    pub(crate) language: Option<&'static str>,
    pub(crate) marks: &'a Marks,
}

/// Takes pieces of text in groups: to train on, or to weigh at once.
pub(crate) trait Sink {
    /// Takes one piece by its hash. Pieces may come more than once, and count each time.
    fn add(&mut self, hash: u64);
    /// Ends a group, which counts as much as said however many pieces it has.
    fn close(&mut self, length: f32);
}

/// Gives the features of one exchange: pieces of text to the sink, measured quantities back.
pub(crate) fn features(material: &Material<'_>, sink: &mut impl Sink) -> Vec<f32> {
    let mut dense = Vec::with_capacity(DENSE);
    let shape = Shape::of(material);
    shape.write(&mut dense);
    phrase_counts(material.answer, &mut dense);
    thinking(material, &mut dense);
    ends_and_sides(material, &shape, &mut dense);
    dense.resize(DENSE, 0.0);
    pieces(material.answer, sink);
    shape.crossings(sink);
    sink.close(0.4);
    dense
}

/// The words of an answer, without the refusals that it only quotes.
fn pieces(answer: &Reading<'_>, sink: &mut impl Sink) {
    let quoted = |word: &&Word| answer.quoted.iter().any(|span| span.start <= word.start && word.start < span.end);
    let all = &answer.words;
    let opening = all.iter().filter(|word| !quoted(word)).take_while(|word| word.start < OPENING_BYTES);
    runs(opening.clone().take(OPENING_WORDS), 20, sink);
    sink.close(1.0);
    openers(opening.take(8), sink);
    sink.close(0.7);
    let mut before = 0;
    for word in all.iter().filter(|word| !quoted(word)).take_while(|word| word.start < WHOLE_BYTES) {
        if word.first {
            sink.add(mix(seed(3), word.hash));
        }
        sink.add(mix(mix(seed(4), before), word.hash));
        before = word.hash;
    }
    sink.close(0.8);
    for word in all.iter().filter(|word| word.first && !quoted(word)).take_while(|word| word.start < WHOLE_BYTES) {
        sink.add(mix(seed(6), if word.stem == 0 { word.hash } else { word.stem }));
    }
    sink.close(0.5);
    let text = &answer.folded.text;
    let tail = text.ceil_char_boundary(text.len().saturating_sub(TAIL_BYTES));
    if all.last().is_none_or(|last| last.end < tail) {
        runs(words(text.get(tail..).unwrap_or_default(), TAIL_BYTES).iter(), 30, sink);
    } else {
        runs(all.iter().skip(all.partition_point(|word| word.start < tail)), 30, sink);
    }
    sink.close(0.4);
}

/// Words, and runs of two and three of them.
fn runs<'a>(words: impl Iterator<Item = &'a Word>, space: u64, sink: &mut impl Sink) {
    let (mut last, mut before) = (0, 0);
    for word in words {
        sink.add(mix(seed(space), word.hash));
        let two = mix(mix(seed(space + 1), last), word.hash);
        sink.add(two);
        sink.add(mix(mix(seed(space + 2), before), two));
        (before, last) = (last, word.hash);
    }
}

/// The first words, each run of them from the very start.
fn openers<'a>(words: impl Iterator<Item = &'a Word>, sink: &mut impl Sink) {
    let mut hash = seed(2);
    for (count, word) in words.enumerate() {
        hash = mix(hash, word.hash);
        sink.add(hash);
        sink.add(mix(mix(seed(5), count.min(3) as u64), word.hash));
    }
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

/// What stands at the end, and whether one side was taken where one was asked for.
fn ends_and_sides(material: &Material<'_>, shape: &Shape, dense: &mut Vec<f32>) {
    let reading = material.answer;
    let end = reading.folded.text.len().saturating_sub(LATE_BYTES);
    let long = reading.folded.letters > 700;
    let late = |kind| reading.all(kind).filter(|hit| long && hit.span.start > end).count() as f32;
    for kind in KINDS {
        dense.push(late(kind).min(3.0) / 3.0);
    }
    let per = 1_000.0 / (reading.folded.letters.max(400) as f32);
    let rate = |kind| (reading.all(kind).count() as f32 * per / 4.0).min(1.0);
    let early = |kind| (reading.early(kind).count() as f32 / 2.0).min(1.0);
    let side = f32::from(u8::from(material.asked.wanted.one_sided));
    let of_side = [
        1.0,
        early(Kind::Hedge),
        rate(Kind::Hedge),
        late(Kind::Hedge).min(2.0) / 2.0,
        rate(Kind::Blunt),
        early(Kind::Blunt),
        rate(Kind::PartyLine),
        early(Kind::Premise),
        late(Kind::Pivot).min(1.0),
        shape.title(),
        shape.length_of_answer(),
        early(Kind::Comply),
    ];
    dense.extend(of_side.map(|value| value * side));
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

/// Keeps what it is given, to train on.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) sparse: Vec<(u32, f32)>,
    group: Vec<u32>,
}

impl Sink for Kept {
    fn add(&mut self, hash: u64) {
        self.group.push(bucket(hash));
    }

    fn close(&mut self, length: f32) {
        let scale = scale(length, self.group.len());
        self.group.sort_unstable();
        let start = self.sparse.len();
        for place in self.group.drain(..) {
            match self.sparse.get_mut(start..).and_then(<[_]>::last_mut) {
                Some((last, value)) if *last == place => *value += scale,
                _ => self.sparse.push((place, scale)),
            }
        }
    }
}

/// What one piece counts in a group of so many.
pub(super) fn scale(length: f32, count: usize) -> f32 {
    length / (count.max(1) as f32).sqrt()
}

/// The place of a hash; its high bits are the well-mixed ones.
pub(super) fn bucket(hash: u64) -> u32 {
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
/// Bytes and words of the opening.
const OPENING_BYTES: usize = 900;
const OPENING_WORDS: usize = 120;
const TAIL_BYTES: usize = 260;
/// Bytes at the end of a long answer where it takes things back, or offers something else.
const LATE_BYTES: usize = 450;
/// Bytes whose words count.
const WHOLE_BYTES: usize = 9_000;
