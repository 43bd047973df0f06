//! How vendors differ within a dialect, as data that is compiled in and may be added to. It sends nothing.

mod provider;

mod pattern;
mod prices;
mod quirks;
mod signal;
mod spoken;

mod read;

pub use pattern::Pattern;
pub use prices::shipped_prices;
pub use provider::{Auth, Catalogue, Exposure, KeepAlive, Provider, Reasoning, UsageAt};
pub use quirks::{Act, Condition, Echo, Parameter, Quirks, Switch, Thinking};
pub use read::load;
pub use signal::Signal;
