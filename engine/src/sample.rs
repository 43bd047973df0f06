//! Logits to the next token: penalties, temperature, cuts and a seeded draw. It depends on nothing but the request.

use std::collections::HashMap;

use crate::constrain::Allowed;
use crate::{Error, Grammar};

/// Names this file's arithmetic in the engine's digest; changes whenever the same seed may give other tokens.
pub(crate) const VERSION: &str = "sampler-1";

/// How tokens are chosen and when a reply ends.
#[derive(Debug, Clone)]
pub struct Sampling {
    /// Most tokens of the reply, reasoning included; what the context leaves where not given.
    pub max_tokens: Option<usize>,
    /// Zero always takes the likeliest token.
    pub temperature: f32,
    /// Share of the probability that is drawn from.
    pub top_p: f32,
    /// How many of the likeliest tokens are drawn from.
    pub top_k: Option<usize>,
    /// Least probability, relative to the likeliest token's.
    pub min_p: Option<f32>,
    /// Taken from the logits of tokens that the reply holds.
    pub presence_penalty: f32,
    /// Taken from the logits of tokens once for each time the reply holds them.
    pub frequency_penalty: f32,
    /// Divides the logits of tokens that prompt or reply hold.
    pub repetition_penalty: f32,
    /// Makes the draw repeatable.
    pub seed: Option<u64>,
    /// Strings that end the answer and are not part of it. Reasoning is not searched.
    pub stop: Vec<String>,
    /// How many of the likeliest tokens to report with each token.
    pub logprobs: Option<usize>,
    /// Added to the logits of these tokens.
    pub logit_bias: Vec<(u32, f32)>,
    /// Tokens of the reply before which nothing that would end it is chosen.
    pub min_tokens: usize,
    /// Tokens of reasoning after which its closing mark is written in the model's place.
    pub max_reasoning_tokens: Option<usize>,
    /// What the answer must look like. Reasoning is free, but does not end the reply; `min_tokens` does not hold where
    /// the grammar wants the answer to end.
    pub grammar: Option<Grammar>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            max_tokens: None,
            temperature: 1.0,
            top_p: 1.0,
            top_k: None,
            min_p: None,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            repetition_penalty: 1.0,
            seed: None,
            stop: Vec::new(),
            logprobs: None,
            logit_bias: Vec::new(),
            min_tokens: 0,
            max_reasoning_tokens: None,
            grammar: None,
        }
    }
}

/// The sampler of one request.
#[derive(Debug, Clone)]
pub(crate) struct Sampler {
    settings: Sampling,
    random: Random,
    /// How often the reply holds a token.
    written: HashMap<u32, u32>,
    /// Tokens of the prompt, kept where repeating them costs.
    prompt: Vec<u32>,
}

/// A chosen token.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Choice {
    pub(crate) token: u32,
    /// Its log probability and those of the most likely tokens, by the model's own logits, where asked for.
    pub(crate) logprobs: Option<(f32, Vec<(u32, f32)>)>,
}

impl Sampler {
    /// Checks the settings.
    pub(crate) fn new(settings: Sampling, prompt: &[u32]) -> Result<Self, Error> {
        check(&settings)?;
        let mut kept = Vec::new();
        if settings.repetition_penalty != 1.0 {
            kept = prompt.to_vec();
            kept.sort_unstable();
            kept.dedup();
        }
        let random = Random(settings.seed.unwrap_or_else(unpredictable));
        Ok(Self { settings, random, written: HashMap::new(), prompt: kept })
    }

    /// Chooses the next token, of those that are allowed. The logits are changed on the way.
    pub(crate) fn choose(&mut self, logits: &mut [f32], allowed: Option<&Allowed>) -> Choice {
        let mut measured = self.settings.logprobs.map(|count| Measured::of(logits, count));
        if let Some(allowed) = allowed {
            allowed.mask(logits);
        }
        self.penalise(logits);
        self.settings.logit_bias.iter().for_each(|(token, bias)| logits[*token as usize] += bias);
        let token = if self.settings.temperature == 0.0 { largest(logits) } else { self.draw(logits) };
        *self.written.entry(token).or_default() += 1;
        let logprobs = measured.take().map(|measured| measured.finish(token));
        Choice { token, logprobs }
    }

    fn penalise(&self, logits: &mut [f32]) {
        let settings = &self.settings;
        if settings.repetition_penalty != 1.0 {
            let new = self.written.keys().filter(|token| self.prompt.binary_search(token).is_err());
            for token in self.prompt.iter().chain(new) {
                let logit = &mut logits[*token as usize];
                let factor = settings.repetition_penalty;
                *logit = if *logit > 0.0 { *logit / factor } else { *logit * factor };
            }
        }
        if settings.presence_penalty != 0.0 || settings.frequency_penalty != 0.0 {
            for (token, count) in &self.written {
                logits[*token as usize] -= settings.presence_penalty + settings.frequency_penalty * *count as f32;
            }
        }
    }

