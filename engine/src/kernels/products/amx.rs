//! The products on the matrix units: sixteen weight rows times sixteen activation rows at once. Weights of 256 columns with
//! whole-number scales are split into two signed bytes, `scale * code = 64 * high + low`, so that sums over the whole tile
//! stay whole numbers and equal those of the vector instructions bit for bit. It is called only where the units were found.
#![expect(unsafe_code, reason = "instructions that the language has no names for yet, on buffers of known size")]

use std::arch::asm;
use std::arch::x86_64::{
    __cpuid, __cpuid_count, __m512, __m512i, _mm512_add_epi32, _mm512_and_si512, _mm512_cvtepi32_ps,
    _mm512_dpwssd_epi32, _mm512_fmadd_ps, _mm512_fnmadd_ps, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mul_ps,
    _mm512_mullo_epi16, _mm512_or_si512, _mm512_set1_epi8, _mm512_set1_epi16, _mm512_set1_epi32, _mm512_set1_ps,
    _mm512_setzero_si512, _mm512_slli_epi16, _mm512_slli_epi32, _mm512_srai_epi16, _mm512_srli_epi16, _mm512_storeu_ps,
    _mm512_storeu_si512, _mm512_sub_epi8, _mm512_ternarylogic_epi32,
};

use super::Out;
use super::vnni::{fifth, halves, load, mins, scaled, signed, six, sum_pair, unsigned};
use crate::kernels::tiles::{Inputs, Narrow, ROWS, Tile4, Tile5, Tile6, Tile8};

/// Fewer inputs than this are left to the vector instructions.
pub(super) const LEAST: usize = 16;

/// Most inputs that are computed while a tile is unpacked: their sums stay in the second cache.
const MOST: usize = 512;

/// Whether this machine has the units and the system lets this process use them; asked once.
pub(super) fn usable() -> bool {
    const TILES_AND_BYTES: u32 = 1 << 24 | 1 << 25;
    let has = __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & TILES_AND_BYTES == TILES_AND_BYTES;
    has && permitted()
}

#[cfg(target_os = "linux")]
fn permitted() -> bool {
    // `arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)`, for all threads of this process.
    let answer: i64;
    // SAFETY: the call changes nothing but this process's permission; a system that does not know it says so.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") 158i64 => answer,
            in("rdi") 0x1023,
            in("rsi") 18,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    answer == 0
}

#[cfg(not(target_os = "linux"))]
fn permitted() -> bool {
    false
}

/// Shapes of the tile registers: 0 to 3 hold sums, 4 and 5 activations, 6 and 7 weights.
#[repr(C, align(64))]
struct Shapes {
    palette: u8,
    start: u8,
    reserved: [u8; 14],
    bytes: [u16; 16],
    rows: [u8; 16],
}

impl Shapes {
    /// For so many columns at a time.
    const fn of(columns: u16) -> Self {
        let (mut bytes, mut rows) = ([0; 16], [0; 16]);
        let mut at = 0;
        while at < 8 {
            bytes[at] = if at == 4 || at == 5 { columns } else { 64 };
            rows[at] = if at < 6 { 16 } else { (columns / 4) as u8 };
            at += 1;
        }
        Self { palette: 1, start: 0, reserved: [0; 14], bytes, rows }
    }
}

static WIDE: Shapes = Shapes::of(64);
static NARROW: Shapes = Shapes::of(32);

/// The units, set up for one kind of product until this is dropped.
struct Units;

impl Units {
    fn new(shapes: &'static Shapes) -> Self {
        // SAFETY: a valid description of sixty-four bytes.
        unsafe { asm!("ldtilecfg [{}]", in(reg) shapes, options(nostack, readonly)) };
        Self
    }
}

