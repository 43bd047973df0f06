//! One thing that is wrong with a pack, said so that its author can mend it. It finds none itself.

use std::fmt;

/// One mistake of a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The pack's file, or its name.
    pub file: String,
    /// Line from 1; 0 is unknown.
    pub line: u64,
    /// Column from 1; 0 is unknown.
    pub column: u64,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl fmt::Display for Mistake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.file)?;
        if self.line > 0 {
            write!(formatter, ":{}:{}", self.line, self.column)?;
        }
        write!(formatter, ": {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(formatter, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// The known word that is closest to a mistyped one, if any is close.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let best = known.iter().map(|candidate| (distance(word, candidate), *candidate)).min()?;
    (best.0 <= 2.max(word.len() / 3)).then_some(best.1)
}

/// Levenshtein distance over characters.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut previous = i + 1;
        if let Some(first) = row.first_mut() {
            *first = previous;
        }
        for (cell, right) in row.iter_mut().skip(1).zip(b.chars()) {
            let replaced = diagonal + usize::from(left != right);
            diagonal = *cell;
            previous = replaced.min(diagonal + 1).min(previous + 1);
            *cell = previous;
        }
    }
    row.last().copied().unwrap_or_default()
}
