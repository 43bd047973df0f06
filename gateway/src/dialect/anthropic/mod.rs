//! Anthropic Messages: requests and replies read beside their bytes, and what the gateway itself must write.

pub(super) mod request;

pub(super) mod reply;

pub(super) mod write;

pub(super) mod count;

#[cfg(test)]
mod tests;
