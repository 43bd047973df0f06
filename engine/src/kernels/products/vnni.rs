//! The products on AVX-512 with VNNI: a tile's sixteen rows are the sixteen lanes. It is called only where the instructions
//! were found.
#![expect(unsafe_code, reason = "vector instructions that were detected, loads from arrays of known size")]

use std::arch::x86_64::{
    __m512, __m512i, _MM_HINT_T0, _mm_loadu_si128, _mm_prefetch, _mm256_loadu_si256, _mm512_add_epi32,
    _mm512_and_si512, _mm512_cvtepi8_epi32, _mm512_cvtepi32_ps, _mm512_cvtepu8_epi32, _mm512_cvtph_ps,
    _mm512_dpbusd_epi32, _mm512_dpwssd_epi32, _mm512_fmadd_ps, _mm512_fnmadd_ps, _mm512_loadu_si512,
    _mm512_mask_sub_epi8, _mm512_mul_ps, _mm512_mullo_epi32, _mm512_or_si512, _mm512_set1_epi8, _mm512_set1_epi32,
    _mm512_set1_ps, _mm512_setzero_ps, _mm512_setzero_si512, _mm512_slli_epi16, _mm512_slli_epi32, _mm512_srli_epi16,
    _mm512_storeu_ps, _mm512_sub_epi32, _mm512_ternarylogic_epi32,
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

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn strip4<const HIGH: usize, const M: usize>(tiles: &[Tile4<HIGH>], inputs: &Inputs, first: usize) -> Sums<M> {
    let (mut sums, nibbles) = ([_mm512_setzero_ps(); M], _mm512_set1_epi8(15));
    for (at, tile) in tiles.iter().enumerate() {
        let blocks = known::<256, M>(inputs, first, at);
        let mut totals = [_mm512_setzero_si512(); M];
        for group in 0..8 {
            prefetch(tiles, at, group, if HIGH > 0 { 6 } else { 5 });
            let mut products = [[_mm512_setzero_si512(); 2]; M];
            for eight in group * 4..group * 4 + 4 {
                let codes = load(&tile.codes[eight]);
                let low = fifth(&tile.high, eight * 2, _mm512_and_si512(codes, nibbles));
                let codes = _mm512_and_si512(_mm512_srli_epi16::<4>(codes), nibbles);
                let high = fifth(&tile.high, eight * 2 + 1, codes);
                for m in 0..M {
                    let [even, odd] = products[m];
                    // Few inputs leave a chain of sums waiting for itself, so they get two; more have no room for that.
                    let even = _mm512_dpbusd_epi32(even, low, four(&blocks[m], eight * 8));
                    products[m] = if M <= 4 {
                        [even, _mm512_dpbusd_epi32(odd, high, four(&blocks[m], eight * 8 + 4))]
                    } else {
                        [_mm512_dpbusd_epi32(even, high, four(&blocks[m], eight * 8 + 4)), odd]
                    };
                }
            }
            let scale = unsigned(&tile.scales[group]);
            for m in 0..M {
                let products = _mm512_add_epi32(products[m][0], products[m][1]);
                totals[m] = _mm512_add_epi32(totals[m], _mm512_mullo_epi32(products, scale));
            }
        }
        let mins = mins(&tile.mins);
        let (d, least) = (halves(&tile.d), halves(&tile.least));
        for m in 0..M {
            let mut total = _mm512_setzero_si512();
            for (pair, mins) in mins.iter().enumerate() {
                total = _mm512_dpwssd_epi32(total, *mins, sum_pair(&blocks[m], pair));
            }
            let factor = _mm512_set1_ps(blocks[m].factor);
            sums[m] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(totals[m]), _mm512_mul_ps(d, factor), sums[m]);
            sums[m] = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(total), _mm512_mul_ps(least, factor), sums[m]);
        }
    }
    store(&sums)
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn strip6<const M: usize>(tiles: &[Tile6], inputs: &Inputs, first: usize) -> Sums<M> {
    let mut sums = [_mm512_setzero_ps(); M];
    for (at, tile) in tiles.iter().enumerate() {
        let blocks = known::<256, M>(inputs, first, at);
        let mut totals = [_mm512_setzero_si512(); M];
        for group in 0..16 {
            if group % 2 == 0 {
                prefetch(tiles, at, group / 2, 7);
            }
            let chunks = six(tile, group);
            let scale = signed(&tile.scales[group]);
            for m in 0..M {
                let mut even = _mm512_set1_epi32(-32 * blocks[m].sums[group]);
                let mut odd = _mm512_setzero_si512();
                for pair in 0..2 {
                    let column = group * 16 + pair * 8;
                    even = _mm512_dpbusd_epi32(even, chunks[pair * 2], four(&blocks[m], column));
                    odd = _mm512_dpbusd_epi32(odd, chunks[pair * 2 + 1], four(&blocks[m], column + 4));
                }
                let products = _mm512_add_epi32(even, odd);
                totals[m] = _mm512_add_epi32(totals[m], _mm512_mullo_epi32(products, scale));
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
fn strip5<const HIGH: usize, const M: usize>(tiles: &[Tile5<HIGH>], inputs: &Inputs, first: usize) -> Sums<M> {
    let (mut sums, nibbles) = ([_mm512_setzero_ps(); M], _mm512_set1_epi8(15));
    let offset = if HIGH > 0 { 16 } else { 8 };
    for (at, tile) in tiles.iter().enumerate() {
        let blocks = known::<128, M>(inputs, first, at);
        for group in 0..4 {
            prefetch(tiles, at, group, 6);
            let d = halves(&tile.d[group]);
            let mut products = [_mm512_setzero_si512(); M];
            for eight in group * 4..group * 4 + 4 {
                let codes = load(&tile.codes[eight]);
                let low = fifth(&tile.high, eight * 2, _mm512_and_si512(codes, nibbles));
                let codes = _mm512_and_si512(_mm512_srli_epi16::<4>(codes), nibbles);
                let high = fifth(&tile.high, eight * 2 + 1, codes);
                for m in 0..M {
                    products[m] = _mm512_dpbusd_epi32(products[m], low, four(&blocks[m], eight * 8));
                    products[m] = _mm512_dpbusd_epi32(products[m], high, four(&blocks[m], eight * 8 + 4));
                }
            }
            for m in 0..M {
                sums[m] = scaled(sums[m], products[m], d, (&blocks[m], group, offset));
            }
        }
    }
    store(&sums)
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn strip8<const M: usize>(tiles: &[Tile8], inputs: &Inputs, first: usize) -> Sums<M> {
    let mut sums = [_mm512_setzero_ps(); M];
    for (at, tile) in tiles.iter().enumerate() {
        let blocks = known::<128, M>(inputs, first, at);
        for group in 0..4 {
            prefetch(tiles, at, group, 9);
            let d = halves(&tile.d[group]);
            let mut products = [_mm512_setzero_si512(); M];
            for chunk in group * 8..group * 8 + 8 {
                let codes = load(&tile.codes[chunk]);
                for m in 0..M {
                    products[m] = _mm512_dpbusd_epi32(products[m], codes, four(&blocks[m], chunk * 4));
                }
            }
            for m in 0..M {
                sums[m] = scaled(sums[m], products[m], d, (&blocks[m], group, 128));
            }
        }
    }
    store(&sums)
}

/// Adds the products of 32 columns, less their offset, times their factor.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn scaled<C: ?Sized>(
    sum: __m512,
    products: __m512i,
    d: __m512,
    (block, group, offset): (&Block<'_, C>, usize, i32),
) -> __m512 {
    let inputs = block.sums[group * 2] + block.sums[group * 2 + 1];
    let exact = _mm512_sub_epi32(products, _mm512_set1_epi32(offset * inputs));
    _mm512_fmadd_ps(_mm512_cvtepi32_ps(exact), _mm512_mul_ps(d, _mm512_set1_ps(block.factor)), sum)
}

/// The codes of sixteen columns, four at a time.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn six(tile: &Tile6, group: usize) -> [__m512i; 4] {
    let (nibbles, mask) = (_mm512_set1_epi8(15), _mm512_set1_epi8(48));
    let high = load(&tile.high[group]);
    let pairs = [_mm512_slli_epi16::<4>(high), _mm512_slli_epi16::<2>(high), high, _mm512_srli_epi16::<2>(high)];
    std::array::from_fn(|chunk| {
        let codes = load(&tile.codes[group * 2 + chunk / 2]);
        let low = _mm512_and_si512(if chunk % 2 == 0 { codes } else { _mm512_srli_epi16::<4>(codes) }, nibbles);
        // `low | pairs & mask`.
        _mm512_ternarylogic_epi32::<0xf8>(low, pairs[chunk], mask)
    })
}

/// Puts the fifth bits to sixty-four codes, where there are any.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn fifth<const HIGH: usize>(high: &[u64; HIGH], at: usize, codes: __m512i) -> __m512i {
    match high.get(at) {
        // Taking minus sixteen off adds sixteen.
        Some(mask) => _mm512_mask_sub_epi8(codes, *mask, codes, _mm512_set1_epi8(-16)),
        None => codes,
    }
}

/// The mins of all groups as pairs of sixteen bits.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn mins(mins: &[[u8; ROWS]; 8]) -> [__m512i; 4] {
    let pair = |pair: usize| (unsigned(&mins[pair * 2]), unsigned(&mins[pair * 2 + 1]));
    std::array::from_fn(|at| {
        let (first, second) = pair(at);
        _mm512_or_si512(first, _mm512_slli_epi32::<16>(second))
    })
}

/// The sums of an input's codes that meet [`mins`].
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn sum_pair<C: ?Sized>(block: &Block<'_, C>, pair: usize) -> __m512i {
    let sums = &block.sums[pair * 4..pair * 4 + 4];
    let (first, second) = (sums[0] + sums[1], sums[2] + sums[3]);
    _mm512_set1_epi32(first & 0xffff | second << 16)
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
pub(super) fn load(bytes: &[u8; 64]) -> __m512i {
    // SAFETY: sixty-four bytes are there; the load needs no alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

/// Four codes of an input for all lanes.
#[inline]
#[target_feature(enable = "avx512f")]
fn four<const W: usize>(block: &Block<'_, [i8; W]>, column: usize) -> __m512i {
    let codes: &[i8; 4] = block.codes[column..column + 4].first_chunk().expect("four codes");
    _mm512_set1_epi32(i32::from_ne_bytes(codes.map(|code| code as u8)))
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn unsigned(bytes: &[u8; ROWS]) -> __m512i {
    // SAFETY: sixteen bytes are there.
    _mm512_cvtepu8_epi32(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn signed(bytes: &[i8; ROWS]) -> __m512i {
    // SAFETY: sixteen bytes are there.
    _mm512_cvtepi8_epi32(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn halves(bits: &[u16; ROWS]) -> __m512 {
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
