//! Products of weight matrices with rows of activations: several at once in one parallel pass. It does not know what
//! the matrices are for.
#![expect(unsafe_code, reason = "units of one pass write disjoint outputs")]

use std::any::Any;
use std::ops::Range;
use std::sync::Arc;

use candle_core::quantized::{GgmlDType, GgmlType};

use super::dot::dot;
use super::pool::{Band, Pool};
use super::products::fast;
use super::tiles::{Inputs, ROWS, Tiles};
use crate::weights::mapping::{Plain, View};
use crate::weights::matrix::{Matrix, Number, Values, with_blocks};

/// One product: `out[row] = matrix * input[row]` for every row of the input.
pub(crate) struct Product<'a> {
    /// The weights.
    matrix: &'a Matrix,
    /// Rows of `matrix.columns` values.
    input: &'a [f32],
    /// Which of them, where not all.
    chosen: Option<&'a [usize]>,
    /// As many rows of `matrix.rows` values.
    out: Band<'a>,
}

impl<'a> Product<'a> {
    /// Pairs a matrix with its input and output.
    pub(crate) fn new(matrix: &'a Matrix, input: &'a [f32], out: &'a mut [f32]) -> Self {
        Self::banded(matrix, input, Band::whole(out, matrix.rows))
    }

    /// Pairs a matrix with its input and some columns of its output's rows.
    pub(crate) fn banded(matrix: &'a Matrix, input: &'a [f32], out: Band<'a>) -> Self {
        assert_eq!((input.len() / matrix.columns, matrix.rows), out.size(), "a product's sizes disagree");
        Self { matrix, input, chosen: None, out }
    }

    /// Pairs a matrix with some rows of an input, in this order, and its output.
    pub(crate) fn chosen(matrix: &'a Matrix, input: &'a [f32], rows: &'a [usize], out: &'a mut [f32]) -> Self {
        let out = Band::whole(out, matrix.rows);
        assert_eq!((rows.len(), matrix.rows), out.size(), "a product's sizes disagree");
        Self { matrix, input, chosen: Some(rows), out }
    }
}

/// Computes all products in one pass over the pool.
pub(crate) fn multiply(pool: &Pool, products: &mut [Product<'_>]) {
    // Plain numbers and blocks are copied row by row where some rows are chosen; codes are chosen below.
    let gathered: Vec<Option<Vec<f32>>> = products.iter().map(gather).collect();
    let mut quantised = Quantised::default();
    let mut jobs = Vec::with_capacity(products.len());
    let mut units = 0;
    for (product, gathered) in products.iter().zip(&gathered) {
        let matrix = product.matrix;
        let tiled = matches!(matrix.values, Values::Tiles(_));
        let rows = block_of(matrix.rows, pool.threads()).next_multiple_of(if tiled { ROWS } else { 4 });
        let input = gathered.as_deref().unwrap_or(product.input);
        let inputs = match &matrix.values {
            Values::Tiles(tiles) => {
                Some(quantised.codes_for(pool, (input, product.chosen), (matrix.columns, tiles.columns())))
            }
            values => with_blocks!(values, view => Some(quantised.rows_for(view, input, matrix.columns)), else None),
        };
        let first = units;
        units += matrix.rows.div_ceil(rows);
        jobs.push(Job { matrix, input, inputs, out: &product.out, rows, first });
    }
    pool.run(units, &|unit| {
        let job = &jobs[jobs.partition_point(|job| job.first <= unit) - 1];
        let start = (unit - job.first) * job.rows;
        job.run(start..(start + job.rows).min(job.matrix.rows));
    });
}

fn gather(product: &Product<'_>) -> Option<Vec<f32>> {
    let rows = product.chosen.filter(|_| !matches!(product.matrix.values, Values::Tiles(_)))?;
    let columns = product.matrix.columns;
    Some(rows.iter().flat_map(|row| &product.input[row * columns..][..columns]).copied().collect())
}

/// Makes a matrix of floats smaller, where its rows are whole numbers of blocks.
pub(crate) fn shrink(matrix: &mut Matrix, to: Small) {
    let floats = matches!(matrix.values, Values::F32(_) | Values::F16(_) | Values::Bf16(_) | Values::Fp8(_));
    let values = match to {
        _ if !floats || !matrix.columns.is_multiple_of(32) => return,
        Small::Four if matrix.columns.is_multiple_of(256) => Values::Q4K(blocks(matrix)),
        Small::Six if matrix.columns.is_multiple_of(256) => Values::Q6K(blocks(matrix)),
        _ => Values::Q80(blocks(matrix)),
    };
    matrix.release();
    matrix.values = values;
}

/// Bits that a weight is made smaller to, about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Small {
    Eight,
    Six,
    Four,
}

