//! The part that all families share: embedding, layers with their residual stream, final norm, output. It knows no
//! kind of attention or feed-forward layer by itself.

use std::sync::Mutex;

use super::config::{AttentionConfig, Config};
use super::deepseek::Latent;
use super::feed::Feed;
use super::llama::Grouped;
use super::rope::Rope;
use super::{Batch, Step, Watch};
use crate::kernels::linear::{Product, Small, multiply, pack, shrink};
use crate::kernels::{Pool, pointwise};
use crate::pages::{Layout, Pages, Precision};
use crate::weights::matrix::Values;
use crate::weights::{Matrix, Source};
use crate::{Error, Quantisation};

/// A whole model.
#[derive(Debug)]
pub(crate) struct Decoder {
    embedding: Matrix,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    output: Matrix,
    rope: Rope,
    epsilon: f32,
    layout: Layout,
}

/// One layer.
#[derive(Debug)]
struct Layer {
    attention_norm: Vec<f32>,
    attention: Attention,
    feed_norm: Vec<f32>,
    feed: Feed,
}

/// A family's kind of attention.
#[derive(Debug)]
enum Attention {
    Grouped(Grouped),
    Latent(Latent),
}

impl Decoder {
    /// Builds the model that a config describes.
    pub(crate) fn build(config: &Config, source: &dyn Source) -> Result<Self, Error> {
        let embedding = source.matrix("model.embed_tokens.weight", config.vocabulary, config.hidden)?;
        let output = match config.tied {
            true => embedding.clone(),
            false => source.matrix("lm_head.weight", config.vocabulary, config.hidden)?,
        };
        let (turned, (heads, key, value)) = match &config.attention {
            AttentionConfig::Grouped(shape) => (shape.width, (shape.key_heads, shape.width, shape.width)),
            AttentionConfig::Latent(shape) => (shape.turned, (1, shape.latent + shape.turned, 0)),
        };
        let layers = (0..config.layers).map(|index| Layer::load(config, source, index));
        Ok(Self {
            embedding,
            layers: layers.collect::<Result<_, _>>()?,
            norm: source.vector("model.norm.weight", config.hidden)?,
            output,
            rope: Rope::new(&config.rope, turned),
            epsilon: config.epsilon,
            layout: Layout { layers: config.layers, heads, key, value, precision: Precision::Half },
        })
    }

    /// Makes weights in floats smaller where that is asked for, and packs all for this machine's instructions. Each copy
    /// replaces what was mapped.
    pub(crate) fn pack(&mut self, pool: &Pool, quantise: Option<Quantisation>) {
        let small = quantise.map(small);
        let matrices: Vec<Mutex<&mut Matrix>> = self.matrices().into_iter().map(Mutex::new).collect();
        pool.run(matrices.len(), &|index| {
            // Nobody else asks for this one, so the lock is free and whole.
            if let Ok(mut matrix) = matrices[index].lock() {
                if let Some([output, others]) = small {
                    shrink(&mut matrix, if index == 0 { output } else { others });
                }
                pack(&mut matrix);
            }
        });
    }

    /// Bytes of the weights once they are made smaller.
    pub(crate) fn bytes(&mut self, quantise: Quantisation) -> u64 {
        let [output, others] = small(quantise);
        let embedding = self.embedding.rows * self.embedding.columns * 2;
        let sizes = self.matrices().into_iter().enumerate().map(|(index, matrix)| {
            let small = if index == 0 { output } else { others };
            (matrix.rows * matrix.columns) as f64 * small.bits() / 8.0
        });
        sizes.sum::<f64>() as u64 + embedding as u64
    }

    /// All that is multiplied with but the routers, the output first.
    fn matrices(&mut self) -> Vec<&mut Matrix> {
        let mut matrices = vec![&mut self.output];
        for layer in &mut self.layers {
            match &mut layer.attention {
                Attention::Grouped(attention) => matrices.extend(attention.matrices()),
                Attention::Latent(attention) => matrices.extend(attention.matrices()),
            }
            matrices.extend(layer.feed.matrices());
        }
        matrices
    }

