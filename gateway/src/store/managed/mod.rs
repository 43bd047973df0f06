//! Managed mode: a private Postgres from installed binaries, for a gateway that was given no database.
//! It knows no schema and speaks no SQL.
//!
//! One process owns the cluster of a data directory: whoever holds the lock file. Others join it through the socket,
//! and take it over when the owner is gone; commands, which need it only briefly, are waited for instead. Postgres
//! runs as a child that ends with its owner, as an unprivileged user where the owner is root.

mod account;
mod binaries;
mod child;
mod cluster;
mod error;
mod keeper;
mod place;

pub use child::become_postgres;
pub use cluster::{Cluster, Options};
pub use error::Error;
pub use place::Place;
