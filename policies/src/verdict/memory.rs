//! What other exchanges have shown of a model on a route: whether it thinks aloud, how long, and which lines it gives to
//! prompts that have nothing to do with one another. It is bounded, and holds hashes, never texts.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use super::asked::Asked;
use super::reading::Reading;

/// Whose answers are remembered together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Origin<'a> {
    /// The model asked for.
    pub model: &'a str,
    /// What answered: an upstream's name.
    pub route: &'a str,
}

/// What one exchange adds to a memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// Its (model, route, language), and its (model, route).
    cells: [u128; 2],
    /// Letters of thinking, none where none was shown; absent where the answer did not comply, as only other prompts tell
    /// what is usual.
    thinking: Option<usize>,
    line: Option<Line>,
}

/// A short answer, and what it was the answer to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    text: u128,
    asked: Sketch,
}

/// The smallest hashes of a prompt's words: enough to tell whether two prompts have anything in common.
type Sketch = Box<[u32]>;

/// What a memory knows that bears on one exchange.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// Whether the route shows thinking on other prompts, where enough is known to say.
    pub(super) exposes: Option<bool>,
    /// Letters of thinking at the median, or a little less.
    pub(super) usual: usize,
    /// Unrelated prompts that the same answer was given to.
    pub(super) unrelated: usize,
}

/// Remembers what exchanges have shown, for the verdicts on later ones. It is shared between threads by reference, and a
/// lock is held for a look at one entry only. The same observations in the same order give the same knowledge.
#[derive(Debug)]
pub struct Memory {
    shards: Box<[Mutex<Shard>]>,
}

#[derive(Debug)]
struct Shard {
    cells: Lately<Cell>,
    lines: Lately<Vec<Sketch>>,
}

/// Answers that complied, by how long they were thought about; the first count is of those without thinking.
#[derive(Debug, Default)]
struct Cell {
    lengths: [u32; LENGTHS],
}

impl Default for Memory {
    fn default() -> Self {
        Self::with_room(CELLS, LINES)
    }
}

impl Memory {
    /// An empty memory for about so many (model, route, language) and so many lines; beyond that, what was not looked at for
    /// longest goes.
    #[must_use]
    pub fn with_room(cells: usize, lines: usize) -> Self {
        let shard = || {
            let shard = Shard { cells: Lately::new(cells / SHARDS), lines: Lately::new(lines / SHARDS) };
            Mutex::new(shard)
        };
        Self { shards: (0..SHARDS).map(|_| shard()).collect() }
    }

    /// Takes in what an exchange showed.
    pub fn note(&self, observation: &Observation) {
        if let Some(letters) = observation.thinking {
            for cell in observation.cells {
                self.with(cell, |shard| shard.cells.entry(cell).note(letters));
            }
        }
        if let Some(Line { text, asked }) = &observation.line {
            self.with(*text, |shard| {
                let prompts = shard.lines.entry(*text);
                if prompts.len() < MOST_PROMPTS && prompts.iter().all(|other| are_unrelated(other, asked)) {
                    prompts.push(asked.clone());
                }
            });
        }
    }

    /// What bears on an exchange. The exchange itself may have been noted before: a prompt is not unrelated to itself.
    pub(super) fn known(&self, observation: &Observation) -> Known {
        let mut known = Known::default();
        for cell in observation.cells {
            let (exposes, usual) =
                self.with(cell, |shard| shard.cells.find(cell).map(Cell::tell)).flatten().unwrap_or_default();
            if exposes.is_some() {
                (known.exposes, known.usual) = (exposes, usual);
                break;
            }
        }
        if let Some(Line { text, asked }) = &observation.line {
            let count = |prompts: &mut Vec<Sketch>| prompts.iter().filter(|other| are_unrelated(other, asked)).count();
            known.unrelated =
                self.with(*text, |shard| shard.lines.find(*text).map(count)).flatten().unwrap_or_default();
        }
        known
    }

