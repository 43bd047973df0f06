//! The words reading as a growing text: where spaces stand, and which bytes follow. It keeps no text.

use super::fold::{Class, Folding};

/// Characters in a row that are read as nothing or as one space; longer runs part words, so that what is held back for
/// one term is bounded.
pub(crate) const RUN_MOST: u8 = 16;

/// A byte that stands in no term: nothing is found across it.
pub(crate) const CUT: u8 = 0;

/// Where the words reading stands.
#[derive(Debug, Clone)]
pub(crate) struct Words {
    /// Class of the last letter, or `None` after a space.
    last: Option<Class>,
    /// Whether a gap waits to be read as a space or over.
    gap: bool,
    /// Characters in a row that gave nothing.
    run: u8,
}

/// What a character adds before its own bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing, and it has no bytes itself.
    Nothing,
    /// A space, and it has no bytes itself.
    Space,
    /// Its own bytes.
    Letters,
    /// A space and its own bytes.
    SpaceLetters,
    /// The end of everything begun.
    Cut,
}

impl Words {
    /// The start of a text, where a space has just been read.
    pub(crate) fn new() -> Self {
        Self { last: None, gap: false, run: 0 }
    }

    /// Where it stands if that is at most inside a word of a script with words: characters in a row that gave nothing.
    #[inline]
    pub(crate) fn run(&self, inside_word: bool) -> Option<u8> {
        match self.last {
            None if !inside_word => Some(self.run),
            Some(Class::Word) if inside_word && !self.gap => Some(self.run),
            _ => None,
        }
    }

    /// Takes over where letters and what stands between them were passed over.
    #[inline]
    pub(crate) fn passed(&mut self, inside_word: bool, run: u8) {
        *self = Self { last: inside_word.then_some(Class::Word), gap: false, run };
    }

    /// Whether the last character was a letter of a script with words.
    #[inline]
    pub(crate) fn inside_word(&self) -> bool {
        self.last == Some(Class::Word)
    }

    /// Reads a character of a class.
    #[inline]
    pub(crate) fn step(&mut self, class: Class) -> Step {
        match class {
            Class::Drop | Class::Gap | Class::Break => self.between(class),
            _ => self.letter(class),
        }
    }

    fn between(&mut self, class: Class) -> Step {
        self.run = self.run.saturating_add(1);
        if self.run >= RUN_MOST {
            self.gap = false;
            self.last = None;
            return if self.run == RUN_MOST { Step::Cut } else { Step::Nothing };
        }
        match (class, self.last) {
            (Class::Drop, _) | (_, None) => Step::Nothing,
            (Class::Gap, Some(Class::Solid)) => {
                self.gap = true;
                Step::Nothing
            }
            _ => {
                self.gap = false;
                self.last = None;
                Step::Space
            }
        }
    }

    fn letter(&mut self, class: Class) -> Step {
        let gap = std::mem::take(&mut self.gap);
        self.run = 0;
        let joined = match self.last.replace(class) {
            None => true,
            Some(Class::Solid) if class == Class::Solid => true,
            Some(last) => last == class && !gap,
        };
        if joined { Step::Letters } else { Step::SpaceLetters }
    }

    /// Reads the end of the text.
    pub(crate) fn finish(&mut self) -> Step {
        if self.last.take().is_some() { Step::Space } else { Step::Nothing }
    }
}

/// A term as it is searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Term {
    /// Bytes in the words reading, with a space where a word must begin or end.
    pub(crate) bytes: Vec<u8>,
    /// Whether the word may go on; it is found to its end.
    pub(crate) open: bool,
    /// Whether only its own letters count, not look-alikes: it is too short to bear them.
    pub(crate) exact: bool,
}

/// Letters of a Latin word below which look-alikes of other alphabets make real words of other languages.
const EXACT_BELOW: usize = 5;

/// Reads a term as the text is read; `None` where nothing of it is left.
pub(crate) fn read_term(text: &str, folding: &Folding) -> Option<Term> {
    let (text, open) = match text.strip_suffix('*') {
        Some(text) => (text, true),
        None => (text, false),
    };
    let mut words = Words::new();
    let mut bytes = Vec::new();
    let mut classes = Vec::new();
    for c in text.chars() {
        let folded = folding.of(c);
        let step = words.step(folded.class);
        if matches!(step, Step::Space | Step::SpaceLetters) {
            bytes.push(b' ');
        }
        if matches!(step, Step::Letters | Step::SpaceLetters) {
            bytes.extend_from_slice(folded.words(&mut [0; 4]));
            classes.push(folded.class);
        }
    }
    if bytes.last() == Some(&b' ') {
        bytes.pop();
    }
    let (first, last) = (classes.first()?, classes.last()?);
    let exact = text.is_ascii() && bytes.len() < EXACT_BELOW && !bytes.contains(&b' ');
    if matches!(first, Class::Word | Class::Hangul) {
        bytes.insert(0, b' ');
    }
    let open = open && *last == Class::Word;
    if *last == Class::Word && !open {
        bytes.push(b' ');
    }
    Some(Term { bytes, open, exact })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        let folding = Folding::new();
        let mut words = Words::new();
        let mut out = vec![b' '];
        for c in text.chars() {
            let folded = folding.of(c);
            match words.step(folded.class) {
                Step::Nothing => {}
                Step::Space => out.push(b' '),
                Step::Cut => out.push(b'#'),
                step => {
                    if step == Step::SpaceLetters {
                        out.push(b' ');
                    }
                    out.extend_from_slice(folded.words(&mut [0; 4]));
                }
            }
        }
        if words.finish() == Step::Space {
            out.push(b' ');
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn spaces_stand_between_words_and_not_inside_unspaced_scripts() {
        let cases = [
            ("Falun-Gong,  the June 4th", " falun gong the june 4th "),
            ("法 轮·功在Beijing的", " 法轮功在 beijing 的 "),
            ("舞台。独自", " 舞台 独自 "),
            ("6月4日", " 6 月 4 日 "),
            ("천안문은 AI는", " 천안문은 ai 는 "),
            ("...", " "),
            ("a\u{200b}b", " ab "),
            ("a                    b", " a #b "),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn terms_carry_the_borders_that_their_script_has() {
        let folding = Folding::new();
        let cases = [
            ("Falun Gong", " falun gong ", false, false),
            ("protest*", " protest", true, false),
            ("法輪功", "法轮功", false, false),
            ("천안문", " 천안문", false, false),
            ("CCP", " ccp ", false, true),
            ("8964", " 8964 ", false, true),
            ("64事件", " 64 事件", false, false),
        ];
        for (text, bytes, open, exact) in cases {
            let term = read_term(text, &folding).unwrap();
            assert_eq!((String::from_utf8_lossy(&term.bytes).as_ref(), term.open, term.exact), (bytes, open, exact));
        }
        assert_eq!(read_term("--", &folding), None);
    }
}