    fn draw(&mut self, logits: &[f32]) -> u32 {
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weight = |logit: f32| ((logit - largest) / self.settings.temperature).exp();
        let floor = self.settings.min_p.unwrap_or(0.0);
        let weighted = logits.iter().map(|logit| weight(*logit)).zip(0..);
        let mut candidates: Vec<(f32, u32)> =
            weighted.filter(|(weight, _)| *weight > 0.0 && *weight >= floor).collect();
        if let Some(count) = self.settings.top_k {
            keep_best(&mut candidates, count);
        }
        if self.settings.top_p < 1.0 {
            keep_mass(&mut candidates, self.settings.top_p);
        }
        let mut rest = self.random.next() * mass(&candidates);
        for (weight, token) in &candidates {
            rest -= f64::from(*weight);
            if rest < 0.0 {
                return *token;
            }
        }
        // Rounding can leave a remainder, and logits without a single number leave no candidate.
        candidates.last().map_or(0, |(_, token)| *token)
    }
}

fn check(settings: &Sampling) -> Result<(), Error> {
    let within = |name: &str, value: f32, low: f32, high: f32| match value >= low && value <= high {
        true => Ok(()),
        false => Err(Error::Request(format!("{name} must be between {low} and {high}, not {value}"))),
    };
    within("temperature", settings.temperature, 0.0, 100.0)?;
    within("top_p", settings.top_p, 0.0, 1.0)?;
    within("min_p", settings.min_p.unwrap_or(0.0), 0.0, 1.0)?;
    within("presence_penalty", settings.presence_penalty, -100.0, 100.0)?;
    within("frequency_penalty", settings.frequency_penalty, -100.0, 100.0)?;
    within("repetition_penalty", settings.repetition_penalty, 0.01, 100.0)?;
    let refused = |what: &str| Err(Error::Request(what.to_owned()));
    match settings {
        Sampling { top_k: Some(0), .. } => refused("top_k must be at least 1"),
        Sampling { max_tokens: Some(0), .. } => refused("max_tokens must be at least 1"),
        Sampling { logit_bias, .. } if logit_bias.iter().any(|(_, bias)| !(-100.0..=100.0).contains(bias)) => {
            refused("logit_bias must be between -100 and 100")
        }
        Sampling { logprobs: Some(21..), .. } => refused("logprobs can be given for at most 20 tokens"),
        Sampling { stop, .. } if stop.len() > 16 => refused("at most 16 stop strings are possible"),
        Sampling { stop, .. } if stop.iter().any(String::is_empty) => refused("a stop string must not be empty"),
        _ => Ok(()),
    }
}

/// The first of the largest.
pub(crate) fn largest(logits: &[f32]) -> u32 {
    let mut best = (f32::NEG_INFINITY, 0);
    for (logit, token) in logits.iter().zip(0..) {
        if *logit > best.0 {
            best = (*logit, token);
        }
    }
    best.1
}

fn keep_best(candidates: &mut Vec<(f32, u32)>, count: usize) {
    if count < candidates.len() {
        candidates.select_nth_unstable_by(count, likelier);
        candidates.truncate(count);
    }
    candidates.sort_unstable_by(likelier);
}

/// Keeps the fewest candidates that have at least this share of the mass. Sorting a whole vocabulary for each token
/// would cost more than small models do, so a few hundred are tried first.
fn keep_mass(candidates: &mut Vec<(f32, u32)>, share: f32) {
    const FIRST: usize = 256;
    let goal = mass(candidates) * f64::from(share);
    if candidates.len() > FIRST {
        candidates.select_nth_unstable_by(FIRST, likelier);
        if mass(&candidates[..FIRST]) >= goal {
            candidates.truncate(FIRST);
        }
    }
    candidates.sort_unstable_by(likelier);
    let mut sum = 0.0;
    let enough = candidates.iter().position(|(weight, _)| {
        sum += f64::from(*weight);
        sum >= goal
    });
    candidates.truncate(enough.map_or(candidates.len(), |last| last + 1));
}

fn likelier(a: &(f32, u32), b: &(f32, u32)) -> std::cmp::Ordering {
    b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
}

fn mass(candidates: &[(f32, u32)]) -> f64 {
    candidates.iter().map(|(weight, _)| f64::from(*weight)).sum()
}

/// Log probabilities by the model's logits, before any setting changes them.
struct Measured {
    logits: Vec<f32>,
    total: f32,
    count: usize,
}

impl Measured {
    fn of(logits: &[f32], count: usize) -> Self {
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = logits.iter().map(|logit| f64::from(logit - largest).exp()).sum();
        Self { logits: logits.to_vec(), total: largest + sum.ln() as f32, count }
    }

