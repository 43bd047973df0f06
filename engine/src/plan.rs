//! What a model would cost on this machine, from its `config.json` alone: weights, cache, bytes read per token. It loads no
//! weights.

use std::path::Path;

use crate::memory::{self, RESERVE};
use crate::model::{AttentionConfig, Config, Experts};
use crate::{Error, Quantisation};

/// What a model costs.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Weights in all.
    pub parameters: u64,
    /// Weights that one token passes.
    pub active_parameters: u64,
    /// Bytes of all weights.
    pub weights: u64,
    /// Bytes of weights that one token reads.
    pub active_weights: u64,
    /// Bytes of cache for each token of a conversation.
    pub cache_per_token: u64,
    /// Tokens of context that the cache is planned for.
    pub context: usize,
    /// Bytes of that cache.
    pub cache: u64,
    /// Bytes for everything else.
    pub besides: u64,
    /// Bytes that this machine has to give; `None` where the system does not say.
    pub available: Option<u64>,
}

impl Plan {
    /// Bytes in all.
    #[must_use]
    pub fn needed(&self) -> u64 {
        self.weights.saturating_add(self.cache).saturating_add(self.besides)
    }

    /// Whether this machine can hold the model; `true` where the system does not say.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.available.is_none_or(|available| self.needed() <= available)
    }

    /// Tokens per second that one reply cannot exceed at a bandwidth, its conversation so many tokens long.
    #[must_use]
    pub fn bound(&self, bandwidth: f64, depth: usize) -> f64 {
        let read = self.active_weights as f64 + self.cache_per_token as f64 * depth as f64;
        bandwidth / read.max(1.0)
    }
}

/// Plans for the model of a `config.json`: its weights as they are or made smaller, and a context, the model's own or 4096
/// tokens where that is less.
///
/// # Errors
/// [`Error::Model`] where the file cannot be read or says something unknown.
pub fn plan(config: &Path, quantise: Option<Quantisation>, context: Option<usize>) -> Result<Plan, Error> {
    let text = std::fs::read_to_string(config)
        .map_err(|error| Error::Model(format!("cannot read {}: {error}", config.display())))?;
    let model = Config::parse(&text)?;
    let counted = Counted::of(&model);
    let stored = stored_bits(&text, quantise);
    let bytes = |count: u64, bits: f64| (count as f64 * bits / 8.0) as u64;
    let cost = |matrices: u64, tables: u64| bytes(matrices, stored.matrices) + bytes(tables, stored.tables);
    let context = context.unwrap_or_else(|| model.context.min(4096)).min(model.context);
    let cache_per_token = cache_per_token(&model, stored.matrices > 16.0);
    Ok(Plan {
        parameters: counted.matrices + counted.tables,
        active_parameters: counted.active + counted.active_tables,
        weights: cost(counted.matrices, counted.tables),
        active_weights: cost(counted.active, counted.active_tables),
        cache_per_token,
        context,
        cache: cache_per_token * context as u64,
        besides: RESERVE,
        available: memory::available(),
    })
}

/// Bits of a weight.
struct Stored {
    /// In layers.
    matrices: f64,
    /// In the embedding and the output.
    tables: f64,
}

/// As the file has them: FP8 releases keep tables in sixteen bits, others everything in one type.
fn stored_bits(text: &str, quantise: Option<Quantisation>) -> Stored {
    let both = |bits| Stored { matrices: bits, tables: bits };
    match quantise {
        Some(Quantisation::Q8_0) => both(8.5),
        Some(Quantisation::Q4K) => Stored { matrices: 4.5, tables: 6.5625 },
        None => {
            let value: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
            let kind = |key: &str| value.get(key).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
            let wide = kind("torch_dtype") == "float32" || kind("dtype") == "float32";
            match value.get("quantization_config").is_some_and(|config| !config.is_null()) {
                true => Stored { matrices: 8.0, tables: 16.0 },
                false => both(if wide { 32.0 } else { 16.0 }),
            }
        }
    }
}

