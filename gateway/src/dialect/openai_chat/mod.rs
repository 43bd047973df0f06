//! OpenAI Chat Completions: requests and replies read beside their bytes, and what the gateway itself must write.

pub(super) mod request;

pub(super) mod reply;

pub(super) mod calls;

pub(super) mod gather;

pub mod write;

pub mod usage;

#[cfg(test)]
mod tests;
