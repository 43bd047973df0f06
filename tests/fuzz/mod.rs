//! Fuzz targets as plain functions, each run by proptest on made-up input. Every target asserts a property, not only that
//! nothing panics.

mod config;
mod request;
mod stream;
