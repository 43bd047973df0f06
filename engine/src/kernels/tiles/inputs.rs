//! Activations in eight bits: rows of codes, each run of columns with a factor of its own.
#![expect(unsafe_code, reason = "units of one pass write disjoint blocks")]

use crate::kernels::dot::quantise;
use crate::kernels::pool::{Parts, Pool};
use crate::kernels::rooms::Room;

/// Rows of activations in eight bits.
#[derive(Debug)]
pub(crate) struct Inputs {
    /// Codes from -127 to 127, block by block: for each sixteen rows the same columns of all of them, one row after the
    /// other, then the next columns. The last rows, fewer than sixteen, stand in the same order.
    codes: Room<i8>,
    /// Where they begin, on a cache line.
    start: usize,
    /// Sums of sixteen codes each.
    sums: Room<i32>,
    /// One for each block.
    factors: Room<f32>,
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
        let mut inputs = Self::room(pool, (rows, across), width);
        let start = inputs.start;
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

    /// Some of the rows, in the order and as often as they are named.
    pub(crate) fn choose(&self, pool: &Pool, rows: &[usize]) -> Self {
        let mut chosen = Self::room(pool, (rows.len(), self.across), self.width);
        let (width, sixteens, start) = (self.width, self.width / 16, chosen.start);
        for (to, from) in rows.iter().enumerate() {
            for block in 0..self.across {
                let at = place(rows.len(), self.across, to, block);
                let Block { codes, sums, factor } = self.block(*from, block);
                chosen.codes[start + at * width..][..width].copy_from_slice(codes);
                chosen.sums[at * sixteens..][..sixteens].copy_from_slice(sums);
                chosen.factors[at] = factor;
            }
        }
        chosen
    }

    /// With whatever values.
    fn room(pool: &Pool, (rows, across): (usize, usize), width: usize) -> Self {
        let codes = pool.code_room(rows * across * width + LINE);
        let start = codes.as_ptr().align_offset(LINE).min(LINE);
        let sums = pool.sum_room(rows * across * (width / 16));
        Self { codes, start, sums, factors: pool.room(rows * across), width, rows, across }
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
