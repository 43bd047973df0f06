//! What was asked: the prompt, folded, cut into words, with the form it asks for. It reads no answer.

use std::borrow::Cow;

use super::classifier::marks::{Marks, Wanted};
use super::fold::{Folded, Folder};
use super::language::Languages;
use super::phrases::Phrases;
use super::reading::declines;
use super::tokens::{Word, words};

/// A prompt, read.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) folded: Folded,
    pub(crate) words: Vec<Word>,
    pub(crate) language: Option<&'static str>,
    pub(crate) wanted: Wanted,
    /// Whether the prompt itself holds a refusal, as something to translate or to write would.
    pub(crate) declines: bool,
}

/// What prompts are read by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Readers<'a> {
    pub(super) folder: &'a Folder,
    pub(super) phrases: &'a Phrases,
    pub(super) languages: &'a Languages,
    pub(super) marks: &'a Marks,
}

impl Asked {
    /// Reads a prompt.
    pub(super) fn of(prompt: &str, readers: Readers<'_>) -> Self {
        let folded = readers.folder.fold(&ends(prompt));
        let words = words(&folded.text, HEAD + TAIL);
        let language = readers.languages.of(&folded.text, &words);
        let wanted = readers.marks.wanted(&folded.text);
        let declines = readers.phrases.find(&folded).iter().any(declines);
        Self { folded, words, language, wanted, declines }
    }
}

/// The parts of a prompt that are read: all of a usual one, and of a very long one, which is mostly material, its beginning
/// and its end, where it is said what to do with it.
fn ends(prompt: &str) -> Cow<'_, str> {
    if prompt.len() <= HEAD + TAIL {
        return Cow::Borrowed(prompt);
    }
    let head = prompt.get(..prompt.floor_char_boundary(HEAD)).unwrap_or_default();
    let tail = prompt.get(prompt.ceil_char_boundary(prompt.len() - TAIL)..).unwrap_or_default();
    Cow::Owned([head, "\n", tail].concat())
}

/// Bytes of a prompt's beginning and end that are read at most.
const HEAD: usize = 4_096;
const TAIL: usize = 2_048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_very_long_prompt_both_ends_are_read() {
        let short = "Summarise this.";
        assert_eq!(ends(short), short);
        let long = format!("Summarise this: {} What does it say of 1989? 谢谢", "文 ".repeat(20_000));
        let read = ends(&long);
        assert!(read.len() <= HEAD + TAIL + 4 && read.starts_with("Summarise") && read.ends_with("1989? 谢谢"));
    }
}
