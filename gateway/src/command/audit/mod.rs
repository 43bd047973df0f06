//! `candor audit`: one file for each of its subcommands.

mod compare;
mod discover;
mod door;
mod matrix;
mod report;
mod run;
mod suites;

use std::process::ExitCode;

use super::{Failure, database, print, records, table};
use crate::cli::Audit;

/// Runs the command.
pub(super) fn run(arguments: Audit) -> Result<ExitCode, Failure> {
    match arguments {
        Audit::Suites(arguments) => suites::list(&arguments),
        Audit::Check(arguments) => suites::check(&arguments),
        Audit::Run(arguments) => run::run(&arguments),
        Audit::Report(arguments) => report::run(&arguments),
        Audit::Compare(arguments) => compare::run(&arguments),
        Audit::Discover(arguments) => discover::run(&arguments),
        Audit::Matrix(arguments) => matrix::run(&arguments),
        Audit::Simulate(arguments) => matrix::simulated(&arguments),
    }
}
