//! A two-dimensional weight in the type that its file has. It knows how to read a row, not how to multiply.

use std::ops::Range;
use std::sync::Arc;

use candle_core::quantized::{GgmlType, k_quants};

use super::mapping::{Plain, View};
use crate::kernels::tiles::Tiles;

/// Rows of weights, one output each.
#[derive(Debug, Clone)]
pub(crate) struct Matrix {
    /// Outputs.
    pub(crate) rows: usize,
    /// Inputs.
    pub(crate) columns: usize,
    /// The values, row after row.
    pub(crate) values: Values,
}

/// The values of a matrix in their stored type.
#[derive(Debug, Clone)]
pub(crate) enum Values {
    F32(View<f32>),
    F16(View<F16>),
    Bf16(View<Bf16>),
    /// Eight-bit floats with one factor per 128x128 block.
    Fp8(Fp8),
    Q40(View<k_quants::BlockQ4_0>),
    Q41(View<k_quants::BlockQ4_1>),
    Q50(View<k_quants::BlockQ5_0>),
    Q51(View<k_quants::BlockQ5_1>),
    Q80(View<k_quants::BlockQ8_0>),
    Q2K(View<k_quants::BlockQ2K>),
    Q3K(View<k_quants::BlockQ3K>),
    Q4K(View<k_quants::BlockQ4K>),
    Q5K(View<k_quants::BlockQ5K>),
    Q6K(View<k_quants::BlockQ6K>),
    /// Packed for vector instructions; such a matrix is only multiplied with.
    Tiles(Arc<Tiles>),
}

/// Eight-bit floats (e4m3) and the factors of their 128x128 blocks.
#[derive(Debug, Clone)]
pub(crate) struct Fp8 {
    pub(crate) codes: View<u8>,
    pub(crate) factors: Arc<[f32]>,
    /// Which row of the factors' grid the first row belongs to, counted in single rows.
    pub(crate) first_row: usize,
}

/// Rows and columns that share one factor of [`Fp8`].
pub(crate) const FP8_BLOCK: usize = 128;

/// Runs `$body` with `$view` bound to the view of a matrix in candle's block types, or `$other` for plain types.
macro_rules! with_blocks {
    ($values:expr, $view:ident => $body:expr, else $other:expr) => {
        match $values {
            Values::Q40($view) => $body,
            Values::Q41($view) => $body,
            Values::Q50($view) => $body,
            Values::Q51($view) => $body,
            Values::Q80($view) => $body,
            Values::Q2K($view) => $body,
            Values::Q3K($view) => $body,
            Values::Q4K($view) => $body,
            Values::Q5K($view) => $body,
            Values::Q6K($view) => $body,
            _ => $other,
        }
    };
}
pub(crate) use with_blocks;

impl Matrix {
    /// Some of the rows, sharing the storage.
    pub(crate) fn part(&self, rows: Range<usize>) -> Self {
        let cells = rows.start * self.columns..rows.end * self.columns;
        let values = match &self.values {
            Values::F32(view) => Values::F32(view.part(cells)),
            Values::F16(view) => Values::F16(view.part(cells)),
            Values::Bf16(view) => Values::Bf16(view.part(cells)),
            Values::Fp8(fp8) => Values::Fp8(Fp8 {
                codes: fp8.codes.part(cells),
                factors: Arc::clone(&fp8.factors),
                first_row: fp8.first_row + rows.start,
            }),
            Values::Q40(view) => Values::Q40(view.part(blocks::<k_quants::BlockQ4_0>(cells))),
            Values::Q41(view) => Values::Q41(view.part(blocks::<k_quants::BlockQ4_1>(cells))),
            Values::Q50(view) => Values::Q50(view.part(blocks::<k_quants::BlockQ5_0>(cells))),
            Values::Q51(view) => Values::Q51(view.part(blocks::<k_quants::BlockQ5_1>(cells))),
            Values::Q80(view) => Values::Q80(view.part(blocks::<k_quants::BlockQ8_0>(cells))),
            Values::Q2K(view) => Values::Q2K(view.part(blocks::<k_quants::BlockQ2K>(cells))),
            Values::Q3K(view) => Values::Q3K(view.part(blocks::<k_quants::BlockQ3K>(cells))),
            Values::Q4K(view) => Values::Q4K(view.part(blocks::<k_quants::BlockQ4K>(cells))),
            Values::Q5K(view) => Values::Q5K(view.part(blocks::<k_quants::BlockQ5K>(cells))),
            Values::Q6K(view) => Values::Q6K(view.part(blocks::<k_quants::BlockQ6K>(cells))),
            Values::Tiles(_) => unreachable!("packed matrices are not divided"),
        };
        Self { rows: rows.len(), columns: self.columns, values }
    }

