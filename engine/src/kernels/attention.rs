//! Attention of flat rows over their sequences' pages, with a running softmax. It does not write the cache.
#![expect(unsafe_code, reason = "units of one pass write disjoint outputs")]

use std::ops::Range;

use super::dot::{Tier, exp, fold, tier};
use super::pool::{Parts, Pool};
#[cfg(target_arch = "x86_64")]
use super::scores::Avx512;
use super::scores::{Plain, Scorer, mix};
use crate::model::Batch;
use crate::pages::{PAGE, Pages};

/// Heads that share one reading of a page.
const HEADS: usize = 8;

/// What an attention layer looks like.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// Query heads.
    pub(crate) heads: usize,
    /// Key heads, each shared by as many query heads.
    pub(crate) key_heads: usize,
    /// Width of a query and of a key.
    pub(crate) key: usize,
    /// Width of a value.
    pub(crate) value: usize,
    /// What a product of query and key is multiplied with.
    pub(crate) scale: f32,
    /// How many positions back a row sees, itself included.
    pub(crate) window: Option<usize>,
}

/// The layer's cache and the rows that read it.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    /// The cache.
    pub(crate) pages: &'a Pages,
    /// Which layer.
    pub(crate) layer: usize,
    /// The rows with their tables.
    pub(crate) batch: &'a Batch<'a>,
}

/// Writes for each row and head the weighted mean of the values at the row's position and before.
pub(crate) fn attend(pool: &Pool, shape: &Shape, reader: Reader<'_>, query: &[f32], out: &mut [f32]) {
    let group = shape.heads / shape.key_heads;
    let blocks = group.div_ceil(HEADS);
    let out = Parts::new(out);
    pool.run(reader.batch.rows.len() * shape.key_heads * blocks, &|unit| {
        let (row, rest) = (unit / (shape.key_heads * blocks), unit % (shape.key_heads * blocks));
        let (key_head, block) = (rest / blocks, rest % blocks);
        let first = key_head * group + block * HEADS;
        let heads = HEADS.min((key_head + 1) * group - first);
        let at = row * shape.heads + first;
        let query = &query[at * shape.key..][..heads * shape.key];
        // SAFETY: units differ in row or heads, so their outputs are disjoint.
        let out = unsafe { out.part(at * shape.value..(at + heads) * shape.value) };
        one_row(shape, reader, (row, key_head), query, out);
    });
}

/// The order of positions is that of the sequence, page by page, whatever the batch: the result depends on nothing else.
fn one_row(shape: &Shape, reader: Reader<'_>, at: (usize, usize), query: &[f32], out: &mut [f32]) {
    match tier() {
        // SAFETY: `tier` found these instructions on this machine.
        #[cfg(target_arch = "x86_64")]
        Tier::Avx512 => unsafe { one_row_avx512(shape, reader, at, query, out) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Tier::Avx2 => unsafe { one_row_avx2(shape, reader, at, query, out) },
        Tier::Scalar => one_row_with::<Plain>(shape, reader, at, query, out),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn one_row_avx512(shape: &Shape, reader: Reader<'_>, at: (usize, usize), query: &[f32], out: &mut [f32]) {
    one_row_with::<Avx512>(shape, reader, at, query, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn one_row_avx2(shape: &Shape, reader: Reader<'_>, at: (usize, usize), query: &[f32], out: &mut [f32]) {
    one_row_with::<Plain>(shape, reader, at, query, out);
}

#[inline(always)]
fn one_row_with<S: Scorer>(
    shape: &Shape,
    reader: Reader<'_>,
    (row, key_head): (usize, usize),
    query: &[f32],
    out: &mut [f32],
) {
    let row = &reader.batch.rows[row];
    let table = reader.batch.tables[row.table];
    let end = row.position + 1;
    let start = shape.window.map_or(0, |window| end.saturating_sub(window));
    let mut running = [Running::default(); HEADS];
    out.fill(0.0);
    for (page, held) in table.iter().enumerate().take(end.div_ceil(PAGE)).skip(start / PAGE) {
        let seen = start.max(page * PAGE) - page * PAGE..end.min((page + 1) * PAGE) - page * PAGE;
        let (keys, values) = reader.pages.read(*held, reader.layer, key_head);
        let heads = query.chunks_exact(shape.key).zip(out.chunks_exact_mut(shape.value));
        for ((query, out), running) in heads.zip(&mut running) {
            // SAFETY: the caller was chosen by what the machine has.
            let scores = unsafe { S::scores(keys.values, query) };
            let weights = running.admit(scores, shape.scale, &seen, out);
            mix(out, values.values, values.width, (seen.start, &weights[seen.clone()]));
        }
    }
    for (running, out) in running.iter().zip(out.chunks_exact_mut(shape.value)) {
        let sum = fold(running.sums);
        out.iter_mut().for_each(|value| *value /= sum);
    }
}

/// The state of a softmax over scores that arrive a page at a time.
#[derive(Debug, Clone, Copy)]
struct Running {
    largest: f32,
    /// The sum of all weights, by their places in their pages.
    sums: [f32; PAGE],
}

impl Default for Running {
    fn default() -> Self {
        Self { largest: f32::NEG_INFINITY, sums: [0.0; PAGE] }
    }
}

impl Running {
    /// Turns a page's scores into weights and rescales what was summed before where a larger score appears. Places that
    /// are not seen weigh nothing.
    #[inline(always)]
    fn admit(&mut self, scores: [f32; PAGE], scale: f32, seen: &Range<usize>, out: &mut [f32]) -> [f32; PAGE] {
        let mut scores = scores.map(|score| score * scale);
        for (slot, score) in scores.iter_mut().enumerate() {
            *score = if seen.contains(&slot) { *score } else { f32::NEG_INFINITY };
        }
        let mut largest = self.largest;
        for score in scores {
            largest = if score > largest { score } else { largest };
        }
        if largest > self.largest {
            let factor = exp(self.largest - largest);
            self.sums.iter_mut().for_each(|sum| *sum *= factor);
            out.iter_mut().for_each(|value| *value *= factor);
            self.largest = largest;
        }
        let mut weights = [0.0; PAGE];
        for (slot, weight) in weights.iter_mut().enumerate() {
            let size = exp(scores[slot] - self.largest);
            *weight = if seen.contains(&slot) { size } else { 0.0 };
        }
        self.sums.iter_mut().zip(&weights).for_each(|(sum, weight)| *sum += weight);
        weights
    }
}
