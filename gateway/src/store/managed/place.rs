//! Where the parts of a managed cluster lie, and what its lock file says of it. It changes nothing but missing
//! directories.

use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use rustix::process::{Pid, test_kill_process};

use super::Error;

/// Bytes that a socket's address may have on every system, its end mark included.
const LONGEST_SOCKET: usize = 100;

/// What Postgres calls the socket of its default port.
const SOCKET: &str = ".s.PGSQL.5432";

/// The cluster's directory in the data directory.
pub(super) const CLUSTER: &str = "postgres";

/// The paths of one data directory's cluster.
#[derive(Debug, Clone)]
pub struct Place {
    pub(super) data: PathBuf,
    pub(super) cluster: PathBuf,
    pub(super) fresh: PathBuf,
    pub(super) lock: PathBuf,
    pub(super) guests: PathBuf,
    pub(super) log: PathBuf,
    pub(super) socket: PathBuf,
}

/// What `postmaster.pid` says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Postmaster {
    pub(super) process: Pid,
    pub(super) ready: bool,
}

impl Place {
    /// The places under a data directory, which is made where it is missing.
    ///
    /// # Errors
    /// The directory can be neither found nor made.
    pub fn of(data: &Path) -> Result<Self, Error> {
        std::fs::DirBuilder::new().recursive(true).mode(0o750).create(data).map_err(Error::file(data))?;
        let data = std::fs::canonicalize(data).map_err(Error::file(data))?;
        let cluster = data.join(CLUSTER);
        let socket = socket_directory(&cluster);
        Ok(Self {
            fresh: data.join("postgres.new"),
            lock: data.join("postgres.lock"),
            guests: data.join("postgres.guests"),
            log: data.join("postgres.log"),
            cluster,
            socket,
            data,
        })
    }

    /// The directory of the socket that clients connect to.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Whether the socket's directory is one of its own, outside the cluster's.
    pub(super) fn socket_is_apart(&self) -> bool {
        self.socket != self.cluster
    }

    /// Reads who runs, or ran, the cluster.
    pub(super) fn postmaster(&self) -> Option<Postmaster> {
        read_postmaster(&std::fs::read_to_string(self.postmaster_file()).ok()?)
    }

    pub(super) fn postmaster_file(&self) -> PathBuf {
        self.cluster.join("postmaster.pid")
    }

    /// Whether a process accepts connections for this cluster.
    pub(super) fn answers(&self) -> bool {
        let ready = self.postmaster().is_some_and(|postmaster| postmaster.ready && is_alive(postmaster.process));
        ready && UnixStream::connect(self.socket.join(SOCKET)).is_ok()
    }

    /// Whether a process is this cluster's Postgres, and no other that got its number.
    pub(super) fn is_ours(&self, process: Pid) -> bool {
        if !is_alive(process) {
            return false;
        }
        match std::fs::read(format!("/proc/{}/cmdline", process.as_raw_nonzero())) {
            Ok(line) => {
                let cluster = self.cluster.as_os_str().as_encoded_bytes();
                line.split(|byte| *byte == 0).any(|argument| argument == cluster)
            }
            // A system without /proc: Postgres itself will refuse if it is one.
            Err(_) => !Path::new("/proc/self").exists(),
        }
    }
}

/// Whether a process exists.
pub(super) fn is_alive(process: Pid) -> bool {
    // "Not permitted" means that it is there and somebody else's.
    test_kill_process(process).map_or_else(|error| error == rustix::io::Errno::PERM, |()| true)
}

/// The cluster's own directory, unless its path is too long for a socket's address.
fn socket_directory(cluster: &Path) -> PathBuf {
    if cluster.as_os_str().len() + 1 + SOCKET.len() < LONGEST_SOCKET {
        return cluster.to_owned();
    }
    let digest = digest(&SHA256, cluster.as_os_str().as_encoded_bytes());
    let name: String = digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Path::new("/tmp").join(format!("candor-{name}"))
}

/// Lines: process, data directory, start time, port, socket directory, address, shared memory, status.
fn read_postmaster(text: &str) -> Option<Postmaster> {
    let mut lines = text.lines();
    let process = Pid::from_raw(lines.next()?.trim().parse().ok()?)?;
    let ready = lines.nth(6).is_some_and(|status| status.trim() == "ready");
    Some(Postmaster { process, ready })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_file_of_postgres_is_read_with_its_status() {
        let check = |text: &str, expected: Option<(i32, bool)>| {
            let found = read_postmaster(text).map(|found| (found.process.as_raw_nonzero().get(), found.ready));
            assert_eq!(found, expected, "{text:?}");
        };
        check("4711\n/data\n1\n5432\n/data\n\n  1 2\nready   \n", Some((4711, true)));
        check("4711\n/data\n1\n5432\n/data\n\n  1 2\nstopping\n", Some((4711, false)));
        check("4711\n/data\n1\n5432\n", Some((4711, false)));
        check("", None);
        check("0\n", None);
        check("many\n", None);
    }

    #[test]
    fn a_long_path_gets_a_short_socket_directory_of_its_own() {
        let short = Path::new("/var/lib/candor/postgres");
        assert_eq!(socket_directory(short), short);
        let long = PathBuf::from(format!("/{}/postgres", "x".repeat(90)));
        let socket = socket_directory(&long);
        assert_ne!(socket, long);
        assert_eq!(socket, socket_directory(&long));
        assert!(socket.join(SOCKET).as_os_str().len() < LONGEST_SOCKET);
    }
}
