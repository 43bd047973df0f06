//! Doubles of endpoints that turn texts into vectors. They refuse what the vendor refuses, in its words.

use serde_json::{Value, json};

use super::vendor::error;
use super::{Double, Served};
use crate::harness::script::Reply;
use crate::harness::upstream::Received;

/// Where all of them are asked.
pub(crate) const PATH: &str = "/v1/embeddings";

/// A model at an endpoint.
pub(crate) struct Embedder {
    /// Its row in tables.
    pub(crate) name: &'static str,
    /// Its entry in the catalogue.
    pub(crate) provider: &'static str,
    pub(crate) model: &'static str,
    /// How many texts one request may hold, where that is few.
    pub(crate) most: Option<usize>,
    /// What it says of a request for vectors of another size, where it refuses one.
    pub(crate) one_size: Option<fn() -> Reply>,
    /// Fields of its replies beside the common ones.
    beside: fn() -> Value,
    /// Counts beside those of the prompt.
    counts: fn() -> Value,
}

/// All of them, in the order of the catalogue.
pub(crate) fn embedders() -> Vec<Embedder> {
    let plain = Embedder::plain;
    vec![
        plain("OpenAI", "openai", "text-embedding-3-small"),
        Embedder { one_size: Some(ada), ..plain("OpenAI ada-002", "openai", "text-embedding-ada-002") },
        // memodb-io/memobase#142, zilliztech/claude-context#177: more than ten texts are refused.
        Embedder {
            most: Some(10),
            beside: || json!({"id": "73591b79-d194-9bca-8bb5-1f2e3d4c5b6a"}),
            ..plain("DashScope", "dashscope", "text-embedding-v4")
        },
        Embedder {
            beside: || json!({"id": "gen-emb-1", "provider": "OpenAI"}),
            counts: || json!({"cost": 0.00001}),
            ..plain("OpenRouter", "openrouter", "openai/text-embedding-3-small")
        },
        Embedder {
            one_size: Some(matryoshka),
            beside: || json!({"id": "embd-1", "created": 1_760_000_000}),
            counts: || json!({"completion_tokens": 0, "prompt_tokens_details": null}),
            ..plain("vLLM", "vllm", "BAAI/bge-large-zh-v1.5")
        },
        Embedder {
            counts: || json!({"completion_tokens": 0, "prompt_tokens_details": null}),
            ..plain("SGLang", "sglang", "Qwen/Qwen3-Embedding-4B")
        },
        plain("llama.cpp", "llama-cpp", "nomic-embed-text-v1.5.Q8_0.gguf"),
        plain("Ollama", "ollama", "nomic-embed-text"),
    ]
}

/// SciPhi-AI/R2R#768, sbintuitions/JMTEB#14.
fn ada() -> Reply {
    error(400, "This model does not support specifying dimensions.", "invalid_request_error", None, None)
}

/// coze-dev/coze-studio#838, of a model that was not trained for shorter vectors.
fn matryoshka() -> Reply {
    let message = "Model \"BAAI/bge-large-zh-v1.5\" does not support matryoshka representation, changing output \
                   dimensions will lead to poor results.";
    Reply::json(400, json!({"error": {"message": message, "type": "BadRequestError", "code": 400}}).to_string())
}

/// memodb-io/memobase#142.
fn too_many() -> Reply {
    let message = "<400> InternalError.Algo.InvalidParameter: Value error, batch size is invalid, it should not be \
                   larger than 10.: input.contents";
    error(400, message, "InvalidParameter", None, Some("InvalidParameter"))
}

impl Embedder {
    fn plain(name: &'static str, provider: &'static str, model: &'static str) -> Self {
        Self { name, provider, model, most: None, one_size: None, beside: || json!({}), counts: || json!({}) }
    }

    /// The bytes of its reply to so many texts, four tokens each.
    pub(crate) fn reply(&self, texts: usize) -> String {
        let vector = |index: usize| json!({"object": "embedding", "index": index, "embedding": [0.1250, -1e-7, index]});
        let tokens = 4 * texts;
        let data: Vec<Value> = (0..texts).map(vector).collect();
        let mut usage = json!({"prompt_tokens": tokens, "total_tokens": tokens});
        let mut reply = json!({"object": "list", "data": data, "model": self.model});
        for (object, more) in [(&mut usage, (self.counts)()), (&mut reply, (self.beside)())] {
            object.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        }
        reply["usage"] = usage;
        reply.to_string()
    }
}

impl Double for Embedder {
    fn answer(&self, received: &Received) -> Reply {
        assert_eq!(received.path, PATH, "{}", self.name);
        let body: Value = serde_json::from_slice(&received.body).expect("JSON from the gateway");
        let texts = body["input"].as_array().map_or(1, Vec::len);
        if let Some(refused) = self.one_size.filter(|_| !body["dimensions"].is_null()) {
            return refused();
        }
        if self.most.is_some_and(|most| texts > most) {
            return too_many();
        }
        match body["input"].as_str() {
            Some("Too often") => error(429, "Slow down", "rate_limit_error", None, None).header("retry-after", "7"),
            Some("No money") => super::money::reply(self.provider),
            Some("Overloaded") => error(503, "Busy", "server_error", None, None),
            _ => Reply::json(200, self.reply(texts)),
        }
    }

    fn served(&self) -> Served<'_> {
        Served {
            name: self.name.to_owned(),
            provider: self.provider,
            model: self.model,
            // Away from a vendor's own address it must be said what is spoken there.
            dialect: Some("openai-embeddings"),
        }
    }
}
