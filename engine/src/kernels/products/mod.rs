//! Products of tiles with quantised activations: matrix units, AVX-512 with VNNI or AVX2, whatever the machine has, and a
//! plain twin that gives the same bits. Sums within a tile are whole numbers; tiles are added in the order of their columns.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod vnni;

use std::sync::OnceLock;

use super::dot::limited;
use super::tiles::{Block, Inputs, Narrow, ROWS, Tile4, Tile5, Tile6, Tile8, Tiles, Wide, half};

/// Sums of sixteen weight rows with `M` activation rows.
type Sums<const M: usize> = [[f32; ROWS]; M];

/// Who takes an input's number and its sums with the sixteen rows of a strip.
type Out<'a> = &'a mut dyn FnMut(usize, &[f32; ROWS]);

/// Whether tiles are worth packing: without these instructions the reference kernels on plain blocks are no slower.
pub(crate) fn fast() -> bool {
    units() > Units::Plain
}

/// What multiplies tiles on this machine, the best last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "other machines have plain code alone"))]
pub(crate) enum Units {
    Plain,
    /// AVX2.
    HalfVectors,
    /// AVX-512 with VNNI.
    Vectors,
    /// AMX beside them.
    Matrices,
}

/// Found once, when it is first asked for.
pub(crate) fn units() -> Units {
    static UNITS: OnceLock<Units> = OnceLock::new();
    *UNITS.get_or_init(|| detect().min(if limited() { Units::HalfVectors } else { Units::Matrices }))
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Units {
    let vectors = std::is_x86_feature_detected!("avx512f")
        && std::is_x86_feature_detected!("avx512bw")
        && std::is_x86_feature_detected!("avx512vl")
        && std::is_x86_feature_detected!("avx512vnni");
    let half = std::is_x86_feature_detected!("avx2")
        && std::is_x86_feature_detected!("fma")
        && std::is_x86_feature_detected!("f16c");
    match vectors {
        true if amx::usable() => Units::Matrices,
        true => Units::Vectors,
        false if half => Units::HalfVectors,
        false => Units::Plain,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Units {
    Units::Plain
}

impl Tiles {
    /// Multiplies the sixteen rows of one strip with all inputs and hands out `(input, sums)`.
    pub(crate) fn strip(&self, strip: usize, columns: usize, inputs: &Inputs, out: impl FnMut(usize, &[f32; ROWS])) {
        self.strip_on(units(), (strip, columns), inputs, out);
    }

    /// As above, on units that this machine must have.
    fn strip_on(
        &self,
        units: Units,
        (strip, columns): (usize, usize),
        inputs: &Inputs,
        mut out: impl FnMut(usize, &[f32; ROWS]),
    ) {
        let across = columns / self.columns();
        let range = strip * across..(strip + 1) * across;
        match self {
            Self::Q4K(tiles) => each(units, &tiles[range], inputs, &mut out),
            Self::Q5K(tiles) => each(units, &tiles[range], inputs, &mut out),
            Self::Q6K(tiles) => each(units, &tiles[range], inputs, &mut out),
            Self::Q40(tiles) => each(units, &tiles[range], inputs, &mut out),
            Self::Q50(tiles) => each(units, &tiles[range], inputs, &mut out),
            Self::Q80(tiles) => each(units, &tiles[range], inputs, &mut out),
        }
    }
}

/// Many inputs on the matrix units, the others in eights, fours, twos and ones: what a tile costs to read is shared by
/// as many.
fn each<T: Product>(units: Units, tiles: &[T], inputs: &Inputs, out: Out<'_>) {
    let count = inputs.rows();
    let mut first = 0;
    #[cfg(target_arch = "x86_64")]
    if units == Units::Matrices {
        while count - first >= amx::LEAST {
            first += T::matrices(tiles, inputs, (first, count), out);
        }
    }
    while first < count {
        first += match count - first {
            8.. => some::<T, 8>(units, tiles, (inputs, first), out),
            4.. => some::<T, 4>(units, tiles, (inputs, first), out),
            2.. => some::<T, 2>(units, tiles, (inputs, first), out),
            _ => some::<T, 1>(units, tiles, (inputs, first), out),
        };
    }
}

fn some<T: Product, const M: usize>(
    units: Units,
    tiles: &[T],
    (inputs, first): (&Inputs, usize),
    out: Out<'_>,
) -> usize {
    let sums: Sums<M> = match units {
        Units::Plain => T::plain(tiles, inputs, first),
        Units::HalfVectors => T::half_vectors(tiles, inputs, first),
        Units::Vectors | Units::Matrices => T::vectors(tiles, inputs, first),
    };
    sums.iter().enumerate().for_each(|(index, sums)| out(first + index, sums));
    M
}

/// The blocks of `M` inputs; a known length spares the innermost loops their checks.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn known<const W: usize, const M: usize>(inputs: &Inputs, first: usize, at: usize) -> [Block<'_, [i8; W]>; M] {
    std::array::from_fn(|m| {
        let Block { codes, sums, factor } = inputs.block(first + m, at);
        Block { codes: codes.first_chunk().expect("as many codes as a tile has columns"), sums, factor }
    })
}

/// One type of tile.
trait Product: Sized {
    /// The plain twin.
    fn plain<const M: usize>(tiles: &[Self], inputs: &Inputs, first: usize) -> Sums<M> {
        std::array::from_fn(|index| {
            let mut sums = [0f32; ROWS];
            for (block, tile) in tiles.iter().enumerate() {
                let block = inputs.block(first + index, block);
                (0..ROWS).for_each(|row| tile.add(row, &block, &mut sums[row]));
            }
            sums
        })
    }

    /// Adds one row of this tile times one block of an input.
    fn add(&self, row: usize, input: &Block<'_>, sum: &mut f32);

    /// AVX2; only where [`units`] says so.
    fn half_vectors<const M: usize>(tiles: &[Self], inputs: &Inputs, first: usize) -> Sums<M>;

    /// AVX-512; only where [`units`] says so.
    fn vectors<const M: usize>(tiles: &[Self], inputs: &Inputs, first: usize) -> Sums<M>;

    /// Matrix units; only where [`units`] says so. Computes some of the inputs from `first` to `end` and says how many.
    #[cfg(target_arch = "x86_64")]
    fn matrices(tiles: &[Self], inputs: &Inputs, range: (usize, usize), out: Out<'_>) -> usize;
}

fn add_wide<T: Wide>(tile: &T, row: usize, input: &Block<'_>, sum: &mut f32) {
    let (mut total, mut mins) = (0, 0);
    for group in 0..256 / T::GROUP {
        let columns = group * T::GROUP..(group + 1) * T::GROUP;
        let product = |column: usize| (i32::from(tile.code(row, column)) - T::OFFSET) * i32::from(input.codes[column]);
        total += tile.scale(row, group) * columns.map(product).sum::<i32>();
    }
    for group in 0..8 {
        mins += (input.sums[group * 2] + input.sums[group * 2 + 1]) * tile.min(row, group);
    }
    let (d, least) = tile.factors(row);
    *sum = (total as f32).mul_add(half(d) * input.factor, *sum);
    if T::MINS {
        *sum = (-(mins as f32)).mul_add(half(least) * input.factor, *sum);
    }
}

fn add_narrow<T: Narrow>(tile: &T, row: usize, input: &Block<'_>, sum: &mut f32) {
    for (group, d) in tile.factors().iter().enumerate() {
        let columns = group * 32..(group + 1) * 32;
        let product = |column: usize| (i32::from(tile.code(row, column)) - T::OFFSET) * i32::from(input.codes[column]);
        let products: i32 = columns.map(product).sum();
        *sum = (products as f32).mul_add(half(d[row]) * input.factor, *sum);
    }
}

/// The two families of tiles differ in nothing but the kernels that they are given to.
macro_rules! products {
    ($add:ident, $amx:ident, $([$($generic:tt)*] $tile:ty => $vector:ident),*) => {
        $(impl<$($generic)*> Product for $tile {
            fn add(&self, row: usize, input: &Block<'_>, sum: &mut f32) {
                $add(self, row, input, sum);
            }

            fn half_vectors<const M: usize>(tiles: &[Self], inputs: &Inputs, first: usize) -> Sums<M> {
                #[cfg(target_arch = "x86_64")]
                return avx2::$vector(tiles, inputs, first);
                #[cfg(not(target_arch = "x86_64"))]
                return Self::plain(tiles, inputs, first);
            }

            fn vectors<const M: usize>(tiles: &[Self], inputs: &Inputs, first: usize) -> Sums<M> {
                #[cfg(target_arch = "x86_64")]
                return vnni::$vector(tiles, inputs, first);
                #[cfg(not(target_arch = "x86_64"))]
                return Self::plain(tiles, inputs, first);
            }

            #[cfg(target_arch = "x86_64")]
            fn matrices(tiles: &[Self], inputs: &Inputs, range: (usize, usize), out: Out<'_>) -> usize {
                amx::$amx(tiles, inputs, range, out)
            }
        })*
    };
}
products!(add_wide, wide, [const HIGH: usize] Tile4<HIGH> => wide4, [] Tile6 => wide6);
products!(add_narrow, narrow, [const HIGH: usize] Tile5<HIGH> => narrow5, [] Tile8 => narrow8);

#[cfg(test)]
mod tests;
