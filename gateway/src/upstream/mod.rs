//! Upstreams: everything that can answer.
pub mod catalogue {
    pub fn names() -> Vec<&'static str> {
        vec!["openai-compatible", "openai", "deepseek"]
    }
    pub fn base_url(p: &str) -> Option<&'static str> {
        (p == "openai").then_some("https://api.openai.com/v1")
    }
}
