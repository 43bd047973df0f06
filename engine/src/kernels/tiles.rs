//! Quantised weights in tiles of sixteen rows by 256 columns, the order in which vector instructions multiply them, and
//! activations in eight bits. It packs and unpacks; the products are in `tile_products`.
#![expect(unsafe_code, reason = "units of one pass write disjoint blocks")]

use super::dot::quantise;
use super::pool::{Parts, Pool};
use crate::weights::matrix::{F16, Number};

/// Rows of a tile.
pub(crate) const ROWS: usize = 16;

/// Columns of a tile.
pub(crate) const COLUMNS: usize = 256;

/// Bytes of the blocks that tiles are made from.
pub(crate) const Q4_K: usize = 144;
pub(crate) const Q6_K: usize = 210;
pub(crate) const Q8_0: usize = 34;

/// A matrix in tiles: for each sixteen rows, all of their columns.
#[derive(Debug)]
pub(crate) enum Tiles {
    Q4K(Vec<Tile4>),
    Q6K(Vec<Tile6>),
    Q80(Vec<Tile8>),
}

/// Q4_K: `d * scale * code - least * min`, a scale and a min for 32 columns.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub(crate) struct Tile4 {
    /// For each eight columns sixteen times four bytes: columns 0 to 3 in the low halves, 4 to 7 in the high ones.
    pub(super) codes: [[u8; 64]; 32],
    pub(super) scales: [[u8; ROWS]; 8],
    pub(super) mins: [[u8; ROWS]; 8],
    pub(super) d: [u16; ROWS],
    pub(super) least: [u16; ROWS],
}

/// Q6_K: `d * scale * (code - 32)`, a scale for 16 columns.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub(crate) struct Tile6 {
    /// For each four columns sixteen times four bytes.
    pub(super) codes: [[u8; 64]; 64],
    pub(super) scales: [[i8; ROWS]; 16],
    pub(super) d: [u16; ROWS],
}

/// Q8_0: `d * (code - 128)`, a `d` for 32 columns.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub(crate) struct Tile8 {
    /// For each four columns sixteen times four bytes.
    pub(super) codes: [[u8; 64]; 64],
    pub(super) d: [[u16; ROWS]; 8],
}

impl Tiles {
    /// Packs the blocks of a matrix of these rows, each of `columns` values.
    pub(crate) fn q4k(blocks: &[[u8; Q4_K]], columns: usize) -> Self {
        Self::Q4K(pack(blocks, columns / COLUMNS, |tile: &mut Tile4, row, block| tile.put(row, block)))
    }

    /// As above.
    pub(crate) fn q6k(blocks: &[[u8; Q6_K]], columns: usize) -> Self {
        Self::Q6K(pack(blocks, columns / COLUMNS, |tile: &mut Tile6, row, block| tile.put(row, block)))
    }

    /// As above; eight blocks make the columns of one tile.
    pub(crate) fn q80(blocks: &[[[u8; Q8_0]; 8]], columns: usize) -> Self {
        Self::Q80(pack(blocks, columns / COLUMNS, |tile: &mut Tile8, row, block| tile.put(row, block)))
    }
}

/// Blocks come row by row; tiles hold the same columns of sixteen rows.
fn pack<B, T: Empty>(blocks: &[B], across: usize, put: impl Fn(&mut T, usize, &B)) -> Vec<T> {
    let strips = blocks.chunks_exact(across * ROWS);
    let mut tiles = Vec::with_capacity(blocks.len() / ROWS);
    for strip in strips {
        for column in 0..across {
            let mut tile = T::empty();
            (0..ROWS).for_each(|row| put(&mut tile, row, &strip[row * across + column]));
            tiles.push(tile);
        }
    }
    tiles
}

trait Empty {
    fn empty() -> Self;
}

impl Empty for Tile4 {
    fn empty() -> Self {
        Self { codes: [[0; 64]; 32], scales: [[0; ROWS]; 8], mins: [[0; ROWS]; 8], d: [0; ROWS], least: [0; ROWS] }
    }
}

impl Empty for Tile6 {
    fn empty() -> Self {
        Self { codes: [[0; 64]; 64], scales: [[0; ROWS]; 16], d: [0; ROWS] }
    }
}

impl Empty for Tile8 {
    fn empty() -> Self {
        Self { codes: [[0; 64]; 64], d: [[0; ROWS]; 8] }
    }
}

