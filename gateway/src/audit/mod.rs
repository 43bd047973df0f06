//! Audits: which topics a model refuses, how often, in which language, and whether it is the weights or the host. Questions
//! go through a gateway's front door, verdicts are those of its records; nothing here prints or serves.
//!
//! | module | what it does |
//! |---|---|
//! | [`suite`] | probes: the format, its reader, the shipped ones, other formats |
//! | [`grade`] | whether an answer in mathematics is right, by its value |
//! | [`run`] | a run's directory: plan, journal, results |
//! | [`ask`] | asks a gateway the questions of a run |
//! | [`collect`] | reads back what the gateway recorded of them |
//! | [`canary`] | the same few probes again and again, and a test for change |
//! | [`discover`] | finds refused subjects that nobody has listed |
//! | [`report`] | what all of it says: tables, summary, page |
//! | [`statistics`] | rates, differences and drift, as pure functions of counts |
//! | [`calibration`] | how often the classifier errs, as it was measured |
//! | [`matrix`] | labels of others through the same statistics |
//! | [`simulation`] | audits whose truth is known, to check the statistics by |

pub mod suite;

pub mod grade;

pub mod run;

pub mod ask;
pub mod collect;

pub mod canary;
pub mod discover;

pub mod report;

pub mod calibration;
pub mod statistics;

pub mod matrix;

pub mod simulation;
