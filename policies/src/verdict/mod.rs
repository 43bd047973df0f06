//! What a model did: a cascade from the host's own words to a trained classifier, each step saying only what it knows. It
//! reads texts and signals that others gathered; it scans for no content rule.
//!
//! | file | holds |
//! |---|---|
//! | `case` | what a verdict is made from |
//! | `outcome` | the verdict and its words |
//! | `judge` | the cascade |
//! | `signals` | hosts' blocks: error bodies and finish reasons, from `verdict/signals.yaml` |
//! | `structure` | what the shape of an exchange says: empty, refused by field, cut, our own stop |
//! | `phrases` | lists of phrases per language, from `verdict/phrases/`, found in any text |
//! | `asked` | what was asked, and in what form |
//! | `tokens` | words of a text |
//! | `starts` | finding any number of phrases at the beginnings of words |
//! | `reading` | where phrases stand in an answer, and what that says |
//! | `classifier` | the trained weights, their features and their training |
//! | `reasoning` | the model's thinking: empty, or recited |
//! | `withheld` | what the thinking holds and the answer does not |
//! | `memory` | what other exchanges have shown of a model on a route |
//! | `template` | an answer that others got to unrelated prompts |
//! | `relation` | answers in another language or on another subject |
//! | `language` | which language a text is in |
//! | `fold` | case, width, accents, simplified characters, with a way back to the original bytes |

mod judge;

mod asked;
mod case;
mod outcome;

mod signals;
mod structure;

mod memory;
mod phrases;
mod reading;
mod reasoning;
mod relation;
mod starts;
mod template;
mod tokens;
mod withheld;

pub(crate) mod classifier;

mod fold;
mod language;
mod version;

#[cfg(test)]
mod tests;

pub use case::{Case, Ending, HostError};
pub use classifier::model::Error as ModelError;
pub use classifier::train::{Error as TrainError, Example, Label, Trained, train};
pub use judge::Judge;
pub use memory::{Memory, Observation, Origin};
pub use outcome::{Evidence, Manner, Outcome, Step, Verdict};
