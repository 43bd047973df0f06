//! How vendors differ within a dialect, as data that is compiled in. It sends nothing.

mod prices;
mod read;
mod signal;

pub use prices::shipped_prices;
pub use read::{Auth, Catalogue, Error, Exposure, Provider, Reasoning, base_url, load, names};
pub use signal::Signal;
