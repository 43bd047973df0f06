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

use std::sync::Arc;

use serde_json::json;
use vendor::Vendor;

use crate::harness::gateway::{Gateway, Setup, remote};
use crate::harness::script::Reply;
use crate::harness::upstream::{Received, Upstream};

/// All of them, in the order of the catalogue.
pub(crate) fn all() -> Vec<Vendor> {
    let mut all = vec![openai::gpt(), openai::o3(), openai::anthropic()];
    all.extend([deepseek::today(), deepseek::r1(), asia::dashscope(), asia::moonshot()]);
    all.extend([relays::openrouter(), relays::huggingface(), relays::generic()]);
    all.extend([servers::vllm(), servers::sglang(), servers::llama_cpp(), servers::ollama()]);
    all
}

/// A server that behaves as a vendor's.
pub(crate) trait Double: Send + Sync + 'static {
    /// What it says to a request.
    fn answer(&self, received: &Received) -> Reply;

    /// What a gateway is told of it.
    fn served(&self) -> Served<'_>;
}

/// A double as a gateway is told of it.
pub(crate) struct Served<'a> {
    pub(crate) name: String,
    pub(crate) provider: &'a str,
    pub(crate) model: &'a str,
    /// What is spoken there; the provider's usual where nothing is said.
    pub(crate) dialect: Option<&'a str>,
}

/// A gateway before doubles, each served twice: by its name with adaptation, and after `raw/` without.
pub(crate) struct Bench<D> {
    pub(crate) gateway: Gateway,
    pub(crate) doubles: Vec<(Arc<D>, Upstream)>,
}

impl<D: Double> Bench<D> {
    /// Starts all of it.
    pub(crate) async fn start(all: Vec<D>) -> Self {
        let mut doubles = Vec::new();
        for double in all.into_iter().map(Arc::new) {
            let answering = double.clone();
            doubles.push((double, Upstream::answering(move |received| answering.answer(received)).await));
        }
        let (mut upstreams, mut models) = (Vec::new(), Vec::new());
        for (double, upstream) in &doubles {
            let Served { name, provider, model, dialect } = double.served();
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
        let gateway = Setup::new().with(json!({"upstreams": upstreams, "models": models})).start().await;
        Self { gateway, doubles }
    }
}
