//! Local doubles of vendors and server programs: each behaves as its documentation and the recorded quirks say. They
//! refuse what the vendor refuses, in its words; stream in its order; and keep quiet about everything else.

mod deepseek;
pub(crate) mod embedder;
pub(crate) mod money;
mod openai;
mod relays;
mod servers;
pub(crate) mod speaker;
pub(crate) mod vendor;

mod asia;

use serde_json::json;
use vendor::Vendor;

use crate::harness::gateway::{Gateway, Setup, remote};
use crate::harness::upstream::Upstream;

/// All of them, in the order of the catalogue.
pub(crate) fn all() -> Vec<Vendor> {
    let mut all = vec![openai::gpt(), openai::o3(), openai::anthropic()];
    all.extend([deepseek::today(), deepseek::r1(), asia::dashscope(), asia::moonshot()]);
    all.extend([relays::openrouter(), relays::huggingface(), relays::generic()]);
    all.extend([servers::vllm(), servers::sglang(), servers::llama_cpp(), servers::ollama()]);
    all
}

/// A double as a gateway is told of it.
pub(crate) struct Served<'a> {
    pub(crate) name: String,
    pub(crate) provider: &'a str,
    pub(crate) model: &'a str,
    /// What is spoken there; the provider's usual where nothing is said.
    pub(crate) dialect: Option<&'a str>,
    pub(crate) upstream: &'a Upstream,
}

/// A gateway before doubles, each served twice: by its name with adaptation, and after `raw/` without.
pub(crate) async fn before(doubles: Vec<Served<'_>>) -> Gateway {
    let (mut upstreams, mut models) = (Vec::new(), Vec::new());
    for Served { name, provider, model, dialect, upstream } in &doubles {
        for (prefix, adapt) in [("", "on"), ("raw/", "off")] {
            let name = format!("{prefix}{name}");
            let mut entry = remote(&name, &upstream.base_url());
            entry["provider"] = json!(provider);
            entry["adapt"] = json!(adapt);
            if let Some(dialect) = dialect {
                entry["dialects"] = json!([dialect]);
            }
            upstreams.push(entry);
            models.push(json!({"name": name, "attempts": 1, "candidates": [{"upstream": name, "model": model}]}));
        }
    }
    Setup::new().with(json!({"upstreams": upstreams, "models": models})).start().await
}
