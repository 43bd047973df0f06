//! Every family against the reference, in all the ways that a server computes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::fixture::{self, Folder, Random, Stored, Tensor};
use super::reference::Reference;
use crate::pages::Precision;
use crate::{Engine, Settings, verify};

fn check(name: &str, own: &Value) {
    check_stored(name, own, Stored::F32);
}

/// A checkpoint of these settings must give the reference's logits (within 1e-3), its experts and its greedy tokens.
fn check_stored(name: &str, own: &Value, stored: Stored) {
    let folder = Folder::new(name);
    let config = fixture::config(own);
    let mut weights = fixture::write(&folder, &config, None, 7);
    folder.write("model.safetensors", fixture::store(&mut weights, stored));
    let reference = Reference { config: &config, weights: &weights };
    let mut random = Random(name.len() as u64);
    let (mut prompts, mut tensors) = (Vec::new(), BTreeMap::<String, Tensor>::new());
    for (prompt, length) in [("one", 1), ("short", 11), ("long", 70)] {
        let ids: Vec<u32> = (0..length).map(|_| random.token()).collect();
        let logits = reference.logits(&ids);
        let (greedy, margin) = reference.greedy(&ids, 6);
        assert!(margin > 2e-3, "{name}: the reference itself is in doubt ({margin})");
        let values = logits.concat().into_iter().map(|logit| logit as f32).collect();
        tensors.insert(format!("{prompt}.logits"), (vec![length, fixture::VOCABULARY], values));
        prompts.push(json!({ "name": prompt, "prompt_ids": ids, "greedy_ids": greedy }));
    }
    folder.write("golden.json", json!({ "prompts": prompts }).to_string());
    folder.write("golden.safetensors", fixture::safetensors(&tensors));
    let report = verify::golden(folder.path()).unwrap();
    assert!(report.is_within(1e-3), "{name}: {report:#?}");
    // A cache in sixteen bits costs precision, never repeatability.
    let half = verify::golden_with(folder.path(), Precision::Half).unwrap();
    assert!(half.prompts.iter().all(|prompt| prompt.unstable.is_empty() && prompt.logit_error < 0.1), "{half:#?}");
}

#[test]
fn llama_with_scaled_positions_and_tied_output() {
    let scaling = json!({ "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                          "original_max_position_embeddings": 32 });
    check("llama", &json!({ "rope_scaling": scaling, "tie_word_embeddings": true }));
}

#[test]
fn qwen2_with_biases() {
    check("qwen2", &json!({ "model_type": "qwen2", "use_sliding_window": false, "sliding_window": 8 }));
}

#[test]
fn qwen3_with_head_norms_and_yarn() {
    let scaling = json!({ "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32 });
    check("qwen3", &json!({ "model_type": "qwen3", "head_dim": 20, "rope_scaling": scaling }));
}

#[test]
fn qwen3_mixture_of_experts() {
    check(
        "qwen3moe",
        &json!({ "model_type": "qwen3_moe", "head_dim": 20, "num_experts": 8, "num_experts_per_tok": 3,
                 "moe_intermediate_size": 24, "norm_topk_prob": true, "decoder_sparse_step": 1, "mlp_only_layers": [] }),
    );
}

/// DeepSeek's shapes with unequal sizes wherever the family allows it.
pub(super) fn deepseek(own: &Value) -> Value {
    let mut config = json!({
        "model_type": "deepseek_v3", "num_hidden_layers": 3, "num_key_value_heads": 4, "q_lora_rank": 20, "kv_lora_rank": 24,
        "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 12, "n_routed_experts": 8, "num_experts_per_tok": 3,
        "n_shared_experts": 1, "moe_intermediate_size": 24, "first_k_dense_replace": 1, "n_group": 4, "topk_group": 2,
        "topk_method": "noaux_tc", "scoring_func": "sigmoid", "norm_topk_prob": true, "routed_scaling_factor": 2.5,
        "rms_norm_eps": 1e-6,
        "rope_scaling": { "rope_type": "yarn", "factor": 40.0, "original_max_position_embeddings": 16,
                          "mscale": 1.0, "mscale_all_dim": 1.0 },
    });
    for (key, value) in own.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

#[test]
fn deepseek_v3_with_grouped_sigmoid_router() {
    check("v3", &deepseek(&json!({})));
}

#[test]
fn deepseek_v2_with_grouped_softmax_router_and_whole_queries() {
    let own = json!({ "model_type": "deepseek_v2", "q_lora_rank": null, "topk_method": "group_limited_greedy",
                      "scoring_func": "softmax", "norm_topk_prob": false, "routed_scaling_factor": 4.0, "n_shared_experts": 2 });
    check("v2", &deepseek(&own));
}

#[test]
fn moonlight_without_groups_or_scaled_positions() {
    let own =
        json!({ "q_lora_rank": null, "n_group": 1, "topk_group": 1, "rope_scaling": null, "rope_theta": 50000.0 });
    check("moonlight", &deepseek(&own));
}

#[test]
fn every_stored_type_is_read() {
    check_stored("half", &json!({}), Stored::F16);
    check_stored("brain", &deepseek(&json!({})), Stored::Bf16);
    // Sizes that leave partial blocks.
    let own = json!({ "kv_lora_rank": 130, "intermediate_size": 140,
                      "quantization_config": { "quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128] } });
    check_stored("fp8", &deepseek(&own), Stored::Fp8);
}

#[test]
fn what_cannot_be_computed_is_refused_by_name() {
    let refused = |own: Value, field: &str| {
        let folder = Folder::new(&format!("refused-{}", field.len()));
        fixture::write(&folder, &fixture::config(&json!({})), None, 1);
        folder.write("config.json", fixture::config(&own).to_string());
        let error = Engine::load(Settings { model: folder.path().to_owned(), ..Settings::default() }).unwrap_err();
        assert!(matches!(&error, crate::Error::Model(text) if text.contains(field)), "{field}: {error:?}");
    };
    refused(json!({ "model_type": "gpt_neox" }), "model_type");
    refused(json!({ "hidden_act": "gelu" }), "hidden_act");
    refused(json!({ "mlp_bias": true }), "mlp_bias");
    refused(json!({ "rope_scaling": { "rope_type": "longrope", "factor": 2.0 } }), "rope_scaling.rope_type");
    refused(json!({ "rope_scaling": { "rope_type": "llama3" } }), "rope_scaling.factor");
    refused(json!({ "num_key_value_heads": 3 }), "num_key_value_heads");
    refused(json!({ "hidden_size": "many" }), "hidden_size");
    refused(json!({ "num_hidden_layers": u64::MAX }), "num_hidden_layers");
    refused(json!({ "hidden_size": 64 }), "model.embed_tokens.weight");
    refused(json!({ "num_hidden_layers": 3 }), "model.layers.2.input_layernorm.weight");
    refused(json!({ "attention_bias": true }), "bias");
    refused(json!({ "eos_token_id": "end" }), "eos_token_id");
    refused(json!({ "quantization_config": { "quant_method": "gptq" } }), "quantization_config.quant_method");
    refused(deepseek(&json!({ "topk_method": "noaux_tc", "scoring_func": "softmax" })), "topk_method");
    refused(deepseek(&json!({ "num_experts_per_tok": 5 })), "num_experts_per_tok");
    refused(deepseek(&json!({ "moe_layer_freq": 2 })), "moe_layer_freq");
}
