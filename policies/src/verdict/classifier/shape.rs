//! How an answer is built and how it stands to what was asked: length, form, shared words, language. It reads no phrase.

use std::collections::HashSet;

use super::features::{Material, hash_of, head, mix, seed, tokens};
use super::words::{CREATIVE, FIRST_PERSON, FORMS, NEGATIONS, SECOND_PERSON, WHY};

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
        let language = material.languages.of(&folded.text);
        let asked = material.languages.of(&material.prompt.text);
        let mut shape = Self {
            letters: letters as f32,
            prompt_letters: material.prompt.letters as f32,
            length: LENGTHS.iter().position(|most| letters < *most).unwrap_or(LENGTHS.len()),
            form: form_of(&material.prompt.text),
            titled: is_titled(raw),
            quotes: rate(text.matches('"').count(), 20.0),
            bold: rate(raw.matches("**").count(), 20.0),
            questions: rate(text.matches('?').count(), 5.0),
            exclamations: rate(text.matches('!').count(), 5.0),
            same_language: language.is_none() || asked.is_none() || language == asked,
            english: language == Some("en"),
            unfinished: !text.ends_with(|c: char| c.is_ascii_punctuation() || matches!(c, '।' | '》')),
            asks_why: WHY.iter().any(|word| material.prompt.text.trim_start().starts_with(word)),
            creative: CREATIVE.iter().any(|word| material.prompt.text.contains(word)),
            ..Self::default()
        };
        shape.read_lines(raw, thousand);
        shape.read_words(material, text);
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

    fn read_words(&mut self, material: &Material<'_>, text: &str) {
        let asked: HashSet<u64> = content_words(&material.prompt.text).collect();
        let opening: Vec<u64> = content_words(head(text, 500)).collect();
        let found: HashSet<u64> = content_words(head(text, 12_000)).collect();
        let share = |count: usize, of: usize| if of == 0 { 0.0 } else { count as f32 / of as f32 };
        let early: HashSet<u64> = opening.iter().copied().collect();
        self.prompt_in_opening = share(asked.intersection(&early).count(), asked.len());
        self.prompt_in_answer = share(asked.intersection(&found).count(), asked.len());
        self.opening_from_prompt = share(opening.iter().filter(|word| asked.contains(word)).count(), opening.len());
        let (mut count, mut first, mut second, mut first_early) = (0_usize, 0_usize, 0_usize, 0_usize);
        let mut distinct = HashSet::new();
        for word in tokens(head(text, 6_000)) {
            count += 1;
            self.denies |= count <= 18 && NEGATIONS.contains(&word);
            distinct.insert(hash_of(word));
            let is_first = FIRST_PERSON.contains(&word);
            first += usize::from(is_first);
            first_early += usize::from(is_first && count <= 40);
            second += usize::from(SECOND_PERSON.contains(&word));
        }
        self.first_person = (share(first, count) * 12.0).min(1.0);
        self.second_person = (share(second, count) * 12.0).min(1.0);
        self.first_person_early = (first_early as f32 / 5.0).min(1.0);
        self.variety = share(distinct.len(), count);
        self.foreign = foreign_share(head(text, 12_000));
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
    pub(super) fn crossings(&self, add: &mut dyn FnMut(u64)) {
        let pair = |space: u64, left: usize, right: usize| mix(mix(seed(space), left as u64), right as u64);
        add(pair(11, self.form, self.length));
        add(pair(12, usize::from(self.creative), self.length));
        add(pair(13, usize::from(self.titled), self.form));
        add(pair(14, (self.first_person_early * 5.0) as usize, self.length));
        add(pair(15, (self.prompt_in_answer * 5.0) as usize, self.length));
        add(pair(16, (self.bullets * 4.0) as usize, self.form));
    }
}

/// The form asked for: place in `FORMS`, or one past it.
fn form_of(prompt: &str) -> usize {
    FORMS.iter().position(|words| words.iter().any(|word| prompt.contains(word))).unwrap_or(FORMS.len())
}

/// Whether the answer begins as an artefact does, with a title.
fn is_titled(raw: &str) -> bool {
    let first = raw.trim_start().lines().next().unwrap_or_default();
    let marked =
        first.starts_with('#') || first.starts_with("**") || first.starts_with('《') || first.starts_with('【');
    marked || first.to_lowercase().starts_with("title:")
}

/// Share of letters outside the commonest of four kinds of script.
fn foreign_share(text: &str) -> f32 {
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

/// Words long enough to mean something, and pairs of ideographs.
pub(crate) fn content_words(text: &str) -> impl Iterator<Item = u64> {
    let mut before: Option<u64> = None;
    tokens(text).filter_map(move |word| {
        let mut characters = word.chars();
        let single = characters.next().is_some() && characters.next().is_none();
        let hash = hash_of(word);
        let pair = before.map(|before| mix(before, hash));
        before = single.then_some(hash);
        if single { pair } else { (word.len() > 3).then_some(hash_of(head(word, 7))) }
    })
}

const LENGTHS: [usize; 9] = [40, 90, 180, 350, 600, 1_000, 1_800, 3_000, 5_000];
