//! One file per subcommand. Each turns arguments into an exit status and text; the work is done elsewhere.

mod audit;
mod check;
mod classify;
mod cost;
mod costs;
mod custody;
mod database;
mod demo;
mod engine;
mod export;
mod failure;
mod keys;
mod ledger;
mod mark;
mod policy;
mod print;
mod providers;
mod quality;
mod records;
mod replay;
mod serve;
mod show;
mod spool;
mod table;
mod train;
mod verify;

use std::process::ExitCode;

use crate::cli::{Arguments, Command};
pub use failure::Failure;

/// Runs a command: 0 good, 1 the answer is "no", 2 wrong usage or configuration, 3 something outside failed.
#[must_use]
pub fn run(arguments: Arguments) -> ExitCode {
    let done = match arguments.command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Providers(arguments) => providers::run(&arguments),
        Command::Migrate(arguments) => keys::migrate(&arguments),
        Command::Policy(arguments) => policy::run(&arguments),
        Command::Classify(arguments) => classify::run(&arguments),
        Command::Audit(arguments) => audit::run(arguments),
        Command::Cost(arguments) => cost::run(&arguments),
        Command::Records(arguments) => records::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Ledger(arguments) => ledger::run(&arguments),
        Command::Spool(arguments) => spool::run(&arguments),
        Command::Keys(arguments) => keys::run(&arguments),
        Command::Engine(arguments) => engine::run(&arguments),
        Command::ManagedPostgres(arguments) => Err(crate::store::managed::become_postgres(&arguments.program).into()),
    };
    match done {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}
