//! Terms that somebody hides, as patterns: digits and signs for letters, something between all letters. Only detectors
//! that ask for it pay, since all other terms stay in the one automaton.

use std::fmt::Write as _;
use std::ops::Range;

use super::formats::whole;
use super::patterns::{Wanted, bounded};
use crate::normalise::{Folding, Term};
use crate::source::Disguises;

/// Letters below which digits and signs spell too much else.
const LEET_LEAST: usize = 3;

/// Letters below which single letters in a row are initials.
const SPACED_LEAST: usize = 4;

/// What stands between words, and between letters that are spaced out.
const BETWEEN_WORDS: &str = r"[\s_.*/|~-]{1,6}";
const BETWEEN_LETTERS: &str = r"[\s_.*/|~\u{b7}-]{1,3}";

/// The patterns that find a term in its disguises; none where it has no letters to hide.
pub(crate) fn disguised(term: &Term, disguises: Disguises, folding: &Folding) -> Vec<Wanted> {
    let text = std::str::from_utf8(&term.bytes).unwrap_or_default().trim();
    let letters = text.bytes().filter(u8::is_ascii_lowercase).count();
    if !text.bytes().all(|byte| byte == b' ' || byte.is_ascii_lowercase()) {
        return Vec::new();
    }
    let mut patterns = Vec::new();
    if disguises.leet && letters >= LEET_LEAST {
        let mut pattern = spelled(text, true, "");
        if term.open {
            pattern.push_str("[a-z0-9@$!|+]{0,20}");
        }
        patterns.push((pattern, Some(is_leet as super::Check)));
    }
    if disguises.spaced && letters >= SPACED_LEAST {
        patterns.push((spelled(text, disguises.leet, BETWEEN_LETTERS), None));
    }
    let wanted = |(pattern, check): (String, _)| {
        let hir = bounded(&pattern, false, folding).ok()?;
        Some(Wanted { check, ..Wanted::plain(hir, false) })
    };
    patterns.into_iter().filter_map(wanted).collect()
}

/// A term as a pattern, with something between its letters.
fn spelled(term: &str, leet: bool, between: &str) -> String {
    let mut pattern = String::new();
    for (word, index) in term.split(' ').zip(0..) {
        if index > 0 {
            pattern.push_str(BETWEEN_WORDS);
        }
        for (letter, index) in word.chars().zip(0..) {
            if index > 0 {
                pattern.push_str(between);
            }
            let signs = if leet { signs(letter) } else { "" };
            let _ = write!(pattern, "[{letter}{signs}]");
        }
    }
    pattern
}

/// Digits and signs that stand for a letter.
fn signs(letter: char) -> &'static str {
    match letter {
        'a' => "4@",
        'b' => "8",
        'c' => "(",
        'e' => "3",
        'g' => "69",
        'i' => "1!|",
        'l' => "1|",
        'o' => "0",
        's' => "5$",
        't' => "7+",
        'z' => "2",
        _ => "",
    }
}

/// Whether a match hides letters, and is no number: what stands there plainly is found as a term.
fn is_leet(text: &str) -> Option<Range<usize>> {
    let letters = text.chars().filter(char::is_ascii_alphabetic).count();
    let signs = text.chars().filter(|c| c.is_ascii_digit() || "@$!|+(".contains(*c)).count();
    (signs > 0 && letters > 0 && 2 * letters >= signs).then(|| whole(text))?
}
