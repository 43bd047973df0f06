//! Observation: logs, traces, metrics; the only importer of opentelemetry. Nothing here may be needed to serve.

pub mod logs;

pub mod metrics;

pub mod traces;

pub mod export;

pub mod names;

mod families;
mod few;
mod meters;
mod watched;
