//! How much two rates differ. It tests nothing.

use serde::{Deserialize, Serialize};

use super::contrast::Pairs;
use super::interval::{Interval, Share};
use super::special::z_of;

/// Sizes of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// First rate less the second.
    pub difference: f64,
    /// Cohen's h.
    pub h: f64,
    /// Odds of the first over those of the second, and their interval.
    pub odds_ratio: f64,
    /// Interval of the odds ratio.
    pub odds_interval: Interval,
}

/// The difference of two arcsine-transformed rates (Cohen, 1988, Statistical Power Analysis, 2nd edition, equation 6.2.1):
/// 0.2 is small, 0.5 medium, 0.8 large.
#[must_use]
pub fn cohen_h(first: f64, second: f64) -> f64 {
    let angle = |p: f64| 2.0 * p.clamp(0.0, 1.0).sqrt().asin();
    angle(first) - angle(second)
}

/// The odds ratio of independent rates, half an event added to each cell (Haldane, 1956; Anscombe, 1956), with the interval of
/// its logarithm (Woolf, 1955, Annals of Human Genetics 19:251).
#[must_use]
pub fn odds_ratio(first: Share, second: Share, level: f64) -> (f64, Interval) {
    let cells = [first.hits, first.of - first.hits.min(first.of), second.hits, second.of - second.hits.min(second.of)];
    let [a, b, c, d] = cells.map(|count| count as f64 + 0.5);
    let log = (a * d / (b * c)).ln();
    let half = z_of(level) * (1.0 / a + 1.0 / b + 1.0 / c + 1.0 / d).sqrt();
    (log.exp(), Interval { low: (log - half).exp(), high: (log + half).exp() })
}

/// All sizes of the difference between independent rates.
#[must_use]
pub fn of_shares(first: Share, second: Share, level: f64) -> Effect {
    let (odds_ratio, odds_interval) = odds_ratio(first, second, level);
    let difference = first.rate() - second.rate();
    Effect { difference, h: cohen_h(first.rate(), second.rate()), odds_ratio, odds_interval }
}

/// All sizes of a paired difference: the odds ratio is that of the pairs that differ (Agresti, Categorical Data Analysis, 2nd
/// edition, section 10.1.3), half a pair added to both, its variance 1/b + 1/c.
#[must_use]
pub fn of_pairs(pairs: &Pairs, level: f64) -> Effect {
    let n = (pairs.count() as f64).max(1.0);
    let (first, second) = ((pairs.both + pairs.first) as f64 / n, (pairs.both + pairs.second) as f64 / n);
    let (b, c) = (pairs.first as f64 + 0.5, pairs.second as f64 + 0.5);
    let log = (b / c).ln();
    let half = z_of(level) * (1.0 / b + 1.0 / c).sqrt();
    Effect {
        difference: pairs.difference(),
        h: cohen_h(first, second),
        odds_ratio: log.exp(),
        odds_interval: Interval { low: (log - half).exp(), high: (log + half).exp() },
    }
}
