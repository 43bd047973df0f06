//! Model families: rows of tokens in, logits out. They know no text, no requests and no threads but the pool's.

mod config;
mod decoder;
mod deepseek;
mod feed;
mod fields;
mod llama;
mod metadata;
mod rope;

use std::path::Path;

pub(crate) use config::{AttentionConfig, Config, Experts, generation_ends};
pub(crate) use decoder::Decoder;
pub(crate) use metadata::config as gguf_config;

use crate::Error;
use crate::pages::{PAGE, PageId, Pages, Place};

/// One token of one sequence.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// The token.
    pub(crate) token: u32,
    /// Its position in the sequence.
    pub(crate) position: usize,
    /// Which of the batch's tables holds the sequence's pages.
    pub(crate) table: usize,
}

/// What one step computes: rows of any mix of sequences, each sequence's in ascending order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Batch<'a> {
    /// The rows.
    pub(crate) rows: Vec<Row>,
    /// The pages of each sequence in the batch, enough for its rows.
    pub(crate) tables: Vec<&'a [PageId]>,
    /// Indexes of the rows whose logits are asked for.
    pub(crate) wanted: Vec<usize>,
}

impl Batch<'_> {
    /// Where the row's key and value go.
    fn place(&self, row: &Row, layer: usize) -> Place {
        Place { page: self.tables[row.table][row.position / PAGE], slot: row.position % PAGE, layer }
    }
}

/// Looks on while a step is computed.
pub(crate) trait Watch {
    /// The residual stream: 0 is the embedding, `index` what layer `index - 1` left, the last one normalised.
    fn hidden(&mut self, _index: usize, _rows: &[f32]) {}

    /// The experts of each row, ascending, with their weights.
    fn routed(&mut self, _layer: usize, _choices: &[Vec<(usize, f32)>]) {}
}

/// Nobody looks on.
impl Watch for () {}

/// Reads a checkpoint folder's `config.json`.
pub(crate) fn config(folder: &Path) -> Result<Config, Error> {
    let path = folder.join("config.json");
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Error::Model(format!("cannot read {}: {error}", path.display())))?;
    Config::parse(&text)
}

/// What the parts of a model share while one step is computed.
struct Step<'a> {
    pool: &'a crate::kernels::Pool,
    batch: &'a Batch<'a>,
    pages: &'a mut Pages,
    turns: rope::Turns,
    layer: usize,
}
