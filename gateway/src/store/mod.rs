//! The store: Postgres, its schema and all that is asked of it. The only importer of sqlx; it decides nothing about
//! traffic.
//!
//! | module | what it does |
//! |---|---|
//! | [`managed`] | a private cluster from installed binaries, where no database is configured |
//! | `pool` | [`Store`]: connections, and what their errors mean |
//! | [`migrate`] | brings the schema to this version |
//! | `partitions` | makes the days and months that rows fall into |
//! | `write`, `insert`, `rows`, `payload` | frames of the spool into rows, exactly once |
//! | `leaves` | what the ledger gets of each row, in the same transaction |
//! | [`records`], [`trace`], [`texts`] | exchanges back out of the rows: lists, one whole, what it says |
//! | [`search`] | exchanges by the words of their texts |
//! | [`audits`] | exchanges of audits, and live ones for the same tables |
//! | [`seal`], [`events`] | the ledger's tree in the database: growing it, signing it, what happened to records |
//! | [`proofs`], `told` | evidence bundles out of it |
//! | [`custody`], [`retention`] | what takes records away, and what keeps them |
//! | [`keys`] | callers' keys |

mod pool;

pub mod managed;
pub mod migrate;

mod insert;
mod leaves;
mod packing;
mod partitions;
mod payload;
mod rows;
mod told;
mod words;
mod write;

pub mod audits;
pub mod costs;
pub mod custody;
pub mod events;
pub mod keys;
pub mod proofs;
pub mod records;
pub mod retention;
pub mod seal;
pub mod search;
pub mod spent;
pub mod texts;
pub mod trace;

pub use pool::{Error, Store};

#[cfg(test)]
mod tests;
