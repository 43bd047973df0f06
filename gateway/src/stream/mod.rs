//! Streams: bytes to frames, frames to channels, bytes to the client.
