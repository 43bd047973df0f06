//! How many refused subjects there are that nobody has found yet. It finds none.

use serde::{Deserialize, Serialize};

use super::interval::Interval;
use super::special::z_of;

/// An estimate of how many kinds there are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Richness {
    /// Kinds that were met.
    pub met: u64,
    /// Kinds that there are, as estimated: a lower bound.
    pub estimate: f64,
    /// Its interval.
    pub interval: Interval,
}

/// Chao's estimate from the kinds that were met exactly once and exactly twice, in its bias-corrected form (Chao, 1984,
/// Scandinavian J. Statistics 11:265; Chao, 2005, equation 8), with the log-normal interval of Chao (1987, Biometrics 43:783).
/// `times` says how often each kind was met.
#[must_use]
pub fn chao1(times: &[u64], level: f64) -> Richness {
    let met = times.iter().filter(|times| **times > 0).count() as u64;
    let count = |wanted: u64| times.iter().filter(|times| **times == wanted).count() as f64;
    let (once, twice) = (count(1), count(2));
    let missing = once * (once - 1.0) / (2.0 * (twice + 1.0));
    let estimate = met as f64 + missing;
    if missing <= 0.0 {
        return Richness { met, estimate, interval: Interval { low: estimate, high: estimate } };
    }
    let variance = missing
        + once * (2.0 * once - 1.0).powi(2) / (4.0 * (twice + 1.0).powi(2))
        + once.powi(2) * twice * (once - 1.0).powi(2) / (4.0 * (twice + 1.0).powi(4));
    let spread = (z_of(level) * (1.0 + variance / missing.powi(2)).ln().sqrt()).exp();
    Richness {
        met,
        estimate,
        interval: Interval { low: met as f64 + missing / spread, high: met as f64 + missing * spread },
    }
}
