//! The products on AVX2: a tile's sixteen rows are twice eight lanes. Codes meet inputs as sixteen-bit sums of pairs, which
//! are widened before they could overflow. It is called only where the instructions were found.
#![expect(unsafe_code, reason = "vector instructions that were detected, loads from arrays of known size")]

use std::arch::x86_64::{
    __m256, __m256i, _mm_loadl_epi64, _mm_loadu_si128, _mm256_abs_epi8, _mm256_add_epi16, _mm256_add_epi32,
    _mm256_and_si256, _mm256_cmpeq_epi8, _mm256_cvtepi8_epi32, _mm256_cvtepi32_ps, _mm256_cvtepu8_epi32,
    _mm256_cvtph_ps, _mm256_fmadd_ps, _mm256_fnmadd_ps, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_maddubs_epi16,
    _mm256_mul_ps, _mm256_or_si256, _mm256_set1_epi8, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_epi64x,
    _mm256_set1_ps, _mm256_setr_epi64x, _mm256_setzero_ps, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_sign_epi8,
    _mm256_slli_epi16, _mm256_slli_epi32, _mm256_srli_epi16, _mm256_storeu_ps, _mm256_sub_epi32, _mm256_xor_si256,
};

use super::{Sums, known};
use crate::kernels::tiles::{Block, Inputs, ROWS, Tile4, Tile5, Tile6, Tile8};

/// Q4_K and Q5_K.
pub(super) fn wide4<const HIGH: usize, const M: usize>(
    tiles: &[Tile4<HIGH>],
    inputs: &Inputs,
    first: usize,
) -> Sums<M> {
    // SAFETY: called only where the instructions were found.
    unsafe { strip4(tiles, inputs, first) }
}

/// Q6_K.
pub(super) fn wide6<const M: usize>(tiles: &[Tile6], inputs: &Inputs, first: usize) -> Sums<M> {
    // SAFETY: as above.
    unsafe { strip6(tiles, inputs, first) }
}

/// Q4_0 and Q5_0.
pub(super) fn narrow5<const HIGH: usize, const M: usize>(
    tiles: &[Tile5<HIGH>],
    inputs: &Inputs,
    first: usize,
) -> Sums<M> {
    // SAFETY: as above.
    unsafe { strip5(tiles, inputs, first) }
}

/// Q8_0.
pub(super) fn narrow8<const M: usize>(tiles: &[Tile8], inputs: &Inputs, first: usize) -> Sums<M> {
    // SAFETY: as above.
    unsafe { strip8(tiles, inputs, first) }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn strip4<const HIGH: usize, const M: usize>(tiles: &[Tile4<HIGH>], inputs: &Inputs, first: usize) -> Sums<M> {
    let mut sums = [[_mm256_setzero_ps(); M]; 2];
    for (at, tile) in tiles.iter().enumerate() {
        let blocks = known::<256, M>(inputs, first, at);
        for (half, sums) in sums.iter_mut().enumerate() {
            let mut totals = [_mm256_setzero_si256(); M];
            for group in 0..8 {
                let scale = unsigned(&tile.scales[group], half);
                let scale = _mm256_or_si256(scale, _mm256_slli_epi32::<16>(scale));
                // Eight pairs of codes below 16, or four of codes below 32, stay within sixteen bits.
                let step = if HIGH > 0 { 2 } else { 4 };
                for start in (group * 4..group * 4 + 4).step_by(step) {
                    let products = pairs(&tile.codes, &tile.high, (start, step, half), &blocks);
                    for m in 0..M {
                        totals[m] = _mm256_add_epi32(totals[m], _mm256_madd_epi16(products[m], scale));
                    }
                }
            }
            let mins: [__m256i; 4] = std::array::from_fn(|pair| {
                let (first, second) = (unsigned(&tile.mins[pair * 2], half), unsigned(&tile.mins[pair * 2 + 1], half));
                _mm256_or_si256(first, _mm256_slli_epi32::<16>(second))
            });
            let (d, least) = (halves(&tile.d, half), halves(&tile.least, half));
            for m in 0..M {
                let mut total = _mm256_setzero_si256();
                for (pair, mins) in mins.iter().enumerate() {
                    let input = &blocks[m].sums[pair * 4..pair * 4 + 4];
                    let input = two(input[0] + input[1], input[2] + input[3]);
                    total = _mm256_add_epi32(total, _mm256_madd_epi16(*mins, input));
                }
                let factor = _mm256_set1_ps(blocks[m].factor);
                let sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(totals[m]), _mm256_mul_ps(d, factor), sums[m]);
                sums[m] = _mm256_fnmadd_ps(_mm256_cvtepi32_ps(total), _mm256_mul_ps(least, factor), sum);
            }
        }
    }
    store(&sums)
}

