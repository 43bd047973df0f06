//! Reads text as a person would: width, case, accents, invisible characters, look-alikes and Chinese variants make no
//! difference. It finds nothing itself.
//!
//! Every character is folded by itself, so where text is cut between characters changes nothing. Two readings are made
//! of it: the *plain* one keeps capitals and punctuation (patterns read it), the *words* one is small letters with one
//! space between words and none between characters of unspaced scripts (terms read it).
//!
//! | what is done to a term | found |
//! |---|---|
//! | capitals, full width, mathematical, circled, squared and small-capital letters, superscripts | yes |
//! | invisible characters inside: zero width, bidirectional controls, soft hyphen, tags, variation selectors, fillers | yes, up to fifteen in a row |
//! | Cyrillic, Greek and Armenian look-alikes; accents, strokes, stacked marks | yes; look-alikes not in words of four letters or less |
//! | traditional and compatibility Chinese; Chinese with spaces, dots or stars between | yes; with a full stop, a letter or a picture between, no |
//! | other spaces, hyphens, underscores, new lines, punctuation between words | yes |
//! | digits of other scripts, circled, raised | yes; letters or words for digits, no |
//! | leetspeak; letters spaced out | where a detector asks: `leet`, `spaced` |
//! | words hyphenated inside or run together, misspellings, other transliterations | no, unless listed |
//! | Cherokee and other rare look-alikes, turned letters, flags; Korean syllables taken apart | no |
//! | HTML entities and tags, URL-encoding, escapes, base64, hexadecimal, rot13, reversed text | no |
//!
//! The test module `evasion` holds examples of each line, and `policies/README.md` the table of all of them.

mod fold;
mod words;

pub(crate) use fold::{Class, Folding};
pub(crate) use words::{CUT, RUN_MOST, Step, Term, Words, read_term};