impl Drop for Units {
    fn drop(&mut self) {
        // SAFETY: gives the state back, so that switching threads costs nothing.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}

/// Sixteen rows of sixteen sums.
#[repr(C, align(64))]
struct Square([[i32; ROWS]; 16]);

/// A tile of 256 columns as signed bytes.
#[repr(C, align(64))]
pub(super) struct Panel {
    low: [[u8; 64]; 64],
    high: [[u8; 64]; 64],
}

/// Weights of 256 columns.
pub(super) trait Unpack: Sized {
    /// Splits the tile.
    ///
    /// # Safety
    /// The machine must have AVX-512.
    unsafe fn unpack(&self, panel: &mut Panel);

    /// The factors, and for each pair of groups the mins.
    ///
    /// # Safety
    /// The machine must have AVX-512.
    unsafe fn scales(&self) -> (__m512, Option<(__m512, [__m512i; 4])>);
}

impl<const HIGH: usize> Unpack for Tile4<HIGH> {
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn unpack(&self, panel: &mut Panel) {
        let nibbles = _mm512_set1_epi8(15);
        for group in 0..8 {
            let scale = unsigned(&self.scales[group]);
            let scale = _mm512_or_si512(scale, _mm512_slli_epi32::<16>(scale));
            for eight in group * 4..group * 4 + 4 {
                let codes = load(&self.codes[eight]);
                let low = fifth(&self.high, eight * 2, _mm512_and_si512(codes, nibbles));
                split(panel, eight * 2, low, scale);
                let codes = _mm512_and_si512(_mm512_srli_epi16::<4>(codes), nibbles);
                split(panel, eight * 2 + 1, fifth(&self.high, eight * 2 + 1, codes), scale);
            }
        }
    }

    #[target_feature(enable = "avx512f")]
    unsafe fn scales(&self) -> (__m512, Option<(__m512, [__m512i; 4])>) {
        (halves(&self.d), Some((halves(&self.least), mins(&self.mins))))
    }
}

impl Unpack for Tile6 {
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn unpack(&self, panel: &mut Panel) {
        let offset = _mm512_set1_epi8(32);
        for group in 0..16 {
            let scale = signed(&self.scales[group]);
            // `scale << 16 | scale & halves`.
            let doubled = _mm512_slli_epi32::<16>(scale);
            let scale = _mm512_ternarylogic_epi32::<0xf8>(doubled, scale, _mm512_set1_epi32(0xffff));
            for (chunk, codes) in six(self, group).into_iter().enumerate() {
                split(panel, group * 4 + chunk, _mm512_sub_epi8(codes, offset), scale);
            }
        }
    }

    #[target_feature(enable = "avx512f")]
    unsafe fn scales(&self) -> (__m512, Option<(__m512, [__m512i; 4])>) {
        (halves(&self.d), None)
    }
}

/// Multiplies sixty-four signed codes with their rows' scales and stores the products' low six bits and the rest.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn split(panel: &mut Panel, chunk: usize, codes: __m512i, scale: __m512i) {
    let even = _mm512_mullo_epi16(_mm512_srai_epi16::<8>(_mm512_slli_epi16::<8>(codes)), scale);
    let odd = _mm512_mullo_epi16(_mm512_srai_epi16::<8>(codes), scale);
    let bytes = _mm512_set1_epi16(0x00ff);
    // `even & bytes | odd << 8`.
    let merge =
        |even: __m512i, odd: __m512i| _mm512_ternarylogic_epi32::<0xf8>(_mm512_slli_epi16::<8>(odd), even, bytes);
    let low = _mm512_and_si512(merge(even, odd), _mm512_set1_epi8(63));
    let high = merge(_mm512_srai_epi16::<6>(even), _mm512_srai_epi16::<6>(odd));
    // SAFETY: each has room for sixty-four bytes.
    unsafe {
        _mm512_storeu_si512(panel.low[chunk].as_mut_ptr().cast(), low);
        _mm512_storeu_si512(panel.high[chunk].as_mut_ptr().cast(), high);
    }
}

/// Tiles of 256 columns: computes inputs from `first` on, as many sixteens as there are up to a limit.
pub(super) fn wide<T: Unpack>(tiles: &[T], inputs: &Inputs, (first, end): (usize, usize), out: Out<'_>) -> usize {
    let count = ((end - first) / 16 * 16).min(MOST);
    let mut sums = [[0f32; ROWS]; MOST];
    // SAFETY: called only where the units and AVX-512 were found.
    unsafe { wide_sums(tiles, inputs, first, &mut sums[..count]) };
    sums[..count].iter().enumerate().for_each(|(index, sums)| out(first + index, sums));
    count
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn wide_sums<T: Unpack>(tiles: &[T], inputs: &Inputs, first: usize, sums: &mut [[f32; ROWS]]) {
    let units = Units::new(&WIDE);
    let mut panel = Panel { low: [[0; 64]; 64], high: [[0; 64]; 64] };
    let mut squares = [const { Square([[0; ROWS]; 16]) }; 4];
    for (at, tile) in tiles.iter().enumerate() {
        // SAFETY: the caller has AVX-512.
        let (d, least) = unsafe {
            tile.unpack(&mut panel);
            tile.scales()
        };
        for (pair, sums) in sums.chunks_mut(32).enumerate() {
            let row = first + pair * 32;
            let codes = |row: usize| inputs.block(row, at).codes.as_ptr();
            // With one sixteen left the second half repeats it, and nobody looks.
            let other = if sums.len() > 16 { row + 16 } else { row };
            // SAFETY: whole sixteens of inputs stand one row after the other, and both are whole.
            unsafe { wide_pair(&panel, [codes(row), codes(other)], &mut squares) };
            for (index, sums) in sums.iter_mut().enumerate() {
                let (half, line) = (index / 16 * 2, index % 16);
                let block = inputs.block(row + index, at);
                let total = _mm512_add_epi32(
                    line_of(&squares[half], line),
                    _mm512_slli_epi32::<6>(line_of(&squares[half + 1], line)),
                );
                let factor = _mm512_set1_ps(block.factor);
                let mut sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(total), _mm512_mul_ps(d, factor), floats(sums));
                if let Some((least, mins)) = &least {
                    let mut total = _mm512_setzero_si512();
                    for (pair, mins) in mins.iter().enumerate() {
                        total = _mm512_dpwssd_epi32(total, *mins, sum_pair(&block, pair));
                    }
                    sum = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(total), _mm512_mul_ps(*least, factor), sum);
                }
                // SAFETY: room for sixteen floats.
                unsafe { _mm512_storeu_ps(sums.as_mut_ptr(), sum) };
            }
        }
    }
    drop(units);
}