#[target_feature(enable = "avx2,fma,f16c")]
fn strip6<const M: usize>(tiles: &[Tile6], inputs: &Inputs, first: usize) -> Sums<M> {
    let mut sums = [[_mm256_setzero_ps(); M]; 2];
    for (at, tile) in tiles.iter().enumerate() {
        let blocks = known::<256, M>(inputs, first, at);
        for (half, sums) in sums.iter_mut().enumerate() {
            let mut totals = [_mm256_setzero_si256(); M];
            for group in 0..16 {
                let chunks = six(tile, group, half);
                let scale = _mm256_and_si256(signed(&tile.scales[group], half), _mm256_set1_epi32(0xffff));
                let scale = _mm256_or_si256(scale, _mm256_slli_epi32::<16>(scale));
                for m in 0..M {
                    // Two pairs of codes below 64 stay within sixteen bits.
                    let product =
                        |chunk: usize| _mm256_maddubs_epi16(chunks[chunk], four(&blocks[m], group * 16 + chunk * 4));
                    let first = _mm256_add_epi16(product(0), product(1));
                    let second = _mm256_add_epi16(product(2), product(3));
                    totals[m] = _mm256_add_epi32(totals[m], _mm256_madd_epi16(first, scale));
                    totals[m] = _mm256_add_epi32(totals[m], _mm256_madd_epi16(second, scale));
                }
            }
            let d = halves(&tile.d, half);
            for m in 0..M {
                // What the codes are too large by.
                let mut total = _mm256_setzero_si256();
                for pair in 0..8 {
                    let scales = (signed(&tile.scales[pair * 2], half), signed(&tile.scales[pair * 2 + 1], half));
                    let low = _mm256_and_si256(scales.0, _mm256_set1_epi32(0xffff));
                    let scales = _mm256_or_si256(low, _mm256_slli_epi32::<16>(scales.1));
                    let input = two(blocks[m].sums[pair * 2], blocks[m].sums[pair * 2 + 1]);
                    total = _mm256_add_epi32(total, _mm256_madd_epi16(scales, input));
                }
                let exact = _mm256_sub_epi32(totals[m], _mm256_slli_epi32::<5>(total));
                let factor = _mm256_mul_ps(d, _mm256_set1_ps(blocks[m].factor));
                sums[m] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(exact), factor, sums[m]);
            }
        }
    }
    store(&sums)
}

