//! A tiny checkpoint with made-up weights, in the files that a real one has. It says nothing sensible, always the same.

use std::path::Path;

use serde_json::{Map, Value, json};

const HIDDEN: usize = 32;
const INNER: usize = 64;
const LAYERS: usize = 2;
const HEADS: usize = 4;
const KEY_HEADS: usize = 2;
const SPECIAL: [&str; 5] = ["<s>", "</s>", "<|user|>", "<|assistant|>", "<|system|>"];
const VOCABULARY: usize = 256 + SPECIAL.len();

/// Writes a checkpoint of the Llama family into a directory.
pub(crate) fn write(directory: &Path) {
    std::fs::create_dir_all(directory).expect("a directory");
    let file = |name: &str, value: &Value| {
        std::fs::write(directory.join(name), value.to_string()).expect("a file of the checkpoint");
    };
    file("config.json", &config());
    file("tokenizer.json", &tokenizer());
    file("tokenizer_config.json", &tokenizer_config());
    std::fs::write(directory.join("model.safetensors"), weights()).expect("weights");
}

fn config() -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "torch_dtype": "float32",
        "hidden_size": HIDDEN, "intermediate_size": INNER, "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS, "num_key_value_heads": KEY_HEADS, "head_dim": HIDDEN / HEADS,
        "vocab_size": VOCABULARY, "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "tie_word_embeddings": false, "attention_bias": false, "mlp_bias": false,
        "bos_token_id": 256, "eos_token_id": 257,
    })
}

fn tokenizer_config() -> Value {
    json!({
        "bos_token": "<s>", "eos_token": "</s>", "tokenizer_class": "PreTrainedTokenizerFast",
        "chat_template": "{{ bos_token }}{% for message in messages %}<|{{ message.role }}|>{{ message.content }}\
                          {% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}",
    })
}

/// A tokenizer with one token for each byte, written as GPT-2 writes bytes.
fn tokenizer() -> Value {
    let mut vocabulary: Map<String, Value> =
        (0..=255).map(|byte| (letter(byte).to_string(), Value::from(byte))).collect();
    let special = SPECIAL.iter().zip(256..).map(|(content, id)| {
        vocabulary.insert((*content).to_owned(), Value::from(id));
        json!({
            "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        })
    });
    let special: Vec<Value> = special.collect();
    let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": special, "normalizer": null,
        "pre_tokenizer": byte_level, "post_processor": null, "decoder": byte_level,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": vocabulary, "merges": [],
        },
    })
}

/// The printable letter that stands for a byte: itself where it is one, else the next free one from U+0100.
fn letter(byte: u8) -> char {
    let printable = |byte: &u8| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    if printable(&byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|byte| !printable(byte)).count();
    char::from_u32(0x100 + u32::try_from(before).expect("fewer than 256")).expect("a letter")
}

/// The weights as a safetensors file: length of the header, header, data.
fn weights() -> Vec<u8> {
    let key_width = HIDDEN / HEADS * KEY_HEADS;
    let mut tensors = vec![
        ("model.embed_tokens.weight".to_owned(), vec![VOCABULARY, HIDDEN]),
        ("model.norm.weight".to_owned(), vec![HIDDEN]),
        ("lm_head.weight".to_owned(), vec![VOCABULARY, HIDDEN]),
    ];
    for layer in 0..LAYERS {
        let shapes = [
            ("self_attn.q_proj", vec![HIDDEN, HIDDEN]),
            ("self_attn.k_proj", vec![key_width, HIDDEN]),
            ("self_attn.v_proj", vec![key_width, HIDDEN]),
            ("self_attn.o_proj", vec![HIDDEN, HIDDEN]),
            ("mlp.gate_proj", vec![INNER, HIDDEN]),
            ("mlp.up_proj", vec![INNER, HIDDEN]),
            ("mlp.down_proj", vec![HIDDEN, INNER]),
            ("input_layernorm", vec![HIDDEN]),
            ("post_attention_layernorm", vec![HIDDEN]),
        ];
        tensors.extend(shapes.map(|(name, shape)| (format!("model.layers.{layer}.{name}.weight"), shape)));
    }
    let mut header = Map::new();
    let mut data: Vec<u8> = Vec::new();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for (name, shape) in tensors {
        let start = data.len();
        let norm = shape.len() == 1;
        for _ in 0..shape.iter().product::<usize>() {
            let value = if norm { 1.0 } else { random.next() };
            data.extend_from_slice(&value.to_le_bytes());
        }
        header.insert(name, json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]}));
    }
    let mut header = Value::Object(header).to_string();
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    file.extend_from_slice(&data);
    file
}

/// Numbers that look random and are the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let unit = (self.0 >> 40) as f32 / (1_u64 << 24) as f32;
        (unit - 0.5) * 0.6
    }
}
