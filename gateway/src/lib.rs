//! Candor's gateway: a policy-aware reasoning gateway and auditing proxy.
//!
//! Modules import only downward, in the order of this list read from the bottom up.

use std::process::ExitCode;

pub mod exchange;

pub mod config;
pub mod observe;
pub mod route;
pub mod stream;
pub mod tls;

pub mod dialect;
pub mod screen;

pub mod record;
pub mod upstream;

pub mod store;

pub mod admit;

pub mod listen;

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