#[target_feature(enable = "avx2,fma,f16c")]
fn strip5<const HIGH: usize, const M: usize>(tiles: &[Tile5<HIGH>], inputs: &Inputs, first: usize) -> Sums<M> {
    let mut sums = [[_mm256_setzero_ps(); M]; 2];
    let (ones, offset) = (_mm256_set1_epi16(1), if HIGH > 0 { 16 } else { 8 });
    for (at, tile) in tiles.iter().enumerate() {
        let blocks = known::<128, M>(inputs, first, at);
        for group in 0..4 {
            for (half, sums) in sums.iter_mut().enumerate() {
                let d = halves(&tile.d[group], half);
                let mut totals = [_mm256_setzero_si256(); M];
                let step = if HIGH > 0 { 2 } else { 4 };
                for start in (group * 4..group * 4 + 4).step_by(step) {
                    let products = pairs(&tile.codes, &tile.high, (start, step, half), &blocks);
                    for m in 0..M {
                        totals[m] = _mm256_add_epi32(totals[m], _mm256_madd_epi16(products[m], ones));
                    }
                }
                for m in 0..M {
                    let input = blocks[m].sums[group * 2] + blocks[m].sums[group * 2 + 1];
                    let exact = _mm256_sub_epi32(totals[m], _mm256_set1_epi32(offset * input));
                    sums[m] = scaled(sums[m], exact, d, blocks[m].factor);
                }
            }
        }
    }
    store(&sums)
}

#[target_feature(enable = "avx2,fma,f16c")]
fn strip8<const M: usize>(tiles: &[Tile8], inputs: &Inputs, first: usize) -> Sums<M> {
    let mut sums = [[_mm256_setzero_ps(); M]; 2];
    let (ones, sign) = (_mm256_set1_epi16(1), _mm256_set1_epi8(-128));
    for (at, tile) in tiles.iter().enumerate() {
        let blocks = known::<128, M>(inputs, first, at);
        for group in 0..4 {
            for (half, sums) in sums.iter_mut().enumerate() {
                let d = halves(&tile.d[group], half);
                let mut totals = [_mm256_setzero_si256(); M];
                for chunk in group * 8..group * 8 + 8 {
                    // Sizes times inputs with the codes' signs: a pair stays within sixteen bits.
                    let codes = _mm256_xor_si256(load(&tile.codes[chunk], half), sign);
                    let sizes = _mm256_abs_epi8(codes);
                    for m in 0..M {
                        let input = _mm256_sign_epi8(four(&blocks[m], chunk * 4), codes);
                        let products = _mm256_madd_epi16(_mm256_maddubs_epi16(sizes, input), ones);
                        totals[m] = _mm256_add_epi32(totals[m], products);
                    }
                }
                for m in 0..M {
                    sums[m] = scaled(sums[m], totals[m], d, blocks[m].factor);
                }
            }
        }
    }
    store(&sums)
}