    /// Lets the system take mapped memory back: these values are not needed soon.
    pub(crate) fn release(&self) {
        match &self.values {
            Values::F32(view) => view.release(),
            Values::F16(view) => view.release(),
            Values::Bf16(view) => view.release(),
            Values::Fp8(fp8) => fp8.codes.release(),
            values => with_blocks!(values, view => view.release(), else {}),
        }
    }

    /// Writes one row as 32-bit floats.
    pub(crate) fn read_row(&self, row: usize, out: &mut [f32]) {
        let cells = row * self.columns..(row + 1) * self.columns;
        with_blocks!(&self.values, view => read_blocks(view, cells, out), else self.read_plain(cells, row, out));
    }

    /// The matrix turned over, in the same type where that loses nothing, else in 32-bit floats.
    pub(crate) fn transposed(&self) -> Self {
        let values = match &self.values {
            Values::F16(view) => Values::F16(turn_over(view, self.columns)),
            Values::Bf16(view) => Values::Bf16(turn_over(view, self.columns)),
            _ => {
                let mut all = vec![0.0; self.rows * self.columns];
                let rows = all.chunks_exact_mut(self.columns).enumerate();
                rows.for_each(|(row, out)| self.read_row(row, out));
                Values::F32(turn_over(&all, self.columns))
            }
        };
        Self { rows: self.columns, columns: self.rows, values }
    }

    fn read_plain(&self, cells: Range<usize>, row: usize, out: &mut [f32]) {
        match &self.values {
            Values::F32(view) => out.copy_from_slice(&view[cells]),
            Values::F16(view) => widen(&view[cells], out, F16::value),
            Values::Bf16(view) => widen(&view[cells], out, Bf16::value),
            Values::Fp8(fp8) => fp8.read_row(&fp8.codes[cells], row, out),
            _ => unreachable!("blocks are read above, and packed matrices not at all"),
        }
    }
}

impl Fp8 {
    fn read_row(&self, codes: &[u8], row: usize, out: &mut [f32]) {
        let across = codes.len().div_ceil(FP8_BLOCK);
        let factors = &self.factors[(self.first_row + row) / FP8_BLOCK * across..][..across];
        for ((codes, out), factor) in codes.chunks(FP8_BLOCK).zip(out.chunks_mut(FP8_BLOCK)).zip(factors) {
            for (out, code) in out.iter_mut().zip(codes) {
                *out = e4m3_to_f32(*code) * factor;
            }
        }
    }
}

/// A stored number that widens to a 32-bit float.
pub(crate) trait Number: Copy + Sync {
    /// The same value in 32 bits.
    fn value(self) -> f32;
}

impl Number for f32 {
    #[inline(always)]
    fn value(self) -> f32 {
        self
    }
}

/// A half-precision float by its bits.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub(crate) struct F16(pub(crate) u16);

impl F16 {
    /// The nearest half-precision float; what is too large becomes the largest.
    pub(crate) fn of(value: f32) -> Self {
        const LARGEST: f32 = 65504.0;
        let sign = (value.to_bits() >> 16 & 0x8000) as u16;
        let size = value.abs().min(LARGEST);
        let bits = size.to_bits();
        // Below 2^-14 all steps are the same; above, the last bit kept decides a tie.
        let kept = match bits < 0x3880_0000 {
            true => (size * 2f32.powi(24)).round_ties_even() as u16,
            false => (((bits + 0xfff + (bits >> 13 & 1)) >> 13) - (112 << 10)) as u16,
        };
        Self(sign | kept)
    }
}

