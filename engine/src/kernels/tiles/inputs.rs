//! Activations in eight bits: rows of codes, each run of columns with a factor of its own.
#![expect(unsafe_code, reason = "units of one pass write disjoint blocks")]

use crate::kernels::dot::quantise;
use crate::kernels::pool::{Parts, Pool};

/// Rows of activations in eight bits.
#[derive(Debug)]
pub(crate) struct Inputs {
    /// Codes from -127 to 127, block by block: for each sixteen rows the same columns of all of them, one row after the
    /// other, then the next columns. The last rows, fewer than sixteen, stand in the same order.
    codes: Vec<i8>,
    /// Where they begin, on a cache line.
    start: usize,
    /// Sums of sixteen codes each.
    sums: Vec<i32>,
    /// One for each block.
    factors: Vec<f32>,
    /// Columns of a block.
    width: usize,
    /// Rows.
    rows: usize,
    /// Blocks of a row.
    across: usize,
}

/// The codes of one row that share a factor.
pub(crate) struct Block<'a, C: ?Sized = [i8]> {
    pub(in crate::kernels) codes: &'a C,
    pub(in crate::kernels) sums: &'a [i32],
    pub(in crate::kernels) factor: f32,
}

impl Inputs {
    /// Quantises rows of so many columns, a multiple of `width`.
    pub(crate) fn new(pool: &Pool, values: &[f32], columns: usize, width: usize) -> Self {
        let (rows, across, sixteens) = (values.len() / columns, columns / width, width / 16);
        let count = rows * across;
        let codes = vec![0; values.len() + LINE];
        let start = codes.as_ptr().align_offset(LINE).min(LINE);
        let (sums, factors) = (vec![0; count * sixteens], vec![0.0; count]);
        let mut inputs = Self { codes, start, sums, factors, width, rows, across };
        let place = |block: usize| place(rows, across, block / across, block % across);
        let codes = Parts::new(&mut inputs.codes);
        let sums = Parts::new(&mut inputs.sums);
        let factors = Parts::new(&mut inputs.factors);
        pool.run(count.div_ceil(UNIT), &|unit| {
            for block in unit * UNIT..((unit + 1) * UNIT).min(count) {
                let at = place(block);
                // SAFETY: each block is in one unit and has a place of its own, and its three ranges belong to it alone.
                let (codes, sums, factor) = unsafe {
                    (
                        codes.part(start + at * width..start + (at + 1) * width),
                        sums.part(at * sixteens..(at + 1) * sixteens),
                        factors.part(at..at + 1),
                    )
                };
                factor[0] = quantise(&values[block * width..(block + 1) * width], codes, sums);
            }
        });
        inputs
    }

    /// Rows.
    pub(in crate::kernels) fn rows(&self) -> usize {
        self.rows
    }

    /// One row's codes of one block.
    #[inline(always)]
    pub(in crate::kernels) fn block(&self, row: usize, block: usize) -> Block<'_> {
        let at = place(self.rows, self.across, row, block);
        let sixteens = self.width / 16;
        Block {
            codes: &self.codes[self.start + at * self.width..][..self.width],
            sums: &self.sums[at * sixteens..][..sixteens],
            factor: self.factors[at],
        }
    }
}

/// Where a block of a row stands among all blocks.
#[inline(always)]
fn place(rows: usize, across: usize, row: usize, block: usize) -> usize {
    let first = row / 16 * 16;
    first * across + block * (rows - first).min(16) + row % 16
}

/// Bytes of a cache line.
const LINE: usize = 64;

/// Blocks that are quantised as one unit of work.
const UNIT: usize = 32;
