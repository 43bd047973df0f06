//! A small trained classifier over prompt, thinking and answer: how likely an answer is less than was asked, and how likely
//! it is a refusal. Its weights are data.
//!
//! | file | holds |
//! |---|---|
//! | `features` | an exchange as numbers |
//! | `shape` | those of form and length, and of how the answer stands to the prompt |
//! | `marks` | words of form and address, found |
//! | `model` | the weights as a file, and what they say |
//! | `train` | making weights from labelled examples |
//! | `solve` | fitting one head |

pub(crate) mod features;
pub(crate) mod marks;
pub(crate) mod model;
pub(crate) mod shape;
pub(crate) mod solve;
pub(crate) mod train;
mod words;

use features::{Material, features};
use model::Model;

use super::outcome::{Evidence, Opinion, Outcome, Step};
use super::reading;

/// What the classifier says of an answer, unless it is near its own thresholds.
pub(super) fn opinion(model: &Model, material: &Material<'_>) -> Option<Opinion> {
    let answer = material.answer;
    let mut pieces = model.weigh();
    let dense = features(material, &mut pieces);
    let (any, full) = model.probabilities(&dense, &pieces);
    let full = full.min(any);
    // An answer that quotes refusals and utters none tells of them; it takes more to believe that it is one.
    let quotes_only = !answer.quoted.is_empty() && !answer.hits.iter().any(reading::declines);
    let distance = any - if quotes_only { model.any.threshold.max(QUOTED) } else { model.any.threshold };
    if distance.abs() < UNSURE {
        return None;
    }
    let (outcome, confidence) = match (distance > 0.0, full >= model.full.threshold) {
        (false, _) => (Outcome::Complied, 1.0 - any),
        (true, true) => (Outcome::Refused, full),
        (true, false) => (Outcome::Partial, any - full),
    };
    let mut opinion = Opinion::new(outcome, Step::Classifier, confidence.clamp(0.34, 0.99));
    if outcome != Outcome::Complied {
        reading::describe(answer, &mut opinion);
        if opinion.evidence.is_empty() {
            let end = answer.part.start + answer.folded.original(&(0..answer.folded.opening), answer.part.text).end;
            let what = format!("classifier: less than was asked, with probability {any:.2}");
            opinion.evidence.push(Evidence { channel: answer.part.channel, span: answer.part.start..end, what });
        }
    }
    Some(opinion)
}

/// Probability below which an answer that only quotes refusals complies.
const QUOTED: f32 = 0.8;
/// Distance from the threshold within which the classifier leaves the word to phrases.
const UNSURE: f32 = 0.02;
