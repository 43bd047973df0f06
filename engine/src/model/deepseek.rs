//! DeepSeek V2, V3 and R1, Moonlight: attention over a compressed cache. Per position it keeps one latent and one turned
//! key for all heads; keys and values are never decompressed: the up-projections are folded into query and output.
//!
//! Prompts take the same path as replies. Decompressing a long prompt's keys once would cost less, but its sums would
//! round otherwise, and a reply would then depend on how its prompt was cut into steps.

use super::Step;
use super::config::{Config, LatentConfig, Scaling};
use crate::Error;
use crate::kernels::attention::{Order, Reader, Shape, attend};
use crate::kernels::linear::{Product, multiply};
use crate::kernels::pointwise::{self, Pairing};
use crate::kernels::{Band, Room};
use crate::weights::{Matrix, Source};

/// The norms inside attention do not follow the config's epsilon.
const EPSILON: f32 = 1e-6;

/// Attention over latents.
#[derive(Debug)]
pub(super) struct Latent {
    query: Query,
    /// From the input to the latent and the turned key.
    down: Matrix,
    norm: Vec<f32>,
    /// Per head, from a query's plain part to what meets the latent.
    keys: Vec<Matrix>,
    /// Per head, from a mean of latents to a value.
    values: Vec<Matrix>,
    out: Matrix,
    shape: Shape,
    plain: usize,
    pairing: Pairing,
}

#[derive(Debug)]
enum Query {
    Whole(Matrix),
    /// Through a narrow middle.
    Low {
        down: Matrix,
        norm: Vec<f32>,
        up: Matrix,
    },
}

impl Latent {
    /// Loads a layer's attention.
    pub(super) fn load(
        config: &Config,
        shape: &LatentConfig,
        source: &dyn Source,
        layer: usize,
    ) -> Result<Self, Error> {
        let LatentConfig { heads, query_rank, latent, plain, turned, value } = *shape;
        let name = |part: &str| format!("model.layers.{layer}.self_attn.{part}.weight");
        let matrix = |part: &str, rows, columns| source.matrix(&name(part), rows, columns);
        let queries = heads * (plain + turned);
        let query = match query_rank {
            None => Query::Whole(matrix("q_proj", queries, config.hidden)?),
            Some(rank) => Query::Low {
                down: matrix("q_a_proj", rank, config.hidden)?,
                norm: source.vector(&name("q_a_layernorm"), rank)?,
                up: matrix("q_b_proj", queries, rank)?,
            },
        };
        let (keys, values) = if source.has(&name("k_b_proj")) {
            // Already split and turned over by who made the file.
            let (keys, values) =
                (matrix("k_b_proj", heads * latent, plain)?, matrix("v_b_proj", heads * value, latent)?);
            let part = |all: &Matrix, rows: usize, head: usize| all.part(head * rows..(head + 1) * rows);
            let parts = |all: &Matrix, rows: usize| (0..heads).map(|head| part(all, rows, head)).collect::<Vec<_>>();
            (parts(&keys, latent), parts(&values, value))
        } else {
            let both = matrix("kv_b_proj", heads * (plain + value), latent)?;
            let start = |head: usize| head * (plain + value);
            let key = |head| both.part(start(head)..start(head) + plain).transposed();
            let value = |head| both.part(start(head) + plain..start(head + 1));
            ((0..heads).map(key).collect(), (0..heads).map(value).collect())
        };
        let stretch = match &config.rope.scaling {
            Scaling::Yarn(yarn) => yarn.attention_scale() as f32,
            _ => 1.0,
        };
        let scale = stretch / ((plain + turned) as f32).sqrt();
        Ok(Self {
            query,
            down: matrix("kv_a_proj_with_mqa", latent + turned, config.hidden)?,
            norm: source.vector(&name("kv_a_layernorm"), latent)?,
            keys,
            values,
            out: matrix("o_proj", config.hidden, heads * value)?,
            shape: Shape {
                heads,
                key_heads: 1,
                key: latent + turned,
                value: latent,
                scale,
                window: None,
                order: Order::Heads,
            },
            plain,
            pairing: if config.rope.neighbours { Pairing::Neighbours } else { Pairing::Halves },
        })
    }

