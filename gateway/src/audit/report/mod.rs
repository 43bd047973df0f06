//! Reports: what a run, or recorded traffic, says about what models withhold. Computed here, laid out by `text` and `html`;
//! nothing here reads a database or a file.
//!
//! - `facts`: [`Report`] and everything it says
//! - `judged`: answers as the tables count them: what is withheld, what is left out
//! - `build`: a run to a report; `live`: recorded traffic to one
//! - `rates`, `contrasts`, `attribution`, `reasoning`, `ability`: its tables
//! - `drift`: what has changed between two runs
//! - `examples`: answers that are shown
//! - `words`: the summary and the method in plain words
//! - `text`, `html`: how it looks

mod facts;

mod judged;

mod build;
mod live;

mod ability;
mod attribution;
mod contrasts;
mod drift;
mod rates;
mod reasoning;

mod examples;
mod words;

mod html;
mod text;

pub use build::{Settings, build};
pub use drift::{Drift, Ended, drift};
pub use facts::*;
pub use html::html;
pub use judged::{Bearing, bearing};
pub use live::live;
pub use text::{Sheet, csv, markdown, sheets};

#[cfg(test)]
mod tests;
