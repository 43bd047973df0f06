//! The models once more, written straight from their equations in 64-bit floats: no cache, no batches, no absorbed
//! products, nothing shared with the engine.

use std::collections::BTreeMap;
use std::f64::consts::PI;

use serde_json::Value;

use super::fixture::Tensor;

/// A checkpoint to compute with.
pub(super) struct Reference<'a> {
    pub(super) config: &'a Value,
    pub(super) weights: &'a BTreeMap<String, Tensor>,
}

type Rows = Vec<Vec<f64>>;

impl Reference<'_> {
    /// Logits of every position.
    pub(super) fn logits(&self, tokens: &[u32]) -> Rows {
        let embedding = self.table("model.embed_tokens.weight");
        let mut stream: Rows = tokens.iter().map(|token| embedding[*token as usize].clone()).collect();
        for layer in 0..self.size("num_hidden_layers") {
            let name = format!("model.layers.{layer}");
            let normed = self.norms(&stream, &format!("{name}.input_layernorm"), self.epsilon());
            let latent = self.config["kv_lora_rank"].is_u64();
            let mixed = if latent { self.latent(&normed, &name) } else { self.grouped(&normed, &name) };
            add(&mut stream, &mixed);
            let normed = self.norms(&stream, &format!("{name}.post_attention_layernorm"), self.epsilon());
            let fed: Rows = normed.iter().map(|row| self.feed(row, &format!("{name}.mlp"))).collect();
            add(&mut stream, &fed);
        }
        let head = if self.weights.contains_key("lm_head.weight") { "lm_head" } else { "model.embed_tokens" };
        self.norms(&stream, "model.norm", self.epsilon()).iter().map(|row| self.linear(row, head)).collect()
    }

    /// The likeliest continuation, and the smallest lead that a token of it had.
    pub(super) fn greedy(&self, prompt: &[u32], count: usize) -> (Vec<u32>, f64) {
        let (mut tokens, mut margin) = (prompt.to_vec(), f64::INFINITY);
        for _ in 0..count {
            let logits = self.logits(&tokens).pop().unwrap();
            let mut order: Vec<usize> = (0..logits.len()).collect();
            order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
            margin = margin.min(logits[order[0]] - logits[order[1]]);
            tokens.push(order[0] as u32);
        }
        (tokens.split_off(prompt.len()), margin)
    }

    fn grouped(&self, rows: &Rows, name: &str) -> Rows {
        let name = format!("{name}.self_attn");
        let heads = self.size("num_attention_heads");
        let width =
            self.config["head_dim"].as_u64().map_or_else(|| self.size("hidden_size") / heads, |width| width as usize);
        let project = |part: &str, position: usize, turn: bool| -> Rows {
            let flat = self.linear(&rows[position], &format!("{name}.{part}_proj"));
            let mut heads: Rows = flat.chunks(width).map(<[f64]>::to_vec).collect();
            let norm = format!("{name}.{part}_norm.weight");
            if let Some((_, weight)) = self.weights.get(&norm) {
                heads.iter_mut().for_each(|head| *head = normed(head, weight, self.epsilon()));
            }
            if turn {
                heads.iter_mut().for_each(|head| self.turn(head, position, false));
            }
            heads
        };
        let all =
            |part: &str, turn: bool| -> Vec<Rows> { (0..rows.len()).map(|row| project(part, row, turn)).collect() };
        let (queries, keys, values) = (all("q", true), all("k", true), all("v", false));
        let group = heads / self.size("num_key_value_heads");
        let mixed = (0..rows.len()).map(|row| {
            let head = |head: usize| {
                let keys = (0..=row).map(|at| keys[at][head / group].as_slice());
                let values = (0..=row).map(|at| values[at][head / group].as_slice());
                attend(&queries[row][head], keys, values, 1.0 / (width as f64).sqrt())
            };
            self.linear(&(0..heads).flat_map(head).collect::<Vec<f64>>(), &format!("{name}.o_proj"))
        });
        mixed.collect()
    }

    /// Attention with keys and values made from the latent, for every head of its own.
    fn latent(&self, rows: &Rows, name: &str) -> Rows {
        let name = format!("{name}.self_attn");
        let [heads, latent, plain, value] =
            ["num_attention_heads", "kv_lora_rank", "qk_nope_head_dim", "v_head_dim"].map(|key| self.size(key));
        let width = plain + self.size("qk_rope_head_dim");
        let (mut queries, mut keys, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for (position, row) in rows.iter().enumerate() {
            let flat = if self.config["q_lora_rank"].is_u64() {
                let low = self.linear(row, &format!("{name}.q_a_proj"));
                self.linear(&self.norm(&low, &format!("{name}.q_a_layernorm"), 1e-6), &format!("{name}.q_b_proj"))
            } else {
                self.linear(row, &format!("{name}.q_proj"))
            };
            let mut query: Rows = flat.chunks(width).map(<[f64]>::to_vec).collect();
            query.iter_mut().for_each(|head| self.turn(&mut head[plain..], position, true));
            let mut both = self.linear(row, &format!("{name}.kv_a_proj_with_mqa"));
            let mut shared = both.split_off(latent);
            self.turn(&mut shared, position, true);
            let low = self.norm(&both, &format!("{name}.kv_a_layernorm"), 1e-6);
            let made = self.linear(&low, &format!("{name}.kv_b_proj"));
            let made: Vec<&[f64]> = made.chunks(plain + value).collect();
            keys.push(made.iter().map(|head| [&head[..plain], &shared].concat()).collect::<Rows>());
            values.push(made.iter().map(|head| head[plain..].to_vec()).collect::<Rows>());
            queries.push(query);
        }
        let stretch = self.config["rope_scaling"]["mscale_all_dim"].as_f64().map_or(1.0, |all| self.growth(all));
        let scale = stretch * stretch / (width as f64).sqrt();
        let mixed = (0..rows.len()).map(|row| {
            let head = |head: usize| {
                let keys = (0..=row).map(|at| keys[at][head].as_slice());
                let values = (0..=row).map(|at| values[at][head].as_slice());
                attend(&queries[row][head], keys, values, scale)
            };
            self.linear(&(0..heads).flat_map(head).collect::<Vec<f64>>(), &format!("{name}.o_proj"))
        });
        mixed.collect()
    }

    fn feed(&self, row: &[f64], name: &str) -> Vec<f64> {
        if !self.weights.contains_key(&format!("{name}.gate.weight")) {
            return self.gated(row, name);
        }
        let mut out = vec![0.0; row.len()];
        for (expert, weight) in self.route(row, name) {
            let made = self.gated(row, &format!("{name}.experts.{expert}"));
            out.iter_mut().zip(made).for_each(|(out, made)| *out += weight * made);
        }
        if self.config["n_shared_experts"].is_u64() {
            let made = self.gated(row, &format!("{name}.shared_experts"));
            out.iter_mut().zip(made).for_each(|(out, made)| *out += made);
        }
        out
    }

    fn route(&self, row: &[f64], name: &str) -> Vec<(usize, f64)> {
        let logits = self.linear(row, &format!("{name}.gate"));
        let sigmoid = self.config["scoring_func"] == "sigmoid";
        let total: f64 = logits.iter().map(|logit| logit.exp()).sum();
        let score = |logit: &f64| if sigmoid { 1.0 / (1.0 + (-logit).exp()) } else { logit.exp() / total };
        let scores: Vec<f64> = logits.iter().map(score).collect();
        let bias = self.weights.get(&format!("{name}.gate.e_score_correction_bias"));
        let rank = |expert: usize| scores[expert] + bias.map_or(0.0, |(_, bias)| f64::from(bias[expert]));
        let mut open: Vec<usize> = (0..scores.len()).collect();
        if let Some(groups) = self.config["n_group"].as_u64().filter(|groups| *groups > 1) {
            let size = scores.len() / groups as usize;
            let group_rank = |group: usize| {
                let mut ranks: Vec<f64> = (group * size..(group + 1) * size).map(rank).collect();
                ranks.sort_by(|a, b| b.total_cmp(a));
                ranks[..if sigmoid { 2 } else { 1 }].iter().sum::<f64>()
            };
            let mut order: Vec<usize> = (0..groups as usize).collect();
            order.sort_by(|a, b| group_rank(*b).total_cmp(&group_rank(*a)));
            order.truncate(self.size("topk_group"));
            open.retain(|expert| order.contains(&(expert / size)));
        }
        open.sort_by(|a, b| rank(*b).total_cmp(&rank(*a)));
        open.truncate(self.size("num_experts_per_tok"));
        let sum: f64 = open.iter().map(|expert| scores[*expert]).sum();
        let factor = self.config["routed_scaling_factor"].as_f64().unwrap_or(1.0);
        let factor = if self.config["norm_topk_prob"] == true { factor / sum } else { factor };
        open.into_iter().map(|expert| (expert, scores[expert] * factor)).collect()
    }

    fn gated(&self, row: &[f64], name: &str) -> Vec<f64> {
        let gate = self.linear(row, &format!("{name}.gate_proj"));
        let up = self.linear(row, &format!("{name}.up_proj"));
        let both: Vec<f64> = gate.iter().zip(up).map(|(gate, up)| gate / (1.0 + (-gate).exp()) * up).collect();
        self.linear(&both, &format!("{name}.down_proj"))
    }

    fn turn(&self, head: &mut [f64], position: usize, neighbours: bool) {
        let half = head.len() / 2;
        for index in 0..half {
            let (frequency, size) = self.frequency(index, head.len());
            let (sine, cosine) = (position as f64 * frequency).sin_cos();
            let (first, second) = if neighbours { (2 * index, 2 * index + 1) } else { (index, index + half) };
            let (a, b) = (head[first], head[second]);
            head[first] = size * (a * cosine - b * sine);
            head[second] = size * (a * sine + b * cosine);
        }
    }

    fn frequency(&self, index: usize, width: usize) -> (f64, f64) {
        let theta = self.config["rope_theta"].as_f64().unwrap();
        let plain = 1.0 / theta.powf(2.0 * index as f64 / width as f64);
        let scaling = &self.config["rope_scaling"];
        let number = |key: &str| scaling[key].as_f64();
        match scaling["rope_type"].as_str() {
            Some("llama3") => {
                let [factor, low, high] =
                    ["factor", "low_freq_factor", "high_freq_factor"].map(|key| number(key).unwrap());
                let original = number("original_max_position_embeddings").unwrap();
                let wavelength = 2.0 * PI / plain;
                if wavelength < original / high {
                    (plain, 1.0)
                } else if wavelength > original / low {
                    (plain / factor, 1.0)
                } else {
                    let smooth = (original / wavelength - low) / (high - low);
                    ((1.0 - smooth) * plain / factor + smooth * plain, 1.0)
                }
            }
            Some("yarn") => {
                let original = number("original_max_position_embeddings").unwrap();
                let turns = |turns: f64| width as f64 * (original / (turns * 2.0 * PI)).ln() / (2.0 * theta.ln());
                let low = turns(number("beta_fast").unwrap_or(32.0)).floor().max(0.0);
                let high = turns(number("beta_slow").unwrap_or(1.0)).ceil().min(width as f64 - 1.0);
                let kept = 1.0 - ((index as f64 - low) / (high - low)).clamp(0.0, 1.0);
                let size = match (number("mscale"), number("mscale_all_dim")) {
                    (Some(mscale), Some(all)) => self.growth(mscale) / self.growth(all),
                    _ => self.growth(1.0),
                };
                (plain * kept + plain / number("factor").unwrap() * (1.0 - kept), size)
            }
            _ => (plain, 1.0),
        }
    }

    fn growth(&self, mscale: f64) -> f64 {
        0.1 * mscale * self.config["rope_scaling"]["factor"].as_f64().unwrap().ln() + 1.0
    }

    fn linear(&self, row: &[f64], name: &str) -> Vec<f64> {
        let table = self.table(&format!("{name}.weight"));
        let bias = self.weights.get(&format!("{name}.bias"));
        let product = |(index, weights): (usize, &Vec<f64>)| {
            let sum: f64 = weights.iter().zip(row).map(|(weight, value)| weight * value).sum();
            sum + bias.map_or(0.0, |(_, bias)| f64::from(bias[index]))
        };
        table.iter().enumerate().map(product).collect()
    }

    fn table(&self, name: &str) -> Rows {
        let (shape, values) = &self.weights[name];
        values.chunks(shape[1]).map(|row| row.iter().map(|value| f64::from(*value)).collect()).collect()
    }

    fn norms(&self, rows: &Rows, name: &str, epsilon: f64) -> Rows {
        rows.iter().map(|row| self.norm(row, name, epsilon)).collect()
    }

    fn norm(&self, row: &[f64], name: &str, epsilon: f64) -> Vec<f64> {
        normed(row, &self.weights[&format!("{name}.weight")].1, epsilon)
    }

    fn epsilon(&self) -> f64 {
        self.config["rms_norm_eps"].as_f64().unwrap()
    }

    fn size(&self, key: &str) -> usize {
        self.config[key].as_u64().unwrap() as usize
    }
}

fn normed(row: &[f64], weight: &[f32], epsilon: f64) -> Vec<f64> {
    let mean = row.iter().map(|value| value * value).sum::<f64>() / row.len() as f64;
    row.iter().zip(weight).map(|(value, weight)| value / (mean + epsilon).sqrt() * f64::from(*weight)).collect()
}

fn attend<'a>(
    query: &[f64],
    keys: impl Iterator<Item = &'a [f64]>,
    values: impl Iterator<Item = &'a [f64]>,
    scale: f64,
) -> Vec<f64> {
    let score = |key: &[f64]| (key.iter().zip(query).map(|(key, query)| key * query).sum::<f64>() * scale).exp();
    let weights: Vec<f64> = keys.map(score).collect();
    let total: f64 = weights.iter().sum();
    let mut out = Vec::new();
    for (value, weight) in values.zip(weights) {
        out.resize(value.len(), 0.0);
        out.iter_mut().zip(value).for_each(|(out, value)| *out += weight / total * value);
    }
    out
}

fn add(stream: &mut Rows, rows: &Rows) {
    for (row, other) in stream.iter_mut().zip(rows) {
        row.iter_mut().zip(other).for_each(|(value, other)| *value += other);
    }
}
