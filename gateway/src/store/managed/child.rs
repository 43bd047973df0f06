//! The small step between the gateway and Postgres: a process that ties its life to its parent's and then becomes it.

use std::ffi::OsString;
use std::io::{Error, ErrorKind, Read};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Runs Postgres in place of this process; comes back only to say why not.
///
/// The system is asked to end Postgres when the gateway is gone, however it went. That is asked here and not in the
/// gateway, because a change of user between the two would undo it.
pub fn become_postgres(program: &[OsString]) -> Error {
    let Some((postgres, arguments)) = program.split_first() else {
        return Error::new(ErrorKind::InvalidInput, "no program was named");
    };
    if let Err(error) = follow_parent() {
        return error;
    }
    Command::new(postgres).args(arguments).exec()
}

#[cfg(target_os = "linux")]
fn follow_parent() -> Result<(), Error> {
    use rustix::process::{Signal, set_parent_process_death_signal};
    // An interrupt is Postgres's "fast" shutdown: sessions are ended, data is flushed.
    set_parent_process_death_signal(Some(Signal::INT))?;
    parent_is_there()
}

#[cfg(not(target_os = "linux"))]
fn follow_parent() -> Result<(), Error> {
    parent_is_there()
}

/// Standard input is a pipe that the parent holds: its end means that the parent died before it could be followed.
fn parent_is_there() -> Result<(), Error> {
    rustix::fs::fcntl_setfl(std::io::stdin(), rustix::fs::OFlags::NONBLOCK)?;
    match std::io::stdin().lock().read(&mut [0]) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        Ok(_) => Err(Error::new(ErrorKind::BrokenPipe, "the gateway is gone")),
        Err(error) => Err(error),
    }
}
