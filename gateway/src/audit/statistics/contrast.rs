//! Whether two rates differ: paired where the same probes were asked, or of different ones. It says nothing about many
//! comparisons at once.

use serde::{Deserialize, Serialize};

use super::interval::{Interval, Share, wilson};
use super::special::{binomial_at_most, ln_choose};

/// Pairs by what happened in each half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pairs {
    /// It happened in both.
    pub both: u64,
    /// Only in the first.
    pub first: u64,
    /// Only in the second.
    pub second: u64,
    /// In neither.
    pub neither: u64,
}

impl Pairs {
    /// Counts one more pair.
    pub fn add(&mut self, first: bool, second: bool) {
        let count = match (first, second) {
            (true, true) => &mut self.both,
            (true, false) => &mut self.first,
            (false, true) => &mut self.second,
            (false, false) => &mut self.neither,
        };
        *count += 1;
    }

    /// Number of pairs.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.both + self.first + self.second + self.neither
    }

    /// Rate of the first half less that of the second; 0 of nothing.
    #[must_use]
    pub fn difference(&self) -> f64 {
        let n = self.count();
        if n == 0 { 0.0 } else { (self.first as f64 - self.second as f64) / n as f64 }
    }
}

/// Two-sided exact p of McNemar's test: the pairs that differ, against a fair coin (McNemar, 1947, Psychometrika 12:153;
/// exact form as in Fay, 2010, Biostatistics 11:373). 1 where none differs.
#[must_use]
pub fn mcnemar(pairs: &Pairs) -> f64 {
    let Pairs { first, second, .. } = *pairs;
    (2.0 * binomial_at_most(first.min(second), first + second, 0.5)).min(1.0)
}

/// Interval of a paired difference: Newcombe (1998, Statistics in Medicine 17:2635), method 10, from Wilson's bounds of both
/// rates and their correlation with a continuity correction.
#[must_use]
pub fn paired_difference(pairs: &Pairs, level: f64) -> Interval {
    let n = pairs.count() as f64;
    if n == 0.0 {
        return Interval { low: -1.0, high: 1.0 };
    }
    let [a, b, c, d] = [pairs.both, pairs.first, pairs.second, pairs.neither].map(|count| count as f64);
    let (p1, p2) = ((a + b) / n, (a + c) / n);
    let (w1, w2) = (wilson(p1, n, level), wilson(p2, n, level));
    let margins = (a + b) * (c + d) * (a + c) * (b + d);
    let product = a * d - b * c;
    let numerator = if product > 0.0 { (product - n / 2.0).max(0.0) } else { product };
    let phi = if margins > 0.0 { numerator / margins.sqrt() } else { 0.0 };
    let reach = |x: f64, y: f64| (x * x - 2.0 * phi * x * y + y * y).max(0.0).sqrt();
    let difference = p1 - p2;
    Interval { low: difference - reach(p1 - w1.low, w2.high - p2), high: difference + reach(w1.high - p1, p2 - w2.low) }
}

/// Interval of a difference of independent rates: Newcombe (1998, Statistics in Medicine 17:873), method 10, from Wilson's
/// bounds of both.
#[must_use]
pub fn difference(first: Share, second: Share, level: f64) -> Interval {
    let (p1, p2) = (first.rate(), second.rate());
    let (w1, w2) = (wilson(p1, first.of as f64, level), wilson(p2, second.of as f64, level));
    let reach = |x: f64, y: f64| x.hypot(y);
    Interval { low: p1 - p2 - reach(p1 - w1.low, w2.high - p2), high: p1 - p2 + reach(w1.high - p1, p2 - w2.low) }
}

/// Two-sided exact p that two independent rates are one (Fisher, 1935): the tables with the same margins that are no likelier
/// than the one that was seen.
#[must_use]
pub fn fisher(first: Share, second: Share) -> f64 {
    let (hits, all) = (first.hits + second.hits, first.of + second.of);
    let (least, most) = (hits.saturating_sub(second.of), hits.min(first.of));
    let whole = ln_choose(all, hits);
    let ln_of = |k: u64| ln_choose(first.of, k) + ln_choose(second.of, hits - k) - whole;
    let seen = ln_of(first.hits);
    // Tables that are as likely must count, in spite of rounding.
    let sum: f64 = (least..=most).map(ln_of).filter(|ln| *ln <= seen + 1e-7).map(f64::exp).sum();
    sum.min(1.0)
}