    fn finish(self, token: u32) -> (f32, Vec<(u32, f32)>) {
        let own = self.logits[token as usize] - self.total;
        let mut all: Vec<(f32, u32)> = self.logits.into_iter().zip(0..).collect();
        keep_best(&mut all, self.count);
        (own, all.into_iter().map(|(logit, token)| (token, logit - self.total)).collect())
    }
}

/// SplitMix64: one step per token, nothing shared.
#[derive(Debug, Clone)]
struct Random(u64);

impl Random {
    /// A number from zero up to one.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// A seed for who gives none: the standard library seeds its hash maps from the system.
fn unpredictable() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0u8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(settings: Sampling, logits: &[f32], expected: &[u32]) {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let settings = Sampling { seed: Some(seed), ..settings.clone() };
            let mut sampler = Sampler::new(settings, &[]).unwrap();
            seen.insert(sampler.choose(&mut logits.to_vec(), None).token);
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), expected, "{settings:?}");
    }

    #[test]
    fn each_cut_leaves_the_tokens_it_should() {
        let logits = [2.0, 1.0, 0.0, -1.0];
        let all = Sampling::default;
        check(all(), &logits, &[0, 1, 2, 3]);
        check(Sampling { temperature: 0.0, ..all() }, &logits, &[0]);
        check(Sampling { top_k: Some(2), ..all() }, &logits, &[0, 1]);
        // The shares are 0.644, 0.237, 0.087 and 0.032.
        check(Sampling { top_p: 0.0, ..all() }, &logits, &[0]);
        check(Sampling { top_p: 0.64, ..all() }, &logits, &[0]);
        check(Sampling { top_p: 0.65, ..all() }, &logits, &[0, 1]);
        check(Sampling { min_p: Some(0.1), ..all() }, &logits, &[0, 1, 2]);
        check(Sampling { temperature: 0.0, ..all() }, &[f32::NAN, 1.0], &[1]);
    }

    #[test]
    fn penalties_lower_what_was_written() {
        let penalised = |settings: Sampling, prompt: &[u32]| {
            let mut sampler = Sampler::new(Sampling { temperature: 0.0, ..settings }, prompt).unwrap();
            (0..3).map(|_| sampler.choose(&mut [1.0, 0.8, 0.5], None).token).collect::<Vec<_>>()
        };
        let plain = Sampling::default;
        assert_eq!(penalised(plain(), &[]), [0, 0, 0]);
        assert_eq!(penalised(Sampling { presence_penalty: 0.3, ..plain() }, &[]), [0, 1, 0]);
        assert_eq!(penalised(Sampling { frequency_penalty: 0.4, ..plain() }, &[]), [0, 1, 0]);
        assert_eq!(penalised(Sampling { repetition_penalty: 4.0, ..plain() }, &[0]), [1, 2, 0]);
    }

    #[test]
    fn log_probabilities_are_the_models_own() {
        let settings = Sampling { logprobs: Some(2), temperature: 0.0, presence_penalty: 9.0, ..Sampling::default() };
        let mut sampler = Sampler::new(settings, &[]).unwrap();
        sampler.choose(&mut [0.0, 3f32.ln()], None);
        let second = sampler.choose(&mut [0.0, 3f32.ln()], None);
        let (own, top) = second.logprobs.unwrap();
        assert_eq!((second.token, top[0].0, top[1].0), (0, 1, 0));
        assert!((own - 0.25f32.ln()).abs() < 1e-6 && (top[0].1 - 0.75f32.ln()).abs() < 1e-6);
    }

    #[test]
    fn impossible_settings_are_named() {
        let refused = |settings: Sampling| Sampler::new(settings, &[]).unwrap_err().to_string();
        let plain = Sampling::default;
        assert!(refused(Sampling { temperature: f32::NAN, ..plain() }).contains("temperature"));
        assert!(refused(Sampling { top_p: 1.1, ..plain() }).contains("top_p"));
        assert!(refused(Sampling { stop: vec![String::new()], ..plain() }).contains("stop"));
        assert!(refused(Sampling { max_tokens: Some(0), ..plain() }).contains("max_tokens"));
    }

    proptest! {
        #[test]
        fn the_quick_cut_keeps_what_a_full_sort_keeps(
            weights in proptest::collection::vec(0.001f32..1.0, 1..600), share in 0.05f32..0.999,
        ) {
            let mut quick: Vec<(f32, u32)> = weights.iter().copied().zip(0..).collect();
            let mut sorted = quick.clone();
            sorted.sort_unstable_by(likelier);
            let goal = mass(&quick) * f64::from(share);
            keep_mass(&mut quick, share);
            prop_assert!(mass(&quick) >= goal * 0.999_999);
            prop_assert!(mass(&quick[..quick.len() - 1]) <= goal * 1.000_001);
            prop_assert_eq!(&quick[..], &sorted[..quick.len()]);
        }
    }
}
