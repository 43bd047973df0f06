//! The engine in this process as an upstream: the only door to it. It speaks the client's dialect like a remote one.

mod ask;
mod engine;
mod form;
mod speech;
mod write;

pub(crate) use engine::{Call, Local};
pub(crate) use speech::Speech;
