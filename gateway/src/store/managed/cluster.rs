//! A managed cluster as its users see it: started or joined, usable once it is there, stopped with its handle.
//! Files and processes are the keeper's.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::keeper::{GLANCE, Keeper, Shared};
use super::place::CLUSTER;
use super::{Error, Place};

/// Glances until a start is given up: two minutes, for a recovery after a crash may take its time.
const START: u32 = 6000;

/// Glances that an owner waits for its guests: ten seconds.
const GUESTS: u32 = 500;

/// What Postgres gets for an orderly shutdown, and then for an immediate one.
const SHUTDOWN: Duration = Duration::from_secs(15);

/// How a cluster is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Directory of the binaries; `None` searches the usual places.
    pub binaries: Option<PathBuf>,
    /// What runs Postgres such that it ends with this process: a program and its first arguments.
    pub launcher: Vec<OsString>,
    /// Whether data survives a crash of the machine; only tests can do without.
    pub durable: bool,
    /// Whether the cluster is wanted for one piece of work, which its owner waits for before it stops it. Who stays
    /// longer takes the cluster over instead.
    pub brief: bool,
}

impl Options {
    /// How the gateway runs it: durable, through this very program.
    #[must_use]
    pub fn of_gateway(binaries: Option<&Path>) -> Self {
        Self { binaries: binaries.map(Path::to_owned), launcher: this_program(), durable: true, brief: false }
    }
}

/// A cluster that accepts connections, run by this process or by another one.
#[derive(Debug)]
pub struct Cluster {
    place: Place,
    shared: Arc<Shared>,
    // A lock only so that the handle can be shared; nobody waits for it.
    report: Mutex<Receiver<Error>>,
    /// Shared by brief guests; had for itself by an owner that stops.
    guests: File,
}

impl Cluster {
    /// Starts the cluster of a data directory, or joins the one that another process runs there; waits until it is
    /// usable.
    ///
    /// Should that other process end, this one takes the cluster over.
    ///
    /// # Errors
    /// No binaries, no right to the directory, or Postgres would not start.
    pub fn start(data: &Path, binaries: Option<&Path>) -> Result<Self, Error> {
        Self::start_with(data, Options::of_gateway(binaries))
    }

    /// As [`Cluster::start`], for one piece of work: an owner that wants to stop waits for its end.
    ///
    /// # Errors
    /// As there.
    pub fn start_briefly(data: &Path, binaries: Option<&Path>) -> Result<Self, Error> {
        Self::start_with(data, Options { brief: true, ..Options::of_gateway(binaries) })
    }

    /// As [`Cluster::start`], run in another way.
    ///
    /// # Errors
    /// As there.
    pub fn start_with(data: &Path, options: Options) -> Result<Self, Error> {
        let place = Place::of(data)?;
        let guests = open_lock(&place.guests)?;
        if options.brief {
            // Waits where an owner is just stopping; from here on it will not.
            guests.lock_shared().map_err(Error::file(&place.guests))?;
        }
        let lock = open_lock(&place.lock)?;
        // Held before the first look at the socket: what answers there is a living owner's, never a leftover.
        let owner = lock.try_lock().is_ok();
        let shared = Arc::new(Shared::default());
        let (sender, report) = sync_channel(1);
        let keeper = Keeper { place: place.clone(), options, shared: shared.clone(), report: sender };
        // The system ties Postgres to the thread that started it, so that thread must last as long as the cluster.
        thread::Builder::new()
            .name("postgres".to_owned())
            .spawn(move || keeper.run(&lock))
            .map_err(Error::file(&place.lock))?;
        let cluster = Self { place, shared, report: Mutex::new(report), guests };
        cluster.wait_until_ready(owner)?;
        Ok(cluster)
    }

    /// Whether a data directory holds a cluster, running or not.
    #[must_use]
    pub fn exists(data: &Path) -> bool {
        data.join(CLUSTER).exists()
    }

    /// Where it is and how it is reached.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Shuts Postgres down if this process runs it, and waits for its end.
    pub fn stop(self) {
        drop(self);
    }

    /// What the keeper says within a time: an error, or by the channel's end that it is done.
    fn hear(&self, within: Duration) -> Result<Error, RecvTimeoutError> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(within)
    }

    /// Waits until no brief guest is left and keeps new ones out, within bounds.
    fn wait_for_guests(&self) {
        for _ in 0..GUESTS {
            if self.guests.try_lock().is_ok() {
                return;
            }
            thread::sleep(GLANCE);
        }
    }

    fn wait_until_ready(&self, owner: bool) -> Result<(), Error> {
        for _ in 0..START {
            match self.hear(GLANCE) {
                Ok(error) => return Err(error),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            let mut state = self.shared.lock();
            let started = state.child.is_some() && self.place.postmaster().map(|found| found.process) == state.child;
            if (started || !owner) && self.place.answers() {
                state.told_ready = true;
                return Ok(());
            }
        }
        Err(Error::Slow { log: self.place.log.clone() })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.shared.lock().child.is_some() {
            self.wait_for_guests();
        }
        self.shared.stop();
        if self.shared.lock().child.is_none() {
            return;
        }
        for next in [Signal::QUIT, Signal::KILL] {
            match self.hear(SHUTDOWN) {
                Err(RecvTimeoutError::Timeout) => drop(self.shared.signal(next)),
                // The keeper is done.
                Ok(_) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        let _ = self.hear(SHUTDOWN);
    }
}

fn open_lock(path: &Path) -> Result<File, Error> {
    let mut open = OpenOptions::new();
    open.write(true).create(true).truncate(false).mode(0o600).open(path).map_err(Error::file(path))
}

/// This program's hidden command that becomes Postgres.
///
/// The link is followed inside the child, so neither the path to the program nor an upgrade that replaced its file
/// matters.
fn this_program() -> Vec<OsString> {
    let link = Path::new("/proc/self/exe");
    let program = if link.exists() { Ok(link.to_owned()) } else { std::env::current_exe() };
    let program = program.unwrap_or_else(|_| PathBuf::from("candor"));
    vec![program.into_os_string(), "managed-postgres".into(), "--".into()]
}