impl Small {
    /// Bits of a weight, factors included.
    pub(crate) fn bits(self) -> f64 {
        match self {
            Self::Eight => 8.5,
            Self::Six => 6.5625,
            Self::Four => 4.5,
        }
    }
}

fn blocks<B: GgmlType + Plain>(matrix: &Matrix) -> View<B> {
    let per_row = matrix.columns / B::BLCK_SIZE;
    let mut blocks = vec![B::zeros(); matrix.rows * per_row];
    let mut row = vec![0.0; matrix.columns];
    for (index, blocks) in blocks.chunks_exact_mut(per_row).enumerate() {
        matrix.read_row(index, &mut row);
        B::from_float(&row, blocks);
    }
    View::owned(&blocks)
}

/// Packs a matrix for vector instructions, where this machine has them and its type and sizes allow it.
pub(crate) fn pack(matrix: &mut Matrix) {
    if !fast() {
        return;
    }
    let columns = matrix.columns;
    let tiles = match &matrix.values {
        Values::Q40(view) => Tiles::q40(view.bytes(), columns),
        Values::Q50(view) => Tiles::q50(view.bytes(), columns),
        Values::Q80(view) => Tiles::q80(view.bytes(), columns),
        Values::Q4K(view) => Tiles::q4k(view.bytes(), columns),
        Values::Q5K(view) => Tiles::q5k(view.bytes(), columns),
        Values::Q6K(view) => Tiles::q6k(view.bytes(), columns),
        _ => None,
    };
    let Some(tiles) = tiles else { return };
    matrix.release();
    matrix.values = Values::Tiles(Arc::new(tiles));
}

/// Weight rows of one unit: enough units to keep all threads busy to the end, few enough to cost nothing.
fn block_of(rows: usize, threads: usize) -> usize {
    (rows / (threads * 4)).clamp(4, 64)
}

/// Columns of two small blocks: some of the reference kernels take blocks in pairs only.
const PAIR: usize = 64;

struct Job<'a> {
    matrix: &'a Matrix,
    input: &'a [f32],
    inputs: Option<Arc<dyn Any + Send + Sync>>,
    out: &'a Band<'a>,
    rows: usize,
    first: usize,
}

impl Job<'_> {
    fn run(&self, rows: Range<usize>) {
        match &self.matrix.values {
            Values::F32(view) => self.tiles(view, rows),
            Values::F16(view) => self.tiles(view, rows),
            Values::Bf16(view) => self.tiles(view, rows),
            Values::Fp8(_) => self.decoded(rows),
            Values::Tiles(tiles) => self.strips(tiles, rows),
            _ if !self.matrix.columns.is_multiple_of(PAIR) => self.decoded(rows),
            values => {
                with_blocks!(values, view => self.blocks(view, rows), else unreachable!("plain types come first"))
            }
        }
    }

    fn count(&self) -> usize {
        self.input.len() / self.matrix.columns
    }

    fn input(&self, row: usize) -> &[f32] {
        &self.input[row * self.matrix.columns..][..self.matrix.columns]
    }

    fn write(&self, input: usize, row: usize, value: f32) {
        // SAFETY: a unit owns its weight rows, and so every output of those rows, and writes one at a time.
        let place = unsafe { self.out.part(input, row..row + 1) };
        place[0] = value;
    }

    /// Input rows in fours, and weight rows so that a tile's sums fill the registers.
    fn tiles<T: Number>(&self, weights: &[T], rows: Range<usize>) {
        let count = self.count();
        let fours = count - count % 4;
        for input in (0..fours).step_by(4) {
            self.column::<T, 2, 4>(weights, rows.clone(), input);
        }
        for input in fours..count {
            self.column::<T, 4, 1>(weights, rows.clone(), input);
        }
    }

    fn column<T: Number, const W: usize, const X: usize>(&self, weights: &[T], rows: Range<usize>, input: usize) {
        let columns = self.matrix.columns;
        let weight = |row: usize| &weights[row * columns..][..columns];
        let inputs: [&[f32]; X] = std::array::from_fn(|x| self.input(input + x));
        let mut row = rows.start;
        while row + W <= rows.end {
            let tile = dot(std::array::from_fn::<_, W, _>(|w| weight(row + w)), inputs);
            for (w, sums) in tile.iter().enumerate() {
                sums.iter().enumerate().for_each(|(x, sum)| self.write(input + x, row + w, *sum));
            }
            row += W;
        }
        for row in row..rows.end {
            let [sums] = dot([weight(row)], inputs);
            sums.iter().enumerate().for_each(|(x, sum)| self.write(input + x, row, *sum));
        }
    }

    /// Each weight row is widened once and used for all inputs.
    fn decoded(&self, rows: Range<usize>) {
        let mut weights = vec![0.0; self.matrix.columns];
        for row in rows {
            self.matrix.read_row(row, &mut weights);
            for input in 0..self.count() {
                let [[sum]] = dot([&weights], [self.input(input)]);
                self.write(input, row, sum);
            }
        }
    }

    fn strips(&self, tiles: &Tiles, rows: Range<usize>) {
        let Some(inputs) = self.inputs.as_ref().and_then(|inputs| inputs.downcast_ref::<Inputs>()) else {
            unreachable!("quantised inputs are prepared for every packed matrix");
        };
        for strip in rows.start / ROWS..rows.end / ROWS {
            tiles.strip(strip, self.matrix.columns, inputs, |input, sums| {
                // SAFETY: a unit owns its weight rows, and so every output of those rows, and writes sixteen at a time.
                let place = unsafe { self.out.part(input, strip * ROWS..(strip + 1) * ROWS) };
                place.copy_from_slice(sums);
            });
        }
    }

    fn blocks<B: GgmlType>(&self, weights: &[B], rows: Range<usize>)
    where
        B::VecDotType: 'static,
    {
        let per_row = self.matrix.columns / B::BLCK_SIZE;
        let Some(inputs) = self.inputs.as_ref().and_then(|inputs| inputs.downcast_ref::<Vec<B::VecDotType>>()) else {
            unreachable!("quantised inputs are prepared for every quantised matrix");
        };
        let input_blocks = self.matrix.columns / B::VecDotType::BLCK_SIZE;
        for row in rows {
            let weight = &weights[row * per_row..][..per_row];
            for (input, blocks) in inputs.chunks_exact(input_blocks).enumerate() {
                self.write(input, row, B::vec_dot(self.matrix.columns, weight, blocks));
            }
        }
    }
}

