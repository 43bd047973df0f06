//! How vendors differ within a dialect, as data that is compiled in. It sends nothing.

mod read;
mod signal;
mod spoken;

pub use read::{Auth, Catalogue, Error, Exposure, Provider, Reasoning, base_url, load, names};
pub use signal::Signal;