impl Number for F16 {
    /// Has no branches, so that loops over it become vector code. Infinities and NaN, which no usable weight is,
    /// read as large finite numbers.
    #[inline(always)]
    fn value(self) -> f32 {
        let magnitude = f32::from_bits(u32::from(self.0 & 0x7fff) << 13) * f32::from_bits(0x7780_0000);
        f32::from_bits(magnitude.to_bits() | u32::from(self.0 & 0x8000) << 16)
    }
}

/// A bfloat16 by its bits.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Bf16(pub(crate) u16);

impl Number for Bf16 {
    #[inline(always)]
    fn value(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }
}

/// The value of an eight-bit float with four exponent bits: no infinity, two codes for NaN.
pub(crate) fn e4m3_to_f32(code: u8) -> f32 {
    let sign = if code & 0x80 == 0 { 1.0 } else { -1.0 };
    let (exponent, mantissa) = (i32::from(code >> 3 & 15), f32::from(code & 7));
    match (exponent, code & 7) {
        (15, 7) => f32::NAN,
        (0, _) => sign * mantissa * 2f32.powi(-9),
        _ => sign * (1.0 + mantissa / 8.0) * 2f32.powi(exponent - 7),
    }
}

fn turn_over<T: Plain + Copy>(values: &[T], columns: usize) -> View<T> {
    let column = |column: usize| values.iter().skip(column).step_by(columns).copied();
    View::owned(&(0..columns).flat_map(column).collect::<Vec<T>>())
}

fn widen<T: Copy>(from: &[T], to: &mut [f32], value: impl Fn(T) -> f32) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = value(*from);
    }
}

fn blocks<B: GgmlType>(cells: Range<usize>) -> Range<usize> {
    cells.start / B::BLCK_SIZE..cells.end / B::BLCK_SIZE
}

fn read_blocks<B: GgmlType>(view: &[B], cells: Range<usize>, out: &mut [f32]) {
    B::to_float(&view[blocks::<B>(cells)], out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_floats_widen_to_their_value() {
        for (bits, value) in [(0x3c00, 1.0), (0xc000, -2.0), (0x0001, 2f32.powi(-24)), (0x7bff, 65504.0), (0, 0.0)] {
            assert_eq!(F16(bits).value(), value, "{bits:#06x}");
        }
        assert_eq!(F16(0x8000).value().to_bits(), (-0.0f32).to_bits());
        for bits in (0..=0x7bff).flat_map(|bits| [bits, bits | 0x8000]) {
            assert_eq!(F16::of(F16(bits).value()).0, bits, "{bits:#06x}");
        }
        let between = |low: u16| f32::midpoint(F16(low).value(), F16(low + 1).value());
        for (low, even) in [(0x3c00, 0x3c00), (0x3c01, 0x3c02), (0x0000, 0x0000), (0x0001, 0x0002), (0x03ff, 0x0400)] {
            assert_eq!(F16::of(between(low)).0, even, "{low:#06x}");
            assert_eq!(F16::of(between(low).next_up()).0, low + 1, "{low:#06x}");
        }
        assert_eq!((F16::of(1e9).0, F16::of(f32::NEG_INFINITY).0), (0x7bff, 0xfbff));
        assert_eq!(Bf16(0x3f80).value(), 1.0);
    }

    #[test]
    fn eight_bit_floats_cover_their_published_range() {
        for (code, value) in [(0x00, 0.0), (0x01, 2f32.powi(-9)), (0x08, 2f32.powi(-6)), (0x38, 1.0), (0xfe, -448.0)] {
            assert_eq!(e4m3_to_f32(code), value, "{code:#04x}");
        }
        assert!(e4m3_to_f32(0x7f).is_nan() && e4m3_to_f32(0xff).is_nan());
    }
}
