//! Upstreams: everything that can answer, remote or in this process, behind one door that takes only what was screened.
//!
//! An exchange's [`Dispatch`] tries the candidates of its route until one gives a [`Reply`]. [`Backends`] is what all
//! workers know of the upstreams, [`Upstreams`] one worker's connections to them. What a reply means is read
//! only where two candidates race for the first word.

mod dispatch;

mod adapt;
mod retry;
mod tries;

mod absence;
mod affinity;
mod backends;
mod balance;
mod choice;
mod health;
mod lease;
mod lock;
mod offers;
mod quota;

mod failure;
mod reply;

mod local;
mod remote;

pub mod errand;
pub mod hub;

pub mod catalogue;

pub use backends::{Backends, Upstreams};
pub use dispatch::{DROPPED, Dispatch, Outgoing, Requests};
pub use failure::{Error, Failure};
pub use lease::Lease;
pub use reply::{Body, Reply};

#[cfg(test)]
mod tests;
