//! Tiles of 256 columns with whole-number scales: Q4_K, Q5_K and Q6_K.

use super::{Empty, ROWS, code_at, put_code};

/// What the products ask of a tile.
pub(crate) trait Wide: Sized + Sync {
    /// Columns that share a scale.
    const GROUP: usize;
    /// What is taken from each code.
    const OFFSET: i32;
    /// Whether a multiple of the inputs' sums is taken off.
    const MINS: bool;
    /// A row's code in a column.
    fn code(&self, row: usize, column: usize) -> u8;
    /// A row's scale in a group.
    fn scale(&self, row: usize, group: usize) -> i32;
    /// What a row takes off for each group of 32 columns.
    fn min(&self, row: usize, group: usize) -> i32;
    /// The factors of a row's products and mins.
    fn factors(&self, row: usize) -> (u16, u16);
}

/// Q4_K, and with `HIGH` = 64 words of fifth bits Q5_K: `d * scale * code - least * min`, a scale and a min for 32 columns.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub(crate) struct Tile4<const HIGH: usize> {
    /// For each eight columns sixteen times four bytes: columns 0 to 3 in the low halves, 4 to 7 in the high ones.
    pub(in crate::kernels) codes: [[u8; 64]; 32],
    /// For each four columns, in the order of the codes, a bit for each byte.
    pub(in crate::kernels) high: [u64; HIGH],
    pub(in crate::kernels) scales: [[u8; ROWS]; 8],
    pub(in crate::kernels) mins: [[u8; ROWS]; 8],
    pub(in crate::kernels) d: [u16; ROWS],
    pub(in crate::kernels) least: [u16; ROWS],
}

impl<const HIGH: usize> Empty for Tile4<HIGH> {
    const EMPTY: Self = Self {
        codes: [[0; 64]; 32],
        high: [0; HIGH],
        scales: [[0; ROWS]; 8],
        mins: [[0; ROWS]; 8],
        d: [0; ROWS],
        least: [0; ROWS],
    };
}

impl<const HIGH: usize> Tile4<HIGH> {
    /// The block: `d`, `least`, twelve bytes of scales and mins, then fifth bits where there are any, then 32 bytes for
    /// each 64 columns.
    pub(super) fn put<const N: usize>(&mut self, row: usize, block: &[u8; N]) {
        self.d[row] = u16::from_le_bytes([block[0], block[1]]);
        self.least[row] = u16::from_le_bytes([block[2], block[3]]);
        let packed = &block[4..16];
        let codes = &block[N - 128..];
        for group in 0..8 {
            let (scale, min) = if group < 4 {
                (packed[group] & 63, packed[group + 4] & 63)
            } else {
                let (low, high) = (packed[group + 4], (packed[group - 4] >> 6, packed[group] >> 6));
                (low & 15 | high.0 << 4, low >> 4 | high.1 << 4)
            };
            (self.scales[group][row], self.mins[group][row]) = (scale, min);
            for column in 0..32 {
                let byte = codes[group / 2 * 32 + column];
                let low = if group % 2 == 0 { byte & 15 } else { byte >> 4 };
                let fifth = if HIGH > 0 { block[16 + column] >> group & 1 } else { 0 };
                put_code(&mut self.codes, &mut self.high, (row, group * 32 + column), low | fifth << 4);
            }
        }
    }
}

impl<const HIGH: usize> Wide for Tile4<HIGH> {
    const GROUP: usize = 32;
    const OFFSET: i32 = 0;
    const MINS: bool = true;

    fn code(&self, row: usize, column: usize) -> u8 {
        code_at(&self.codes, &self.high, row, column)
    }

    fn scale(&self, row: usize, group: usize) -> i32 {
        self.scales[group][row].into()
    }

    fn min(&self, row: usize, group: usize) -> i32 {
        self.mins[group][row].into()
    }

    fn factors(&self, row: usize) -> (u16, u16) {
        (self.d[row], self.least[row])
    }
}

/// Q6_K: `d * scale * (code - 32)`, a scale for 16 columns.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub(crate) struct Tile6 {
    /// The low four bits, in the order of [`Tile4`].
    pub(in crate::kernels) codes: [[u8; 64]; 32],
    /// The high two bits: for each sixteen columns sixteen times four bytes, four columns a bit pair.
    pub(in crate::kernels) high: [[u8; 64]; 16],
    pub(in crate::kernels) scales: [[i8; ROWS]; 16],
    pub(in crate::kernels) d: [u16; ROWS],
}

impl Empty for Tile6 {
    const EMPTY: Self = Self { codes: [[0; 64]; 32], high: [[0; 64]; 16], scales: [[0; ROWS]; 16], d: [0; ROWS] };
}

impl Tile6 {
    /// The block: low four bits, high two bits, sixteen scales, `d`.
    pub(super) fn put(&mut self, row: usize, block: &[u8; 210]) {
        let (low, high, scales) = (&block[..128], &block[128..192], &block[192..208]);
        self.d[row] = u16::from_le_bytes([block[208], block[209]]);
        (0..16).for_each(|group| self.scales[group][row] = scales[group] as i8);
        for column in 0..256 {
            // Halves of 128 columns; in each, four runs of 32 share bytes.
            let (half, run, within) = (column / 128, column % 128 / 32, column % 32);
            let low = low[half * 64 + run % 2 * 32 + within] >> (run / 2 * 4) & 15;
            let high = high[half * 32 + within] >> (run * 2) & 3;
            put_code(&mut self.codes, &mut [], (row, column), low);
            self.high[column / 16][row * 4 + column % 4] |= high << (column % 16 / 4 * 2);
        }
    }
}

impl Wide for Tile6 {
    const GROUP: usize = 16;
    const OFFSET: i32 = 32;
    const MINS: bool = false;

    fn code(&self, row: usize, column: usize) -> u8 {
        let high = self.high[column / 16][row * 4 + column % 4] >> (column % 16 / 4 * 2) & 3;
        code_at(&self.codes, &[], row, column) | high << 4
    }

    fn scale(&self, row: usize, group: usize) -> i32 {
        self.scales[group][row].into()
    }

    fn min(&self, _row: usize, _group: usize) -> i32 {
        0
    }

    fn factors(&self, row: usize) -> (u16, u16) {
        (self.d[row], 0)
    }
}
