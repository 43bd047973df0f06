//! Makes weights from labelled examples: fits both heads, and calibrates them on examples that were held out. It reads no
//! file and keeps nothing.

use std::collections::HashMap;

use super::features::{DENSE, Features};
use super::model::{Filed, write};
use super::solve::{Row, solve};
use crate::verdict::{Case, Judge};

/// What a person or a trusted source said of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// Did what was asked.
    Complied,
    /// Did less, or something else.
    Partial,
    /// Declined.
    Refused,
}

/// One labelled exchange.
#[derive(Debug, Clone, Copy)]
pub struct Example<'a> {
    /// The exchange.
    pub case: Case<'a>,
    /// What it is.
    pub label: Label,
    /// How much it counts; 1 for one whose label is sure.
    pub weight: f32,
    /// Examples of one group are never split between fitting and calibration: same prompt, translations, counterparts.
    pub group: &'a str,
    /// Where it is from. How often a source's models refuse is no property of an answer: within each source, those that
    /// comply and those that do not count alike.
    pub source: &'a str,
}

/// Weights, and how they did on what was held out.
#[derive(Debug)]
pub struct Trained {
    /// The file of weights, for `Judge::with_model`.
    pub model: Vec<u8>,
    /// For each example, what weights fitted without its group say: the probability of less than was asked, and of a refusal.
    pub held_out: Vec<(f32, f32)>,
    /// Probabilities from which the answers count as such.
    pub thresholds: (f32, f32),
}

/// Why no weights can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// An outcome is missing, or there are too few examples of one.
    TooFew(Label),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self::TooFew(label) = self;
        write!(f, "fewer than {FEWEST} examples labelled {label:?}")
    }
}

impl std::error::Error for Error {}

