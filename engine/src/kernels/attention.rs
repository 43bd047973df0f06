//! Attention of flat rows over their sequences' pages, with a running softmax. It does not write the cache.
#![expect(unsafe_code, reason = "units of one pass write disjoint outputs")]

use super::dot::{add_scaled, dot, exp};
use super::pool::{Parts, Pool};
use crate::model::Batch;
use crate::pages::{PAGE, Pages};

/// Heads that share one reading of the keys.
const HEADS: usize = 4;

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
fn one_row(shape: &Shape, reader: Reader<'_>, (row, key_head): (usize, usize), query: &[f32], out: &mut [f32]) {
    let row = &reader.batch.rows[row];
    let table = reader.batch.tables[row.table];
    let end = row.position + 1;
    let start = shape.window.map_or(0, |window| end.saturating_sub(window));
    let mut running = [Running::default(); HEADS];
    out.fill(0.0);
    for (page, held) in table.iter().enumerate().take(end.div_ceil(PAGE)).skip(start / PAGE) {
        let seen = start.max(page * PAGE) - page * PAGE..end.min((page + 1) * PAGE) - page * PAGE;
        let (keys, values) = reader.pages.read(*held, reader.layer, key_head);
        let mut scores = [[0f32; PAGE]; HEADS];
        for at in seen.clone() {
            score(shape, keys.row(at), query, at, &mut scores);
        }
        for (head, out) in out.chunks_exact_mut(shape.value).enumerate() {
            running[head].admit(&mut scores[head][seen.clone()], out);
            for (at, weight) in seen.clone().zip(&scores[head][seen.clone()]) {
                add_scaled(out, &values.row(at)[..shape.value], *weight);
            }
        }
    }
    for (head, out) in out.chunks_exact_mut(shape.value).enumerate() {
        out.iter_mut().for_each(|value| *value /= running[head].sum);
    }
}

fn score(shape: &Shape, key: &[f32], query: &[f32], at: usize, scores: &mut [[f32; PAGE]; HEADS]) {
    let head = |index: usize| &query[index * shape.key..][..shape.key];
    if query.len() == HEADS * shape.key {
        let [sums] = dot([key], std::array::from_fn::<_, HEADS, _>(head));
        (0..HEADS).for_each(|head| scores[head][at] = sums[head] * shape.scale);
    } else {
        for (index, scores) in scores.iter_mut().enumerate().take(query.len() / shape.key) {
            scores[at] = dot([key], [head(index)])[0][0] * shape.scale;
        }
    }
}

/// The state of a softmax over scores that arrive in parts.
#[derive(Debug, Clone, Copy)]
struct Running {
    largest: f32,
    sum: f32,
}

impl Default for Running {
    fn default() -> Self {
        Self { largest: f32::NEG_INFINITY, sum: 0.0 }
    }
}

impl Running {
    /// Turns new scores into weights and rescales what was summed before where a larger score appears.
    fn admit(&mut self, scores: &mut [f32], out: &mut [f32]) {
        let largest = scores.iter().fold(self.largest, |largest, score| largest.max(*score));
        if largest > self.largest {
            let factor = exp(self.largest - largest);
            self.sum *= factor;
            out.iter_mut().for_each(|value| *value *= factor);
            self.largest = largest;
        }
        for score in scores {
            *score = exp(*score - self.largest);
            self.sum += *score;
        }
    }
}
