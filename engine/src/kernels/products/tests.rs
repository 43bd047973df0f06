//! Checks of the products.

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

fn plain<T: Product>(tiles: &[T], inputs: &Inputs, strip: usize, across: usize) -> Vec<[f32; ROWS]> {
    let tiles = &tiles[strip * across..(strip + 1) * across];
    (0..inputs.rows()).map(|index| T::plain::<1>(tiles, inputs, index)[0]).collect()
}

/// All twins must agree to the bit, for any number of inputs, and with the values that the tiles stand for.
fn check(tiles: &Tiles, values: &[f32], (rows, columns): (usize, usize), count: usize) {
    let input = wave(count * columns, 0.37);
    let inputs = Inputs::new(&Pool::new(2), &input, columns, tiles.columns());
    let across = columns / tiles.columns();
    for strip in 0..rows / ROWS {
        let expected = match tiles {
            Tiles::Q4K(tiles) => plain(tiles, &inputs, strip, across),
            Tiles::Q5K(tiles) => plain(tiles, &inputs, strip, across),
            Tiles::Q6K(tiles) => plain(tiles, &inputs, strip, across),
            Tiles::Q40(tiles) => plain(tiles, &inputs, strip, across),
            Tiles::Q50(tiles) => plain(tiles, &inputs, strip, across),
            Tiles::Q80(tiles) => plain(tiles, &inputs, strip, across),
        };
        for units in [Units::Plain, Units::HalfVectors, Units::Vectors, Units::Matrices] {
            if units > detect() {
                continue;
            }
            let mut seen = 0;
            tiles.strip_on(units, (strip, columns), &inputs, |index, sums| {
                seen += 1;
                let (sums, plain) = (sums.map(f32::to_bits), expected[index].map(f32::to_bits));
                assert_eq!(sums, plain, "{units:?}, strip {strip}, input {index}");
            });
            assert_eq!(seen, count);
        }
        for (index, sums) in expected.iter().enumerate() {
            for (row, sum) in sums.iter().enumerate() {
                let weights = &values[(strip * ROWS + row) * columns..][..columns];
                let terms = weights.iter().zip(&input[index * columns..][..columns]);
                let (exact, size) = terms.fold((0f64, 0f64), |(exact, size), (weight, value)| {
                    let term = f64::from(*weight) * f64::from(*value);
                    (exact + term, size + term.abs())
                });
                assert!((f64::from(*sum) - exact).abs() < 0.006 * size, "{sum} for {exact}");
            }
        }
    }
}

fn check_kind<const N: usize>(kind: GgmlDType, pack: impl Fn(&[u8], usize) -> Option<Tiles>, columns: usize) {
    let (blocks, values) = blocks::<N>(kind, 32, columns);
    let tiles = pack(blocks.as_flattened(), columns).unwrap();
    // With the vector instructions alone, with the matrix units, and with more than those take at once.
    for count in [15, 49, 530] {
        check(&tiles, &values, (32, columns), count);
    }
}

#[test]
fn tiles_multiply_as_their_blocks_do_on_every_instruction_set() {
    check_kind::<144>(GgmlDType::Q4K, Tiles::q4k, 768);
    check_kind::<176>(GgmlDType::Q5K, Tiles::q5k, 768);
    check_kind::<210>(GgmlDType::Q6K, Tiles::q6k, 768);
    check_kind::<18>(GgmlDType::Q4_0, Tiles::q40, 384);
    check_kind::<22>(GgmlDType::Q5_0, Tiles::q50, 384);
    check_kind::<34>(GgmlDType::Q8_0, Tiles::q80, 384);
}

#[test]
fn the_largest_codes_and_scales_stay_whole() {
    // All bits set: the largest codes with the largest scales and the smallest; then the first with none.
    for bits in [0xffu8, 0x80, 0x7f] {
        let bytes = |size: usize| {
            let mut block = vec![bits; size];
            for half in [0, 2, size - 2] {
                (block[half], block[half + 1]) = (0x00, 0x20);
            }
            block.repeat(16)
        };
        let inputs = Inputs::new(&Pool::new(1), &vec![1.0; 256 * 32], 256, 256);
        for tiles in [Tiles::q4k(&bytes(144), 256), Tiles::q5k(&bytes(176), 256), Tiles::q6k(&bytes(210), 256)] {
            let tiles = tiles.unwrap();
            let expected = match &tiles {
                Tiles::Q4K(tiles) => plain(tiles, &inputs, 0, 1),
                Tiles::Q5K(tiles) => plain(tiles, &inputs, 0, 1),
                Tiles::Q6K(tiles) => plain(tiles, &inputs, 0, 1),
                _ => unreachable!("packed above"),
            };
            tiles.strip(0, 256, &inputs, |index, sums| assert_eq!(*sums, expected[index]));
        }
    }
}
