//! Normalisation, rotation and gating of rows. It works in place and allocates nothing.
#![expect(unsafe_code, reason = "units of one pass write disjoint parts")]

use super::dot::{self, dot};
use super::pool::{Parts, Pool};

/// Divides each row of `weight.len()` values by its root mean square and multiplies it with the weights.
pub(crate) fn rms_norm(rows: &mut [f32], weight: &[f32], epsilon: f32) {
    for row in rows.chunks_exact_mut(weight.len()) {
        let [[squares]] = dot([&*row], [&*row]);
        let factor = 1.0 / (squares / weight.len() as f32 + epsilon).sqrt();
        for (value, weight) in row.iter_mut().zip(weight) {
            *value = *value * factor * weight;
        }
    }
}

/// Adds `bias` to every row.
pub(crate) fn add_bias(rows: &mut [f32], bias: &[f32]) {
    for row in rows.chunks_exact_mut(bias.len()) {
        add(row, bias);
    }
}

/// Adds `other` to `sum`.
pub(crate) fn add(sum: &mut [f32], other: &[f32]) {
    for (sum, other) in sum.iter_mut().zip(other) {
        *sum += other;
    }
}

/// `gate = silu(gate) * up`, on all threads.
pub(crate) fn gate(pool: &Pool, gate: &mut [f32], up: &[f32]) {
    let length = gate.len();
    let parts = Parts::new(gate);
    pool.run(length.div_ceil(UNIT), &|unit| {
        let range = unit * UNIT..((unit + 1) * UNIT).min(length);
        // SAFETY: units are disjoint.
        dot::gate(unsafe { parts.part(range.clone()) }, &up[range]);
    });
}

/// Values that are gated as one unit of work.
const UNIT: usize = 4096;

/// Which values of a head turn together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pairing {
    /// `i` with `i + half`.
    Halves,
    /// `2i` with `2i + 1`.
    Neighbours,
}

/// Turns one head by the angles whose cosines and sines are given.
pub(crate) fn rotate(head: &mut [f32], cosines: &[f32], sines: &[f32], pairing: Pairing) {
    let half = cosines.len();
    for (index, (cosine, sine)) in cosines.iter().zip(sines).enumerate() {
        let (first, second) = match pairing {
            Pairing::Halves => (index, index + half),
            Pairing::Neighbours => (2 * index, 2 * index + 1),
        };
        let (a, b) = (head[first], head[second]);
        head[first] = a * cosine - b * sine;
        head[second] = b * cosine + a * sine;
    }
}