/// Two times sixteen inputs with both bytes of sixteen weight rows, over 256 columns.
///
/// # Safety
/// At either place of `inputs` sixteen rows of 256 bytes must stand one after the other.
#[inline]
unsafe fn wide_pair(panel: &Panel, inputs: [*const i8; 2], squares: &mut [Square; 4]) {
    // SAFETY: loads are in bounds as the caller promises, stores go to four squares; the registers were set up, and
    // nothing else uses them.
    unsafe {
        asm!(
            "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
            "tileloadd tmm4, [{a} + {stride}]", "tileloadd tmm6, [{low} + {line}]", "tdpbssd tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{high} + {line}]", "tdpbssd tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{b} + {stride}]", "tdpbssd tmm2, tmm5, tmm6", "tdpbssd tmm3, tmm5, tmm7",
            "tileloadd tmm4, [{a} + {stride} + 64]", "tileloadd tmm6, [{low} + {line} + 1024]", "tdpbssd tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{high} + {line} + 1024]", "tdpbssd tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{b} + {stride} + 64]", "tdpbssd tmm2, tmm5, tmm6", "tdpbssd tmm3, tmm5, tmm7",
            "tileloadd tmm4, [{a} + {stride} + 128]", "tileloadd tmm6, [{low} + {line} + 2048]", "tdpbssd tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{high} + {line} + 2048]", "tdpbssd tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{b} + {stride} + 128]", "tdpbssd tmm2, tmm5, tmm6", "tdpbssd tmm3, tmm5, tmm7",
            "tileloadd tmm4, [{a} + {stride} + 192]", "tileloadd tmm6, [{low} + {line} + 3072]", "tdpbssd tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{high} + {line} + 3072]", "tdpbssd tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{b} + {stride} + 192]", "tdpbssd tmm2, tmm5, tmm6", "tdpbssd tmm3, tmm5, tmm7",
            "tilestored [{out} + {line}], tmm0", "tilestored [{out} + {line} + 1024], tmm1",
            "tilestored [{out} + {line} + 2048], tmm2", "tilestored [{out} + {line} + 3072], tmm3",
            a = in(reg) inputs[0],
            b = in(reg) inputs[1],
            low = in(reg) panel.low.as_ptr(),
            high = in(reg) panel.high.as_ptr(),
            out = in(reg) squares.as_mut_ptr(),
            stride = in(reg) 256usize,
            line = in(reg) 64usize,
            options(nostack),
        );
    }
}

/// Weights of 128 columns.
pub(super) trait Bytes: Narrow {
    /// The codes as bytes, where they are not stored so.
    ///
    /// # Safety
    /// The machine must have AVX-512.
    unsafe fn bytes<'a>(&'a self, room: &'a mut [[u8; 64]; 32]) -> &'a [[u8; 64]; 32];
}

impl Bytes for Tile8 {
    #[inline]
    unsafe fn bytes<'a>(&'a self, _room: &'a mut [[u8; 64]; 32]) -> &'a [[u8; 64]; 32] {
        &self.codes
    }
}

