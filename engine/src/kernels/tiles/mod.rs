//! Quantised weights in tiles of sixteen rows, the order in which vector instructions multiply them. It packs and unpacks;
//! the products are in `products`.

mod inputs;
mod narrow;
mod wide;

pub(super) use inputs::{Block, Inputs};
pub(super) use narrow::{Narrow, Tile5, Tile8};
pub(super) use wide::{Tile4, Tile6, Wide};

use crate::weights::matrix::{F16, Number};

/// Rows of a tile.
pub(crate) const ROWS: usize = 16;

/// A matrix in tiles: for each sixteen rows, all of their columns.
#[derive(Debug)]
pub(crate) enum Tiles {
    Q4K(Vec<Tile4<0>>),
    Q5K(Vec<Tile4<64>>),
    Q6K(Vec<Tile6>),
    Q40(Vec<Tile5<0>>),
    Q50(Vec<Tile5<32>>),
    Q80(Vec<Tile8>),
}

impl Tiles {
    /// Packs the bytes of a matrix whose rows have so many columns; `None` where they are no whole number of tiles.
    pub(crate) fn q4k(bytes: &[u8], columns: usize) -> Option<Self> {
        pack(bytes, columns, 256, Tile4::put::<144>).map(Self::Q4K)
    }

    /// As above.
    pub(crate) fn q5k(bytes: &[u8], columns: usize) -> Option<Self> {
        pack(bytes, columns, 256, Tile4::put::<176>).map(Self::Q5K)
    }

    /// As above.
    pub(crate) fn q6k(bytes: &[u8], columns: usize) -> Option<Self> {
        pack(bytes, columns, 256, Tile6::put).map(Self::Q6K)
    }

    /// As above.
    pub(crate) fn q40(bytes: &[u8], columns: usize) -> Option<Self> {
        pack(bytes, columns, 128, Tile5::put::<72>).map(Self::Q40)
    }

    /// As above.
    pub(crate) fn q50(bytes: &[u8], columns: usize) -> Option<Self> {
        pack(bytes, columns, 128, Tile5::put::<88>).map(Self::Q50)
    }

    /// As above.
    pub(crate) fn q80(bytes: &[u8], columns: usize) -> Option<Self> {
        pack(bytes, columns, 128, Tile8::put).map(Self::Q80)
    }

    /// Columns that share one factor of the inputs.
    pub(crate) fn columns(&self) -> usize {
        match self {
            Self::Q4K(_) | Self::Q5K(_) | Self::Q6K(_) => 256,
            Self::Q40(_) | Self::Q50(_) | Self::Q80(_) => 128,
        }
    }
}

/// Blocks come row by row, so many bytes for the columns of one tile; tiles hold the same columns of sixteen rows.
fn pack<T: Empty, const N: usize>(
    bytes: &[u8],
    columns: usize,
    width: usize,
    put: impl Fn(&mut T, usize, &[u8; N]),
) -> Option<Vec<T>> {
    let (blocks, rest) = bytes.as_chunks::<N>();
    let across = columns / width;
    if !rest.is_empty() || across == 0 || !columns.is_multiple_of(width) || !blocks.len().is_multiple_of(across * ROWS)
    {
        return None;
    }
    let mut tiles = Vec::with_capacity(blocks.len() / ROWS);
    for strip in blocks.chunks_exact(across * ROWS) {
        for column in 0..across {
            let mut tile = T::EMPTY;
            (0..ROWS).for_each(|row| put(&mut tile, row, &strip[row * across + column]));
            tiles.push(tile);
        }
    }
    Some(tiles)
}

trait Empty {
    const EMPTY: Self;
}

/// A half-precision float by its bits.
#[inline(always)]
pub(super) fn half(bits: u16) -> f32 {
    F16(bits).value()
}

/// Sets the bits of one code's five: four in a half of a byte, one in a mask.
fn put_code(codes: &mut [[u8; 64]], high: &mut [u64], (row, column): (usize, usize), code: u8) {
    let (eight, within) = (column / 8, column % 8);
    let byte = row * 4 + within % 4;
    let shift = if within < 4 { 0 } else { 4 };
    codes[eight][byte] |= (code & 15) << shift;
    if let Some(mask) = high.get_mut(eight * 2 + within / 4) {
        *mask |= u64::from(code >> 4) << byte;
    }
}

fn code_at(codes: &[[u8; 64]], high: &[u64], row: usize, column: usize) -> u8 {
    let (eight, within) = (column / 8, column % 8);
    let byte = row * 4 + within % 4;
    let low = codes[eight][byte] >> (if within < 4 { 0 } else { 4 }) & 15;
    let fifth = high.get(eight * 2 + within / 4).map_or(0, |mask| (mask >> byte & 1) as u8);
    low | fifth << 4
}
