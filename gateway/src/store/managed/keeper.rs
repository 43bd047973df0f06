//! The thread that owns a cluster: it prepares the files, runs Postgres, and runs it again should it end by itself.
//! It does not wait for readiness and speaks to nobody but its [`Cluster`](super::Cluster).

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use super::account::Account;
use super::binaries::Binaries;
use super::{Error, Options, Place};

/// Pause before Postgres is run again after it ended by itself.
const AGAIN: Duration = Duration::from_secs(1);

/// How often something that only the file system shows is looked at again.
pub(super) const GLANCE: Duration = Duration::from_millis(20);

/// Glances that a leftover Postgres gets to shut down before it is killed: half a minute.
const PATIENCE: u32 = 1500;

/// Bytes after which the log is put aside when Postgres starts.
const LOG_BYTES: u64 = 4 << 20;

/// Bytes of the log that an error shows.
const LOG_TAIL: u64 = 2000;

/// What the thread and its cluster tell each other.
#[derive(Debug, Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// Nothing shall run any more.
    pub(super) stopping: bool,
    /// Somebody has been told that the cluster is usable; from then on failures are retried, not reported.
    pub(super) told_ready: bool,
    /// Postgres, for as long as its number cannot be anybody else's.
    pub(super) child: Option<Pid>,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends Postgres a signal, where it runs.
    pub(super) fn signal(&self, signal: Signal) -> bool {
        match self.lock().child {
            Some(process) => kill_process(process, signal).is_ok(),
            None => false,
        }
    }

    /// Says that nothing shall run any more, and tells a running Postgres to shut down.
    pub(super) fn stop(&self) {
        self.lock().stopping = true;
        self.changed.notify_all();
        self.signal(Signal::INT);
    }

    fn pause(&self, time: Duration) {
        let state = self.lock();
        let _ = self.changed.wait_timeout_while(state, time, |state| !state.stopping);
    }
}

/// The owner of a cluster, or who will be it when the present one is gone.
pub(super) struct Keeper {
    pub(super) place: Place,
    pub(super) options: Options,
    pub(super) shared: Arc<Shared>,
    /// Takes the one error that a start fails with; its end says that the thread is done.
    pub(super) report: SyncSender<Error>,
}

impl Keeper {
    /// Owns the cluster until told to stop. `lock` is held already, or is waited for.
    pub(super) fn run(self, lock: &File) {
        let held = loop {
            match lock.lock() {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other.map_err(Error::file(&self.place.lock)),
            }
        };
        if let Err(error) = held.and_then(|()| self.keep()) {
            let _ = self.report.try_send(error);
        }
        // The lock goes with the file, after Postgres is gone: whoever gets it next finds nothing running.
    }

    fn keep(&self) -> Result<(), Error> {
        while !self.shared.lock().stopping {
            let ended = self.serve_once();
            let (stopping, told_ready) = {
                let state = self.shared.lock();
                (state.stopping, state.told_ready)
            };
            match ended {
                _ if stopping => break,
                Err(error) if !told_ready => return Err(error),
                Ok(()) if !told_ready => return Err(self.failed_start()),
                Err(error) => tracing::error!(%error, "the managed Postgres cannot be run; trying again"),
                Ok(()) => tracing::warn!("the managed Postgres ended by itself; starting it again"),
            }
            self.shared.pause(AGAIN);
        }
        Ok(())
    }

    /// Runs Postgres from preparation to its end.
    fn serve_once(&self) -> Result<(), Error> {
        let account = Account::needed(&self.place.cluster);
        let binaries = Binaries::find(self.options.binaries.as_deref(), &self.place.cluster)?;
        if let Some(account) = &account {
            account.let_in(&self.place.data)?;
        }
        if !self.place.cluster.exists() {
            self.initialise(&binaries, account.as_ref())?;
        }
        self.end_leftover();
        self.prepare_socket(account.as_ref())?;
        let Some(mut child) = self.spawn(&binaries, account.as_ref())? else { return Ok(()) };
        self.wait(&mut child);
        Ok(())
    }

