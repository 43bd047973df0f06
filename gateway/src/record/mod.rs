//! Records: what is kept of an exchange and how it is kept until the store has it.

mod record;

pub use record::{Attempt, Begin, End, Segment, wall_clock};
