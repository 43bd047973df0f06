//! Logs, traces and metrics: the only importer of opentelemetry.
