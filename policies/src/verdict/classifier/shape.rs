//! How an answer is built and how it stands to what was asked: length, form, shared words, language. It reads no phrase.

use super::features::{Material, Sink};
use super::words::FORMS;
use crate::verdict::tokens::{Seen, mix, seed};

/// Quantities of one exchange, by name.
#[derive(Debug, Default)]
pub(super) struct Shape {
    letters: f32,
    prompt_letters: f32,
    length: usize,
    form: usize,
    titled: bool,
    lines: f32,
    bullets: f32,
    headings: f32,
    dialogue: f32,
    quotes: f32,
    bold: f32,
    questions: f32,
    exclamations: f32,
    first_person: f32,
    first_person_early: f32,
    second_person: f32,
    prompt_in_opening: f32,
    prompt_in_answer: f32,
    opening_from_prompt: f32,
    same_language: bool,
    english: bool,
    unfinished: bool,
    asks_why: bool,
    creative: bool,
    variety: f32,
    /// Share of letters outside the answer's main script, as in text that has come apart.
    foreign: f32,
    /// The answer begins by denying something.
    denies: bool,
}

impl Shape {
    /// Measures one exchange.
    pub(super) fn of(material: &Material<'_>) -> Self {
        let raw = material.answer.part.text;
        let folded = &material.answer.folded;
        let text = folded.text.trim();
        let letters = folded.letters;
        let thousand = 1_000.0 / (letters.max(100) as f32);
        let rate = |count: usize, most: f32| ((count as f32) * thousand / most).min(1.0);
        let (language, asked) = (material.language, material.asked.language);
        let count = |wanted: u8| text.bytes().filter(|byte| *byte == wanted).count();
        let mut shape = Self {
            letters: letters as f32,
            prompt_letters: material.asked.folded.letters as f32,
            length: LENGTHS.iter().position(|most| letters < *most).unwrap_or(LENGTHS.len()),
            form: material.asked.wanted.form,
            titled: is_titled(raw),
            quotes: rate(count(b'"'), 20.0),
            bold: rate(raw.split('*').filter(|between| between.is_empty()).count(), 20.0),
            questions: rate(count(b'?'), 5.0),
            exclamations: rate(count(b'!'), 5.0),
            same_language: language.is_none() || asked.is_none() || language == asked,
            english: language == Some("en"),
            unfinished: !text.ends_with(|c: char| c.is_ascii_punctuation() || matches!(c, '।' | '》')),
            asks_why: material.asked.wanted.why,
            creative: material.asked.wanted.creative,
            foreign: foreign_share(head(text, MOST_READ)),
            ..Self::default()
        };
        shape.read_lines(raw, thousand);
        shape.read_words(material);
        shape.compare(material);
        shape
    }

    fn read_lines(&mut self, raw: &str, thousand: f32) {
        let (mut lines, mut bullets, mut headings, mut dialogue) = (0_usize, 0, 0, 0);
        for line in raw.lines().map(str::trim_start).filter(|line| !line.is_empty()) {
            lines += 1;
            let digits = line.trim_start_matches(|c: char| c.is_ascii_digit());
            let numbered = digits.len() < line.len() && digits.starts_with(['.', ')', '、']);
            bullets +=
                usize::from(numbered || line.starts_with("- ") || line.starts_with("* ") || line.starts_with('•'));
            headings +=
                usize::from(line.starts_with('#') || (line.starts_with("**") && line.trim_end().ends_with("**")));
            let speaker = head(line, 30).find([':', '：']);
            dialogue += usize::from(speaker.is_some_and(|at| at > 2) && line.len() > 40);
        }
        let rate = |count: usize, most: f32| ((count as f32) * thousand / most).min(1.0);
        self.lines = rate(lines, 20.0);
        self.bullets = rate(bullets, 8.0);
        self.headings = rate(headings, 4.0);
        self.dialogue = rate(dialogue, 5.0);
    }

    /// Who speaks to whom, and with how many different words.
    fn read_words(&mut self, material: &Material<'_>) {
        let (mut count, mut first, mut second, mut first_early, mut distinct) = (0_usize, 0_usize, 0_usize, 0_usize, 0);
        for word in material.answer.words.iter().take_while(|word| word.start < MOST_COUNTED) {
            count += 1;
            distinct += usize::from(word.first);
            let address = material.marks.address(word.hash);
            self.denies |= count <= 18 && address.negation;
            first += usize::from(address.first_person);
            first_early += usize::from(address.first_person && count <= 40);
            second += usize::from(address.second_person);
        }
        self.first_person = (share(first, count) * 12.0).min(1.0);
        self.second_person = (share(second, count) * 12.0).min(1.0);
        self.first_person_early = (first_early as f32 / 5.0).min(1.0);
        self.variety = share(distinct, count);
    }

