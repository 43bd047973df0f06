//! Tiles of 128 columns with a float factor for 32 of them: Q4_0, Q5_0 and Q8_0.

use super::{Empty, ROWS, code_at, put_code};

/// What the products ask of a tile.
pub(crate) trait Narrow: Sized + Sync {
    /// What is taken from each code.
    const OFFSET: i32;
    /// A row's code in a column.
    fn code(&self, row: usize, column: usize) -> u8;
    /// For each 32 columns the factors of all rows.
    fn factors(&self) -> &[[u16; ROWS]; 4];
}

/// Q8_0: `d * (code - 128)`.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub(crate) struct Tile8 {
    /// For each four columns sixteen times four bytes.
    pub(in crate::kernels) codes: [[u8; 64]; 32],
    pub(in crate::kernels) d: [[u16; ROWS]; 4],
}

impl Empty for Tile8 {
    const EMPTY: Self = Self { codes: [[0; 64]; 32], d: [[0; ROWS]; 4] };
}

impl Tile8 {
    /// Four blocks: `d`, then 32 codes.
    pub(super) fn put(&mut self, row: usize, blocks: &[u8; 136]) {
        for (group, block) in blocks.chunks_exact(34).enumerate() {
            self.d[group][row] = u16::from_le_bytes([block[0], block[1]]);
            for (within, code) in block[2..].iter().enumerate() {
                let column = group * 32 + within;
                self.codes[column / 4][row * 4 + column % 4] = code.wrapping_add(128);
            }
        }
    }
}

impl Narrow for Tile8 {
    const OFFSET: i32 = 128;

    fn code(&self, row: usize, column: usize) -> u8 {
        self.codes[column / 4][row * 4 + column % 4]
    }

    fn factors(&self) -> &[[u16; ROWS]; 4] {
        &self.d
    }
}

/// Q4_0, `d * (code - 8)`, and with `HIGH` = 32 words of fifth bits Q5_0, `d * (code - 16)`.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub(crate) struct Tile5<const HIGH: usize> {
    /// For each eight columns sixteen times four bytes: columns 0 to 3 in the low halves, 4 to 7 in the high ones.
    pub(in crate::kernels) codes: [[u8; 64]; 16],
    /// For each four columns, in the order of the codes, a bit for each byte.
    pub(in crate::kernels) high: [u64; HIGH],
    pub(in crate::kernels) d: [[u16; ROWS]; 4],
}

impl<const HIGH: usize> Empty for Tile5<HIGH> {
    const EMPTY: Self = Self { codes: [[0; 64]; 16], high: [0; HIGH], d: [[0; ROWS]; 4] };
}

impl<const HIGH: usize> Tile5<HIGH> {
    /// Four blocks: `d`, four bytes of fifth bits where there are any, then sixteen bytes whose low halves are the
    /// first sixteen columns.
    pub(super) fn put<const N: usize>(&mut self, row: usize, blocks: &[u8; N]) {
        for (group, block) in blocks.chunks_exact(N / 4).enumerate() {
            self.d[group][row] = u16::from_le_bytes([block[0], block[1]]);
            let (fifths, codes) = block[2..].split_at(N / 4 - 18);
            for within in 0..32 {
                let byte = codes[within % 16];
                let low = if within < 16 { byte & 15 } else { byte >> 4 };
                let fifth = fifths.get(within / 8).map_or(0, |bits| bits >> (within % 8) & 1);
                put_code(&mut self.codes, &mut self.high, (row, group * 32 + within), low | fifth << 4);
            }
        }
    }
}

impl<const HIGH: usize> Narrow for Tile5<HIGH> {
    const OFFSET: i32 = if HIGH > 0 { 16 } else { 8 };

    fn code(&self, row: usize, column: usize) -> u8 {
        code_at(&self.codes, &self.high, row, column)
    }

    fn factors(&self) -> &[[u16; ROWS]; 4] {
        &self.d
    }
}
