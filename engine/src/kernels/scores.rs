//! One query against one page of the cache: sixteen products at once, and the weighted sum of sixteen values. Every
//! instruction set adds in the order of [`dot`](super::dot::dot). It knows no softmax and no layers.
#![expect(unsafe_code, reason = "vector instructions that were detected, loads from slices of checked length")]

use super::dot::dot_scalar;
use crate::pages::PAGE;

/// How a page's keys are multiplied with a query.
pub(super) trait Scorer {
    /// Products of a query with sixteen keys that stand one after the other.
    ///
    /// # Safety
    /// The machine must have the implementation's instructions.
    unsafe fn scores(keys: &[f32], query: &[f32]) -> [f32; PAGE];
}

/// The reference.
pub(super) struct Plain;

impl Scorer for Plain {
    #[inline(always)]
    unsafe fn scores(keys: &[f32], query: &[f32]) -> [f32; PAGE] {
        std::array::from_fn(|at| dot_scalar([&keys[at * query.len()..][..query.len()]], [query])[0][0])
    }
}

/// Adds the weighted values of some positions of a page; a hundred and twenty-eight sums stay in registers meanwhile.
#[inline(always)]
pub(super) fn mix(out: &mut [f32], values: &[f32], width: usize, (start, weights): (usize, &[f32])) {
    const WIDE: usize = 128;
    let length = out.len();
    for at in (0..length).step_by(WIDE) {
        if let Some(sums) = out[at..].first_chunk_mut::<WIDE>() {
            let mut kept = *sums;
            for (slot, weight) in (start..).zip(weights) {
                let row: &[f32; WIDE] = values[slot * width + at..].first_chunk().expect("a value's whole width");
                for (sum, value) in kept.iter_mut().zip(row) {
                    *sum = weight.mul_add(*value, *sum);
                }
            }
            *sums = kept;
        } else {
            for (slot, weight) in (start..).zip(weights) {
                let row = &values[slot * width + at..][..length - at];
                for (sum, value) in out[at..].iter_mut().zip(row) {
                    *sum = weight.mul_add(*value, *sum);
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::Avx512;

#[cfg(target_arch = "x86_64")]
mod x86 {
    //! Sixteen keys in sixteen registers.

    use std::arch::x86_64::{
        __m512, _mm512_add_ps, _mm512_castpd_ps, _mm512_castps_pd, _mm512_fmadd_ps, _mm512_loadu_ps,
        _mm512_mask3_fmadd_ps, _mm512_maskz_loadu_ps, _mm512_permutexvar_ps, _mm512_setr_epi32, _mm512_setzero_ps,
        _mm512_shuffle_f32x4, _mm512_shuffle_ps, _mm512_storeu_ps, _mm512_unpackhi_pd, _mm512_unpacklo_pd,
    };

    use super::{PAGE, Scorer};

    /// AVX-512.
    pub(in crate::kernels) struct Avx512;

    impl Scorer for Avx512 {
        #[inline]
        #[target_feature(enable = "avx512f")]
        unsafe fn scores(keys: &[f32], query: &[f32]) -> [f32; PAGE] {
            let width = query.len();
            assert!(keys.len() >= PAGE * width, "a page of keys");
            let mut sums = [_mm512_setzero_ps(); PAGE];
            let whole = width - width % 16;
            for at in (0..whole).step_by(16) {
                // SAFETY: sixteen floats are there, of the query and, as asserted, of each key.
                unsafe {
                    let query = _mm512_loadu_ps(query.as_ptr().add(at));
                    for (row, sum) in sums.iter_mut().enumerate() {
                        *sum = _mm512_fmadd_ps(_mm512_loadu_ps(keys.as_ptr().add(row * width + at)), query, *sum);
                    }
                }
            }
            if whole < width {
                let rest = (1u16 << (width - whole)) - 1;
                // SAFETY: the mask names those that are there.
                unsafe {
                    let query = _mm512_maskz_loadu_ps(rest, query.as_ptr().add(whole));
                    for (row, sum) in sums.iter_mut().enumerate() {
                        let key = _mm512_maskz_loadu_ps(rest, keys.as_ptr().add(row * width + whole));
                        *sum = _mm512_mask3_fmadd_ps(key, query, *sum, rest);
                    }
                }
            }
            let mut out = [0.0; PAGE];
            // SAFETY: room for sixteen floats.
            unsafe { _mm512_storeu_ps(out.as_mut_ptr(), fold(&sums)) };
            out
        }
    }

    /// The sums of the lanes of sixteen registers, halves first, then quarters, as the plain code does it.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn fold(sums: &[__m512; PAGE]) -> __m512 {
        let halves = |a: __m512, b: __m512| {
            _mm512_add_ps(_mm512_shuffle_f32x4::<0b01_00_01_00>(a, b), _mm512_shuffle_f32x4::<0b11_10_11_10>(a, b))
        };
        let quarters = |a: __m512, b: __m512| {
            _mm512_add_ps(_mm512_shuffle_f32x4::<0b10_00_10_00>(a, b), _mm512_shuffle_f32x4::<0b11_01_11_01>(a, b))
        };
        let pairs = |a: __m512, b: __m512| {
            let (a, b) = (_mm512_castps_pd(a), _mm512_castps_pd(b));
            _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)))
        };
        let singles = |a: __m512, b: __m512| {
            _mm512_add_ps(_mm512_shuffle_ps::<0b10_00_10_00>(a, b), _mm512_shuffle_ps::<0b11_01_11_01>(a, b))
        };
        let four = |at: usize| quarters(halves(sums[at], sums[at + 1]), halves(sums[at + 2], sums[at + 3]));
        let all = singles(pairs(four(0), four(4)), pairs(four(8), four(12)));
        // Key `4 j + k` stands at `4 k + j`.
        let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        _mm512_permutexvar_ps(order, all)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sixteen_scores_are_the_plain_products_bit_for_bit(
            width in 1usize..100, values in proptest::collection::vec(-3f32..3.0, 17 * 100),
        ) {
            let (keys, query) = (&values[..16 * width], &values[1600..1600 + width]);
            // SAFETY: needs no instructions.
            let plain = unsafe { Plain::scores(keys, query) };
            #[cfg(target_arch = "x86_64")]
            if std::is_x86_feature_detected!("avx512f") {
                // SAFETY: just found.
                let fast = unsafe { Avx512::scores(keys, query) };
                prop_assert_eq!(fast.map(f32::to_bits), plain.map(f32::to_bits));
            }
            let exact: f64 = (0..width).map(|at| f64::from(keys[at]) * f64::from(query[at])).sum();
            prop_assert!((f64::from(plain[0]) - exact).abs() < 1e-3);
        }

        #[test]
        fn mixing_adds_position_by_position(width in 1usize..300, values in proptest::collection::vec(-3f32..3.0, 16 * 300)) {
            let weights = [0.5f32, -0.25, 2.0];
            let mut out = vec![1.0; width];
            mix(&mut out, &values, width, (4, &weights));
            for (at, sum) in out.iter().enumerate() {
                let expected = weights.iter().enumerate().fold(1f32, |sum, (slot, weight)| {
                    weight.mul_add(values[(4 + slot) * width + at], sum)
                });
                prop_assert_eq!(sum.to_bits(), expected.to_bits());
            }
        }
    }
}
