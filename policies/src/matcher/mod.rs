//! Everything that text is searched for, compiled once: one automaton for all terms, one per detector for its patterns.
//! It knows neither rules nor callers.

mod ahead;
mod digits;
mod disguise;
mod formats;
mod national;
mod patterns;
mod personal;
mod secrets;
mod starts;
mod terms;
mod word_begins;

use std::sync::Arc;

pub(crate) use ahead::AHEAD;
pub(crate) use disguise::disguised;
pub(crate) use formats::{Border, Check, Format};
pub(crate) use patterns::{Error as PatternError, Group, MATCH_MOST, Wanted, bounded, parse};
pub(crate) use personal::PERSONAL_DATA;
pub(crate) use secrets::SECRETS;
pub(crate) use starts::{Front, Starts};
pub(crate) use terms::{TERM_MOST, Terms, TermsBuilder, Use};
pub(crate) use word_begins::WordBegins;

use crate::normalise::Folding;

/// Something that can be found: a topic or a detector.
#[derive(Debug)]
pub(crate) struct Subject {
    /// The pack it is from.
    pub(crate) pack: Arc<str>,
    /// Its id in the pack.
    pub(crate) id: Arc<str>,
    /// Whether it is a topic.
    pub(crate) topic: bool,
    /// Distance in bytes at which an `unless` term makes a hit none; absent where there are no such terms.
    pub(crate) unless_within: Option<usize>,
}

/// Lists of words that make a hit of a subject when each has a word near the others.
#[derive(Debug)]
pub(crate) struct Combination {
    pub(crate) subject: usize,
    pub(crate) lists: Vec<usize>,
    pub(crate) within: usize,
}

/// All that is searched for.
#[derive(Debug)]
pub(crate) struct Matchers {
    pub(crate) folding: Folding,
    pub(crate) subjects: Vec<Subject>,
    pub(crate) combinations: Vec<Combination>,
    /// For each list of words, the combinations that it is part of.
    pub(crate) combinations_of_list: Vec<Vec<usize>>,
    pub(crate) terms: Option<Terms>,
    pub(crate) groups: Vec<Group>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_format_fits_an_automaton() {
        let folding = Folding::new();
        for format in SECRETS.iter().chain(PERSONAL_DATA) {
            let hir =
                parse(format.pattern, true, &folding).unwrap_or_else(|error| panic!("{}: {error:?}", format.name));
            assert!(Group::fits(&Wanted::plain(hir, false)), "{}", format.name);
        }
    }
}
