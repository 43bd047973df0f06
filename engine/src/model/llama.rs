//! Llama, Mistral, Qwen2, Qwen3 and Qwen3-MoE: attention whose query heads share keys in groups. Shapes, biases and norms
//! come from the config.

use super::Step;
use super::config::{Config, GroupedConfig};
use crate::Error;
use crate::kernels::attention::{Order, Reader, Shape, attend};
use crate::kernels::linear::{Product, multiply};
use crate::kernels::pointwise::{self, Pairing};
use crate::weights::{Matrix, Source};

/// Attention in groups.
#[derive(Debug)]
pub(super) struct Grouped {
    query: Matrix,
    key: Matrix,
    value: Matrix,
    out: Matrix,
    biases: Option<[Vec<f32>; 3]>,
    out_bias: Option<Vec<f32>>,
    norms: Option<[Vec<f32>; 2]>,
    shape: Shape,
    pairing: Pairing,
    epsilon: f32,
}

impl Grouped {
    /// Loads a layer's attention.
    pub(super) fn load(
        config: &Config,
        shape: &GroupedConfig,
        source: &dyn Source,
        layer: usize,
    ) -> Result<Self, Error> {
        let GroupedConfig { heads, key_heads, width, bias, out_bias, norms, window } = *shape;
        let name = |part: &str| format!("model.layers.{layer}.self_attn.{part}");
        let matrix = |part: &str, rows, columns| source.matrix(&name(part), rows, columns);
        let vector = |part: &str, length| source.vector(&name(part), length);
        let (queries, keys) = (heads * width, key_heads * width);
        let biases =
            || Ok([vector("q_proj.bias", queries)?, vector("k_proj.bias", keys)?, vector("v_proj.bias", keys)?]);
        let norm_weights = || Ok([vector("q_norm.weight", width)?, vector("k_norm.weight", width)?]);
        Ok(Self {
            query: matrix("q_proj.weight", queries, config.hidden)?,
            key: matrix("k_proj.weight", keys, config.hidden)?,
            value: matrix("v_proj.weight", keys, config.hidden)?,
            out: matrix("o_proj.weight", config.hidden, queries)?,
            biases: bias.then(biases).transpose()?,
            out_bias: out_bias.then(|| vector("o_proj.bias", config.hidden)).transpose()?,
            norms: norms.then(norm_weights).transpose()?,
            shape: Shape {
                heads,
                key_heads,
                key: width,
                value: width,
                scale: 1.0 / (width as f32).sqrt(),
                window: window.filter(|(first, _)| layer >= *first).map(|(_, window)| window),
                order: Order::Rows,
            },
            pairing: if config.rope.neighbours { Pairing::Neighbours } else { Pairing::Halves },
            epsilon: config.epsilon,
        })
    }

    /// Its weights, to pack them.
    pub(super) fn matrices(&mut self) -> Vec<&mut Matrix> {
        vec![&mut self.query, &mut self.key, &mut self.value, &mut self.out]
    }

    pub(super) fn forward(&self, step: &mut Step<'_>, input: &[f32], out: &mut [f32]) {
        let rows = step.batch.rows.len();
        let mut query = step.pool.room(rows * self.query.rows);
        let mut key = step.pool.room(rows * self.key.rows);
        let mut value = step.pool.room(rows * self.value.rows);
        multiply(
            step.pool,
            &mut [
                Product::new(&self.query, input, &mut query),
                Product::new(&self.key, input, &mut key),
                Product::new(&self.value, input, &mut value),
            ],
        );
        if let Some([queries, keys, values]) = &self.biases {
            pointwise::add_bias(&mut query, queries);
            pointwise::add_bias(&mut key, keys);
            pointwise::add_bias(&mut value, values);
        }
        if let Some([queries, keys]) = &self.norms {
            pointwise::rms_norm(&mut query, queries, self.epsilon);
            pointwise::rms_norm(&mut key, keys, self.epsilon);
        }
        self.turn(step, &mut query);
        self.turn(step, &mut key);
        self.store(step, &key, &value);
        let mut mean = step.pool.room(rows * self.query.rows);
        let reader = Reader { pages: step.pages, layer: step.layer, batch: step.batch };
        attend(step.pool, &self.shape, reader, &query, &mut mean);
        multiply(step.pool, &mut [Product::new(&self.out, &mean, out)]);
        if let Some(bias) = &self.out_bias {
            pointwise::add_bias(out, bias);
        }
    }

    fn turn(&self, step: &Step<'_>, rows: &mut [f32]) {
        let width = rows.len() / step.batch.rows.len();
        for (index, row) in rows.chunks_exact_mut(width).enumerate() {
            let (cosines, sines) = step.turns.of(index);
            for head in row.chunks_exact_mut(self.shape.key) {
                pointwise::rotate(head, cosines, sines, self.pairing);
            }
        }
    }

    fn store(&self, step: &mut Step<'_>, key: &[f32], value: &[f32]) {
        let width = self.shape.key;
        for (index, row) in step.batch.rows.iter().enumerate() {
            let place = step.batch.place(row, step.layer);
            for head in 0..self.shape.key_heads {
                let at = (index * self.shape.key_heads + head) * width;
                step.pages.write(place, head, &key[at..at + width], &value[at..at + width]);
            }
        }
    }
}
