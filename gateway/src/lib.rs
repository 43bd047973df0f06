//! Candor's gateway: a policy-aware reasoning gateway and auditing proxy.
//!
//! Modules import only downward, in the order of this list read from the bottom up.

use std::process::ExitCode;

use clap::Parser;

pub mod cli;
pub mod exchange;
pub mod fault;
pub mod thinking;

pub mod config;
pub mod cost;
pub mod observe;
pub mod route;
pub mod stream;
pub mod tls;

pub mod dialect;
pub mod screen;

pub mod cipher;

pub mod ledger;
pub mod record;
pub mod upstream;

pub mod store;

pub mod audit;
pub mod identify;
pub mod keyring;
pub mod limits;
pub mod snapshot;
pub mod tokens;

pub mod admit;

pub mod pipeline;

pub mod admin;
pub mod listen;

pub mod assemble;

pub mod command;

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    command::run(cli::Arguments::parse())
}
