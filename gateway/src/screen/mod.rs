//! The only door to policies: texts in, findings, verdicts and release marks out. It sees no socket and no wire format.

mod found;
mod gate;
mod judge;
mod prompt;
mod rules;
mod track;

pub use found::Found;
pub use gate::{Gate, Parcel, Stop};
pub use judge::{
    Case, HostError, Memory, Origin, Question, judge, judge_knowing, no_judgement, observe, read_judgement,
};
pub use prompt::{Outcome, Screened};
pub use rules::{Rules, Watch, shipped_packs, usual_packs};

#[cfg(test)]
mod tests;
