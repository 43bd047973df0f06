//! Records: what is kept of an exchange and how it is kept until the store has it.
//!
//! An exchange leaves a begin and an end with the [`Recorder`]; the spool's writer makes them durable, and the
//! [`Shipper`] takes them to the store, a [`Sink`].

#[expect(clippy::module_inception, reason = "what a record is stands in a file of that name")]
mod record;

mod counts;
mod recorder;
mod ship;
mod shipper;

mod codec;
mod spool;
#[cfg(test)]
mod tests;

pub use counts::{Counts, Tally};
pub use record::{Attempt, Begin, End, wall_clock};
pub use recorder::{Durable, Error, Lost, Recorder, Refused, Slot};
pub use ship::{ClosedWhy, Entry, Frame, LossWhy, Sink, SinkError};
pub use shipper::Shipper;
pub use spool::Waiting;
