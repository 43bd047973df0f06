//! A checkpoint's `config.json`, read into what the models need. Whatever they cannot compute is refused by name.

use serde_json::{Map, Value};

use super::fields::Fields;
use crate::Error;

/// A model's shape.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) hidden: usize,
    pub(crate) layers: usize,
    pub(crate) vocabulary: usize,
    pub(crate) epsilon: f32,
    /// Most positions the model was made for.
    pub(crate) context: usize,
    /// Whether the output matrix is the embedding.
    pub(crate) tied: bool,
    pub(crate) rope: RopeConfig,
    pub(crate) attention: AttentionConfig,
    /// Width of a dense feed-forward layer.
    pub(crate) feed: usize,
    pub(crate) experts: Option<Experts>,
    /// Tokens that end a reply.
    pub(crate) ends: Vec<u32>,
}

/// Positions.
#[derive(Debug, Clone)]
pub(crate) struct RopeConfig {
    pub(crate) theta: f64,
    pub(crate) scaling: Scaling,
    /// Whether heads turn neighbours rather than halves.
    pub(crate) neighbours: bool,
}

/// How positions beyond the original context are reached.
#[derive(Debug, Clone)]
pub(crate) enum Scaling {
    None,
    Linear {
        factor: f64,
    },
    Llama3 {
        factor: f64,
        low: f64,
        high: f64,
        original: f64,
    },
    Yarn(Yarn),
    /// Each frequency divided by a number of its own.
    Divided(Vec<f32>),
}

/// YaRN's parameters.
#[derive(Debug, Clone)]
pub(crate) struct Yarn {
    pub(crate) factor: f64,
    pub(crate) original: f64,
    pub(crate) fast: f64,
    pub(crate) slow: f64,
    pub(crate) truncate: bool,
    pub(crate) mscale: Option<f64>,
    pub(crate) mscale_all_dim: Option<f64>,
    pub(crate) attention_factor: Option<f64>,
}

/// Attention.
#[derive(Debug, Clone)]
pub(crate) enum AttentionConfig {
    Grouped(GroupedConfig),
    Latent(LatentConfig),
}

/// Heads that share keys in groups.
#[derive(Debug, Clone)]
pub(crate) struct GroupedConfig {
    pub(crate) heads: usize,
    pub(crate) key_heads: usize,
    pub(crate) width: usize,
    /// Biases on q, k and v.
    pub(crate) bias: bool,
    /// A bias on the output.
    pub(crate) out_bias: bool,
    /// Norms on each head's q and k.
    pub(crate) norms: bool,
    /// Layers from the first number on see only as many positions as the second says.
    pub(crate) window: Option<(usize, usize)>,
}

/// Heads that share one latent.
#[derive(Debug, Clone)]
pub(crate) struct LatentConfig {
    pub(crate) heads: usize,
    /// Width of the middle that queries pass.
    pub(crate) query_rank: Option<usize>,
    /// Width of the latent.
    pub(crate) latent: usize,
    /// Width of a head's part without position.
    pub(crate) plain: usize,
    /// Width of a head's part with position.
    pub(crate) turned: usize,
    /// Width of a head's value.
    pub(crate) value: usize,
}

/// Mixtures of experts.
#[derive(Debug, Clone)]
pub(crate) struct Experts {
    pub(crate) count: usize,
    /// Experts per token.
    pub(crate) used: usize,
    /// Width of one expert.
    pub(crate) width: usize,
    /// Width of the expert that every token passes; zero where there is none.
    pub(crate) shared: usize,
    /// Layers below this one are dense.
    pub(crate) first: usize,
    /// Every so many layers has experts.
    pub(crate) step: usize,
    /// Layers that are dense by name.
    pub(crate) dense: Vec<usize>,
    pub(crate) router: RouterConfig,
}

