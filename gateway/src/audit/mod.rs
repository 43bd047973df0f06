//! Audits: which topics a model refuses, how often, in which language, and whether it is the weights or the host.
//!
//! | module | what it does |
//! |---|---|
//! | [`statistics`] | rates, differences and drift, as pure functions of counts |
//! | [`simulation`] | audits whose truth is known, to check the statistics by |

pub mod statistics;

pub mod simulation;
