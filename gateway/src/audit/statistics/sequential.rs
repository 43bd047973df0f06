//! Whether a rate has left its band, asked after every round for as long as one likes. It raises no alert itself.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::interval::{Interval, Share};
use super::special::{bisect, ln_beta};

/// ln of the evidence against a rate `p` after some answers: the beta-binomial mixture over the likelihood at `p`, prior
/// Beta(1/2, 1/2). At the true rate it is a martingale from 1, so that by Ville's inequality it ever reaches 1/a with
/// probability a at most (Robbins, 1970, Annals of Mathematical Statistics 41:1397; as a ratio of prior to posterior in
/// Waudby-Smith & Ramdas, 2020, NeurIPS 33, section 2).
#[must_use]
pub fn ln_evidence(share: Share, p: f64) -> f64 {
    let (hits, misses) = (share.hits as f64, (share.of - share.hits.min(share.of)) as f64);
    let of = |count: f64, p: f64| if count > 0.0 { count * p.ln() } else { 0.0 };
    ln_beta(hits + 0.5, misses + 0.5) - ln_beta(0.5, 0.5) - of(hits, p) - of(misses, 1.0 - p)
}

/// Confidence sequence of a rate: the rates that the evidence does not speak against at `level`. It holds at all times at
/// once, so that it may be looked at after every answer.
#[must_use]
pub fn confidence_sequence(share: Share, level: f64) -> Interval {
    if share.of == 0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let bound = -(1.0 - level).ln();
    let centre = share.rate();
    let beyond = |p: f64| ln_evidence(share, p) >= bound;
    let low = if share.hits == 0 { 0.0 } else { bisect(0.0, centre, beyond) };
    let high = if share.hits == share.of { 1.0 } else { bisect(centre, 1.0, |p| !beyond(p)) };
    Interval { low, high }
}

/// ln of the evidence that a rate is outside of a band: that against the rate within it which fits best. Whatever the true rate
/// in the band, it is at most the martingale at that rate.
fn ln_evidence_against(share: Share, band: Interval) -> f64 {
    ln_evidence(share, share.rate().clamp(band.low, band.high))
}

/// Watches a rate round by round: the Shiryaev-Roberts e-detector of Shin, Ramdas & Rinaldo (2023, "E-detectors", New England
/// J. Statistics in Data Science 2:229), the sum over all rounds of the evidence that has come up since then. While the rate
/// stays in its band, an alert comes after 1/`alpha` rounds on average at the earliest. Rounds further back than
/// [`Detector::MEMORY`] are left out of the sum, which can only make it smaller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Detector {
    band: Interval,
    alpha: f64,
    /// The newest rounds, oldest first.
    rounds: VecDeque<Share>,
}

/// What a detector says after a round.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Watched {
    /// Whether the rate has left its band.
    pub alert: bool,
    /// The sum of evidence over 1/alpha: an alert is raised from 1 on.
    pub evidence: f64,
    /// The answers since the moment from which most evidence has come up: since when it is different, as far as is known.
    pub since: Share,
}

impl Detector {
    /// Rounds that are remembered.
    pub const MEMORY: usize = 512;

    /// A detector of rates that leave a band.
    #[must_use]
    pub fn new(band: Interval, alpha: f64) -> Self {
        Self { band, alpha, rounds: VecDeque::new() }
    }

    /// Whether another watches for the same.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        self.band == other.band && (self.alpha - other.alpha).abs() < 1e-12
    }

    /// Takes one round in. After an alert it begins anew.
    pub fn round(&mut self, share: Share) -> Watched {
        if self.rounds.len() >= Self::MEMORY {
            self.rounds.pop_front();
        }
        self.rounds.push_back(share);
        let (mut sum, mut since, mut most) = (0.0, Share::default(), (f64::NEG_INFINITY, Share::default()));
        for one in self.rounds.iter().rev() {
            since = Share { hits: since.hits + one.hits, of: since.of + one.of };
            let evidence = ln_evidence_against(since, self.band);
            // Beyond this an alert is certain, and the sum must stay finite.
            sum += evidence.min(500.0).exp();
            if evidence > most.0 {
                most = (evidence, since);
            }
        }
        let evidence = sum * self.alpha;
        let alert = evidence >= 1.0;
        if alert {
            self.rounds.clear();
        }
        Watched { alert, evidence, since: most.1 }
    }
}
