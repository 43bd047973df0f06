//! Upstreams: everything that can answer.