    fn with<T>(&self, key: u128, look: impl FnOnce(&mut Shard) -> T) -> Option<T> {
        let shard = self.shards.get(usize::try_from(key % SHARDS as u128).unwrap_or_default())?;
        Some(look(&mut shard.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Observation {
    /// What a reply shows. `thought` is the letters of its thinking where it complied.
    pub(super) fn of(
        origin: Origin<'_>,
        asked: &Asked,
        answer: &Reading<'_>,
        language: Option<&str>,
        thought: Option<usize>,
    ) -> Self {
        let Origin { model, route } = origin;
        let cells = [digest([model, route, language.unwrap_or_default()]), digest([model, route, "*"])];
        Self { cells, thinking: thought, line: Line::of(origin, asked, answer) }
    }
}

impl Line {
    /// An answer that is long enough to say something and short enough to be a line, to a prompt that has words of its own.
    fn of(origin: Origin<'_>, asked: &Asked, answer: &Reading<'_>) -> Option<Self> {
        if !(SHORTEST..LONGEST).contains(&answer.folded.letters) {
            return None;
        }
        let asked = sketch(asked);
        // Numbers and marks change from one sending of a line to the next.
        let plain: String = answer.folded.text.chars().filter(|c| c.is_alphabetic()).collect();
        (asked.len() >= FEWEST_WORDS).then(|| Self { text: digest([origin.model, origin.route, &plain]), asked })
    }
}

impl Cell {
    fn note(&mut self, letters: usize) {
        let place = letters.checked_ilog2().map_or(0, |log| log as usize + 1).min(LENGTHS - 1);
        if let Some(count) = self.lengths.get_mut(place) {
            *count += 1;
        }
        // What was long ago counts less: routes change.
        if self.lengths.iter().sum::<u32>() >= MOST_ANSWERS {
            self.lengths.iter_mut().for_each(|count| *count /= 2);
        }
    }

    /// Whether thinking is shown, and how many letters of it at the median.
    fn tell(&mut self) -> (Option<bool>, usize) {
        let silent = self.lengths.first().copied().unwrap_or_default();
        let all: u32 = self.lengths.iter().sum();
        let shown = all - silent;
        let exposes = match all {
            0 => None,
            _ if shown * 4 >= all * 3 => Some(true),
            _ => (silent >= FEWEST_SILENT).then_some(false),
        };
        let mut left = shown.div_ceil(2);
        let median = self.lengths.iter().enumerate().skip(1).find(|(_, count)| {
            left = left.saturating_sub(**count);
            left == 0 && shown > 0
        });
        (exposes, median.map_or(0, |(place, _)| 1 << (place - 1)))
    }
}

/// Entries that were used lately, in two generations: when the young are many, they become the old, and the old go.
#[derive(Debug)]
struct Lately<V> {
    young: HashMap<u128, V>,
    old: HashMap<u128, V>,
    half: usize,
}

impl<V: Default> Lately<V> {
    fn new(room: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), half: (room / 2).max(1) }
    }

    fn find(&mut self, key: u128) -> Option<&mut V> {
        self.promote(key);
        self.young.get_mut(&key)
    }

    fn entry(&mut self, key: u128) -> &mut V {
        self.promote(key);
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.entry(key).or_default()
    }

    fn promote(&mut self, key: u128) {
        let Some(value) = self.old.remove(&key) else { return };
        if self.young.len() >= self.half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

/// The words that a prompt is about, as their smallest hashes in order.
fn sketch(asked: &Asked) -> Sketch {
    let mut words: Vec<u32> =
        asked.words.iter().filter(|word| word.stem != 0).map(|word| (word.stem >> 32) as u32).collect();
    words.sort_unstable();
    words.dedup();
    words.truncate(SKETCH);
    words.into()
}

/// Whether two prompts have next to no words in common.
fn are_unrelated(left: &Sketch, right: &Sketch) -> bool {
    let shared = left.iter().filter(|word| right.binary_search(word).is_ok()).count();
    shared * 4 <= left.len().min(right.len())
}

/// A key that nobody can make two of: clients choose the texts.
fn digest(parts: [&str; 3]) -> u128 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    let bytes: [u8; 32] = hash.finalize().into();
    bytes.first_chunk::<16>().map_or(0, |half| u128::from_le_bytes(*half))
}

const SHARDS: usize = 16;
/// Places of model, route and language, and lines: some megabytes at most.
const CELLS: usize = 2_048;
const LINES: usize = 8_192;
/// Unrelated prompts that are kept of a line.
const MOST_PROMPTS: usize = 8;
/// Words that are kept of a prompt, and how many it takes to be about something.
const SKETCH: usize = 16;
const FEWEST_WORDS: usize = 2;
/// Letters of a line: what is shorter answers many questions rightly, what is longer is no line.
const SHORTEST: usize = 24;
const LONGEST: usize = 900;
/// Counts of thinking by length: none, then by powers of two.
const LENGTHS: usize = 20;
const MOST_ANSWERS: u32 = 1_024;
/// Answers without thinking from which a route is known to show none.
const FEWEST_SILENT: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn observation(cell: u128, thinking: Option<usize>) -> Observation {
        Observation { cells: [cell, cell], thinking, line: None }
    }

    fn said(text: u128, words: &[u32]) -> Observation {
        Observation { cells: [1, 1], thinking: None, line: Some(Line { text, asked: words.into() }) }
    }

    #[test]
    fn a_route_is_known_by_what_it_shows_on_other_prompts() {
        let check = |letters: &[usize], expected: (Option<bool>, usize)| {
            let memory = Memory::default();
            letters.iter().for_each(|letters| memory.note(&observation(7, Some(*letters))));
            let known = memory.known(&observation(7, None));
            assert_eq!((known.exposes, known.usual), expected, "{letters:?}");
        };
        check(&[], (None, 0));
        check(&[700], (Some(true), 512));
        check(&[700, 0, 800, 100, 3_000], (Some(true), 512));
        check(&[0], (None, 0));
        check(&[0, 0, 0], (Some(false), 0));
        check(&[700, 0, 0, 0, 0], (Some(false), 512));
    }

    #[test]
    fn a_line_is_known_by_the_unrelated_prompts_it_answers() {
        let memory = Memory::default();
        let prompts: [&[u32]; 4] = [&[1, 2, 3, 4], &[5, 6], &[1, 2, 3, 9], &[10, 11, 12, 13, 14]];
        prompts.iter().for_each(|words| memory.note(&said(3, words)));
        assert_eq!(memory.known(&said(3, prompts[0])).unrelated, 2, "itself and its like do not count");
        assert_eq!(memory.known(&said(3, &[20, 21])).unrelated, 3);
        assert_eq!(memory.known(&said(4, &[20, 21])).unrelated, 0, "another line");
    }

    #[test]
    fn what_was_not_used_for_longest_goes_and_the_rest_stays() {
        let mut lately: Lately<u32> = Lately::new(8);
        for key in 0..1_000 {
            *lately.entry(key) += 1;
            assert_eq!(lately.find(0).copied(), Some(1), "used all the time");
            assert!(lately.young.len() + lately.old.len() <= 8 + 1);
        }
        assert_eq!(lately.find(3), None);
    }
}
