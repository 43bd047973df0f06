//! Local doubles of vendors and server programs: each behaves as its documentation and the recorded quirks say. They
//! refuse what the vendor refuses, in its words; stream in its order; and keep quiet about everything else.

mod deepseek;
pub(crate) mod embedder;
mod openai;
mod relays;
mod servers;
pub(crate) mod speaker;
pub(crate) mod vendor;

mod asia;

use vendor::Vendor;

/// All of them, in the order of the catalogue.
pub(crate) fn all() -> Vec<Vendor> {
    let mut all = vec![openai::gpt(), openai::o3(), openai::anthropic()];
    all.extend([deepseek::today(), deepseek::r1(), asia::dashscope(), asia::moonshot()]);
    all.extend([relays::openrouter(), relays::huggingface(), relays::generic()]);
    all.extend([servers::vllm(), servers::sglang(), servers::llama_cpp(), servers::ollama()]);
    all
}
