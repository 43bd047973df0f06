//! Streams: bytes to frames, frames to channels, and text changed inside bytes. None of it does I/O.

pub mod sse;

pub mod reasoning;

pub mod splice;

pub mod nested;
