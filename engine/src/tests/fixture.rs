//! Tiny checkpoints with random weights, written as a folder like those of the releases. Nothing here knows the engine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// Shape and values of a tensor.
pub(super) type Tensor = (Vec<usize>, Vec<f32>);

/// A folder that is removed with its owner.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("candor-engine-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.0.join(name), bytes).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The tokens beyond the 256 bytes.
pub(super) const BEGIN: u32 = 256;
pub(super) const USER: u32 = 258;
pub(super) const ASSISTANT: u32 = 259;
pub(super) const THINK: u32 = 260;
const NAMES: [&str; 6] = ["<|begin|>", "<|end|>", "<|user|>", "<|assistant|>", "<think>", "</think>"];
pub(super) const VOCABULARY: usize = 264;

/// A template that ends in an open think mark.
pub(super) const TEMPLATE: &str = "{{ bos_token }}{% for m in messages %}{{ '<|' + m.role + '|>' + m.content }}{% endfor %}\
    {% if add_generation_prompt %}<|assistant|><think>\n{% endif %}";

/// What all families' configs share, changed by what a family adds.
pub(super) fn config(own: &Value) -> Value {
    let mut config = json!({
        "model_type": "llama", "hidden_act": "silu", "vocab_size": VOCABULARY, "hidden_size": 48,
        "intermediate_size": 80, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 256, "tie_word_embeddings": false,
        "eos_token_id": 257, "bos_token_id": BEGIN,
    });
    for (key, value) in own.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

/// Writes a checkpoint and returns its weights.
pub(super) fn write(folder: &Folder, config: &Value, template: Option<&str>, seed: u64) -> BTreeMap<String, Tensor> {
    let weights = weights(config, seed);
    folder.write("config.json", config.to_string());
    folder.write("tokenizer.json", tokenizer(true).to_string());
    folder.write("model.safetensors", safetensors(&weights));
    if let Some(template) = template {
        let config = json!({ "chat_template": template, "bos_token": NAMES[0], "eos_token": { "content": NAMES[1] } });
        folder.write("tokenizer_config.json", config.to_string());
    }
    weights
}

/// Bytes of a safetensors file with 32-bit floats.
pub(super) fn safetensors(tensors: &BTreeMap<String, Tensor>) -> Vec<u8> {
    store(&mut tensors.clone(), Stored::F32)
}

/// The type of a file's matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    F32,
    F16,
    Bf16,
    Fp8,
}

/// Bytes of a safetensors file; the tensors become what the file says after rounding.
pub(super) fn store(tensors: &mut BTreeMap<String, Tensor>, stored: Stored) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    let mut add = |name: &str, kind: &str, shape: &[usize], bytes: Vec<u8>| {
        let start = data.len();
        data.extend(bytes);
        header.insert(name.to_owned(), json!({ "dtype": kind, "shape": shape, "data_offsets": [start, data.len()] }));
    };
    for (name, (shape, values)) in tensors {
        // As in the releases: norms, biases, embeddings, output and routers stay as they are.
        let matrix = name.contains("_proj.weight");
        match stored {
            Stored::Fp8 if matrix => {
                let (codes, factors) = fp8(shape, values);
                let grid = [shape[0].div_ceil(128), shape[1].div_ceil(128)];
                add(name, "F8_E4M3", shape, codes);
                add(
                    &format!("{name}_scale_inv"),
                    "F32",
                    &grid,
                    factors.iter().flat_map(|it| it.to_le_bytes()).collect(),
                );
            }
            Stored::F16 if matrix => add(
                name,
                "F16",
                shape,
                halves(values, |bits| {
                    let kept = if bits << 1 >> 24 < 113 { 0 } else { (bits << 1 >> 14) - (112 << 10) };
                    (bits >> 16 & 0x8000 | kept, if kept == 0 { 0 } else { bits & !0x1fff })
                }),
            ),
            Stored::Bf16 if matrix => add(name, "BF16", shape, halves(values, |bits| (bits >> 16, bits & !0xffff))),
            _ => add(name, "F32", shape, values.iter().flat_map(|value| value.to_le_bytes()).collect()),
        }
    }
    let header = Value::Object(header).to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