impl Tile4 {
    /// The block: `d`, `least`, twelve bytes of scales and mins, then 32 bytes for each 64 columns.
    fn put(&mut self, row: usize, block: &[u8; Q4_K]) {
        self.d[row] = u16::from_le_bytes([block[0], block[1]]);
        self.least[row] = u16::from_le_bytes([block[2], block[3]]);
        let packed = &block[4..16];
        for group in 0..8 {
            let (scale, min) = if group < 4 {
                (packed[group] & 63, packed[group + 4] & 63)
            } else {
                let (low, high) = (packed[group + 4], (packed[group - 4] >> 6, packed[group] >> 6));
                (low & 15 | high.0 << 4, low >> 4 | high.1 << 4)
            };
            (self.scales[group][row], self.mins[group][row]) = (scale, min);
            for column in 0..32 {
                let byte = block[16 + group / 2 * 32 + column];
                let code = if group % 2 == 0 { byte & 15 } else { byte >> 4 };
                let (eight, within) = (group * 4 + column / 8, column % 8);
                let place = &mut self.codes[eight][row * 4 + within % 4];
                *place |= if within < 4 { code } else { code << 4 };
            }
        }
    }

    pub(super) fn code(&self, row: usize, column: usize) -> u8 {
        let byte = self.codes[column / 8][row * 4 + column % 4];
        if column % 8 < 4 { byte & 15 } else { byte >> 4 }
    }
}

impl Tile6 {
    /// The block: low four bits, high two bits, sixteen scales, `d`.
    fn put(&mut self, row: usize, block: &[u8; Q6_K]) {
        let (low, high, scales) = (&block[..128], &block[128..192], &block[192..208]);
        self.d[row] = u16::from_le_bytes([block[208], block[209]]);
        (0..16).for_each(|group| self.scales[group][row] = scales[group] as i8);
        for column in 0..COLUMNS {
            // Halves of 128 columns; in each, four runs of 32 share bytes.
            let (half, run, within) = (column / 128, column % 128 / 32, column % 32);
            let low = low[half * 64 + run % 2 * 32 + within] >> (run / 2 * 4) & 15;
            let high = high[half * 32 + within] >> (run * 2) & 3;
            self.codes[column / 4][row * 4 + column % 4] = low | high << 4;
        }
    }
}

impl Tile8 {
    fn put(&mut self, row: usize, blocks: &[[u8; Q8_0]; 8]) {
        for (group, block) in blocks.iter().enumerate() {
            self.d[group][row] = u16::from_le_bytes([block[0], block[1]]);
            for (within, code) in block[2..].iter().enumerate() {
                let column = group * 32 + within;
                self.codes[column / 4][row * 4 + column % 4] = code.wrapping_add(128);
            }
        }
    }
}

/// Rows of activations in eight bits, each 256 columns with a factor of their own.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    /// Codes from -127 to 127.
    pub(super) codes: Vec<i8>,
    /// Sums of sixteen codes each.
    pub(super) sums: Vec<i32>,
    /// One for each 256 codes.
    pub(super) factors: Vec<f32>,
}

impl Inputs {
    /// Quantises rows whose length is a multiple of 256.
    pub(crate) fn new(pool: &Pool, values: &[f32]) -> Self {
        let count = values.len() / COLUMNS;
        let mut inputs = Self { codes: vec![0; values.len()], sums: vec![0; count * 16], factors: vec![0.0; count] };
        let codes = Parts::new(&mut inputs.codes);
        let sums = Parts::new(&mut inputs.sums);
        let factors = Parts::new(&mut inputs.factors);
        pool.run(count.div_ceil(UNIT), &|unit| {
            for block in unit * UNIT..((unit + 1) * UNIT).min(count) {
                let range = block * COLUMNS..(block + 1) * COLUMNS;
                // SAFETY: each block is in one unit, and its three ranges belong to it alone.
                let (codes, sums, factor) = unsafe {
                    (codes.part(range.clone()), sums.part(block * 16..(block + 1) * 16), factors.part(block..block + 1))
                };
                factor[0] = quantise(&values[range], codes, sums);
            }
        });
        inputs
    }
}

/// Blocks that are quantised as one unit of work.
const UNIT: usize = 32;

/// A half-precision float by its bits.
#[inline(always)]
pub(super) fn half(bits: u16) -> f32 {
    F16(bits).value()
}