    /// What prompt and answer have in common.
    fn compare(&mut self, material: &Material<'_>) {
        let mut asked = Seen::with_room(material.asked.words.len());
        let meant = material.asked.words.iter().filter(|word| asked.insert(word.stem)).count();
        let mut found = vec![false; asked.room()];
        let (mut all, mut early, mut opening, mut of_prompt) = (0, 0, 0, 0);
        for word in material.answer.words.iter().filter(|word| word.stem != 0) {
            let is_early = word.start < EARLY;
            opening += usize::from(is_early);
            let Some(place) = asked.find(word.stem) else { continue };
            of_prompt += usize::from(is_early);
            if let Some(found) = found.get_mut(place).filter(|found| !**found) {
                *found = true;
                all += 1;
                early += usize::from(is_early);
            }
        }
        self.prompt_in_opening = share(early, meant);
        self.prompt_in_answer = share(all, meant);
        self.opening_from_prompt = share(of_prompt, opening);
    }

    /// Whether the answer begins as an artefact does.
    pub(super) fn title(&self) -> f32 {
        f32::from(u8::from(self.titled))
    }

    /// Length of the answer, from about -1 to 1.
    pub(super) fn length_of_answer(&self) -> f32 {
        (self.letters + 1.0).ln() / 8.0 - 0.8
    }

    /// Writes the quantities in a fixed order.
    pub(super) fn write(&self, dense: &mut Vec<f32>) {
        let log = (self.letters + 1.0).ln();
        let one = |holds: bool| f32::from(u8::from(holds));
        dense.extend([
            log / 8.0 - 0.8,
            (self.prompt_letters + 1.0).ln() / 8.0 - 0.6,
            ((self.letters + 1.0) / (self.prompt_letters + 1.0)).ln().clamp(-4.0, 6.0) / 5.0,
            one(self.titled),
            self.lines,
            self.bullets,
            self.headings,
            self.dialogue,
            self.quotes,
            self.bold,
            self.questions,
            self.exclamations,
            self.first_person,
            self.first_person_early,
            self.second_person,
            self.prompt_in_opening,
            self.prompt_in_answer,
            self.opening_from_prompt,
            one(self.same_language),
            one(self.english),
            one(self.unfinished),
            one(self.asks_why),
            one(self.creative),
            self.variety,
        ]);
        dense.extend((0..=LENGTHS.len()).map(|length| one(length == self.length)));
        dense.extend((0..FORMS.len() + 1).map(|form| one(form == self.form)));
        let long = |form: usize| form == self.form;
        dense.extend((0..FORMS.len() + 1).map(|form| one(long(form)) * (log / 8.0 - 0.8)));
        dense.extend([
            one(self.creative) * one(self.titled),
            one(self.creative) * (log / 8.0 - 0.8),
            one(self.creative) * self.dialogue,
            one(self.creative) * self.first_person_early,
            self.prompt_in_answer * (log / 8.0 - 0.8),
            self.foreign,
            one(self.denies),
            one(self.denies) * self.opening_from_prompt,
            one(self.denies) * one(self.asks_why),
            one(self.denies) * one(self.asks_why) * self.prompt_in_opening,
            self.quotes * one(self.creative),
        ]);
    }

    /// Pairs of quantities that mean something together.
    pub(super) fn crossings(&self, sink: &mut impl Sink) {
        let mut pair =
            |space: u64, left: usize, right: usize| sink.add(mix(mix(seed(space), left as u64), right as u64));
        pair(11, self.form, self.length);
        pair(12, usize::from(self.creative), self.length);
        pair(13, usize::from(self.titled), self.form);
        pair(14, (self.first_person_early * 5.0) as usize, self.length);
        pair(15, (self.prompt_in_answer * 5.0) as usize, self.length);
        pair(16, (self.bullets * 4.0) as usize, self.form);
    }
}

/// Whether the answer begins as an artefact does, with a title.
fn is_titled(raw: &str) -> bool {
    let first = raw.trim_start().lines().next().unwrap_or_default();
    let marked =
        first.starts_with('#') || first.starts_with("**") || first.starts_with('《') || first.starts_with('【');
    marked || first.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("title:"))
}

/// Share of letters outside the commonest of four kinds of script.
fn foreign_share(text: &str) -> f32 {
    if text.is_ascii() {
        return 0.0;
    }
    let mut counts = [0_usize; 4];
    for character in text.chars() {
        let kind = match character {
            'a'..='z' => 0,
            '\u{3040}'..='\u{30FF}' | '\u{4E00}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7A3}' => 1,
            '\u{0370}'..='\u{052F}' => 2,
            '\u{0590}'..='\u{0DFF}' => 3,
            _ => continue,
        };
        if let Some(count) = counts.get_mut(kind) {
            *count += if kind == 1 { 3 } else { 1 };
        }
    }
    let all: usize = counts.iter().sum();
    let most = counts.iter().max().copied().unwrap_or_default();
    if all == 0 { 0.0 } else { (all - most) as f32 / all as f32 }
}

fn share(count: usize, of: usize) -> f32 {
    if of == 0 { 0.0 } else { count as f32 / of as f32 }
}

fn head(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or_default()
}

/// Bytes in which words are counted, and those of scripts.
const MOST_COUNTED: usize = 6_000;
const MOST_READ: usize = 12_000;
/// Bytes in which an answer shows whether it takes up the question.
const EARLY: usize = 500;
const LENGTHS: [usize; 9] = [40, 90, 180, 350, 600, 1_000, 1_800, 3_000, 5_000];