/// Cuts 32-bit floats to 16 bits; `cut` gives the bits to store and those of the value that they stand for.
fn halves(values: &mut [f32], cut: impl Fn(u32) -> (u32, u32)) -> Vec<u8> {
    let one = |value: &mut f32| {
        let (stored, kept) = cut(value.to_bits());
        *value = f32::from_bits(kept);
        (stored as u16).to_le_bytes()
    };
    values.iter_mut().flat_map(one).collect()
}

fn fp8(shape: &[usize], values: &mut [f32]) -> (Vec<u8>, Vec<f32>) {
    let value = |code: u8| {
        let (exponent, mantissa) = (i32::from(code >> 3 & 15), f64::from(code & 7));
        let size = if exponent == 0 { mantissa / 512.0 } else { (8.0 + mantissa) * 2f64.powi(exponent - 10) };
        if code < 128 { size } else { -size }
    };
    let codes: Vec<u8> = (0..=255u8).filter(|code| code & 0x7f != 0x7f).collect();
    let across = shape[1].div_ceil(128);
    let block = |index: usize| index / shape[1] / 128 * across + index % shape[1] / 128;
    let mut factors = vec![0f32; shape[0].div_ceil(128) * across];
    for (index, value) in values.iter().enumerate() {
        factors[block(index)] = factors[block(index)].max(value.abs() / 448.0);
    }
    let mut one = |(index, original): (usize, &mut f32)| {
        let factor = f64::from(factors[block(index)]);
        let distance = |code: &&u8| (value(**code) * factor - f64::from(*original)).abs();
        let best = *codes.iter().min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap();
        *original = (value(best) * factor) as f32;
        best
    };
    let stored = values.iter_mut().enumerate().map(&mut one).collect();
    (stored, factors)
}

/// One token per byte, in the letters that byte-level tokenizers write bytes with, and the marks.
pub(crate) fn tokenizer(think: bool) -> Value {
    let mut spare = 256u32;
    let mut letter = |byte: u32| match byte {
        33..=126 | 161..=172 | 174..=255 => char::from_u32(byte).unwrap(),
        _ => {
            spare += 1;
            char::from_u32(spare - 1).unwrap()
        }
    };
    let vocabulary: serde_json::Map<String, Value> =
        (0..256).map(|byte| (letter(byte).to_string(), byte.into())).collect();
    let names = NAMES.iter().zip(BEGIN..).filter(|(name, _)| think || !name.contains("think"));
    let added = names.map(|(name, id)| {
        let special = !name.contains("think");
        json!({ "id": id, "content": name, "special": special, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false })
    });
    let bytes = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true });
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added.collect::<Vec<_>>(),
        "normalizer": null, "pre_tokenizer": bytes, "decoder": bytes,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{ "SpecialToken": { "id": "<|begin|>", "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } }],
            "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 1 } }],
            "special_tokens": { "<|begin|>": { "id": "<|begin|>", "ids": [BEGIN], "tokens": ["<|begin|>"] } },
        },
        "model": { "type": "BPE", "vocab": vocabulary, "merges": [] },
    })
}

/// Random weights whose activations stay of moderate size; no norm or bias is at its usual value, which would hide that
/// it is not used.
fn weights(config: &Value, seed: u64) -> BTreeMap<String, Tensor> {
    let mut random = Random(seed);
    let tensor = |(name, shape): (String, Vec<usize>)| {
        let count = shape.iter().product();
        let (mean, spread) = match shape.as_slice() {
            _ if name.ends_with("norm.weight") => (1.0, 0.4),
            _ if name.ends_with("bias") => (0.0, 0.3),
            [.., columns] if name.ends_with("mlp.gate.weight") => (0.0, 4.0 / (*columns as f32).sqrt()),
            _ if name == "model.embed_tokens.weight" => (0.0, 1.7),
            [.., columns] if name == "lm_head.weight" => (0.0, 5.0 / (*columns as f32).sqrt()),
            [.., columns] => (0.0, 2.0 / (*columns as f32).sqrt()),
            [] => (0.0, 1.0),
        };
        let values = (0..count).map(|_| mean + spread * random.next()).collect();
        (name, (shape, values))
    };
    shapes(config).into_iter().map(tensor).collect()
}

fn size(config: &Value, key: &str) -> usize {
    config[key].as_u64().unwrap_or_else(|| panic!("{key}")) as usize
}

