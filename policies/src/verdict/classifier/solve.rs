//! Fits the weights of one head: logistic regression with L2, by coordinate descent in the dual (Yu, Huang and Lin, 2011),
//! which needs no step size and gives the same result each time. It knows neither texts nor files.

use super::features::{BUCKET_BITS, Features};

/// The weights of one head, before they are made small.
#[derive(Debug, Clone)]
pub(crate) struct Fitted {
    pub(crate) bias: f32,
    pub(crate) dense: Vec<f32>,
    pub(crate) sparse: Vec<f32>,
}

/// One row to fit to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) features: &'a Features,
    pub(crate) holds: bool,
    pub(crate) weight: f32,
}

impl Fitted {
    /// Log odds of a row.
    pub(crate) fn odds(&self, features: &Features) -> f32 {
        let dense: f32 = self.dense.iter().zip(&features.dense).map(|(weight, value)| weight * value).sum();
        let sparse =
            features.sparse.iter().map(|(place, value)| self.sparse.get(*place as usize).unwrap_or(&0.0) * value);
        self.bias * BIAS + dense * DENSE_SCALE + sparse.sum::<f32>() * SPARSE_SCALE
    }

    fn add(&mut self, features: &Features, step: f32) {
        self.bias += step * BIAS;
        for (weight, value) in self.dense.iter_mut().zip(&features.dense) {
            *weight += step * DENSE_SCALE * value;
        }
        for (place, value) in &features.sparse {
            if let Some(weight) = self.sparse.get_mut(*place as usize) {
                *weight += step * SPARSE_SCALE * value;
            }
        }
    }
}

/// Fits one head.
pub(crate) fn solve(rows: &[Row<'_>], dense: usize) -> Fitted {
    let mut fitted = Fitted { bias: 0.0, dense: vec![0.0; dense], sparse: vec![0.0; 1 << BUCKET_BITS] };
    let mut duals: Vec<f32> = rows.iter().map(|row| row.weight * COST * 1e-3).collect();
    let sizes: Vec<f32> = rows.iter().map(|row| size(row.features)).collect();
    for (row, dual) in rows.iter().zip(&duals) {
        fitted.add(row.features, sign(row) * dual);
    }
    let mut order: Vec<usize> = (0..rows.len()).collect();
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    for _ in 0..ROUNDS {
        shuffle(&mut order, &mut random);
        for &at in &order {
            let (Some(row), Some(dual), Some(size)) = (rows.get(at), duals.get_mut(at), sizes.get(at)) else {
                continue;
            };
            let most = row.weight * COST;
            if most <= 0.0 {
                continue;
            }
            let margin = sign(row) * fitted.odds(row.features);
            let best = minimum(*dual, most, margin, *size);
            fitted.add(row.features, sign(row) * (best - *dual));
            *dual = best;
        }
    }
    fitted
}

/// The dual variable at which the slope `size * (z - dual) + margin + ln(z / (most - z))` is zero; it only rises.
fn minimum(dual: f32, most: f32, margin: f32, size: f32) -> f32 {
    let (mut low, mut high) = (0.0_f32, most);
    for _ in 0..24 {
        let middle = (low + high) / 2.0;
        let slope = size * (middle - dual) + margin + (middle / (most - middle).max(1e-12)).max(1e-12).ln();
        if slope > 0.0 { high = middle } else { low = middle }
    }
    ((low + high) / 2.0).clamp(most * 1e-6, most * (1.0 - 1e-6))
}

fn sign(row: &Row<'_>) -> f32 {
    if row.holds { 1.0 } else { -1.0 }
}

fn size(features: &Features) -> f32 {
    let dense: f32 = features.dense.iter().map(|value| (value * DENSE_SCALE).powi(2)).sum();
    let sparse: f32 = features.sparse.iter().map(|(_, value)| (value * SPARSE_SCALE).powi(2)).sum();
    BIAS * BIAS + dense + sparse
}

fn shuffle(order: &mut [usize], random: &mut u64) {
    for last in (1..order.len()).rev() {
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        let other = usize::try_from(*random % (last as u64 + 1)).unwrap_or(0);
        order.swap(last, other);
    }
}

/// How much an error costs against large weights.
const COST: f32 = 0.6;
/// Scales of the parts, that is how freely each may be used.
pub(crate) const BIAS: f32 = 1.0;
pub(crate) const DENSE_SCALE: f32 = 1.0;
pub(crate) const SPARSE_SCALE: f32 = 2.0;
const ROUNDS: usize = 25;
