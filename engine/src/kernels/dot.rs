//! The innermost loops (dot products, sums, gates, codes), compiled for several instruction sets and chosen once at
//! start. They hand out no work and know no matrices.
#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "code for detected instruction sets, loads and stores of checked length")
)]

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    _mm_loadu_si128, _mm256_cvtph_ps, _mm256_loadu_si256, _mm256_storeu_ps, _mm512_cvtph_ps, _mm512_storeu_ps,
};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::weights::matrix::{F16, Number};

/// Partial sums of one product. All instruction sets add in this order, so they agree to the last bit.
const LANES: usize = 16;

/// Products of `W` weight rows with `X` activation rows.
pub(crate) type Tile<const W: usize, const X: usize> = [[f32; X]; W];

/// Multiplies rows of equal length on the best instruction set of this machine.
#[inline]
pub(crate) fn dot<T: Number, const W: usize, const X: usize>(weights: [&[T]; W], inputs: [&[f32]; X]) -> Tile<W, X> {
    match tier() {
        // SAFETY: `tier` found these instructions on this machine.
        #[cfg(target_arch = "x86_64")]
        Tier::Avx512 => unsafe { dot_avx512(weights, inputs) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Tier::Avx2 => unsafe { dot_avx2(weights, inputs) },
        Tier::Scalar => dot_scalar(weights, inputs),
    }
}

/// Adds `factor * row` to `sum`.
#[inline]
pub(crate) fn add_scaled(sum: &mut [f32], row: &[f32], factor: f32) {
    match tier() {
        // SAFETY: `tier` found these instructions on this machine.
        #[cfg(target_arch = "x86_64")]
        Tier::Avx512 => unsafe { add_scaled_avx512(sum, row, factor) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Tier::Avx2 => unsafe { add_scaled_avx2(sum, row, factor) },
        Tier::Scalar => add_scaled_scalar(sum, row, factor),
    }
}

/// Writes 256 values as codes from -127 to 127 and the sums of sixteen codes each, and returns the factor.
#[inline]
pub(crate) fn quantise(values: &[f32], codes: &mut [i8], sums: &mut [i32]) -> f32 {
    match tier() {
        // SAFETY: `tier` found these instructions on this machine.
        #[cfg(target_arch = "x86_64")]
        Tier::Avx512 => unsafe { quantise_avx512(values, codes, sums) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Tier::Avx2 => unsafe { quantise_avx2(values, codes, sums) },
        Tier::Scalar => quantise_scalar(values, codes, sums),
    }
}

/// Writes half-precision floats in 32 bits.
#[inline]
pub(crate) fn widen(from: &[F16], to: &mut [f32]) {
    match tier() {
        // SAFETY: `tier` found these instructions on this machine.
        #[cfg(target_arch = "x86_64")]
        Tier::Avx512 => unsafe { widen_avx512(from, to) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Tier::Avx2 => unsafe { widen_avx2(from, to) },
        Tier::Scalar => widen_scalar(from, to),
    }
}

/// `gate = silu(gate) * up`.
#[inline]
pub(crate) fn gate(gate: &mut [f32], up: &[f32]) {
    match tier() {
        // SAFETY: `tier` found these instructions on this machine.
        #[cfg(target_arch = "x86_64")]
        Tier::Avx512 => unsafe { gate_avx512(gate, up) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Tier::Avx2 => unsafe { gate_avx2(gate, up) },
        Tier::Scalar => gate_scalar(gate, up),
    }
}

/// Adds words up, as fast as they can be read.
#[inline]
pub(crate) fn sum(words: &[u64]) -> u64 {
    match tier() {
        // SAFETY: `tier` found these instructions on this machine.
        #[cfg(target_arch = "x86_64")]
        Tier::Avx512 => unsafe { sum_avx512(words) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Tier::Avx2 => unsafe { sum_avx2(words) },
        Tier::Scalar => sum_scalar(words),
    }
}

/// The instruction set in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tier {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Scalar,
}

/// The best instruction set of this machine, found once.
pub(crate) fn tier() -> Tier {
    static TIER: OnceLock<Tier> = OnceLock::new();
    *TIER.get_or_init(detect)
}

/// Whether AVX-512 is left alone, to measure what a machine without it would do.
static LIMITED: AtomicBool = AtomicBool::new(false);

/// Leaves AVX-512 and what builds on it alone; holds for what is asked for the first time after it.
pub(crate) fn limit() {
    LIMITED.store(true, Ordering::Relaxed);
}

/// See [`limit`].
pub(super) fn limited() -> bool {
    LIMITED.load(Ordering::Relaxed)
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Tier {
    if std::is_x86_feature_detected!("avx512f") && !limited() {
        Tier::Avx512
    } else if std::is_x86_feature_detected!("avx2")
        && std::is_x86_feature_detected!("fma")
        && std::is_x86_feature_detected!("f16c")
    {
        Tier::Avx2
    } else {
        Tier::Scalar
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Tier {
    Tier::Scalar
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn dot_avx512<T: Number, const W: usize, const X: usize>(weights: [&[T]; W], inputs: [&[f32]; X]) -> Tile<W, X> {
    dot_scalar(weights, inputs)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn dot_avx2<T: Number, const W: usize, const X: usize>(weights: [&[T]; W], inputs: [&[f32]; X]) -> Tile<W, X> {
    dot_scalar(weights, inputs)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn add_scaled_avx512(sum: &mut [f32], row: &[f32], factor: f32) {
    add_scaled_scalar(sum, row, factor);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn add_scaled_avx2(sum: &mut [f32], row: &[f32], factor: f32) {
    add_scaled_scalar(sum, row, factor);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn sum_avx512(words: &[u64]) -> u64 {
    sum_scalar(words)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn sum_avx2(words: &[u64]) -> u64 {
    sum_scalar(words)
}

#[inline(always)]
fn sum_scalar(words: &[u64]) -> u64 {
    words.iter().fold(0, |sum, word| sum.wrapping_add(*word))
}

#[inline(always)]
fn add_scaled_scalar(sum: &mut [f32], row: &[f32], factor: f32) {
    for (sum, value) in sum.iter_mut().zip(row) {
        *sum = factor.mul_add(*value, *sum);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw")]
fn quantise_avx512(values: &[f32], codes: &mut [i8], sums: &mut [i32]) -> f32 {
    quantise_scalar(values, codes, sums)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn quantise_avx2(values: &[f32], codes: &mut [i8], sums: &mut [i32]) -> f32 {
    quantise_scalar(values, codes, sums)
}

#[inline(always)]
fn quantise_scalar(values: &[f32], codes: &mut [i8], sums: &mut [i32]) -> f32 {
    let mut lanes = [0f32; LANES];
    for chunk in values.chunks_exact(LANES) {
        for lane in 0..LANES {
            let size = chunk[lane].abs();
            lanes[lane] = if size > lanes[lane] { size } else { lanes[lane] };
        }
    }
    let largest = lanes.iter().fold(0f32, |largest, size| largest.max(*size));
    let factor = largest / 127.0;
    let inverse = if factor > 0.0 { 1.0 / factor } else { 0.0 };
    for ((values, codes), sum) in values.chunks_exact(16).zip(codes.chunks_exact_mut(16)).zip(sums) {
        *sum = 0;
        for (value, code) in values.iter().zip(codes) {
            *code = (value * inverse).round_ties_even() as i8;
            *sum += i32::from(*code);
        }
    }
    factor
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn widen_avx512(from: &[F16], to: &mut [f32]) {
    let ((from, from_rest), (to, to_rest)) = (from.as_chunks::<16>(), to.as_chunks_mut::<16>());
    for (from, to) in from.iter().zip(to) {
        // SAFETY: sixteen numbers are there, and room for as many.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), _mm512_cvtph_ps(_mm256_loadu_si256(from.as_ptr().cast()))) };
    }
    widen_scalar(from_rest, to_rest);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
fn widen_avx2(from: &[F16], to: &mut [f32]) {
    let ((from, from_rest), (to, to_rest)) = (from.as_chunks::<8>(), to.as_chunks_mut::<8>());
    for (from, to) in from.iter().zip(to) {
        // SAFETY: eight numbers are there, and room for as many.
        unsafe { _mm256_storeu_ps(to.as_mut_ptr(), _mm256_cvtph_ps(_mm_loadu_si128(from.as_ptr().cast()))) };
    }
    widen_scalar(from_rest, to_rest);
}

#[inline(always)]
fn widen_scalar(from: &[F16], to: &mut [f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = from.value();
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn gate_avx512(gate: &mut [f32], up: &[f32]) {
    gate_scalar(gate, up);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn gate_avx2(gate: &mut [f32], up: &[f32]) {
    gate_scalar(gate, up);
}

#[inline(always)]
fn gate_scalar(gate: &mut [f32], up: &[f32]) {
    for (gate, up) in gate.iter_mut().zip(up) {
        *gate = *gate / (1.0 + exp(-*gate)) * up;
    }
}

/// The exponential, to a few units in the last place, from sums and products alone: loops over it become vector code,
/// and every machine gets the same bits, which a system's library does not promise.
#[inline(always)]
pub(crate) fn exp(value: f32) -> f32 {
    let value = value.clamp(-87.0, 88.0);
    let whole = (value * std::f32::consts::LOG2_E).round_ties_even();
    // The logarithm of two in two parts, the first so short that its products with whole numbers are exact.
    let rest = value - whole * 0.693_359_4 - whole * -2.121_944_4e-4;
    let mut series = 1.987_569_2e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_66, 0.5] {
        series = series * rest + coefficient;
    }
    let fraction = series * rest * rest + rest + 1.0;
    let power = f32::from_bits(((whole as i32 + 127) as u32) << 23);
    fraction * power
}

/// The reference: what every tier compiles.
#[inline(always)]
pub(super) fn dot_scalar<T: Number, const W: usize, const X: usize>(
    weights: [&[T]; W],
    inputs: [&[f32]; X],
) -> Tile<W, X> {
    let mut sums = [[[0f32; LANES]; X]; W];
    let length = weights[0].len();
    let whole = length - length % LANES;
    for at in (0..whole).step_by(LANES) {
        for w in 0..W {
            let row: &[T; LANES] = weights[w][at..at + LANES].first_chunk().expect("a whole chunk");
            for x in 0..X {
                let input: &[f32; LANES] = inputs[x][at..at + LANES].first_chunk().expect("a whole chunk");
                for lane in 0..LANES {
                    sums[w][x][lane] = row[lane].value().mul_add(input[lane], sums[w][x][lane]);
                }
            }
        }
    }
    for w in 0..W {
        for x in 0..X {
            for at in whole..length {
                sums[w][x][at - whole] = weights[w][at].value().mul_add(inputs[x][at], sums[w][x][at - whole]);
            }
        }
    }
    sums.map(|row| row.map(fold))
}

/// The sum of all lanes, halves first.
#[inline(always)]
pub(super) fn fold(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_exponential_is_close_and_never_wild() {
        for step in -870..880 {
            let value = step as f32 / 10.0;
            let exact = f64::from(value).exp();
            assert!((f64::from(exp(value)) - exact).abs() <= 3e-7 * exact, "{value}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NEG_INFINITY) < 1e-37 && exp(f32::INFINITY).is_finite() && exp(f32::NAN).is_nan());
    }

    proptest! {
        #[test]
        fn gates_and_codes_are_the_same_on_every_tier(values in proptest::collection::vec(-30f32..30.0, 256)) {
            let (mut fast, mut plain) = (values.clone(), values.clone());
            gate(&mut fast, &values);
            gate_scalar(&mut plain, &values);
            prop_assert!(fast.iter().zip(&plain).all(|(a, b)| a.to_bits() == b.to_bits()));
            let (mut codes, mut sums, mut plain_codes, mut plain_sums) = ([0; 256], [0; 16], [0; 256], [0; 16]);
            let factor = quantise(&values, &mut codes, &mut sums);
            prop_assert_eq!(factor, quantise_scalar(&values, &mut plain_codes, &mut plain_sums));
            prop_assert_eq!((codes, sums), (plain_codes, plain_sums));
            let halves: Vec<F16> = values.iter().map(|value| F16::of(*value)).collect();
            let mut wide = [0.0; 256];
            widen(&halves, &mut wide);
            prop_assert!(wide.iter().zip(&halves).all(|(wide, half)| wide.to_bits() == half.value().to_bits()));
            #[cfg(target_arch = "x86_64")]
            if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("f16c") {
                // SAFETY: just found.
                unsafe { widen_avx2(&halves, &mut wide) };
                prop_assert!(wide.iter().zip(&halves).all(|(wide, half)| wide.to_bits() == half.value().to_bits()));
            }
            prop_assert!(wide.iter().zip(&values).all(|(wide, value)| (wide - value).abs() <= value.abs() / 2048.0 + 1e-7));
            prop_assert!(codes.iter().zip(&values).all(|(code, value)| (f32::from(*code) * factor - value).abs() <= factor * 0.51));
        }

        #[test]
        fn every_tile_and_tier_equals_the_scalar_product_bit_for_bit(
            values in proptest::collection::vec(-4f32..4.0, 0..70 * 6),
        ) {
            let length = values.len() / 6;
            let row = |index: usize| &values[index * length..(index + 1) * length];
            let tile = dot([row(0), row(1)], [row(2), row(3), row(4), row(5)]);
            for (w, sums) in tile.iter().enumerate() {
                for (x, sum) in sums.iter().enumerate() {
                    let [[alone]] = dot_scalar([row(w)], [row(2 + x)]);
                    prop_assert_eq!(sum.to_bits(), alone.to_bits());
                }
            }
        }
    }
}
