//! Activations in eight bits: rows of codes, each run of columns with a factor of its own.
#![expect(unsafe_code, reason = "units of one pass write disjoint blocks")]

use crate::kernels::dot::quantise;
use crate::kernels::pool::{Parts, Pool};

/// Rows of activations in eight bits.
#[derive(Debug)]
pub(crate) struct Inputs {
    /// Codes from -127 to 127.
    codes: Vec<i8>,
    /// Sums of sixteen codes each.
    sums: Vec<i32>,
    /// One for each block.
    factors: Vec<f32>,
    /// Columns of a block.
    width: usize,
}

/// The codes of one row that share a factor.
pub(crate) struct Block<'a, C: ?Sized = [i8]> {
    pub(in crate::kernels) codes: &'a C,
    pub(in crate::kernels) sums: &'a [i32],
    pub(in crate::kernels) factor: f32,
}

impl Inputs {
    /// Quantises rows whose length is a multiple of `width`.
    pub(crate) fn new(pool: &Pool, values: &[f32], width: usize) -> Self {
        let count = values.len() / width;
        let sixteens = width / 16;
        let mut inputs =
            Self { codes: vec![0; values.len()], sums: vec![0; count * sixteens], factors: vec![0.0; count], width };
        let codes = Parts::new(&mut inputs.codes);
        let sums = Parts::new(&mut inputs.sums);
        let factors = Parts::new(&mut inputs.factors);
        pool.run(count.div_ceil(UNIT), &|unit| {
            for block in unit * UNIT..((unit + 1) * UNIT).min(count) {
                let range = block * width..(block + 1) * width;
                let sums_range = block * sixteens..(block + 1) * sixteens;
                // SAFETY: each block is in one unit, and its three ranges belong to it alone.
                let (codes, sums, factor) =
                    unsafe { (codes.part(range.clone()), sums.part(sums_range), factors.part(block..block + 1)) };
                factor[0] = quantise(&values[range], codes, sums);
            }
        });
        inputs
    }

    /// Rows of so many blocks each.
    pub(in crate::kernels) fn rows(&self, across: usize) -> usize {
        self.factors.len() / across
    }

    /// Bytes from one row's codes to the next one's.
    pub(in crate::kernels) fn stride(&self, across: usize) -> usize {
        across * self.width
    }

    #[inline(always)]
    pub(in crate::kernels) fn block(&self, at: usize) -> Block<'_> {
        let sixteens = self.width / 16;
        Block {
            codes: &self.codes[at * self.width..][..self.width],
            sums: &self.sums[at * sixteens..][..sixteens],
            factor: self.factors[at],
        }
    }
}

/// Blocks that are quantised as one unit of work.
const UNIT: usize = 32;
