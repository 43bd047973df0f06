//! A GGUF file's metadata as a model's shape: put into the terms of `config.json`, so that the same checks apply. It reads
//! no weights but the divisors of frequencies.

use serde_json::{Map, Value, json};

use super::config::{AttentionConfig, Config, Scaling};
use crate::Error;
use crate::weights::Source;
use crate::weights::gguf::{Gguf, Meta};

/// Reads the shape of the model in a file.
pub(crate) fn config(gguf: &Gguf) -> Result<Config, Error> {
    let architecture = gguf.text("general.architecture").unwrap_or_default();
    let keys = Keys { gguf, architecture };
    let family = match architecture {
        "llama" => "llama",
        "qwen2" => "qwen2",
        "qwen3" => "qwen3",
        "qwen3moe" => "qwen3_moe",
        "deepseek2" => "deepseek_v3",
        other => {
            let known = "llama, qwen2, qwen3, qwen3moe and deepseek2";
            return Err(Error::Model(format!("general.architecture {other:?} is not known; known are {known}")));
        }
    };
    let mut config = keys.common(family);
    if architecture == "deepseek2" {
        keys.latent(&mut config)?;
    } else {
        keys.grouped(&mut config);
    }
    let mut config = Config::read(&Value::Object(config), "the GGUF's metadata, as config.json")?;
    let turned = match &config.attention {
        AttentionConfig::Grouped(shape) => shape.width,
        AttentionConfig::Latent(shape) => shape.turned,
    };
    if keys.whole("rope.dimension_count").is_some_and(|count| count != turned as u64) {
        return Err(Error::Model(format!("{architecture}.rope.dimension_count must be {turned}")));
    }
    // Converters reorder Llama's queries and keys so that neighbours turn together, and leave Qwen's as they are.
    config.rope.neighbours = matches!(architecture, "llama" | "deepseek2");
    if gguf.has("rope_freqs.weight") {
        config.rope.scaling = Scaling::Divided(gguf.vector("rope_freqs.weight", turned / 2)?);
    }
    Ok(config)
}

struct Keys<'a> {
    gguf: &'a Gguf,
    architecture: &'a str,
}

