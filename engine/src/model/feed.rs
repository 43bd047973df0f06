//! Feed-forward layers: dense ones and mixtures of experts with their router. They know nothing of attention.

use super::config::{Config, Experts, RouterConfig};
use super::{Step, Watch};
use crate::Error;
use crate::kernels::linear::{Product, multiply};
use crate::kernels::{Pool, pointwise};
use crate::weights::{Matrix, Source};

/// What follows attention in a layer.
#[derive(Debug)]
pub(super) enum Feed {
    Dense(Gated),
    Mixture(Mixture),
}

impl Feed {
    /// Loads the layer's weights.
    pub(super) fn load(config: &Config, source: &dyn Source, layer: usize) -> Result<Self, Error> {
        let name = format!("model.layers.{layer}.mlp");
        match config.experts_in(layer) {
            Some(experts) => Ok(Self::Mixture(Mixture::load(experts, source, &name, config.hidden)?)),
            None => Ok(Self::Dense(Gated::load(source, &name, config.hidden, config.feed)?)),
        }
    }

    /// Its weights, to pack them.
    pub(super) fn matrices(&mut self) -> Vec<&mut Matrix> {
        match self {
            Self::Dense(gated) => gated.matrices().into(),
            Self::Mixture(mixture) => {
                mixture.experts.iter_mut().chain(&mut mixture.shared).flat_map(Gated::matrices).collect()
            }
        }
    }

    /// Computes the rows.
    pub(super) fn forward(&self, step: &Step<'_>, input: &[f32], out: &mut [f32], watch: &mut dyn Watch) {
        match self {
            Self::Dense(gated) => gated.forward(step.pool, input, out),
            Self::Mixture(mixture) => {
                let choices = mixture.route(step.pool, input);
                watch.routed(step.layer, &choices);
                mixture.forward(step.pool, input, &choices, out);
            }
        }
    }
}

/// `down(silu(gate(x)) * up(x))`.
#[derive(Debug)]
pub(super) struct Gated {
    gate: Matrix,
    up: Matrix,
    down: Matrix,
}

impl Gated {
    fn load(source: &dyn Source, name: &str, hidden: usize, width: usize) -> Result<Self, Error> {
        Ok(Self {
            gate: source.matrix(&format!("{name}.gate_proj.weight"), width, hidden)?,
            up: source.matrix(&format!("{name}.up_proj.weight"), width, hidden)?,
            down: source.matrix(&format!("{name}.down_proj.weight"), hidden, width)?,
        })
    }

    fn matrices(&mut self) -> [&mut Matrix; 3] {
        [&mut self.gate, &mut self.up, &mut self.down]
    }

    fn forward(&self, pool: &Pool, input: &[f32], out: &mut [f32]) {
        let rows = input.len() / self.gate.columns;
        let (mut gate, mut up) = (pool.room(rows * self.gate.rows), pool.room(rows * self.up.rows));
        multiply(pool, &mut [Product::new(&self.gate, input, &mut gate), Product::new(&self.up, input, &mut up)]);
        pointwise::gate(pool, &mut gate, &up);
        multiply(pool, &mut [Product::new(&self.down, &gate, out)]);
    }
}

/// Many small feed-forward layers of which each row passes a few.
#[derive(Debug)]
pub(super) struct Mixture {
    router: Router,
    experts: Vec<Gated>,
    shared: Option<Gated>,
}

impl Mixture {
    fn load(config: &Experts, source: &dyn Source, name: &str, hidden: usize) -> Result<Self, Error> {
        let shared = || Gated::load(source, &format!("{name}.shared_experts"), hidden, config.shared);
        Ok(Self {
            router: Router::load(config, source, name, hidden)?,
            experts: load_experts(config, source, name, hidden)?,
            shared: (config.shared > 0).then(shared).transpose()?,
        })
    }

    fn route(&self, pool: &Pool, input: &[f32]) -> Vec<Vec<(usize, f32)>> {
        let count = self.experts.len();
        let mut logits = vec![0.0; input.len() / self.router.gate.columns * count];
        multiply(pool, &mut [Product::new(&self.router.gate, input, &mut logits)]);
        logits.chunks_exact_mut(count).map(|logits| self.router.choose(logits)).collect()
    }