/// How experts are chosen.
#[derive(Debug, Clone)]
pub(crate) struct RouterConfig {
    /// Sigmoid scores rather than a softmax.
    pub(crate) sigmoid: bool,
    /// A bias that counts for the choice only.
    pub(crate) bias: bool,
    pub(crate) groups: usize,
    pub(crate) kept_groups: usize,
    /// Whether the weights are made to sum to one.
    pub(crate) normalise: bool,
    pub(crate) scale: f32,
}

impl Config {
    /// Reads the text of a `config.json`.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let value: Value = serde_json::from_str(text).map_err(|error| Error::Model(format!("config.json: {error}")))?;
        Self::read(&value, "config.json")
    }

    /// Reads a config; `file` is where errors say it stands.
    pub(super) fn read(value: &Value, file: &'static str) -> Result<Self, Error> {
        match value {
            Value::Object(map) => Fields { map, path: "", file }.config(),
            _ => Err(Error::Model(format!("{file} is no object"))),
        }
    }

    /// Whether a layer has experts.
    pub(crate) fn experts_in(&self, layer: usize) -> Option<&Experts> {
        let experts = self.experts.as_ref()?;
        let sparse = layer >= experts.first && !experts.dense.contains(&layer);
        // Qwen counts from one, DeepSeek from zero; both releases use a step of one.
        (sparse && (layer + 1).is_multiple_of(experts.step)).then_some(experts)
    }
}

