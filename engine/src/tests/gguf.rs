//! The same weights as safetensors and as GGUF must compute the same.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::fixture::{self, Folder, Tensor};
use super::gguf_file::GgufFile;
use super::golden::deepseek;
use crate::{Conversation, Engine, Event, Message, Sampling, Settings};

/// The likeliest reply, with the probability of each of its tokens.
fn reply(path: std::path::PathBuf) -> Vec<(String, f32)> {
    let engine = Engine::load(Settings { model: path, ..Settings::default() }).unwrap();
    let message = Message { content: "the same in both".to_owned(), ..Message::default() };
    let prompt = engine.prompt(&Conversation { messages: vec![message], ..Conversation::default() }).unwrap();
    let sampling = Sampling { temperature: 0.0, max_tokens: Some(12), logprobs: Some(1), ..Sampling::default() };
    let mut generation = engine.generate(prompt, sampling).unwrap();
    let mut tokens = Vec::new();
    while let Some(event) = generation.next_blocking() {
        if let Event::Text { logprobs, .. } = event {
            tokens.extend(logprobs.into_iter().map(|token| (token.chosen.text, token.chosen.logprob)));
        }
    }
    tokens
}

fn check(name: &str, config: &Value, meta: &Value, rename: impl Fn(&str) -> String, form: As) {
    let folder = Folder::new(name);
    let weights = fixture::write(&folder, config, None, 11);
    let expected = reply(folder.path().to_owned());
    let mut file = GgufFile::default();
    for (key, value) in meta.as_object().unwrap() {
        file.set(key, value);
    }
    tokenizer(&mut file);
    let all = stacked(weights);
    for (name, (shape, values)) in all.clone() {
        if let (As::SplitDeepseek, Some(layer)) = (form, name.strip_suffix(".experts.gate_proj.weight")) {
            let ups = &all[&format!("{layer}.experts.up_proj.weight")].1;
            let per_expert = shape[1] * shape[2];
            let fused =
                values.chunks(per_expert).zip(ups.chunks(per_expert)).flat_map(|(gate, up)| [gate, up].concat());
            let shape = [shape[0], 2 * shape[1], shape[2]];
            let name = rename(&format!("{layer}.experts.gate_proj.weight")).replace("gate_exps", "gate_up_exps");
            file.tensor(&name, 0, &shape, &bytes(&fused.collect::<Vec<f32>>()));
            continue;
        }
        if matches!(form, As::SplitDeepseek) && name.ends_with("experts.up_proj.weight") && !name.contains("shared") {
            continue;
        }
        if let (As::SplitDeepseek, Some(layer)) = (form, name.strip_suffix("kv_b_proj.weight")) {
            let (keys, values) = split(&values);
            file.tensor(&rename(&format!("{layer}k_b_proj.weight")), 0, &[4, 24, 16], &bytes(&keys));
            file.tensor(&rename(&format!("{layer}v_b_proj.weight")), 0, &[4, 12, 24], &bytes(&values));
            continue;
        }
        let llama = matches!(form, As::Llama | As::LlamaWithDivisors(_));
        let heads = match (llama, name.contains("q_proj"), name.contains("k_proj")) {
            (true, true, _) => 4,
            (true, _, true) => 2,
            _ => 0,
        };
        let width = shape[0].checked_div(heads);
        let values = width.map_or_else(|| values.clone(), |width| neighbours(&values, width, shape[1]));
        file.tensor(&rename(&name), 0, &shape, &bytes(&values));
    }
    if let As::LlamaWithDivisors(divisor) = form {
        file.tensor("rope_freqs.weight", 0, &[6], &bytes(&[divisor; 6]));
    }
    let other = Folder::new(&format!("{name}-gguf"));
    other.write("m.gguf", file.bytes());
    let found = reply(other.path().to_owned());
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert!(found.0 == expected.0 && (found.1 - expected.1).abs() < 1e-3, "{found:?} for {expected:?}");
    }
}

