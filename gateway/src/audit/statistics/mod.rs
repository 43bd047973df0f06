//! The statistics of audits: pure functions of counts, each with the source of its formula. They know nothing of suites,
//! records or reports.
//!
//! | module | what it answers |
//! |---|---|
//! | [`interval`] | how often, and between which bounds |
//! | [`correction`] | how often really, where the classifier errs at known rates |
//! | [`contrast`] | whether two rates differ: of the same probes, or of different ones |
//! | [`effect`] | how much they differ |
//! | [`discovery`] | which of many differences may be called one |
//! | [`agreement`] | how far two judges agree beyond chance |
//! | [`sequential`] | whether a rate has left its band, asked as often as one likes |
//! | [`richness`] | how many refused subjects nobody has found yet |

pub mod interval;

pub mod correction;

pub mod contrast;
pub mod effect;

pub mod discovery;

pub mod agreement;

pub mod sequential;

pub mod richness;

mod special;

#[cfg(test)]
mod tests;