fn shapes(config: &Value) -> Vec<(String, Vec<usize>)> {
    let (hidden, vocabulary) = (size(config, "hidden_size"), size(config, "vocab_size"));
    let mut shapes = vec![
        ("model.embed_tokens.weight".to_owned(), vec![vocabulary, hidden]),
        ("model.norm.weight".to_owned(), vec![hidden]),
    ];
    if config["tie_word_embeddings"] != true {
        shapes.push(("lm_head.weight".to_owned(), vec![vocabulary, hidden]));
    }
    for layer in 0..size(config, "num_hidden_layers") {
        let mut add =
            |part: &str, shape: &[usize]| shapes.push((format!("model.layers.{layer}.{part}"), shape.to_vec()));
        add("input_layernorm.weight", &[hidden]);
        add("post_attention_layernorm.weight", &[hidden]);
        if config["model_type"].as_str().unwrap().starts_with("deepseek") {
            latent_shapes(config, &mut add);
        } else {
            grouped_shapes(config, &mut add);
        }
        feed_shapes(config, layer, &mut add);
    }
    shapes
}

fn grouped_shapes(config: &Value, add: &mut dyn FnMut(&str, &[usize])) {
    let (hidden, heads) = (size(config, "hidden_size"), size(config, "num_attention_heads"));
    let width = config["head_dim"].as_u64().map_or(hidden / heads, |width| width as usize);
    let (queries, keys) = (heads * width, size(config, "num_key_value_heads") * width);
    for (part, rows) in [("q", queries), ("k", keys), ("v", keys)] {
        add(&format!("self_attn.{part}_proj.weight"), &[rows, hidden]);
        if config["model_type"] == "qwen2" {
            add(&format!("self_attn.{part}_proj.bias"), &[rows]);
        }
    }
    add("self_attn.o_proj.weight", &[hidden, queries]);
    if config["model_type"].as_str().unwrap().starts_with("qwen3") {
        add("self_attn.q_norm.weight", &[width]);
        add("self_attn.k_norm.weight", &[width]);
    }
}

fn latent_shapes(config: &Value, add: &mut dyn FnMut(&str, &[usize])) {
    let [hidden, heads, latent, plain, turned, value] =
        ["hidden_size", "num_attention_heads", "kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"]
            .map(|key| size(config, key));
    let queries = heads * (plain + turned);
    match config["q_lora_rank"].as_u64() {
        Some(rank) => {
            add("self_attn.q_a_proj.weight", &[rank as usize, hidden]);
            add("self_attn.q_a_layernorm.weight", &[rank as usize]);
            add("self_attn.q_b_proj.weight", &[queries, rank as usize]);
        }
        None => add("self_attn.q_proj.weight", &[queries, hidden]),
    }
    add("self_attn.kv_a_proj_with_mqa.weight", &[latent + turned, hidden]);
    add("self_attn.kv_a_layernorm.weight", &[latent]);
    add("self_attn.kv_b_proj.weight", &[heads * (plain + value), latent]);
    add("self_attn.o_proj.weight", &[hidden, heads * value]);
}

fn feed_shapes(config: &Value, layer: usize, add: &mut dyn FnMut(&str, &[usize])) {
    let hidden = size(config, "hidden_size");
    let mut gated = |name: &str, width: usize| {
        add(&format!("{name}.gate_proj.weight"), &[width, hidden]);
        add(&format!("{name}.up_proj.weight"), &[width, hidden]);
        add(&format!("{name}.down_proj.weight"), &[hidden, width]);
    };
    let count = config["num_experts"].as_u64().or_else(|| config["n_routed_experts"].as_u64()).unwrap_or(0) as usize;
    if count == 0 || (layer as u64) < config["first_k_dense_replace"].as_u64().unwrap_or(0) {
        return gated("mlp", size(config, "intermediate_size"));
    }
    let width = size(config, "moe_intermediate_size");
    (0..count).for_each(|expert| gated(&format!("mlp.experts.{expert}"), width));
    if let Some(shared) = config["n_shared_experts"].as_u64() {
        gated("mlp.shared_experts", shared as usize * width);
    }
    add("mlp.gate.weight", &[count, hidden]);
    if config["topk_method"] == "noaux_tc" {
        add("mlp.gate.e_score_correction_bias", &[count]);
    }
}

/// A seeded generator of numbers between -1 and 1.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 40) as f32 / (1u64 << 23) as f32) - 1.0
    }

    pub(super) fn token(&mut self) -> u32 {
        ((self.next() + 1.0) * 128.0) as u32
    }
}