    /// Rows are gathered by expert, so each expert that is hit is read once; the expert that every row passes runs
    /// beside them. A row's experts are summed in ascending order whatever the other rows chose.
    fn forward(&self, pool: &Pool, input: &[f32], choices: &[Vec<(usize, f32)>], out: &mut [f32]) {
        let hidden = self.router.gate.columns;
        let visits = Visits::of(choices, self.experts.len());
        let everybody: Vec<usize> = (0..input.len() / hidden).collect();
        let rows: Vec<usize> = visits.list.iter().map(|visit| visit.row).collect();
        let mut left = rows.as_slice();
        let mut parts: Vec<(&Gated, &[usize])> = Vec::with_capacity(visits.hit.len() + 1);
        for (expert, count) in &visits.hit {
            let own = left.split_off(..*count).expect("as many rows as visits");
            parts.push((&self.experts[*expert], own));
        }
        parts.extend(self.shared.as_ref().map(|shared| (shared, everybody.as_slice())));
        let count = rows.len() + self.shared.as_ref().map_or(0, |_| everybody.len());
        let mut mixed = pool.room(count * hidden);
        all_gated(pool, &parts, input, &mut mixed);
        let (mixed, shared) = mixed.split_at(visits.list.len() * hidden);
        out.fill(0.0);
        for (visit, mixed) in visits.list.iter().zip(mixed.chunks_exact(hidden)) {
            crate::kernels::dot::add_scaled(&mut out[visit.row * hidden..][..hidden], mixed, visit.weight);
        }
        if self.shared.is_some() {
            pointwise::add(out, shared);
        }
    }
}

/// Computes several gated layers, each on some rows of the input, in as many passes as one of them takes.
fn all_gated(pool: &Pool, parts: &[(&Gated, &[usize])], input: &[f32], out: &mut [f32]) {
    let width = |(gated, rows): &(&Gated, &[usize])| rows.len() * gated.gate.rows;
    let total: usize = parts.iter().map(width).sum();
    let (mut gate, mut up) = (pool.room(total), pool.room(total));
    let mut products = Vec::with_capacity(2 * parts.len());
    let (mut gates, mut ups) = (&mut gate[..], &mut up[..]);
    for part in parts {
        let own = gates.split_off_mut(..width(part)).expect("as many values as the parts make");
        products.push(Product::chosen(&part.0.gate, input, part.1, own));
        let own = ups.split_off_mut(..width(part)).expect("as many values as the parts make");
        products.push(Product::chosen(&part.0.up, input, part.1, own));
    }
    multiply(pool, &mut products);
    drop(products);
    pointwise::gate(pool, &mut gate, &up);
    let mut products = Vec::with_capacity(parts.len());
    let (mut inputs, mut outs) = (&gate[..], out);
    for part in parts {
        let input = inputs.split_off(..width(part)).expect("as many values as the parts make");
        let own = part.1.len() * part.0.down.rows;
        let own = outs.split_off_mut(..own).expect("as many rows as the parts have");
        products.push(Product::new(&part.0.down, input, own));
    }
    multiply(pool, &mut products);
}

fn load_experts(config: &Experts, source: &dyn Source, name: &str, hidden: usize) -> Result<Vec<Gated>, Error> {
    let (count, width) = (config.count, config.width);
    let stacked = format!("{name}.experts.gate_up_proj");
    if !source.has(&stacked) {
        return (0..count)
            .map(|index| Gated::load(source, &format!("{name}.experts.{index}"), hidden, width))
            .collect();
    }
    let both = source.matrix(&stacked, count * 2 * width, hidden)?;
    let down = source.matrix(&format!("{name}.experts.down_proj"), count * hidden, width)?;
    let expert = |index: usize| Gated {
        gate: both.part(2 * index * width..(2 * index + 1) * width),
        up: both.part((2 * index + 1) * width..(2 * index + 2) * width),
        down: down.part(index * hidden..(index + 1) * hidden),
    };
    Ok((0..count).map(expert).collect())
}

