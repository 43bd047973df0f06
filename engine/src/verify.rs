//! A checkpoint against the golden values beside it: logits, hidden states, routed experts and greedy tokens, computed in
//! every way a server computes them. It judges nothing but those numbers.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::Error;
use crate::kernels::Pool;
use crate::model::{self, Batch, Decoder, Row, Watch};
use crate::pages::{Layout, PAGE, PageId, Pages, Precision};
use crate::weights::safetensors::Checkpoint;

/// What a verification found.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// One entry per golden prompt.
    pub prompts: Vec<PromptReport>,
}

/// What was found for one prompt.
#[derive(Debug, Clone, Default)]
pub struct PromptReport {
    /// The prompt's name.
    pub name: String,
    /// The largest distance of a logit from its golden value, whatever the way of computing.
    pub logit_error: f32,
    /// The same for hidden states; `None` where there are no golden ones.
    pub hidden_error: Option<f32>,
    /// Rows and layers whose set of experts differs from the golden one; `None` where there are none.
    pub routed_otherwise: Option<usize>,
    /// The largest distance of an expert's weight.
    pub router_error: Option<f32>,
    /// How many greedy tokens agree before the first that does not.
    pub greedy_agreed: usize,
    /// How many golden greedy tokens there are.
    pub greedy_expected: usize,
    /// Ways of computing whose logits differ from the whole prompt's in any bit: none should.
    pub unstable: Vec<&'static str>,
}

impl Report {
    /// Whether every logit is this close and everything else is equal.
    #[must_use]
    pub fn is_within(&self, bound: f32) -> bool {
        let good = |prompt: &PromptReport| {
            prompt.logit_error <= bound
                && prompt.greedy_agreed == prompt.greedy_expected
                && prompt.routed_otherwise.unwrap_or(0) == 0
                && prompt.unstable.is_empty()
        };
        !self.prompts.is_empty() && self.prompts.iter().all(good)
    }
}

/// Verifies a checkpoint folder against its `golden.json` and `golden.safetensors`.
///
/// # Errors
/// [`Error::Model`] where the checkpoint or the golden files cannot be read.
pub fn golden(folder: &Path) -> Result<Report, Error> {
    golden_with(folder, Precision::Full)
}

/// With a cache of a given precision: half of it is what serving uses, and no golden value is that rough.
pub(crate) fn golden_with(folder: &Path, precision: Precision) -> Result<Report, Error> {
    let path = folder.join("golden.json");
    let unreadable = |error: String| Error::Model(format!("cannot read {}: {error}", path.display()));
    let text = std::fs::read_to_string(&path).map_err(|error| unreadable(error.to_string()))?;
    let golden: Golden = serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
    let tensors = Checkpoint::open_file(&folder.join("golden.safetensors"))?;
    let config = model::config(folder)?;
    let model = Decoder::build(&config, &Checkpoint::open(folder)?)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let layout = model.layout(precision);
    let mut bench = Bench { pages: Pages::new(layout, 0), layout, model, pool: Pool::new(threads) };
    let together = bench.together(&golden.prompts);
    let mut report = Report::default();
    for (prompt, batched) in golden.prompts.iter().zip(together) {
        report.prompts.push(bench.check(prompt, &tensors, &batched)?);
    }
    Ok(report)
}

#[derive(Deserialize)]
struct Golden {
    prompts: Vec<GoldenPrompt>,
}

#[derive(Deserialize)]
struct GoldenPrompt {
    name: String,
    prompt_ids: Vec<u32>,
    greedy_ids: Vec<u32>,
}

struct Bench {
    layout: Layout,
    model: Decoder,
    pages: Pages,
    pool: Pool,
}

impl Bench {
    fn check(&mut self, prompt: &GoldenPrompt, tensors: &Checkpoint, batched: &[f32]) -> Result<PromptReport, Error> {
        let ids = &prompt.prompt_ids;
        self.check_tokens(ids.iter().chain(&prompt.greedy_ids))?;
        let mut seen = Seen::default();
        let whole = self.logits(ids, ids.len().max(1), &mut seen);
        let expected = tensors.floats(&format!("{}.logits", prompt.name), &[ids.len(), self.model.vocabulary()])?;
        let ways = [("in chunks", self.logits(ids, 7, &mut ())), ("token by token", self.logits(ids, 1, &mut ()))];
        let ways = ways.iter().map(|(name, logits)| (*name, logits.as_slice())).chain([("in a batch", batched)]);
        let mut report = PromptReport { name: prompt.name.clone(), ..PromptReport::default() };
        report.logit_error = distance(&whole, &expected);
        for (name, logits) in ways {
            report.logit_error = report.logit_error.max(distance(logits, &expected));
            if logits.iter().zip(&whole).any(|(a, b)| a.to_bits() != b.to_bits()) {
                report.unstable.push(name);
            }
        }
        report.hidden_error = seen.hidden_error(prompt, tensors)?;
        (report.routed_otherwise, report.router_error) = seen.routing(prompt, tensors)?;
        report.greedy_expected = prompt.greedy_ids.len();
        report.greedy_agreed = self.greedy(prompt);
        Ok(report)
    }

