//! A tokenizer from a GGUF file's metadata, as the `tokenizer.json` that it was made from. How a text is first split is
//! known for the models listed here; for others nothing is guessed.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use crate::Error;
use crate::weights::gguf::{Gguf, Meta};

/// The contents of a `tokenizer.json`.
pub(crate) fn tokenizer(gguf: &Gguf) -> Result<Value, Error> {
    let tokens = texts(gguf, "tokenizer.ggml.tokens")?;
    if tokens.is_empty() {
        return Err(Error::Model("the file has no tokenizer.ggml.tokens".to_owned()));
    }
    let mut tokenizer = match gguf.text("tokenizer.ggml.model") {
        Some("gpt2") => byte_pairs(gguf, &tokens)?,
        Some("llama") => sentence_pieces(gguf, &tokens),
        other => {
            let known = "gpt2 and llama";
            return Err(Error::Model(format!("tokenizer.ggml.model {other:?} is not known; known are {known}")));
        }
    };
    tokenizer["version"] = json!("1.0");
    tokenizer["added_tokens"] = added(gguf, &tokens);
    tokenizer["post_processor"] = beginning(gguf, &tokens);
    Ok(tokenizer)
}

/// The text of a token that the metadata name by its number.
pub(crate) fn token(gguf: &Gguf, key: &str) -> String {
    let index = gguf.whole(key).and_then(|index| usize::try_from(index).ok());
    match index.and_then(|index| gguf.list("tokenizer.ggml.tokens").get(index)) {
        Some(Meta::Text(text)) => text.clone(),
        _ => String::new(),
    }
}

fn texts<'a>(gguf: &'a Gguf, key: &str) -> Result<Vec<&'a str>, Error> {
    let text = |meta: &'a Meta| match meta {
        Meta::Text(text) => Ok(text.as_str()),
        _ => Err(Error::Model(format!("{key} holds something else than text"))),
    };
    gguf.list(key).iter().map(text).collect()
}

const CONTROL: i128 = 3;
const USER_DEFINED: i128 = 4;

fn kind(gguf: &Gguf, index: usize) -> i128 {
    match gguf.list("tokenizer.ggml.token_type").get(index) {
        Some(Meta::Whole(kind)) => *kind,
        _ => 1,
    }
}

fn added(gguf: &Gguf, tokens: &[&str]) -> Value {
    let of_kind = tokens.iter().enumerate().map(|(id, token)| (id, token, kind(gguf, id)));
    let added = of_kind.filter(|(_, token, kind)| matches!(*kind, CONTROL | USER_DEFINED) && !token.is_empty());
    let added = added.map(|(id, token, kind)| {
        json!({ "id": id, "content": token, "special": kind == CONTROL, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false })
    });
    added.collect()
}

/// What the tokenizer itself puts before a text.
fn beginning(gguf: &Gguf, tokens: &[&str]) -> Value {
    let bos =
        gguf.whole("tokenizer.ggml.bos_token_id").and_then(|id| Some((id, *tokens.get(usize::try_from(id).ok()?)?)));
    let spm = gguf.text("tokenizer.ggml.model") == Some("llama");
    match bos {
        Some((id, token)) if gguf.flag("tokenizer.ggml.add_bos_token").unwrap_or(spm) => json!({
            "type": "TemplateProcessing",
            "single": [{ "SpecialToken": { "id": token, "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } }],
            "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 1 } }],
            "special_tokens": { (token): { "id": token, "ids": [id], "tokens": [token] } },
        }),
        _ => Value::Null,
    }
}

fn vocabulary(tokens: &[&str]) -> Map<String, Value> {
    tokens.iter().zip(0u32..).map(|(token, id)| ((*token).to_owned(), id.into())).collect()
}

fn byte_pairs(gguf: &Gguf, tokens: &[&str]) -> Result<Value, Error> {
    let pre = gguf.text("tokenizer.ggml.pre").unwrap_or("");
    let Some((_, split)) = SPLITS.iter().find(|(names, _)| names.contains(&pre)) else {
        let known: Vec<&str> = SPLITS.iter().flat_map(|(names, _)| names.iter().copied()).collect();
        return Err(Error::Model(format!("tokenizer.ggml.pre {pre:?} is not known; known are {}", known.join(", "))));
    };
    let step = |pattern: &&str| json!({ "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated", "invert": false });
    let bytes = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false });
    let steps: Vec<Value> = split.patterns.iter().map(step).chain([bytes.clone()]).collect();
    Ok(json!({
        "normalizer": if split.composed { json!({ "type": "NFC" }) } else { Value::Null },
        "pre_tokenizer": { "type": "Sequence", "pretokenizers": steps },
        "decoder": bytes,
        "model": { "type": "BPE", "vocab": vocabulary(tokens), "merges": texts(gguf, "tokenizer.ggml.merges")?,
                   "ignore_merges": split.whole_first },
    }))
}

/// How a text is split before pairs are merged.
struct Split {
    patterns: &'static [&'static str],
    /// Whether letters and their accents are put together first.
    composed: bool,
    /// Whether a piece that is a token is not built up from pairs.
    whole_first: bool,
}