impl<const HIGH: usize> Bytes for Tile5<HIGH> {
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn bytes<'a>(&'a self, room: &'a mut [[u8; 64]; 32]) -> &'a [[u8; 64]; 32] {
        let nibbles = _mm512_set1_epi8(15);
        for (eight, codes) in self.codes.iter().enumerate() {
            let codes = load(codes);
            let low = fifth(&self.high, eight * 2, _mm512_and_si512(codes, nibbles));
            let codes = _mm512_and_si512(_mm512_srli_epi16::<4>(codes), nibbles);
            let high = fifth(&self.high, eight * 2 + 1, codes);
            // SAFETY: room for sixty-four bytes each.
            unsafe {
                _mm512_storeu_si512(room[eight * 2].as_mut_ptr().cast(), low);
                _mm512_storeu_si512(room[eight * 2 + 1].as_mut_ptr().cast(), high);
            }
        }
        room
    }
}

/// Tiles of 128 columns: as [`wide`].
pub(super) fn narrow<T: Bytes>(tiles: &[T], inputs: &Inputs, (first, end): (usize, usize), out: Out<'_>) -> usize {
    let count = ((end - first) / 16 * 16).min(MOST);
    let mut sums = [[0f32; ROWS]; MOST];
    // SAFETY: called only where the units and AVX-512 were found.
    unsafe { narrow_sums(tiles, inputs, first, &mut sums[..count]) };
    sums[..count].iter().enumerate().for_each(|(index, sums)| out(first + index, sums));
    count
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn narrow_sums<T: Bytes>(tiles: &[T], inputs: &Inputs, first: usize, sums: &mut [[f32; ROWS]]) {
    let units = Units::new(&NARROW);
    let mut room = [[0; 64]; 32];
    let mut squares = [const { Square([[0; ROWS]; 16]) }; 4];
    for (at, tile) in tiles.iter().enumerate() {
        // SAFETY: the caller has AVX-512.
        let codes = unsafe { tile.bytes(&mut room) };
        let d = tile.factors().each_ref().map(|d| halves(d));
        for (sixteen, sums) in sums.chunks_mut(16).enumerate() {
            let row = first + sixteen * 16;
            let input = inputs.block(row, at).codes.as_ptr();
            // SAFETY: as above.
            unsafe { narrow_sixteen(codes, input, &mut squares) };
            for (index, sums) in sums.iter_mut().enumerate() {
                let block = inputs.block(row + index, at);
                let mut sum = floats(sums);
                for (group, d) in d.iter().enumerate() {
                    sum = scaled(sum, line_of(&squares[group], index), *d, (&block, group, T::OFFSET));
                }
                // SAFETY: room for sixteen floats.
                unsafe { _mm512_storeu_ps(sums.as_mut_ptr(), sum) };
            }
        }
    }
    drop(units);
}

/// Sixteen inputs with sixteen weight rows, each 32 of 128 columns for itself.
///
/// # Safety
/// At `inputs` sixteen rows of 128 bytes must stand one after the other.
#[inline]
unsafe fn narrow_sixteen(codes: &[[u8; 64]; 32], inputs: *const i8, squares: &mut [Square; 4]) {
    // SAFETY: as in `wide_pair`.
    unsafe {
        asm!(
            "tilezero tmm0", "tileloadd tmm4, [{a} + {stride}]", "tileloadd tmm6, [{w} + {line}]",
            "tdpbsud tmm0, tmm4, tmm6",
            "tilezero tmm1", "tileloadd tmm5, [{a} + {stride} + 32]", "tileloadd tmm7, [{w} + {line} + 512]",
            "tdpbsud tmm1, tmm5, tmm7",
            "tilezero tmm2", "tileloadd tmm4, [{a} + {stride} + 64]", "tileloadd tmm6, [{w} + {line} + 1024]",
            "tdpbsud tmm2, tmm4, tmm6",
            "tilezero tmm3", "tileloadd tmm5, [{a} + {stride} + 96]", "tileloadd tmm7, [{w} + {line} + 1536]",
            "tdpbsud tmm3, tmm5, tmm7",
            "tilestored [{out} + {line}], tmm0", "tilestored [{out} + {line} + 1024], tmm1",
            "tilestored [{out} + {line} + 2048], tmm2", "tilestored [{out} + {line} + 3072], tmm3",
            a = in(reg) inputs,
            w = in(reg) codes.as_ptr(),
            out = in(reg) squares.as_mut_ptr(),
            stride = in(reg) 128usize,
            line = in(reg) 64usize,
            options(nostack),
        );
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn line_of(square: &Square, line: usize) -> __m512i {
    // SAFETY: sixteen sums are there.
    unsafe { _mm512_loadu_si512(square.0[line].as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn floats(sums: &[f32; ROWS]) -> __m512 {
    // SAFETY: sixteen floats are there.
    unsafe { _mm512_loadu_ps(sums.as_ptr()) }
}