    /// Makes a cluster beside its final place and moves it there whole, so that a crash leaves no half of one.
    fn initialise(&self, binaries: &Binaries, account: Option<&Account>) -> Result<(), Error> {
        let fresh = &self.place.fresh;
        match std::fs::remove_dir_all(fresh) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(Error::file(fresh)(error)),
            _ => {}
        }
        make_private(fresh, account)?;
        tracing::info!(directory = %self.place.cluster.display(), "making a Postgres cluster");
        let mut initdb = self.command(&binaries.program("initdb"), account);
        initdb.arg("-D").arg(fresh).args(["-U", "candor", "-A", "trust", "-E", "UTF8", "--locale=C", "-k"]);
        initdb.args(["--no-instructions"]).args((!self.options.durable).then_some("--no-sync"));
        finish(initdb, b"")?;
        let mut single = self.command(&binaries.program("postgres"), account);
        single.args(["--single", "-D"]).arg(fresh).arg("template1");
        finish(single, b"CREATE DATABASE candor;\n")?;
        std::fs::rename(fresh, &self.place.cluster).map_err(Error::file(&self.place.cluster))?;
        File::open(&self.place.data).and_then(|data| data.sync_all()).map_err(Error::file(&self.place.data))
    }

    /// Ends what a crashed owner left running, and removes its mark where nothing runs.
    ///
    /// Postgres would refuse to start over a mark whose number has meanwhile gone to any other process of the same
    /// user, which in a container is the usual case.
    fn end_leftover(&self) {
        let Some(left) = self.place.postmaster() else { return };
        for glance in 0..2 * PATIENCE {
            if !self.place.is_ours(left.process) || self.shared.lock().stopping {
                break;
            }
            match glance {
                0 => drop(kill_process(left.process, Signal::INT)),
                PATIENCE => drop(kill_process(left.process, Signal::QUIT)),
                _ => {}
            }
            self.shared.pause(GLANCE);
        }
        if !self.place.is_ours(left.process) {
            let _ = std::fs::remove_file(self.place.postmaster_file());
        }
    }

    fn prepare_socket(&self, account: Option<&Account>) -> Result<(), Error> {
        if !self.place.socket_is_apart() {
            return Ok(());
        }
        let socket = &self.place.socket;
        if !socket.exists() {
            return make_private(socket, account);
        }
        // In a directory that everybody may write to, a name may have been taken on purpose.
        let found = std::fs::symlink_metadata(socket).map_err(Error::file(socket))?;
        let own = rustix::process::geteuid().as_raw();
        let ours = match account {
            Some(account) => account.owns(&found),
            None => std::os::unix::fs::MetadataExt::uid(&found) == own,
        };
        let private = std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o077 == 0;
        if found.is_dir() && ours && private { Ok(()) } else { Err(Error::Insecure { directory: socket.clone() }) }
    }

    /// Starts Postgres, unless told to stop meanwhile.
    fn spawn(&self, binaries: &Binaries, account: Option<&Account>) -> Result<Option<Child>, Error> {
        let postgres = binaries.program("postgres");
        let mut line = self.options.launcher.clone();
        line.push(postgres.clone().into_os_string());
        let Some((program, before)) = line.split_first() else { return Ok(None) };
        let log = self.open_log()?;
        let mut command = self.command(Path::new(program), account);
        command.args(before).args(self.arguments());
        command.stdin(Stdio::piped()).stderr(log.try_clone().map_err(Error::file(&self.place.log))?).stdout(log);
        // A group of its own: an interrupt at the terminal is the gateway's to handle, Postgres goes last.
        command.process_group(0);
        let mut state = self.shared.lock();
        if state.stopping {
            return Ok(None);
        }
        let child = command.spawn().map_err(Error::file(Path::new(program)))?;
        state.child = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        Ok(Some(child))
    }

    /// Settings of a small private server: one socket, modest memory, a quiet log.
    fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["-D".into(), self.place.cluster.clone().into()];
        arguments.extend(["-k".into(), self.place.socket.clone().into()]);
        let steady = [
            "listen_addresses=",
            "port=5432",
            "shared_buffers=32MB",
            "max_connections=40",
            "max_wal_size=512MB",
            "wal_level=minimal",
            "max_wal_senders=0",
            "max_parallel_workers_per_gather=0",
            "jit=off",
            "timezone=UTC",
            "log_timezone=UTC",
            "log_checkpoints=off",
            "log_min_messages=warning",
        ];
        let careless = ["fsync=off", "full_page_writes=off"];
        let settings = steady.iter().chain(careless.iter().filter(|_| !self.options.durable));
        arguments.extend(settings.flat_map(|setting| ["-c".into(), (*setting).into()]));
        arguments
    }

    /// Waits for the end without giving the process number back before the state forgets it.
    fn wait(&self, child: &mut Child) {
        let process = self.shared.lock().child;
        if let Some(process) = process {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while waitid(WaitId::Pid(process), options).is_err_and(|error| error == rustix::io::Errno::INTR) {}
        }
        let mut state = self.shared.lock();
        let _ = child.wait();
        state.child = None;
    }

    fn command(&self, program: &Path, account: Option<&Account>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("LC_ALL", "C").env("PATH", "/usr/bin:/bin").current_dir("/");
        if let Some(account) = account {
            account.apply(&mut command);
        }
        command
    }

    fn open_log(&self) -> Result<File, Error> {
        let log = &self.place.log;
        if std::fs::metadata(log).is_ok_and(|log| log.len() > LOG_BYTES) {
            let _ = std::fs::rename(log, log.with_extension("log.old"));
        }
        OpenOptions::new().append(true).create(true).mode(0o600).open(log).map_err(Error::file(log))
    }

    fn failed_start(&self) -> Error {
        let said = tail(&self.place.log).unwrap_or_default();
        Error::Start {
            log: self.place.log.clone(),
            said: if said.is_empty() { "it said nothing".to_owned() } else { said },
        }
    }
}

fn make_private(directory: &Path, account: Option<&Account>) -> Result<(), Error> {
    std::fs::DirBuilder::new().mode(0o700).create(directory).map_err(Error::file(directory))?;
    account.map_or(Ok(()), |account| account.own(directory))
}

/// Runs a program to its end; what it said is the error.
fn finish(mut command: Command, input: &[u8]) -> Result<(), Error> {
    let program = command.get_program().to_owned();
    let failed = |error| Error::file(Path::new(&program))(error);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ended early says why on its own.
        let _ = stdin.write_all(input);
    }
    let output = child.wait_with_output().map_err(failed)?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() && !said.contains("ERROR:") {
        return Ok(());
    }
    Err(Error::Initialise { said: last_lines(&said) })
}

fn tail(log: &Path) -> std::io::Result<String> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)))?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL).read_to_end(&mut bytes)?;
    Ok(last_lines(&String::from_utf8_lossy(&bytes)))
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines.get(lines.len().saturating_sub(4)..).unwrap_or_default().join("; ")
}
