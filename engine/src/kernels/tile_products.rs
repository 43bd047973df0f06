//! Products of tiles with quantised activations: AVX-512 with VNNI where the machine has it, and a plain twin that gives
//! the same bits. Sums within a tile are whole numbers; tiles are added in the order of their columns.
#![expect(unsafe_code, reason = "vector instructions that were detected, loads from arrays of known size")]

use std::sync::OnceLock;

use super::tiles::{COLUMNS, Inputs, ROWS, Tile4, Tile6, Tile8, Tiles, half};

/// Sums of sixteen weight rows with `M` activation rows.
type Sums<const M: usize> = [[f32; ROWS]; M];

/// Whether tiles are worth packing: without these instructions the reference kernels on plain blocks are no slower.
pub(crate) fn fast() -> bool {
    static FAST: OnceLock<bool> = OnceLock::new();
    *FAST.get_or_init(detect)
}

#[cfg(target_arch = "x86_64")]
fn detect() -> bool {
    std::is_x86_feature_detected!("avx512f")
        && std::is_x86_feature_detected!("avx512bw")
        && std::is_x86_feature_detected!("avx512vl")
        && std::is_x86_feature_detected!("avx512vnni")
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> bool {
    false
}

impl Tiles {
    /// Multiplies the sixteen rows of one strip with all inputs and hands out `(input, sums)`.
    pub(crate) fn strip(
        &self,
        strip: usize,
        columns: usize,
        inputs: &Inputs,
        mut out: impl FnMut(usize, &[f32; ROWS]),
    ) {
        let across = columns / COLUMNS;
        let range = strip * across..(strip + 1) * across;
        let count = inputs.factors.len() / across;
        match self {
            Self::Q4K(tiles) => each(&tiles[range], inputs, count, &mut out),
            Self::Q6K(tiles) => each(&tiles[range], inputs, count, &mut out),
            Self::Q80(tiles) => each(&tiles[range], inputs, count, &mut out),
        }
    }
}

/// Inputs in eights, then fours, then ones: what a tile costs to read is shared by as many.
fn each<T: Product>(tiles: &[T], inputs: &Inputs, count: usize, out: &mut impl FnMut(usize, &[f32; ROWS])) {
    let mut first = 0;
    while first < count {
        first += match count - first {
            8.. => some::<T, 8>(tiles, inputs, first, out),
            4.. => some::<T, 4>(tiles, inputs, first, out),
            _ => some::<T, 1>(tiles, inputs, first, out),
        };
    }
}

fn some<T: Product, const M: usize>(
    tiles: &[T],
    inputs: &Inputs,
    first: usize,
    out: &mut impl FnMut(usize, &[f32; ROWS]),
) -> usize {
    let sums: Sums<M> = if fast() { T::fast(tiles, inputs, first) } else { T::plain(tiles, inputs, first) };
    sums.iter().enumerate().for_each(|(index, sums)| out(first + index, sums));
    M
}

/// One type of tile.
trait Product: Sized {
    /// The plain twin.
    fn plain<const M: usize>(tiles: &[Self], inputs: &Inputs, first: usize) -> Sums<M> {
        std::array::from_fn(|index| {
            let mut sums = [0f32; ROWS];
            for (block, tile) in tiles.iter().enumerate() {
                let at = (first + index) * tiles.len() + block;
                (0..ROWS).for_each(|row| tile.add(row, &Block::of(inputs, at), &mut sums[row]));
            }
            sums
        })
    }

    /// Adds one row of this tile times one block of an input.
    fn add(&self, row: usize, input: &Block<'_>, sum: &mut f32);

    /// Vector instructions; only where [`fast`].
    fn fast<const M: usize>(tiles: &[Self], inputs: &Inputs, first: usize) -> Sums<M>;
}

/// 256 columns of one input.
struct Block<'a> {
    codes: &'a [i8; COLUMNS],
    sums: &'a [i32; 16],
    factor: f32,
}

impl<'a> Block<'a> {
    #[inline(always)]
    fn of(inputs: &'a Inputs, at: usize) -> Self {
        let codes = inputs.codes[at * COLUMNS..].first_chunk().expect("as many codes as factors ask for");
        let sums = inputs.sums[at * 16..].first_chunk().expect("a sum for sixteen codes");
        Self { codes, sums, factor: inputs.factors[at] }
    }

    /// The sum of a run of columns, each code times what `weight` gives.
    fn sum(&self, columns: std::ops::Range<usize>, weight: impl Fn(usize) -> u8) -> i32 {
        columns.map(|column| i32::from(weight(column)) * i32::from(self.codes[column])).sum()
    }
}

impl Product for Tile4 {
    fn add(&self, row: usize, input: &Block<'_>, sum: &mut f32) {
        let (mut total, mut mins) = (0, 0);
        for group in 0..8 {
            let products = input.sum(group * 32..(group + 1) * 32, |column| self.code(row, column));
            total += products * i32::from(self.scales[group][row]);
            mins += (input.sums[group * 2] + input.sums[group * 2 + 1]) * i32::from(self.mins[group][row]);
        }
        *sum = (total as f32).mul_add(half(self.d[row]) * input.factor, *sum);
        *sum = (-(mins as f32)).mul_add(half(self.least[row]) * input.factor, *sum);
    }

    fn fast<const M: usize>(tiles: &[Self], inputs: &Inputs, first: usize) -> Sums<M> {
        // SAFETY: called only where `fast()` found the instructions.
        #[cfg(target_arch = "x86_64")]
        return unsafe { x86::strip4(tiles, inputs, first) };
        #[cfg(not(target_arch = "x86_64"))]
        return Self::plain(tiles, inputs, first);
    }
}

impl Product for Tile6 {
    fn add(&self, row: usize, input: &Block<'_>, sum: &mut f32) {
        let mut total = 0;
        for group in 0..16 {
            let code = |column: usize| self.codes[column / 4][row * 4 + column % 4];
            let products = input.sum(group * 16..(group + 1) * 16, code) - 32 * input.sums[group];
            total += products * i32::from(self.scales[group][row]);
        }
        *sum = (total as f32).mul_add(half(self.d[row]) * input.factor, *sum);
    }

    fn fast<const M: usize>(tiles: &[Self], inputs: &Inputs, first: usize) -> Sums<M> {
        // SAFETY: called only where `fast()` found the instructions.
        #[cfg(target_arch = "x86_64")]
        return unsafe { x86::strip6(tiles, inputs, first) };
        #[cfg(not(target_arch = "x86_64"))]
        return Self::plain(tiles, inputs, first);
    }
}

impl Product for Tile8 {
    fn add(&self, row: usize, input: &Block<'_>, sum: &mut f32) {
        for group in 0..8 {
            let code = |column: usize| self.codes[column / 4][row * 4 + column % 4];
            let products = input.sum(group * 32..(group + 1) * 32, code);
            let products = products - 128 * (input.sums[group * 2] + input.sums[group * 2 + 1]);
            *sum = (products as f32).mul_add(half(self.d[group][row]) * input.factor, *sum);
        }
    }

    fn fast<const M: usize>(tiles: &[Self], inputs: &Inputs, first: usize) -> Sums<M> {
        // SAFETY: called only where `fast()` found the instructions.
        #[cfg(target_arch = "x86_64")]
        return unsafe { x86::strip8(tiles, inputs, first) };
        #[cfg(not(target_arch = "x86_64"))]
        return Self::plain(tiles, inputs, first);
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    //! The same products on AVX-512 with VNNI: a tile's sixteen rows are the sixteen lanes.

    use std::arch::x86_64::{
        __m512, __m512i, _MM_HINT_T0, _mm_loadu_si128, _mm_prefetch, _mm256_loadu_si256, _mm512_add_epi32,
        _mm512_and_si512, _mm512_cvtepi8_epi32, _mm512_cvtepi32_ps, _mm512_cvtepu8_epi32, _mm512_cvtph_ps,
        _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_fnmadd_ps, _mm512_loadu_si512, _mm512_mul_ps, _mm512_mullo_epi32,
        _mm512_set1_epi8, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps, _mm512_setzero_si512,
        _mm512_srli_epi16, _mm512_storeu_ps, _mm512_sub_epi32,
    };

    use super::{Block, Inputs, ROWS, Sums, Tile4, Tile6, Tile8};

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    pub(super) fn strip4<const M: usize>(tiles: &[Tile4], inputs: &Inputs, first: usize) -> Sums<M> {
        let (mut sums, nibbles) = ([_mm512_setzero_ps(); M], _mm512_set1_epi8(15));
        for (at, tile) in tiles.iter().enumerate() {
            let blocks = blocks::<M>(inputs, first, tiles.len(), at);
            let mut totals = [_mm512_setzero_si512(); M];
            let mut mins = [_mm512_setzero_si512(); M];
            for group in 0..8 {
                prefetch(tiles, at, group, 5);
                let mut low = [_mm512_setzero_si512(); M];
                let mut high = [_mm512_setzero_si512(); M];
                for eight in group * 4..group * 4 + 4 {
                    let codes = load(&tile.codes[eight]);
                    let lows = _mm512_and_si512(codes, nibbles);
                    let highs = _mm512_and_si512(_mm512_srli_epi16::<4>(codes), nibbles);
                    for m in 0..M {
                        low[m] = _mm512_dpbusd_epi32(low[m], lows, four(&blocks[m], eight * 8));
                        high[m] = _mm512_dpbusd_epi32(high[m], highs, four(&blocks[m], eight * 8 + 4));
                    }
                }
                let (scale, min) = (unsigned(&tile.scales[group]), unsigned(&tile.mins[group]));
                for m in 0..M {
                    let products = _mm512_mullo_epi32(_mm512_add_epi32(low[m], high[m]), scale);
                    totals[m] = _mm512_add_epi32(totals[m], products);
                    let sum = blocks[m].sums[group * 2] + blocks[m].sums[group * 2 + 1];
                    mins[m] = _mm512_add_epi32(mins[m], _mm512_mullo_epi32(min, _mm512_set1_epi32(sum)));
                }
            }
            let (d, least) = (halves(&tile.d), halves(&tile.least));
            for m in 0..M {
                let factor = _mm512_set1_ps(blocks[m].factor);
                sums[m] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(totals[m]), _mm512_mul_ps(d, factor), sums[m]);
                sums[m] = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(mins[m]), _mm512_mul_ps(least, factor), sums[m]);
            }
        }
        store(&sums)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    pub(super) fn strip6<const M: usize>(tiles: &[Tile6], inputs: &Inputs, first: usize) -> Sums<M> {
        let mut sums = [_mm512_setzero_ps(); M];
        for (at, tile) in tiles.iter().enumerate() {
            let blocks = blocks::<M>(inputs, first, tiles.len(), at);
            let mut totals = [_mm512_setzero_si512(); M];
            for group in 0..16 {
                prefetch(tiles, at, group, 5);
                let mut products = [_mm512_setzero_si512(); M];
                for chunk in group * 4..group * 4 + 4 {
                    let codes = load(&tile.codes[chunk]);
                    for m in 0..M {
                        products[m] = _mm512_dpbusd_epi32(products[m], codes, four(&blocks[m], chunk * 4));
                    }
                }
                let scale = signed(&tile.scales[group]);
                for m in 0..M {
                    let offset = _mm512_set1_epi32(32 * blocks[m].sums[group]);
                    let products = _mm512_mullo_epi32(_mm512_sub_epi32(products[m], offset), scale);
                    totals[m] = _mm512_add_epi32(totals[m], products);
                }
            }
            let d = halves(&tile.d);
            for m in 0..M {
                let factor = _mm512_mul_ps(d, _mm512_set1_ps(blocks[m].factor));
                sums[m] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(totals[m]), factor, sums[m]);
            }
        }
        store(&sums)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    pub(super) fn strip8<const M: usize>(tiles: &[Tile8], inputs: &Inputs, first: usize) -> Sums<M> {
        let mut sums = [_mm512_setzero_ps(); M];
        for (at, tile) in tiles.iter().enumerate() {
            let blocks = blocks::<M>(inputs, first, tiles.len(), at);
            for group in 0..8 {
                prefetch(tiles, at, group, 9);
                let mut products = [_mm512_setzero_si512(); M];
                for chunk in group * 8..group * 8 + 8 {
                    let codes = load(&tile.codes[chunk]);
                    for m in 0..M {
                        products[m] = _mm512_dpbusd_epi32(products[m], codes, four(&blocks[m], chunk * 4));
                    }
                }
                let d = halves(&tile.d[group]);
                for m in 0..M {
                    let sum = blocks[m].sums[group * 2] + blocks[m].sums[group * 2 + 1];
                    let exact = _mm512_sub_epi32(products[m], _mm512_set1_epi32(128 * sum));
                    let factor = _mm512_mul_ps(d, _mm512_set1_ps(blocks[m].factor));
                    sums[m] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(exact), factor, sums[m]);
                }
            }
        }
        store(&sums)
    }

    #[inline(always)]
    fn blocks<const M: usize>(inputs: &Inputs, first: usize, across: usize, at: usize) -> [Block<'_>; M] {
        std::array::from_fn(|m| Block::of(inputs, (first + m) * across + at))
    }

    /// Asks for the tile after the next one, a part of it with each group: worth a factor of two where weights come from
    /// memory.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn prefetch<T>(tiles: &[T], at: usize, group: usize, lines: usize) {
        let ahead = tiles.as_ptr().wrapping_add(at + 2).cast::<i8>();
        for line in 0..lines {
            // A prefetch touches nothing: an address beyond the tiles is ignored.
            _mm_prefetch::<_MM_HINT_T0>(ahead.wrapping_add((group * lines + line) * 64));
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn load(bytes: &[u8; 64]) -> __m512i {
        // SAFETY: sixty-four bytes are there; the load needs no alignment.
        unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
    }

    /// Four codes of an input for all lanes.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn four(block: &Block<'_>, column: usize) -> __m512i {
        let codes: [i8; 4] = [0, 1, 2, 3].map(|index| block.codes[column + index]);
        _mm512_set1_epi32(i32::from_ne_bytes(codes.map(|code| code as u8)))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn unsigned(bytes: &[u8; ROWS]) -> __m512i {
        // SAFETY: sixteen bytes are there.
        _mm512_cvtepu8_epi32(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn signed(bytes: &[i8; ROWS]) -> __m512i {
        // SAFETY: sixteen bytes are there.
        _mm512_cvtepi8_epi32(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn halves(bits: &[u16; ROWS]) -> __m512 {
        // SAFETY: thirty-two bytes are there.
        _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(bits.as_ptr().cast()) })
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn store<const M: usize>(sums: &[__m512; M]) -> Sums<M> {
        let mut out = [[0f32; ROWS]; M];
        for (out, sums) in out.iter_mut().zip(sums) {
            // SAFETY: room for sixteen floats.
            unsafe { _mm512_storeu_ps(out.as_mut_ptr(), *sums) };
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use candle_core::quantized::{GgmlDType, QTensor};
    use candle_core::{Device, Tensor};

    use super::*;
    use crate::kernels::Pool;

    fn wave(count: usize, step: f32) -> Vec<f32> {
        (0..count).map(|index| (index as f32 * step).sin() + (index as f32 * 0.0131).cos() - 0.2).collect()
    }

    fn blocks<const N: usize>(kind: GgmlDType, rows: usize, columns: usize) -> (Vec<[u8; N]>, Vec<f32>) {
        let tensor = Tensor::from_vec(wave(rows * columns, 0.71), (rows, columns), &Device::Cpu).unwrap();
        let quantised = QTensor::quantize(&tensor, kind).unwrap();
        let values = quantised.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        (quantised.data().unwrap().as_chunks::<N>().0.to_vec(), values)
    }

    /// Both twins must agree to the bit, for any number of inputs, and with the values that the tiles stand for.
    fn check(tiles: &Tiles, values: &[f32], rows: usize, columns: usize) {
        let input = wave(13 * columns, 0.37);
        let inputs = Inputs::new(&Pool::new(2), &input);
        for strip in 0..rows / ROWS {
            let mut seen = 0;
            tiles.strip(strip, columns, &inputs, |index, sums| {
                seen += 1;
                let across = columns / COLUMNS;
                let range = strip * across..(strip + 1) * across;
                let [plain] = match tiles {
                    Tiles::Q4K(tiles) => Tile4::plain::<1>(&tiles[range], &inputs, index),
                    Tiles::Q6K(tiles) => Tile6::plain::<1>(&tiles[range], &inputs, index),
                    Tiles::Q80(tiles) => Tile8::plain::<1>(&tiles[range], &inputs, index),
                };
                assert_eq!(sums.map(f32::to_bits), plain.map(f32::to_bits), "strip {strip}, input {index}");
                for (row, sum) in sums.iter().enumerate() {
                    let weights = &values[(strip * ROWS + row) * columns..][..columns];
                    let terms = weights.iter().zip(&input[index * columns..][..columns]);
                    let (exact, size) = terms.fold((0f64, 0f64), |(exact, size), (weight, value)| {
                        let term = f64::from(*weight) * f64::from(*value);
                        (exact + term, size + term.abs())
                    });
                    assert!((f64::from(*sum) - exact).abs() < 0.006 * size, "{sum} for {exact}");
                }
            });
            assert_eq!(seen, 13);
        }
    }

    #[test]
    fn tiles_multiply_as_their_blocks_do_on_every_instruction_set() {
        let (rows, columns) = (32, 768);
        let (q4, values) = blocks::<144>(GgmlDType::Q4K, rows, columns);
        check(&Tiles::q4k(&q4, columns), &values, rows, columns);
        let (q6, values) = blocks::<210>(GgmlDType::Q6K, rows, columns);
        check(&Tiles::q6k(&q6, columns), &values, rows, columns);
        let (q8, values) = blocks::<34>(GgmlDType::Q8_0, rows, columns);
        check(&Tiles::q80(q8.as_chunks().0, columns), &values, rows, columns);
    }
}