    fn check_tokens<'t>(&self, mut tokens: impl Iterator<Item = &'t u32>) -> Result<(), Error> {
        match tokens.find(|token| **token as usize >= self.model.vocabulary()) {
            Some(token) => Err(Error::Model(format!("golden.json holds token {token}, which the model has not"))),
            None => Ok(()),
        }
    }

    /// Logits of all rows, computed so many rows at a time.
    fn logits(&mut self, tokens: &[u32], chunk: usize, watch: &mut dyn Watch) -> Vec<f32> {
        let table = self.table(tokens.len());
        let mut logits = Vec::new();
        for start in (0..tokens.len()).step_by(chunk) {
            let end = (start + chunk).min(tokens.len());
            let rows = (start..end).map(|position| Row { token: tokens[position], position, table: 0 }).collect();
            let batch = Batch { rows, tables: vec![&table], wanted: (0..end - start).collect() };
            logits.extend(self.model.step(&self.pool, &batch, &mut self.pages, watch));
        }
        logits
    }

    /// Logits of all rows of all prompts, computed as one batch.
    fn together(&mut self, prompts: &[GoldenPrompt]) -> Vec<Vec<f32>> {
        let known = self.model.vocabulary();
        let usable = |prompt: &GoldenPrompt| prompt.prompt_ids.iter().all(|token| (*token as usize) < known);
        if !prompts.iter().all(usable) {
            return vec![Vec::new(); prompts.len()];
        }
        let total = prompts.iter().map(|prompt| prompt.prompt_ids.len().next_multiple_of(PAGE)).sum();
        let all = self.table(total);
        let (mut batch, mut first) = (Batch::default(), 0);
        for (table, prompt) in prompts.iter().enumerate() {
            let row = |(position, token): (usize, &u32)| Row { token: *token, position, table };
            batch.rows.extend(prompt.prompt_ids.iter().enumerate().map(row));
            let pages = prompt.prompt_ids.len().div_ceil(PAGE);
            batch.tables.push(&all[first..first + pages]);
            first += pages;
        }
        batch.wanted = (0..batch.rows.len()).collect();
        let logits = self.model.step(&self.pool, &batch, &mut self.pages, &mut ());
        let mut rest = logits.as_slice();
        let own = |prompt: &GoldenPrompt| {
            let (own, left) = rest.split_at(prompt.prompt_ids.len() * known);
            rest = left;
            own.to_vec()
        };
        prompts.iter().map(own).collect()
    }

    fn greedy(&mut self, prompt: &GoldenPrompt) -> usize {
        let mut tokens = prompt.prompt_ids.clone();
        let table = self.table(tokens.len() + prompt.greedy_ids.len());
        let mut start = 0;
        for (agreed, expected) in prompt.greedy_ids.iter().enumerate() {
            let rows = (start..tokens.len()).map(|position| Row { token: tokens[position], position, table: 0 });
            let rows: Vec<Row> = rows.collect();
            let batch = Batch { wanted: vec![rows.len() - 1], rows, tables: vec![&table] };
            let logits = self.model.step(&self.pool, &batch, &mut self.pages, &mut ());
            if crate::sample::largest(&logits) != *expected {
                return agreed;
            }
            start = tokens.len();
            tokens.push(*expected);
        }
        prompt.greedy_ids.len()
    }

    fn table(&mut self, tokens: usize) -> Vec<PageId> {
        let count = tokens.div_ceil(PAGE);
        self.pages = Pages::new(self.layout, count);
        (0..count).map_while(|_| self.pages.take()).collect()
    }
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    let distances = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    // A comparison that skipped NaN would pass a broken model.
    let worst =
        distances.fold(0.0f32, |worst, distance| if distance.is_nan() { f32::INFINITY } else { worst.max(distance) });
    if a.len() == b.len() { worst } else { f32::INFINITY }
}

/// What went by while the whole prompt was computed.
#[derive(Default)]
struct Seen {
    hidden: Vec<f32>,
    routed: BTreeMap<usize, Vec<Vec<(usize, f32)>>>,
}

impl Watch for Seen {
    fn hidden(&mut self, _index: usize, rows: &[f32]) {
        self.hidden.extend_from_slice(rows);
    }

    fn routed(&mut self, layer: usize, choices: &[Vec<(usize, f32)>]) {
        self.routed.insert(layer, choices.to_vec());
    }
}

impl Seen {
    fn hidden_error(&self, prompt: &GoldenPrompt, tensors: &Checkpoint) -> Result<Option<f32>, Error> {
        let name = format!("{}.hidden", prompt.name);
        let Some(shape) = tensors.shape(&name) else {
            return Ok(None);
        };
        Ok(Some(distance(&self.hidden, &tensors.floats(&name, &shape)?)))
    }

    fn routing(&self, prompt: &GoldenPrompt, tensors: &Checkpoint) -> Result<(Option<usize>, Option<f32>), Error> {
        let (mut otherwise, mut error) = (None, None);
        for (layer, choices) in &self.routed {
            let name = format!("{}.model.layers.{layer}.mlp.gate.topk", prompt.name);
            let Some(shape) = tensors.shape(&format!("{name}_ids")) else {
                continue;
            };
            let ids = tensors.integers(&format!("{name}_ids"), &shape)?;
            let weights = tensors.floats(&format!("{name}_weights"), &shape)?;
            let per_row = ids.len() / choices.len().max(1);
            let rows = ids.chunks_exact(per_row.max(1)).zip(weights.chunks_exact(per_row.max(1)));
            for (row, (ids, weights)) in choices.iter().zip(rows) {
                let (own, own_weights): (Vec<i32>, Vec<f32>) =
                    row.iter().map(|(id, weight)| (*id as i32, *weight)).unzip();
                *otherwise.get_or_insert(0) += usize::from(own != ids);
                error = Some(distance(&own_weights, weights).max(error.unwrap_or(0.0)));
            }
        }
        Ok((otherwise, error))
    }
}