/// The rows that each expert computes.
struct Visits {
    list: Vec<Visit>,
    hit: Vec<(usize, usize)>,
}

struct Visit {
    row: usize,
    weight: f32,
}

impl Visits {
    fn of(choices: &[Vec<(usize, f32)>], experts: usize) -> Self {
        let mut per_expert: Vec<Vec<Visit>> = Vec::new();
        per_expert.resize_with(experts, Vec::new);
        for (row, choices) in choices.iter().enumerate() {
            choices.iter().for_each(|(expert, weight)| per_expert[*expert].push(Visit { row, weight: *weight }));
        }
        let counts = per_expert.iter().map(Vec::len).enumerate();
        Self { hit: counts.filter(|(_, count)| *count > 0).collect(), list: per_expert.into_iter().flatten().collect() }
    }
}

/// Chooses experts.
#[derive(Debug)]
pub(super) struct Router {
    gate: Matrix,
    bias: Option<Vec<f32>>,
    used: usize,
    config: RouterConfig,
}

impl Router {
    fn load(config: &Experts, source: &dyn Source, name: &str, hidden: usize) -> Result<Self, Error> {
        let bias = || source.vector(&format!("{name}.gate.e_score_correction_bias"), config.count);
        Ok(Self {
            gate: source.matrix(&format!("{name}.gate.weight"), config.count, hidden)?,
            bias: config.router.bias.then(bias).transpose()?,
            used: config.used,
            config: config.router.clone(),
        })
    }

    /// Turns one row's logits into its experts, ascending, with their weights.
    fn choose(&self, logits: &mut [f32]) -> Vec<(usize, f32)> {
        if self.config.sigmoid {
            logits.iter_mut().for_each(|logit| *logit = 1.0 / (1.0 + (-*logit).exp()));
        } else {
            softmax(logits);
        }
        let scores = &*logits;
        let mut ranks: Vec<f32> = scores.to_vec();
        if let Some(bias) = &self.bias {
            pointwise::add(&mut ranks, bias);
        }
        self.drop_groups(&mut ranks);
        let mut chosen = best(&ranks, self.used);
        chosen.sort_unstable();
        let sum: f32 = chosen.iter().map(|expert| scores[*expert]).sum();
        let factor = match (self.config.normalise, self.config.sigmoid) {
            (true, true) => self.config.scale / (sum + 1e-20),
            (true, false) => 1.0 / sum,
            (false, _) => self.config.scale,
        };
        chosen.into_iter().map(|expert| (expert, scores[expert] * factor)).collect()
    }

    /// Takes all but the best groups out of the choice, also where a kept expert ranks below zero.
    fn drop_groups(&self, ranks: &mut [f32]) {
        if self.config.groups <= 1 {
            return;
        }
        let size = ranks.len() / self.config.groups;
        let group_rank = |group: &[f32]| {
            let leaders = best(group, if self.bias.is_some() { 2 } else { 1 });
            leaders.into_iter().map(|expert| group[expert]).sum()
        };
        let group_ranks: Vec<f32> = ranks.chunks_exact(size).map(group_rank).collect();
        let kept = best(&group_ranks, self.config.kept_groups);
        for (group, ranks) in ranks.chunks_exact_mut(size).enumerate() {
            if !kept.contains(&group) {
                ranks.fill(f32::NEG_INFINITY);
            }
        }
    }
}

/// Indexes of the largest values; of equal ones the first.
fn best(values: &[f32], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    let before = |a: &usize, b: &usize| values[*b].total_cmp(&values[*a]).then(a.cmp(b));
    if count < order.len() {
        order.select_nth_unstable_by(count, before);
        order.truncate(count);
    }
    order.sort_unstable_by(before);
    order
}

fn softmax(values: &mut [f32]) {
    let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    values.iter_mut().for_each(|value| *value = (*value - largest).exp());
    let sum: f32 = values.iter().sum();
    values.iter_mut().for_each(|value| *value /= sum);
}
