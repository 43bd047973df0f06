//! Rates with their intervals. It decides nothing about differences.

use serde::{Deserialize, Serialize};

use super::special::{beta_quantile, z_of};

/// Bounds between which a quantity lies at a stated level.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

impl Interval {
    /// Whether a value lies within.
    #[must_use]
    pub fn holds(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// The part of it that is a proportion.
    #[must_use]
    pub fn within_unit(self) -> Self {
        Self { low: self.low.clamp(0.0, 1.0), high: self.high.clamp(0.0, 1.0) }
    }
}

/// How often something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Share {
    /// How often it did.
    pub hits: u64,
    /// How often it could have.
    pub of: u64,
}

impl Share {
    /// Counts one more.
    pub fn add(&mut self, hit: bool) {
        self.hits += u64::from(hit);
        self.of += 1;
    }

    /// The plain rate; 0 of nothing.
    #[must_use]
    pub fn rate(&self) -> f64 {
        if self.of == 0 { 0.0 } else { self.hits as f64 / self.of as f64 }
    }
}

/// Wilson's score interval of a rate `p` seen in `n` independent trials (Wilson, 1927, JASA 22:209; Brown, Cai & DasGupta,
/// 2001, Statistical Science 16:101, equation 4). `n` may be an effective number. Everything is possible of nothing.
#[must_use]
pub fn wilson(p: f64, n: f64, level: f64) -> Interval {
    if n <= 0.0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let z = z_of(level);
    let centre = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    // At 0 and 1 the bound is exact; rounding would move it.
    let low = if p <= 0.0 { 0.0 } else { centre - half };
    let high = if p >= 1.0 { 1.0 } else { centre + half };
    Interval { low, high }.within_unit()
}

/// The exact interval of Clopper & Pearson (1934, Biometrika 26:404) by quantiles of beta distributions: it covers at least
/// at its level, whatever the rate.
#[must_use]
pub fn clopper_pearson(share: Share, level: f64) -> Interval {
    let Share { hits, of } = share;
    let tail = (1.0 - level) / 2.0;
    let (x, n) = (hits as f64, of as f64);
    let low = if hits == 0 { 0.0 } else { beta_quantile(tail, x, n - x + 1.0) };
    let high = if hits >= of { 1.0 } else { beta_quantile(1.0 - tail, x + 1.0, n - x) };
    Interval { low, high }
}

/// A rate over clusters: probes that were each asked several times.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Clustered {
    /// All answers together.
    pub share: Share,
    /// Number of clusters.
    pub clusters: u64,
    /// By how much answers of one probe resemble one another: the variance over that of independent answers.
    pub design_effect: f64,
    /// Independent answers that tell as much.
    pub effective: f64,
    /// Wilson's interval at that number.
    pub interval: Interval,
}

/// Rate and interval over clusters. The variance of the ratio estimate is Taylor's (Cochran, Sampling Techniques, 3rd edition,
/// equation 6.13), the effective number of answers is p(1-p) over it, never more than there were and never fewer than
/// clusters, and the interval is Wilson's at that number (Korn & Graubard, 1998, Survey Methodology 24:193; Franco et al.,
/// 2019, J. Survey Statistics and Methodology 7:334, who recommend Wilson's). Where no variance can be seen (one cluster, or
/// a rate of 0 or 1) a cluster counts once.
#[must_use]
pub fn clustered(clusters: &[Share], level: f64) -> Clustered {
    let told = || clusters.iter().filter(|share| share.of > 0);
    let share = told().fold(Share::default(), |sum, one| Share { hits: sum.hits + one.hits, of: sum.of + one.of });
    let count = told().count() as u64;
    let (p, n, k) = (share.rate(), share.of as f64, count as f64);
    let squares: f64 = told().map(|one| (one.hits as f64 - p * one.of as f64).powi(2)).sum();
    let variance = if k > 1.0 && n > 0.0 { k / (k - 1.0) * squares / (n * n) } else { 0.0 };
    let effective = if variance > 0.0 { (p * (1.0 - p) / variance).clamp(k.min(n), n) } else { k };
    Clustered {
        share,
        clusters: count,
        design_effect: if effective > 0.0 { n / effective } else { 1.0 },
        effective,
        interval: wilson(p, effective, level),
    }
}
