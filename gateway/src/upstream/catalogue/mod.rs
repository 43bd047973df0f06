//! How vendors differ within a dialect, as data that is compiled in and may be added to. It sends nothing.

mod provider;

mod pattern;
mod price;
mod quirks;
mod signal;

mod read;

pub use pattern::Pattern;
pub use price::{Band, Price, Rate, Rates, Tier};
pub use provider::{Auth, Catalogue, Exposure, KeepAlive, Provider, Reasoning, UsageAt};
pub use quirks::{Act, Echo, Parameter, Quirks, Switch, Thinking};
pub use read::load;
pub use signal::Signal;