/// In sixteen bits, but where the weights have more.
fn cache_per_token(model: &Config, wide: bool) -> u64 {
    let floats = match &model.attention {
        AttentionConfig::Grouped(shape) => shape.key_heads * shape.width * 2,
        AttentionConfig::Latent(shape) => shape.latent + shape.turned,
    };
    (model.layers * floats * if wide { 4 } else { 2 }) as u64
}

/// Weights by what happens to them.
#[derive(Debug, Default)]
struct Counted {
    matrices: u64,
    active: u64,
    tables: u64,
    active_tables: u64,
}

impl Counted {
    fn of(model: &Config) -> Self {
        let table = (model.vocabulary * model.hidden) as u64;
        let mut counted =
            Self { tables: if model.tied { table } else { 2 * table }, active_tables: table, ..Self::default() };
        for layer in 0..model.layers {
            let attention = attention(model);
            let (all, active) = match model.experts_in(layer) {
                Some(experts) => mixture(model, experts),
                None => (gated(model.hidden, model.feed), gated(model.hidden, model.feed)),
            };
            counted.matrices += attention + all;
            counted.active += attention + active;
        }
        counted
    }
}

fn attention(model: &Config) -> u64 {
    let count = match &model.attention {
        AttentionConfig::Grouped(shape) => 2 * model.hidden * shape.width * (shape.heads + shape.key_heads),
        AttentionConfig::Latent(shape) => {
            let queries = shape.heads * (shape.plain + shape.turned);
            let query = shape.query_rank.map_or(model.hidden * queries, |rank| rank * (model.hidden + queries));
            let down = model.hidden * (shape.latent + shape.turned);
            let up = shape.heads * (shape.plain + shape.value) * shape.latent;
            query + down + up + model.hidden * shape.heads * shape.value
        }
    };
    count as u64
}

fn mixture(model: &Config, experts: &Experts) -> (u64, u64) {
    let one = gated(model.hidden, experts.width);
    let always = gated(model.hidden, experts.shared) + (experts.count * model.hidden) as u64;
    (always + one * experts.count as u64, always + one * experts.used as u64)
}

fn gated(hidden: usize, width: usize) -> u64 {
    3 * hidden as u64 * width as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_giant_is_counted_as_published() {
        let folder = crate::tests::Folder::new("plan");
        let config = serde_json::json!({
            "model_type": "deepseek_v3", "hidden_size": 7168, "intermediate_size": 18432, "moe_intermediate_size": 2048,
            "num_hidden_layers": 61, "num_attention_heads": 128, "n_routed_experts": 256, "n_shared_experts": 1,
            "num_experts_per_tok": 8, "n_group": 8, "topk_group": 4, "scoring_func": "sigmoid", "topk_method": "noaux_tc",
            "norm_topk_prob": true, "routed_scaling_factor": 2.5, "first_k_dense_replace": 3, "q_lora_rank": 1536,
            "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128, "vocab_size": 129280,
            "max_position_embeddings": 163840, "eos_token_id": 1,
            "quantization_config": { "quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128] },
        });
        folder.write("config.json", config.to_string());
        let plan = plan(&folder.path().join("config.json"), None, Some(1000)).unwrap();
        assert_eq!(plan.parameters / 1_000_000_000, 671);
        assert_eq!(plan.active_parameters / 100_000_000, 366);
        assert_eq!(plan.cache_per_token, 61 * 576 * 2);
        assert_eq!(plan.cache, plan.cache_per_token * 1000);
        let bound = plan.bound(37e9 * 2.0, 0);
        assert!((1.9..2.1).contains(&bound), "{bound}");
        let smaller = super::plan(&folder.path().join("config.json"), Some(Quantisation::Q4K), None).unwrap();
        assert!(smaller.weights * 10 < plan.weights * 6 && smaller.context == 4096);
    }
}