impl Keys<'_> {
    fn get(&self, key: &str) -> Value {
        match self.gguf.meta(&format!("{}.{key}", self.architecture)) {
            Some(Meta::Whole(whole)) => u64::try_from(*whole).map_or(Value::Null, Value::from),
            Some(Meta::Real(real)) => json!(real),
            Some(Meta::Flag(flag)) => json!(flag),
            Some(Meta::Text(text)) => json!(text),
            Some(Meta::List(_)) | None => Value::Null,
        }
    }

    fn whole(&self, key: &str) -> Option<u64> {
        self.get(key).as_u64()
    }

    fn common(&self, family: &str) -> Map<String, Value> {
        let vocabulary = self.whole("vocab_size");
        let vocabulary = vocabulary.unwrap_or_else(|| self.gguf.list("tokenizer.ggml.tokens").len() as u64);
        let mut config = Map::new();
        let mut set = |key: &str, value: Value| config.insert(key.to_owned(), value);
        set("model_type", json!(family));
        set("vocab_size", json!(vocabulary));
        set("hidden_size", self.get("embedding_length"));
        set("intermediate_size", self.get("feed_forward_length"));
        // Layers that predict the token after the next one stand behind the others and are not used.
        let layers = self
            .whole("block_count")
            .map(|count| count.saturating_sub(self.whole("nextn_predict_layers").unwrap_or(0)));
        set("num_hidden_layers", layers.map_or(Value::Null, Value::from));
        set("num_attention_heads", self.get("attention.head_count"));
        set("rms_norm_eps", self.get("attention.layer_norm_rms_epsilon"));
        set("max_position_embeddings", self.get("context_length"));
        set("rope_theta", self.get("rope.freq_base"));
        set("tie_word_embeddings", json!(!self.gguf.has("lm_head.weight")));
        set("eos_token_id", self.ends());
        set("rope_scaling", self.scaling());
        config
    }

    /// The token that ends a reply, and the one that ends a turn where that is another.
    fn ends(&self) -> Value {
        let ends = ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"].map(|key| self.gguf.whole(key));
        json!(ends.into_iter().flatten().collect::<Vec<u64>>())
    }

    fn scaling(&self) -> Value {
        let kind = self.get("rope.scaling.type");
        if !matches!(kind.as_str(), Some(kind) if kind != "none") {
            return Value::Null;
        }
        let mut scaling = json!({ "rope_type": kind, "factor": self.get("rope.scaling.factor") });
        scaling["original_max_position_embeddings"] = self.get("rope.scaling.original_context_length");
        // DeepSeek's files hold the coefficient of the logarithm, which contains a tenth already.
        if let Some(multiplier) = self.get("rope.scaling.yarn_log_multiplier").as_f64() {
            scaling["mscale"] = json!(multiplier * 10.0);
            scaling["mscale_all_dim"] = json!(multiplier * 10.0);
        }
        scaling
    }

    fn grouped(&self, config: &mut Map<String, Value>) {
        let mut set = |key: &str, value: Value| config.insert(key.to_owned(), value);
        set("num_key_value_heads", self.get("attention.head_count_kv"));
        set("head_dim", self.get("attention.key_length"));
        if self.architecture == "llama" {
            set("attention_bias", json!(self.gguf.has("model.layers.0.self_attn.q_proj.bias")));
        }
        if self.architecture == "qwen3moe" {
            set("num_experts", self.get("expert_count"));
            set("num_experts_per_tok", self.get("expert_used_count"));
            set("moe_intermediate_size", self.get("expert_feed_forward_length"));
            set("norm_topk_prob", json!(true));
            set("intermediate_size", self.get("expert_feed_forward_length"));
        }
    }

    fn latent(&self, config: &mut Map<String, Value>) -> Result<(), Error> {
        let number = |key: &str| {
            let missing = || Error::Model(format!("{}.{key} is missing", self.architecture));
            self.whole(key).ok_or_else(missing)
        };
        let turned = number("rope.dimension_count")?;
        // Newer files keep the cache's widths under the plain names and a head's under names of their own.
        let own = |key: &str| self.whole(&format!("{key}_mla")).map_or_else(|| number(key), Ok);
        let plain = own("attention.key_length")?.checked_sub(turned);
        let plain = plain.ok_or_else(|| Error::Model("deepseek2.attention.key_length is too small".to_owned()))?;
        let sigmoid = self.whole("expert_gating_func") == Some(2) || self.has_bias();
        let (groups, kept) = match (self.whole("expert_group_count"), self.whole("expert_group_used_count")) {
            (Some(groups), Some(kept)) => (groups, kept),
            // Early files of R1 do not say so.
            _ if self.whole("block_count") == Some(61) && self.whole("expert_count") == Some(256) => (8, 4),
            _ => (1, 1),
        };
        let method = match (sigmoid, groups) {
            (true, _) => "noaux_tc",
            (false, 0 | 1) => "greedy",
            (false, _) => "group_limited_greedy",
        };
        let mut set = |key: &str, value: Value| config.insert(key.to_owned(), value);
        set("kv_lora_rank", self.get("attention.kv_lora_rank"));
        set(
            "q_lora_rank",
            self.whole("attention.q_lora_rank").filter(|rank| *rank > 0).map_or(Value::Null, Value::from),
        );
        set("qk_rope_head_dim", json!(turned));
        set("qk_nope_head_dim", json!(plain));
        set("v_head_dim", json!(own("attention.value_length")?));
        set("n_routed_experts", self.get("expert_count"));
        set("num_experts_per_tok", self.get("expert_used_count"));
        set("n_shared_experts", self.get("expert_shared_count"));
        set("moe_intermediate_size", self.get("expert_feed_forward_length"));
        set("first_k_dense_replace", self.get("leading_dense_block_count"));
        set("scoring_func", json!(if sigmoid { "sigmoid" } else { "softmax" }));
        set("topk_method", json!(method));
        set("n_group", json!(groups.max(1)));
        set("topk_group", json!(kept.max(1)));
        set("norm_topk_prob", json!(self.get("expert_weights_norm").as_bool().unwrap_or(false)));
        set("routed_scaling_factor", self.get("expert_weights_scale"));
        Ok(())
    }

    fn has_bias(&self) -> bool {
        let layer = self.whole("leading_dense_block_count").unwrap_or(0);
        self.gguf.has(&format!("model.layers.{layer}.mlp.gate.e_score_correction_bias"))
    }
}