/// Inputs in the types that quantised weights multiply with; an input that several matrices share is quantised once.
#[derive(Default)]
struct Quantised {
    done: Vec<(Range<*const f32>, Kind, Arc<dyn Any + Send + Sync>)>,
}

#[derive(PartialEq, Eq)]
enum Kind {
    Blocks(GgmlDType),
    /// In eight bits: columns of a row, and of those with one factor.
    Codes(usize, usize),
    /// Some rows of these.
    Chosen(usize, usize, Range<*const usize>),
}

impl Quantised {
    fn rows_for<B: GgmlType>(&mut self, _: &[B], input: &[f32], columns: usize) -> Arc<dyn Any + Send + Sync>
    where
        B::VecDotType: 'static,
    {
        self.once(input, Kind::Blocks(B::VecDotType::DTYPE), || {
            let mut rows = vec![B::VecDotType::zeros(); input.len() / B::VecDotType::BLCK_SIZE];
            let blocks = columns / B::VecDotType::BLCK_SIZE;
            for (row, blocks) in input.chunks_exact(columns).zip(rows.chunks_exact_mut(blocks)) {
                B::VecDotType::from_float(row, blocks);
            }
            Arc::new(rows)
        })
    }

    /// Rows are quantised once, however many experts they are chosen for.
    fn codes_for(
        &mut self,
        pool: &Pool,
        (input, chosen): (&[f32], Option<&[usize]>),
        (columns, width): (usize, usize),
    ) -> Arc<dyn Any + Send + Sync> {
        let all = self.once(input, Kind::Codes(columns, width), || Arc::new(Inputs::new(pool, input, columns, width)));
        let Some((rows, inputs)) = chosen.zip(all.downcast_ref::<Inputs>()) else { return all };
        if rows.iter().copied().eq(0..inputs.rows()) {
            return all;
        }
        self.once(input, Kind::Chosen(columns, width, rows.as_ptr_range()), || Arc::new(inputs.choose(pool, rows)))
    }

    fn once(
        &mut self,
        input: &[f32],
        kind: Kind,
        quantise: impl FnOnce() -> Arc<dyn Any + Send + Sync>,
    ) -> Arc<dyn Any + Send + Sync> {
        let place = input.as_ptr_range();
        if let Some((_, _, rows)) = self.done.iter().find(|(at, of, _)| *at == place && *of == kind) {
            return Arc::clone(rows);
        }
        let rows = quantise();
        self.done.push((place, kind, Arc::clone(&rows)));
        rows
    }
}
