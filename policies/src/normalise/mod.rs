//! Reads text as a person would: width, case, accents, invisible characters, look-alikes and Chinese variants make no
//! difference. It finds nothing itself.
//!
//! Every character is folded by itself, so where text is cut between characters changes nothing. Two readings are made
//! of it: the *plain* one keeps capitals and punctuation (patterns read it), the *words* one is small letters with one
//! space between words and none between characters of unspaced scripts (terms read it).

mod fold;
mod words;

pub(crate) use fold::{Class, Folding};
pub(crate) use words::{CUT, RUN_MOST, Step, Term, Words, read_term};