/// Sums of pairs of products over `count` times eight columns.
#[inline]
#[target_feature(enable = "avx2")]
fn pairs<const N: usize, const HIGH: usize, const W: usize, const M: usize>(
    codes: &[[u8; 64]; N],
    high: &[u64; HIGH],
    (start, count, half): (usize, usize, usize),
    blocks: &[Block<'_, [i8; W]>; M],
) -> [__m256i; M] {
    let nibbles = _mm256_set1_epi8(15);
    let mut products = [_mm256_setzero_si256(); M];
    for eight in start..start + count {
        let codes = load(&codes[eight], half);
        let low = fifth(high, eight * 2, half, _mm256_and_si256(codes, nibbles));
        let upper = _mm256_and_si256(_mm256_srli_epi16::<4>(codes), nibbles);
        let upper = fifth(high, eight * 2 + 1, half, upper);
        for m in 0..M {
            let first = _mm256_maddubs_epi16(low, four(&blocks[m], eight * 8));
            let second = _mm256_maddubs_epi16(upper, four(&blocks[m], eight * 8 + 4));
            products[m] = _mm256_add_epi16(products[m], _mm256_add_epi16(first, second));
        }
    }
    products
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn scaled(sum: __m256, exact: __m256i, d: __m256, factor: f32) -> __m256 {
    _mm256_fmadd_ps(_mm256_cvtepi32_ps(exact), _mm256_mul_ps(d, _mm256_set1_ps(factor)), sum)
}

/// The codes of sixteen columns, four at a time.
#[inline]
#[target_feature(enable = "avx2")]
fn six(tile: &Tile6, group: usize, half: usize) -> [__m256i; 4] {
    let (nibbles, mask) = (_mm256_set1_epi8(15), _mm256_set1_epi8(48));
    let high = load(&tile.high[group], half);
    let pairs = [_mm256_slli_epi16::<4>(high), _mm256_slli_epi16::<2>(high), high, _mm256_srli_epi16::<2>(high)];
    std::array::from_fn(|chunk| {
        let codes = load(&tile.codes[group * 2 + chunk / 2], half);
        let low = if chunk % 2 == 0 { codes } else { _mm256_srli_epi16::<4>(codes) };
        _mm256_or_si256(_mm256_and_si256(low, nibbles), _mm256_and_si256(pairs[chunk], mask))
    })
}

/// Puts the fifth bits to thirty-two codes, where there are any.
#[inline]
#[target_feature(enable = "avx2")]
fn fifth<const HIGH: usize>(high: &[u64; HIGH], at: usize, half: usize, codes: __m256i) -> __m256i {
    let Some(mask) = high.get(at) else { return codes };
    // Each byte of the mask goes to eight bytes, and each of those keeps a bit of its own.
    let mask = _mm256_set1_epi32((mask >> (half * 32)) as u32 as i32);
    let spread = _mm256_setr_epi64x(0, 0x0101_0101_0101_0101, 0x0202_0202_0202_0202, 0x0303_0303_0303_0303);
    let bits = _mm256_set1_epi64x(0x8040_2010_0804_0201_u64 as i64);
    let kept = _mm256_and_si256(_mm256_shuffle_epi8(mask, spread), bits);
    _mm256_or_si256(codes, _mm256_and_si256(_mm256_cmpeq_epi8(kept, bits), _mm256_set1_epi8(16)))
}

/// Two numbers of sixteen bits for all lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn two(first: i32, second: i32) -> __m256i {
    _mm256_set1_epi32(first & 0xffff | second << 16)
}

/// Four codes of an input for all lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn four<const W: usize>(block: &Block<'_, [i8; W]>, column: usize) -> __m256i {
    let codes: &[i8; 4] = block.codes[column..column + 4].first_chunk().expect("four codes");
    _mm256_set1_epi32(i32::from_ne_bytes(codes.map(|code| code as u8)))
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(bytes: &[u8; 64], half: usize) -> __m256i {
    let half: &[u8; 32] = bytes[half * 32..].first_chunk().expect("thirty-two bytes");
    // SAFETY: thirty-two bytes are there; the load needs no alignment.
    unsafe { _mm256_loadu_si256(half.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn unsigned(bytes: &[u8; ROWS], half: usize) -> __m256i {
    let half: &[u8; 8] = bytes[half * 8..].first_chunk().expect("eight bytes");
    // SAFETY: eight bytes are there.
    _mm256_cvtepu8_epi32(unsafe { _mm_loadl_epi64(half.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx2")]
fn signed(bytes: &[i8; ROWS], half: usize) -> __m256i {
    let half: &[i8; 8] = bytes[half * 8..].first_chunk().expect("eight bytes");
    // SAFETY: eight bytes are there.
    _mm256_cvtepi8_epi32(unsafe { _mm_loadl_epi64(half.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx2,f16c")]
fn halves(bits: &[u16; ROWS], half: usize) -> __m256 {
    let half: &[u16; 8] = bits[half * 8..].first_chunk().expect("eight numbers");
    // SAFETY: sixteen bytes are there.
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(half.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx2")]
fn store<const M: usize>([first, second]: &[[__m256; M]; 2]) -> Sums<M> {
    let mut out = [[0f32; ROWS]; M];
    for ((out, first), second) in out.iter_mut().zip(first).zip(second) {
        // SAFETY: room for eight floats twice.
        unsafe {
            _mm256_storeu_ps(out.as_mut_ptr(), *first);
            _mm256_storeu_ps(out.as_mut_ptr().add(8), *second);
        }
    }
    out
}