/// Trains on examples. The same examples in the same order give the same bytes.
///
/// # Errors
/// When an outcome has too few examples.
pub fn train(judge: &Judge, examples: &[Example<'_>]) -> Result<Trained, Error> {
    for label in [Label::Complied, Label::Partial, Label::Refused] {
        if examples.iter().filter(|example| example.label == label).count() < FEWEST {
            return Err(Error::TooFew(label));
        }
    }
    let features: Vec<Features> = examples.iter().map(|example| judge.features(&example.case)).collect();
    let (any, any_held) = head(examples, &features, |label| label != Label::Complied);
    let (full, full_held) = head(examples, &features, |label| label == Label::Refused);
    let thresholds = (any.head.threshold, full.head.threshold);
    let held_out = any_held.into_iter().zip(full_held).collect();
    Ok(Trained { model: write(&any, &full), held_out, thresholds })
}

/// Fits one head and what it says of each example when its group is held out.
fn head(examples: &[Example<'_>], features: &[Features], holds: fn(Label) -> bool) -> (Filed, Vec<f32>) {
    let weights = balanced(examples);
    let row =
        |((example, features), weight): ((&Example<'_>, _), _)| Row { features, holds: holds(example.label), weight };
    let rows: Vec<Row<'_>> = examples.iter().zip(features).zip(weights).map(row).collect();
    let folds: Vec<usize> = examples.iter().map(|example| fold_of(example.group)).collect();
    let mut odds = vec![0.0; rows.len()];
    for held in 0..FOLDS {
        let kept: Vec<Row<'_>> =
            rows.iter().zip(&folds).filter(|(_, fold)| **fold != held).map(|(row, _)| *row).collect();
        let fitted = solve(&kept, DENSE);
        for ((row, fold), odds) in rows.iter().zip(&folds).zip(&mut odds) {
            if *fold == held {
                *odds = fitted.odds(row.features);
            }
        }
    }
    // Probabilities are those of the examples as they come.
    let come: Vec<Row<'_>> =
        rows.iter().zip(examples).map(|(row, example)| Row { weight: example.weight, ..*row }).collect();
    let (slope, shift) = calibrate(&come, &odds);
    let probabilities: Vec<f32> = odds.iter().map(|odds| sigmoid(slope * odds + shift)).collect();
    let threshold = best_threshold(&rows, &probabilities);
    (Filed::of(&solve(&rows, DENSE), (slope, shift), threshold), probabilities)
}

/// Weights under which, within each source, examples that comply and those that do not are of equal weight together.
fn balanced(examples: &[Example<'_>]) -> Vec<f32> {
    let key = |example: &Example<'_>, complied: bool| (example.source.to_owned(), complied);
    let complied = |example: &Example<'_>| example.label == Label::Complied;
    let mut sums: HashMap<(String, bool), f32> = HashMap::new();
    for example in examples {
        *sums.entry(key(example, complied(example))).or_default() += example.weight;
    }
    let sum = |example: &Example<'_>, complied: bool| sums.get(&key(example, complied)).copied().unwrap_or_default();
    let weight = |example: &Example<'_>| {
        let (own, other) = (sum(example, complied(example)), sum(example, !complied(example)));
        example.weight * ((own + other) / 2.0 / own.max(1e-6)).clamp(1.0 / MOST_BALANCE, MOST_BALANCE)
    };
    examples.iter().map(weight).collect()
}

/// The line through the held-out log odds under which the labels are likeliest (Platt), by Newton's method.
fn calibrate(rows: &[Row<'_>], odds: &[f32]) -> (f32, f32) {
    let (mut slope, mut shift) = (1.0_f64, 0.0_f64);
    for _ in 0..30 {
        let (mut g0, mut g1, mut h00, mut h01, mut h11) = (0.0, 0.0, 1e-6, 0.0, 1e-6);
        for (row, odds) in rows.iter().zip(odds) {
            let (odds, weight) = (f64::from(*odds), f64::from(row.weight));
            let probability = 1.0 / (1.0 + (-(slope * odds + shift)).exp());
            let error = weight * (probability - f64::from(u8::from(row.holds)));
            let curve = weight * probability * (1.0 - probability);
            g0 += error * odds;
            g1 += error;
            h00 += curve * odds * odds;
            h01 += curve * odds;
            h11 += curve;
        }
        let determinant = h00 * h11 - h01 * h01;
        if determinant.abs() < 1e-9 {
            break;
        }
        slope -= (h11 * g0 - h01 * g1) / determinant;
        shift -= (h00 * g1 - h01 * g0) / determinant;
    }
    if slope.is_finite() && shift.is_finite() && slope > 0.0 { (slope as f32, shift as f32) } else { (1.0, 0.0) }
}

/// The probability from which saying yes gives the best F1, not far from an even chance.
fn best_threshold(rows: &[Row<'_>], probabilities: &[f32]) -> f32 {
    let score = |threshold: f32| {
        let (mut hits, mut wrong) = (0.0, 0.0);
        for (row, probability) in rows.iter().zip(probabilities) {
            match (*probability >= threshold, row.holds) {
                (true, true) => hits += row.weight,
                (false, false) => {}
                _ => wrong += row.weight,
            }
        }
        2.0 * hits / (2.0 * hits + wrong).max(1e-6)
    };
    let steps = (0..=40_u8).map(|step| 0.25 + f32::from(step) * 0.01);
    steps.max_by(|left, right| score(*left).total_cmp(&score(*right))).unwrap_or(0.5)
}

fn sigmoid(odds: f32) -> f32 {
    1.0 / (1.0 + (-odds).exp())
}

fn fold_of(group: &str) -> usize {
    let hash = group
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    usize::try_from((hash ^ (hash >> 29)) % FOLDS as u64).unwrap_or(0)
}

const FOLDS: usize = 5;
/// By how much an example may come to count more or less for what its source mostly is.
const MOST_BALANCE: f32 = 6.0;
/// Examples of each outcome that it takes.
const FEWEST: usize = 20;
