//! The only door to policies: texts in, findings, verdicts and release marks out. It sees no socket and no wire format.

mod candidates;
mod courses;
mod found;
mod gate;
mod inquiry;
mod judge;
mod prompt;
mod rules;
mod track;

pub use candidates::{Clearance, Cleared, Special};
pub use courses::Courses;
pub use found::Found;
pub use gate::{Gate, Parcel, Stop};
pub use inquiry::{Answered, Inquiry};
pub use judge::{
    Case, HostError, Memory, Origin, Question, UNJUDGED, judge, judge_knowing, no_judgement, observe, read_judgement,
    unjudged,
};
pub use prompt::Screened;
pub use rules::{Judged, Rules, Watch, shipped_packs, usual_packs};

#[cfg(test)]
mod tests;