const WORDS: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const WORDS_AND_THREE_DIGITS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// By the names that converters give the splits.
const SPLITS: [(&[&str], Split); 6] = [
    (
        &["gpt-2"],
        Split {
            patterns: &[r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"],
            composed: false,
            whole_first: false,
        },
    ),
    (&["llama-bpe", "llama3"], Split { patterns: &[WORDS_AND_THREE_DIGITS], composed: false, whole_first: true }),
    (&["qwen2", "deepseek-r1-qwen"], Split { patterns: &[WORDS], composed: true, whole_first: false }),
    (
        &["deepseek-llm"],
        Split {
            patterns: &[
                r"[\r\n]",
                r"\s?[\p{Lu}\p{Ll}\p{Lt}]+",
                "\\s?[!-/:-~\u{ff01}-\u{ff0f}\u{ff1a}-\u{ff5e}\u{2018}-\u{201f}\u{3000}-\u{3002}]+",
                r"\s+$",
                "[\u{4e00}-\u{9fa5}\u{800}-\u{4e00}\u{ac00}-\u{d7ff}]+",
                r"\p{N}+",
            ],
            composed: false,
            whole_first: false,
        },
    ),
    (
        &["deepseek-coder"],
        Split {
            patterns: &[
                r"[\r\n]",
                r"\s?\p{L}+",
                r"\s?\p{P}+",
                "[\u{4e00}-\u{9fa5}\u{800}-\u{4e00}\u{ac00}-\u{d7ff}]+",
                r"\p{N}",
            ],
            composed: false,
            whole_first: false,
        },
    ),
    (
        &["deepseek-v3"],
        Split {
            patterns: &[
                r"\p{N}{1,3}",
                "[\u{4e00}-\u{9fa5}\u{3040}-\u{309f}\u{30a0}-\u{30ff}]+",
                "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+\
                 | ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
            ],
            composed: false,
            whole_first: false,
        },
    ),
];

/// Pieces that are merged by their scores, as pairs in the order in which that merges them.
fn sentence_pieces(gguf: &Gguf, tokens: &[&str]) -> Value {
    let ids: HashMap<&str, usize> = tokens.iter().enumerate().map(|(id, token)| (*token, id)).collect();
    let score = |id: usize| match gguf.list("tokenizer.ggml.scores").get(id) {
        Some(Meta::Real(score)) => *score,
        _ => 0.0,
    };
    let mut merges: Vec<(usize, usize, usize)> = Vec::new();
    for (id, token) in tokens.iter().enumerate().filter(|(id, _)| kind(gguf, *id) == 1) {
        for (at, _) in token.char_indices().skip(1) {
            if let (Some(left), Some(right)) = (ids.get(&token[..at]), ids.get(&token[at..])) {
                merges.push((id, *left, *right));
            }
        }
    }
    merges.sort_by(|a, b| score(b.0).total_cmp(&score(a.0)).then((a.1, a.2).cmp(&(b.1, b.2))));
    let merges: Vec<[&str; 2]> = merges.into_iter().map(|(_, left, right)| [tokens[left], tokens[right]]).collect();
    let space = "\u{2581}";
    let mut normal = vec![json!({ "type": "Replace", "pattern": { "String": " " }, "content": space })];
    let mut decoders = vec![
        json!({ "type": "Replace", "pattern": { "String": space }, "content": " " }),
        json!({ "type": "ByteFallback" }),
        json!({ "type": "Fuse" }),
    ];
    if gguf.flag("tokenizer.ggml.add_space_prefix").unwrap_or(true) {
        normal.insert(0, json!({ "type": "Prepend", "prepend": space }));
        decoders.push(json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
    }
    let unknown = gguf.whole("tokenizer.ggml.unknown_token_id").and_then(|id| usize::try_from(id).ok());
    json!({
        "normalizer": { "type": "Sequence", "normalizers": normal },
        "pre_tokenizer": null,
        "decoder": { "type": "Sequence", "decoders": decoders },
        "model": { "type": "BPE", "vocab": vocabulary(tokens), "merges": merges, "byte_fallback": true, "fuse_unk": true,
                   "unk_token": unknown.and_then(|id| tokens.get(id)) },
    })
}