    /// How precise a cache must be not to be what the model loses by: weights in 32 bits want one in 32 bits.
    pub(crate) fn precision(&self) -> Precision {
        if matches!(self.embedding.values, Values::F32(_)) { Precision::Full } else { Precision::Half }
    }

    /// What the cache must hold.
    pub(crate) fn layout(&self, precision: Precision) -> Layout {
        Layout { precision, ..self.layout }
    }

    /// Tokens that the model knows.
    pub(crate) fn vocabulary(&self) -> usize {
        self.output.rows
    }

    /// Computes one step and returns the logits of the wanted rows, one after the other.
    pub(crate) fn step(&self, pool: &Pool, batch: &Batch<'_>, pages: &mut Pages, watch: &mut dyn Watch) -> Vec<f32> {
        let width = self.embedding.columns;
        let mut stream = vec![0.0; batch.rows.len() * width];
        for (row, out) in batch.rows.iter().zip(stream.chunks_exact_mut(width)) {
            self.embedding.read_row(row.token as usize, out);
        }
        watch.hidden(0, &stream);
        let mut step = Step { pool, batch, pages, turns: self.rope.turns(&batch.rows), layer: 0 };
        let (mut normed, mut out) = (vec![0.0; stream.len()], vec![0.0; stream.len()]);
        for (index, layer) in self.layers.iter().enumerate() {
            step.layer = index;
            normed.copy_from_slice(&stream);
            pointwise::rms_norm(&mut normed, &layer.attention_norm, self.epsilon);
            match &layer.attention {
                Attention::Grouped(attention) => attention.forward(&mut step, &normed, &mut out),
                Attention::Latent(attention) => attention.forward(&mut step, &normed, &mut out),
            }
            pointwise::add(&mut stream, &out);
            normed.copy_from_slice(&stream);
            pointwise::rms_norm(&mut normed, &layer.feed_norm, self.epsilon);
            layer.feed.forward(&step, &normed, &mut out, watch);
            pointwise::add(&mut stream, &out);
            if index + 1 < self.layers.len() {
                watch.hidden(index + 1, &stream);
            }
        }
        pointwise::rms_norm(&mut stream, &self.norm, self.epsilon);
        watch.hidden(self.layers.len(), &stream);
        self.logits(pool, batch, &stream)
    }

    fn logits(&self, pool: &Pool, batch: &Batch<'_>, stream: &[f32]) -> Vec<f32> {
        let width = self.embedding.columns;
        let mut wanted = Vec::with_capacity(batch.wanted.len() * width);
        batch.wanted.iter().for_each(|row| wanted.extend_from_slice(&stream[row * width..][..width]));
        let mut logits = vec![0.0; batch.wanted.len() * self.output.rows];
        multiply(pool, &mut [Product::new(&self.output, &wanted, &mut logits)]);
        logits
    }
}

/// What the output is made smaller to, and what all else.
fn small(quantise: Quantisation) -> [Small; 2] {
    match quantise {
        Quantisation::Q8_0 => [Small::Eight, Small::Eight],
        Quantisation::Q4K => [Small::Six, Small::Four],
    }
}

impl Layer {
    fn load(config: &Config, source: &dyn Source, index: usize) -> Result<Self, Error> {
        let norm = |part: &str| source.vector(&format!("model.layers.{index}.{part}.weight"), config.hidden);
        let attention_norm = norm("input_layernorm")?;
        let attention = match &config.attention {
            AttentionConfig::Grouped(shape) => Attention::Grouped(Grouped::load(config, shape, source, index)?),
            AttentionConfig::Latent(shape) => Attention::Latent(Latent::load(config, shape, source, index)?),
        };
        let feed_norm = norm("post_attention_layernorm")?;
        Ok(Self { attention_norm, attention, feed_norm, feed: Feed::load(config, source, index)? })
    }
}
