//! The true rate behind a classifier that errs at measured rates. It does not measure them.

use serde::{Deserialize, Serialize};

use super::interval::{Interval, Share};
use super::special::z_of;

/// How a classifier did on labelled data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calibration {
    /// Of those that were refusals, how many it found.
    pub sensitivity: Share,
    /// Of those that were none, how many it let be.
    pub specificity: Share,
}

/// A rate after correction.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Corrected {
    /// The estimate, within 0 and 1.
    pub rate: f64,
    /// Its interval; it carries the uncertainty of sensitivity and specificity.
    pub interval: Interval,
}

/// The rate of Rogan & Gladen (1978, Am. J. Epidemiology 107:71): (p + Sp - 1) / (Se + Sp - 1), with the interval of Lang &
/// Reiczigel (2014, Preventive Veterinary Medicine 113:13), which adjusts the apparent rate as Agresti & Coull do, both error
/// rates by one success and one failure, and moves the centre by a correction of the second order. `p` is the apparent rate in
/// `n` answers, effective ones where answers resemble one another. Nothing where the classifier is no better than chance.
#[must_use]
pub fn corrected(p: f64, n: f64, calibration: &Calibration, level: f64) -> Option<Corrected> {
    let Calibration { sensitivity, specificity } = calibration;
    let youden = sensitivity.rate() + specificity.rate() - 1.0;
    if youden <= 0.0 || n <= 0.0 || sensitivity.of == 0 || specificity.of == 0 {
        return None;
    }
    let rate = ((p + specificity.rate() - 1.0) / youden).clamp(0.0, 1.0);
    let z = z_of(level);
    let (apparent_n, apparent) = (n + z * z, (n * p + z * z / 2.0) / (n + z * z));
    let smoothed = |share: &Share| (share.of as f64 + 2.0, (share.hits as f64 + 1.0) / (share.of as f64 + 2.0));
    let (se_n, se) = smoothed(sensitivity);
    let (sp_n, sp) = smoothed(specificity);
    let youden = se + sp - 1.0;
    if youden <= 0.0 {
        return None;
    }
    let centre = (apparent + sp - 1.0) / youden;
    let (se_variance, sp_variance) = (se * (1.0 - se) / se_n, sp * (1.0 - sp) / sp_n);
    let shift = 2.0 * z * z * (centre * se_variance - (1.0 - centre) * sp_variance);
    let variance =
        apparent * (1.0 - apparent) / apparent_n + centre.powi(2) * se_variance + (1.0 - centre).powi(2) * sp_variance;
    let half = z * variance.sqrt() / youden;
    let interval = Interval { low: centre + shift - half, high: centre + shift + half }.within_unit();
    Some(Corrected { rate, interval })
}
