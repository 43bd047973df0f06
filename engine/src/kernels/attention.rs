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

/// Rows of one sequence that share it.
const ROWS: usize = 8;

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
    /// How queries and results stand.
    pub(crate) order: Order,
}

/// An order of rows and heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// All heads of the first row come first.
    Rows,
    /// All rows of the first head come first.
    Heads,
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
    let spans = spans(reader.batch);
    let (out, per_span) = (Parts::new(out), shape.key_heads * blocks);
    pool.run(spans.len() * per_span, &|unit| {
        let (rows, rest) = (spans[unit / per_span].clone(), unit % per_span);
        let (key_head, block) = (rest / blocks, rest % blocks);
        let first = key_head * group + block * HEADS;
        let heads = first..(first + HEADS).min((key_head + 1) * group);
        let mut room = pool.room(reader.pages.room());
        some_rows(shape, reader, &mut room, Unit { rows, heads, key_head, query, out: &out });
    });
}

/// Rows that stand one after the other in the batch and belong to one sequence, a few at a time.
fn spans(batch: &Batch<'_>) -> Vec<Range<usize>> {
    let mut spans: Vec<Range<usize>> = Vec::new();
    for (index, row) in batch.rows.iter().enumerate() {
        match spans.last_mut() {
            Some(span) if span.len() < ROWS && batch.rows[span.start].table == row.table => span.end += 1,
            _ => spans.push(index..index + 1),
        }
    }
    spans
}

/// What one unit of work computes.
struct Unit<'a> {
    rows: Range<usize>,
    heads: Range<usize>,
    key_head: usize,
    query: &'a [f32],
    out: &'a Parts<'a, f32>,
}

/// The order of positions is that of the sequence, page by page, whatever the batch: the result depends on nothing else.
fn some_rows(shape: &Shape, reader: Reader<'_>, room: &mut [f32], unit: Unit<'_>) {
    match tier() {
        // SAFETY: `tier` found these instructions on this machine.
        #[cfg(target_arch = "x86_64")]
        Tier::Avx512 => unsafe { some_rows_avx512(shape, reader, room, unit) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Tier::Avx2 => unsafe { some_rows_avx2(shape, reader, room, unit) },
        Tier::Scalar => some_rows_with::<Plain>(shape, reader, room, unit),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn some_rows_avx512(shape: &Shape, reader: Reader<'_>, room: &mut [f32], unit: Unit<'_>) {
    some_rows_with::<Avx512>(shape, reader, room, unit);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn some_rows_avx2(shape: &Shape, reader: Reader<'_>, room: &mut [f32], unit: Unit<'_>) {
    some_rows_with::<Plain>(shape, reader, room, unit);
}

#[inline(always)]
fn some_rows_with<S: Scorer>(shape: &Shape, reader: Reader<'_>, room: &mut [f32], unit: Unit<'_>) {
    let Unit { rows, heads, key_head, query, out } = unit;
    let batch = reader.batch;
    let place = |row: usize, head: usize| match shape.order {
        Order::Rows => row * shape.heads + head,
        Order::Heads => head * batch.rows.len() + row,
    };
    // SAFETY: units differ in row or heads, so their outputs are disjoint, and one is held at a time.
    let result = |place: usize| unsafe { out.part(place * shape.value..(place + 1) * shape.value) };
    let seen = |row: usize| {
        let end = batch.rows[row].position + 1;
        shape.window.map_or(0, |window| end.saturating_sub(window))..end
    };
    let mut running = [[Running::default(); HEADS]; ROWS];
    for row in rows.clone() {
        heads.clone().for_each(|head| result(place(row, head)).fill(0.0));
    }
    let table = batch.tables[batch.rows[rows.start].table];
    let pages = seen(rows.start).start / PAGE..seen(rows.end - 1).end.div_ceil(PAGE);
    for page in pages {
        let (keys, values) = reader.pages.read(table[page], reader.layer, key_head, room);
        for (row, running) in rows.clone().zip(&mut running) {
            let seen = seen(row);
            let from = seen.start.max(page * PAGE);
            let seen = from - page * PAGE..seen.end.min((page + 1) * PAGE).max(from) - page * PAGE;
            if seen.is_empty() {
                continue;
            }
            for (head, running) in heads.clone().zip(running) {
                let place = place(row, head);
                let query = &query[place * shape.key..][..shape.key];
                let out = result(place);
                // SAFETY: the caller was chosen by what the machine has.
                let scores = unsafe { S::scores(keys.values, query) };
                let weights = running.admit(scores, shape.scale, &seen, out);
                mix(out, values.values, values.width, (seen.start, &weights[seen.clone()]));
            }
        }
    }
    for (row, running) in rows.zip(&running) {
        for (head, running) in heads.clone().zip(running) {
            let sum = fold(running.sums);
            result(place(row, head)).iter_mut().for_each(|value| *value /= sum);
        }
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