    /// Its weights, to pack them.
    pub(super) fn matrices(&mut self) -> Vec<&mut Matrix> {
        let mut matrices = vec![&mut self.down, &mut self.out];
        match &mut self.query {
            Query::Whole(whole) => matrices.push(whole),
            Query::Low { down, up, .. } => matrices.extend([down, up]),
        }
        matrices.extend(self.keys.iter_mut().chain(&mut self.values));
        matrices
    }

    pub(super) fn forward(&self, step: &mut Step<'_>, input: &[f32], out: &mut [f32]) {
        let rows = step.batch.rows.len();
        let mut cached = step.pool.room(rows * self.down.rows);
        let mut query = self.queries(step, input, &mut cached);
        let (latent, heads) = (self.shape.value, self.shape.heads);
        for (index, row) in cached.chunks_exact_mut(self.shape.key).enumerate() {
            let (cosines, sines) = step.turns.of(index);
            pointwise::rms_norm(&mut row[..latent], &self.norm, EPSILON);
            pointwise::rotate(&mut row[latent..], cosines, sines, self.pairing);
        }
        for (index, head) in query.chunks_exact_mut(self.plain + self.shape.key - latent).enumerate() {
            let (cosines, sines) = step.turns.of(index / heads);
            pointwise::rotate(&mut head[self.plain..], cosines, sines, self.pairing);
        }
        for (row, cached) in step.batch.rows.iter().zip(cached.chunks_exact(self.shape.key)) {
            step.pages.write(step.batch.place(row, step.layer), 0, cached, &[]);
        }
        let query = self.absorb(step, &query);
        let mut mean = step.pool.room(heads * rows * latent);
        let reader = Reader { pages: step.pages, layer: step.layer, batch: step.batch };
        attend(step.pool, &self.shape, reader, &query, &mut mean);
        let width = self.values[0].rows;
        let mut values = step.pool.room(rows * heads * width);
        let bands = Band::cut(&mut values, heads * width, width);
        let means = mean.chunks_exact(rows * latent).zip(bands);
        let mut products: Vec<Product<'_>> =
            self.values.iter().zip(means).map(|(matrix, (mean, band))| Product::banded(matrix, mean, band)).collect();
        multiply(step.pool, &mut products);
        drop(products);
        multiply(step.pool, &mut [Product::new(&self.out, &values, out)]);
    }

    /// Queries of all heads; the way to the cache runs beside it.
    fn queries(&self, step: &Step<'_>, input: &[f32], cached: &mut [f32]) -> Room<f32> {
        let rows = step.batch.rows.len();
        let below = Product::new(&self.down, input, cached);
        match &self.query {
            Query::Whole(whole) => {
                let mut query = step.pool.room(rows * whole.rows);
                multiply(step.pool, &mut [Product::new(whole, input, &mut query), below]);
                query
            }
            Query::Low { down, norm, up } => {
                let mut low = step.pool.room(rows * down.rows);
                multiply(step.pool, &mut [Product::new(down, input, &mut low), below]);
                pointwise::rms_norm(&mut low, norm, EPSILON);
                let mut query = step.pool.room(rows * up.rows);
                multiply(step.pool, &mut [Product::new(up, &low, &mut query)]);
                query
            }
        }
    }

    /// Replaces each query's plain part by what meets the latent; all rows of the first head come first.
    fn absorb(&self, step: &Step<'_>, query: &[f32]) -> Room<f32> {
        let Shape { heads, key, value: latent, .. } = self.shape;
        let (rows, plain) = (step.batch.rows.len(), self.plain);
        let mut gathered = step.pool.room(heads * rows * plain);
        let mut absorbed = step.pool.room(heads * rows * key);
        for (index, head) in query.chunks_exact(plain + key - latent).enumerate() {
            let at = index % heads * rows + index / heads;
            gathered[at * plain..][..plain].copy_from_slice(&head[..plain]);
            absorbed[at * key + latent..][..key - latent].copy_from_slice(&head[plain..]);
        }
        let parts = gathered.chunks_exact(rows * plain).zip(absorbed.chunks_exact_mut(rows * key));
        let product = |(matrix, (input, out))| Product::banded(matrix, input, Band::first(out, key, latent));
        let mut products: Vec<Product<'_>> = self.keys.iter().zip(parts).map(product).collect();
        multiply(step.pool, &mut products);
        drop(products);
        absorbed
    }
}
