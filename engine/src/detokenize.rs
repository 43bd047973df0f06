//! Tokens to text as they come: a character that several tokens make up is held until it is whole. It knows no
//! channels and no stop strings.

use crate::tokenize::Vocabulary;

/// The state of one reply's text.
#[derive(Debug, Default)]
pub(crate) struct Detokeniser {
    /// The tokens that still matter: some context, then what is not yet all written.
    window: Vec<u32>,
    /// How many of them are context.
    context: usize,
    /// How much of the window's text is written.
    written: usize,
}

/// A reply that makes no whole character for so long never will.
const LONGEST: usize = 32;

impl Detokeniser {
    /// Takes the next token and returns the text that is now certain.
    pub(crate) fn push(&mut self, vocabulary: &Vocabulary, token: u32) -> String {
        self.window.push(token);
        let text = vocabulary.decode(&self.window);
        let whole = text.trim_end_matches(char::REPLACEMENT_CHARACTER).len();
        let forced = self.window.len() - self.context > LONGEST;
        let end = if forced { text.len() } else { whole };
        let new = text.get(self.written..end).unwrap_or_default().to_owned();
        self.written = self.written.max(end);
        if end == text.len() {
            self.slide(vocabulary);
        }
        new
    }

    /// Returns what was held, whole or not.
    pub(crate) fn flush(&mut self, vocabulary: &Vocabulary) -> String {
        let text = vocabulary.decode(&self.window);
        let rest = text.get(self.written..).unwrap_or_default().to_owned();
        *self = Self::default();
        rest
    }

    /// All is written: what is new becomes the context in which the next token is read (whether it starts with a
    /// space, for one), and the old context goes.
    fn slide(&mut self, vocabulary: &Vocabulary) {
        self.window.drain(..self.context);
        self.context = self.window.len();
        self.written = vocabulary.decode(&self.window).len();
    }
}