/// How a converter writes a model's weights.
#[derive(Debug, Clone, Copy)]
enum As {
    Llama,
    LlamaWithDivisors(f32),
    Deepseek,
    /// Newer files hold the up-projection in two parts, that of the keys turned over, and experts' gates and ups in one.
    SplitDeepseek,
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Four heads of sixteen key rows and twelve value rows, each of twenty-four columns.
fn split(values: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let heads = || values.chunks(28 * 24);
    let turned = |head: &[f32]| (0..24 * 16).map(|at| head[at % 16 * 24 + at / 16]).collect::<Vec<_>>();
    (heads().flat_map(turned).collect(), heads().flat_map(|head| head[16 * 24..].to_vec()).collect())
}

/// All experts of a layer as one tensor.
fn stacked(weights: BTreeMap<String, Tensor>) -> BTreeMap<String, Tensor> {
    let mut out: BTreeMap<String, Tensor> = BTreeMap::new();
    let mut in_order: Vec<(String, Tensor)> = weights.into_iter().collect();
    let expert =
        |name: &str| name.split_once("experts.").and_then(|(_, rest)| rest.split('.').next()?.parse::<usize>().ok());
    in_order.sort_by_key(|(name, _)| expert(name));
    for (name, (shape, values)) in in_order {
        let Some(index) = expert(&name) else {
            out.insert(name, (shape, values));
            continue;
        };
        let all = out
            .entry(name.replace(&format!("experts.{index}."), "experts."))
            .or_insert_with(|| (vec![0, shape[0], shape[1]], vec![]));
        all.0[0] += 1;
        all.1.extend(values);
    }
    out
}

/// Rows of each head from halves to neighbours, as converters order Llama's.
fn neighbours(values: &[f32], width: usize, columns: usize) -> Vec<f32> {
    let rows: Vec<&[f32]> = values.chunks(columns).collect();
    let head =
        |head: &[&[f32]]| (0..width).flat_map(|row| head[row / 2 + row % 2 * (width / 2)].to_vec()).collect::<Vec<_>>();
    rows.chunks(width).flat_map(head).collect()
}

fn tokenizer(file: &mut GgufFile) {
    let json = fixture::tokenizer(true);
    let vocabulary = json["model"]["vocab"].as_object().unwrap();
    let mut tokens = vec![String::new(); 264];
    vocabulary.iter().for_each(|(token, id)| tokens[id.as_u64().unwrap() as usize] = token.clone());
    let mut kinds = vec![1; 264];
    for added in json["added_tokens"].as_array().unwrap() {
        let id = added["id"].as_u64().unwrap() as usize;
        tokens[id] = added["content"].as_str().unwrap().to_owned();
        kinds[id] = if added["special"] == true { 3 } else { 4 };
    }
    tokens[262] = "[spare]".to_owned();
    tokens[263] = "[other]".to_owned();
    file.set("tokenizer.ggml.model", &json!("gpt2")).set("tokenizer.ggml.pre", &json!("gpt-2"));
    file.set("tokenizer.ggml.tokens", &json!(tokens)).set("tokenizer.ggml.token_type", &json!(kinds));
    file.set("tokenizer.ggml.bos_token_id", &json!(256)).set("tokenizer.ggml.eos_token_id", &json!(257));
    file.set("tokenizer.ggml.add_bos_token", &json!(true)).set("tokenizer.ggml.merges", &json!([]));
}

/// Renames whole parts, longest first.
fn renamed(name: &str, pairs: &[(&str, &str)]) -> String {
    let name = name.replace("model.layers.", "blk.");
    pairs.iter().find_map(|(from, to)| name.contains(from).then(|| name.replace(from, to))).unwrap_or(name)
}

const COMMON: [(&str, &str); 12] = [
    ("model.embed_tokens", "token_embd"),
    ("model.norm", "output_norm"),
    ("lm_head", "output"),
    ("input_layernorm", "attn_norm"),
    ("post_attention_layernorm", "ffn_norm"),
    ("self_attn.o_proj", "attn_output"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
];

#[test]
fn llama_turns_neighbours_in_gguf() {
    let meta = json!({
        "general.architecture": "llama", "llama.vocab_size": 264, "llama.embedding_length": 48,
        "llama.feed_forward_length": 80, "llama.block_count": 2, "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 2, "llama.attention.layer_norm_rms_epsilon": 1e-5, "llama.context_length": 256,
        "llama.rope.freq_base": 10000.0, "llama.rope.dimension_count": 12,
    });
    check("gguf-llama", &fixture::config(&json!({})), &meta, |name| renamed(name, &COMMON), As::Llama);
    // Divisors of frequencies take the place of a scaling.
    let scaled = json!({ "rope_scaling": { "rope_type": "linear", "factor": 4.0 } });
    check("gguf-divisors", &fixture::config(&scaled), &meta, |name| renamed(name, &COMMON), As::LlamaWithDivisors(4.0));
}

#[test]
fn both_generations_of_deepseek_files_are_read() {
    let own = json!({ "rope_scaling": { "rope_type": "yarn", "factor": 40.0, "original_max_position_embeddings": 16,
                                        "mscale": 0.5, "mscale_all_dim": 0.5 } });
    let meta = json!({
        "general.architecture": "deepseek2", "deepseek2.vocab_size": 264, "deepseek2.embedding_length": 48,
        "deepseek2.feed_forward_length": 80, "deepseek2.block_count": 3, "deepseek2.attention.head_count": 4,
        "deepseek2.attention.head_count_kv": 4, "deepseek2.attention.layer_norm_rms_epsilon": 1e-6,
        "deepseek2.context_length": 256, "deepseek2.rope.freq_base": 10000.0, "deepseek2.rope.dimension_count": 8,
        "deepseek2.attention.q_lora_rank": 20, "deepseek2.attention.kv_lora_rank": 24, "deepseek2.attention.key_length": 24,
        "deepseek2.attention.value_length": 12, "deepseek2.expert_count": 8, "deepseek2.expert_used_count": 3,
        "deepseek2.expert_shared_count": 1, "deepseek2.expert_feed_forward_length": 24,
        "deepseek2.leading_dense_block_count": 1, "deepseek2.expert_gating_func": 2, "deepseek2.expert_group_count": 4,
        "deepseek2.expert_group_used_count": 2, "deepseek2.expert_weights_norm": true,
        "deepseek2.expert_weights_scale": 2.5, "deepseek2.rope.scaling.type": "yarn",
        "deepseek2.rope.scaling.factor": 40.0, "deepseek2.rope.scaling.original_context_length": 16,
        "deepseek2.rope.scaling.yarn_log_multiplier": 0.05,
    });
    let own_names = [
        ("self_attn.q_a_proj", "attn_q_a"),
        ("self_attn.q_a_layernorm", "attn_q_a_norm"),
        ("self_attn.q_b_proj", "attn_q_b"),
        ("self_attn.kv_a_proj_with_mqa", "attn_kv_a_mqa"),
        ("self_attn.kv_a_layernorm", "attn_kv_a_norm"),
        ("self_attn.kv_b_proj", "attn_kv_b"),
        ("self_attn.k_b_proj", "attn_k_b"),
        ("self_attn.v_b_proj", "attn_v_b"),
        ("mlp.gate.weight", "ffn_gate_inp.weight"),
        ("mlp.gate.e_score_correction_bias", "exp_probs_b.bias"),
        ("mlp.experts.gate_proj", "ffn_gate_exps"),
        ("mlp.experts.up_proj", "ffn_up_exps"),
        ("mlp.experts.down_proj", "ffn_down_exps"),
        ("mlp.shared_experts.gate_proj", "ffn_gate_shexp"),
        ("mlp.shared_experts.up_proj", "ffn_up_shexp"),
        ("mlp.shared_experts.down_proj", "ffn_down_shexp"),
    ];
    let names = [&own_names[..], &COMMON[..]].concat();
    let config = fixture::config(&deepseek(&own));
    check("gguf-deepseek", &config, &meta, |name| renamed(name, &names), As::Deepseek);
    let mut newer = meta;
    newer["deepseek2.attention.head_count_kv"] = json!(1);
    newer["deepseek2.attention.key_length"] = json!(32);
    newer["deepseek2.attention.value_length"] = json!(24);
    newer["deepseek2.attention.key_length_mla"] = json!(24);
    newer["deepseek2.attention.value_length_mla"] = json!(12);
    check("gguf-newer", &config, &newer, |name| renamed(name, &names), As::SplitDeepseek);
}
