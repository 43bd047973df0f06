//! Suites: files of probes. Reading them names every mistake at once; nothing here asks anybody.
//!
//! - `probe`: [`Suite`] and [`Probe`], and the suite's digest
//! - `read`: the format, as YAML or JSON lines
//! - `import`: files of promptfoo, HarmBench and SpeechMap; `csv` reads tables
//! - `shipped`: the suites that are compiled in

mod probe;

mod read;

mod csv;
mod import;

mod shipped;

pub use csv::rows as rows_of_table;
pub use import::{Format, open, text};
pub use probe::{Kind, Probe, Suite};
pub use read::Mistake;
pub use shipped::{names as shipped_names, shipped};

#[cfg(test)]
mod tests;
