//! Dialects: wire formats to canonical exchanges and back.