impl Fields<'_> {
    fn config(&self) -> Result<Config, Error> {
        let family = self.text("model_type")?.ok_or_else(|| self.wrong("model_type", "is missing"))?;
        self.only("hidden_act", &["silu", "swish"])?;
        let attention = match family {
            "llama" | "mistral" | "qwen2" | "qwen3" | "qwen3_moe" => AttentionConfig::Grouped(self.grouped(family)?),
            "deepseek_v2" | "deepseek_v3" => AttentionConfig::Latent(self.latent()?),
            other => {
                let known = "llama, mistral, qwen2, qwen3, qwen3_moe, deepseek_v2 and deepseek_v3";
                return Err(self.wrong("model_type", &format!("{other:?} is not known; known are {known}")));
            }
        };
        self.quantisation()?;
        Ok(Config {
            hidden: self.size("hidden_size")?,
            layers: self.size("num_hidden_layers")?,
            vocabulary: self.size("vocab_size")?,
            epsilon: self.number("rms_norm_eps")?.unwrap_or(1e-6) as f32,
            context: self.size("max_position_embeddings")?,
            tied: self.flag("tie_word_embeddings")?.unwrap_or(false),
            rope: self.rope(family)?,
            attention,
            feed: self.size("intermediate_size")?,
            experts: match family {
                "qwen3_moe" => Some(self.qwen_experts()?),
                "deepseek_v2" | "deepseek_v3" => self.deepseek_experts()?,
                _ => None,
            },
            ends: self.tokens("eos_token_id")?,
        })
    }

    fn grouped(&self, family: &str) -> Result<GroupedConfig, Error> {
        if self.flag("mlp_bias")?.unwrap_or(false) {
            return Err(self.wrong("mlp_bias", "is true, which is not supported"));
        }
        let heads = self.size("num_attention_heads")?;
        let key_heads = self.optional("num_key_value_heads")?.unwrap_or(heads);
        if !heads.is_multiple_of(key_heads) {
            return Err(self.wrong("num_key_value_heads", "does not divide num_attention_heads"));
        }
        let width = match self.optional("head_dim")? {
            Some(width) => width,
            None => self.size("hidden_size")? / heads,
        };
        if width < 2 || width % 2 != 0 {
            return Err(self.wrong("head_dim", "must be even"));
        }
        let bias = self.flag("attention_bias")?;
        let (bias, out_bias) = match family {
            // Qwen2 has biases on q, k and v whatever its config says.
            "qwen2" => (true, false),
            _ => (bias.unwrap_or(false), bias.unwrap_or(false)),
        };
        let norms = matches!(family, "qwen3" | "qwen3_moe");
        Ok(GroupedConfig { heads, key_heads, width, bias, out_bias, norms, window: self.window(family)? })
    }

    fn latent(&self) -> Result<LatentConfig, Error> {
        if self.flag("attention_bias")?.unwrap_or(false) {
            return Err(self.wrong("attention_bias", "is true, which is not supported"));
        }
        let turned = self.size("qk_rope_head_dim")?;
        if turned % 2 != 0 {
            return Err(self.wrong("qk_rope_head_dim", "must be even"));
        }
        Ok(LatentConfig {
            heads: self.size("num_attention_heads")?,
            query_rank: self.optional("q_lora_rank")?,
            latent: self.size("kv_lora_rank")?,
            plain: self.size("qk_nope_head_dim")?,
            turned,
            value: self.size("v_head_dim")?,
        })
    }

    fn quantisation(&self) -> Result<(), Error> {
        let Some(fields) = self.object("quantization_config", "quantization_config.")? else {
            return Ok(());
        };
        fields.only("quant_method", &["fp8"])?;
        fields.only("fmt", &["e4m3"])?;
        match fields.get("weight_block_size") {
            Some(blocks) if *blocks == serde_json::json!([128, 128]) => Ok(()),
            _ => Err(fields.wrong("weight_block_size", "must be [128, 128]")),
        }
    }

    fn window(&self, family: &str) -> Result<Option<(usize, usize)>, Error> {
        let Some(window) = self.optional("sliding_window")? else {
            return Ok(None);
        };
        match family {
            "mistral" => Ok(Some((0, window))),
            "llama" => Err(self.wrong("sliding_window", "is set, which model_type \"llama\" does not have")),
            _ if !self.flag("use_sliding_window")?.unwrap_or(false) => Ok(None),
            _ => Ok(Some((self.optional_or_zero("max_window_layers")?.unwrap_or(0), window))),
        }
    }

    fn qwen_experts(&self) -> Result<Experts, Error> {
        let router = RouterConfig {
            sigmoid: false,
            bias: false,
            groups: 1,
            kept_groups: 1,
            normalise: self.flag("norm_topk_prob")?.unwrap_or(false),
            scale: 1.0,
        };
        let experts = Experts {
            count: self.size("num_experts")?,
            used: self.size("num_experts_per_tok")?,
            width: self.size("moe_intermediate_size")?,
            shared: 0,
            first: 0,
            step: self.optional("decoder_sparse_step")?.unwrap_or(1),
            dense: self.list("mlp_only_layers")?,
            router,
        };
        if experts.used > experts.count {
            return Err(self.wrong("num_experts_per_tok", "is larger than num_experts"));
        }
        Ok(experts)
    }

    fn deepseek_experts(&self) -> Result<Option<Experts>, Error> {
        let Some(count) = self.optional("n_routed_experts")? else {
            return Ok(None);
        };
        if self.optional("moe_layer_freq")?.unwrap_or(1) != 1 {
            return Err(self.wrong("moe_layer_freq", "must be 1"));
        }
        let width = self.size("moe_intermediate_size")?;
        let experts = Experts {
            count,
            used: self.size("num_experts_per_tok")?,
            width,
            shared: width * self.optional_or_zero("n_shared_experts")?.unwrap_or(0),
            first: self.optional_or_zero("first_k_dense_replace")?.unwrap_or(0),
            step: 1,
            dense: Vec::new(),
            router: self.deepseek_router()?,
        };
        let RouterConfig { groups, kept_groups, .. } = experts.router;
        if !count.is_multiple_of(groups) || kept_groups > groups {
            return Err(self.wrong("n_group", "does not divide n_routed_experts, or is less than topk_group"));
        }
        if experts.used > count / groups * kept_groups {
            return Err(self.wrong("num_experts_per_tok", "is larger than the number of experts in the kept groups"));
        }
        Ok(Some(experts))
    }

    fn deepseek_router(&self) -> Result<RouterConfig, Error> {
        let method = self.text("topk_method")?.unwrap_or("greedy");
        let scoring = self.text("scoring_func")?.unwrap_or("softmax");
        let (sigmoid, grouped) = match (method, scoring) {
            ("greedy", "softmax") => (false, false),
            ("group_limited_greedy", "softmax") => (false, true),
            ("noaux_tc", "sigmoid") => (true, true),
            _ => {
                return Err(
                    self.wrong("topk_method", &format!("{method:?} with scoring_func {scoring:?} is not known"))
                );
            }
        };
        let size = |key: &str| if grouped { Ok(self.optional(key)?.unwrap_or(1)) } else { Ok(1) };
        Ok(RouterConfig {
            sigmoid,
            bias: sigmoid,
            groups: size("n_group")?,
            kept_groups: size("topk_group")?,
            normalise: self.flag("norm_topk_prob")?.unwrap_or(false),
            scale: self.number("routed_scaling_factor")?.unwrap_or(1.0) as f32,
        })
    }

    fn rope(&self, family: &str) -> Result<RopeConfig, Error> {
        // Newer files hold theta and the scaling in one object.
        let nested = self.object("rope_parameters", "rope_parameters.")?;
        let scaling = match &nested {
            Some(fields) => fields.scaling(self)?,
            None => match self.object("rope_scaling", "rope_scaling.")? {
                Some(fields) => fields.scaling(self)?,
                None => Scaling::None,
            },
        };
        let theta = match nested.as_ref().map(|fields| fields.number("rope_theta")).transpose()?.flatten() {
            Some(theta) => Some(theta),
            None => self.number("rope_theta")?,
        };
        let theta = theta.unwrap_or(10_000.0);
        if theta.is_nan() || theta <= 1.0 {
            return Err(self.wrong("rope_theta", "must be larger than 1"));
        }
        let latent = family.starts_with("deepseek");
        let neighbours = latent && self.flag("rope_interleave")?.unwrap_or(true);
        Ok(RopeConfig { theta, scaling, neighbours })
    }

    fn scaling(&self, top: &Fields<'_>) -> Result<Scaling, Error> {
        let kind = match self.text("rope_type")? {
            Some(kind) => Some(kind),
            None => self.text("type")?,
        };
        let factor = || self.factor("factor");
        let original = || match self.number("original_max_position_embeddings")? {
            Some(original) if original >= 1.0 => Ok(original),
            Some(_) => Err(self.wrong("original_max_position_embeddings", "must be at least 1")),
            None => Ok(top.size("max_position_embeddings")? as f64),
        };
        Ok(match kind {
            None | Some("default") => Scaling::None,
            Some("linear") => Scaling::Linear { factor: factor()? },
            Some("llama3") => Scaling::Llama3 {
                factor: factor()?,
                low: self.factor("low_freq_factor")?,
                high: self.factor("high_freq_factor")?,
                original: original()?,
            },
            Some("yarn") => Scaling::Yarn(Yarn {
                factor: factor()?,
                original: original()?,
                fast: self.number("beta_fast")?.unwrap_or(32.0),
                slow: self.number("beta_slow")?.unwrap_or(1.0),
                truncate: self.flag("truncate")?.unwrap_or(true),
                mscale: self.number("mscale")?,
                mscale_all_dim: self.number("mscale_all_dim")?,
                attention_factor: self.number("attention_factor")?,
            }),
            Some(other) => {
                let known = "default, linear, llama3 and yarn";
                return Err(self.wrong("rope_type", &format!("{other:?} is not known; known are {known}")));
            }
        })
    }
}

/// The tokens that `generation_config.json` ends a reply with.
pub(crate) fn generation_ends(text: &str) -> Result<Vec<u32>, Error> {
    let map: Map<String, Value> =
        serde_json::from_str(text).map_err(|error| Error::Model(format!("generation_config.json: {error}")))?;
    Fields { map: &map, path: "", file: "generation_config.json" }.tokens("eos_token_id")
}
