//! Private Postgres clusters from the installed binaries: one that all scenarios share, with a database for each, and
//! clusters of one's own for scenarios that stop them. Durability is off; it is not Postgres that is tested.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection, Executor, PgConnection};

use super::scratch::Scratch;

static TEMPLATE: OnceLock<(Scratch, PathBuf)> = OnceLock::new();
static SHARED: OnceLock<Cluster> = OnceLock::new();
static NUMBER: AtomicUsize = AtomicUsize::new(0);

/// A cluster that runs until it is dropped, or the test binary ends.
#[derive(Debug)]
pub(crate) struct Cluster {
    scratch: Scratch,
    postmaster: Option<Pid>,
}

/// Somebody who is connected to a cluster.
#[derive(Debug)]
pub(crate) struct Operator(PgConnection);

impl Operator {
    /// Runs statements, one after the other.
    pub(crate) async fn run(&mut self, statements: &str) {
        for statement in statements.split("; ") {
            let statement = sqlx::AssertSqlSafe(statement.to_owned());
            self.0.execute(statement).await.expect("a statement that runs");
        }
    }
}

/// A fresh database in the shared cluster.
pub(crate) async fn fresh() -> String {
    let shared = SHARED.get_or_init(Cluster::start);
    let name = format!("scenario_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let mut connection = PgConnection::connect(&shared.url("postgres")).await.expect("the shared cluster");
    let statement = sqlx::AssertSqlSafe(format!("create database {name}"));
    connection.execute(statement).await.expect("a fresh database");
    connection.close().await.expect("a farewell");
    shared.url(&name)
}

impl Cluster {
    /// Makes and starts a cluster.
    pub(crate) fn start() -> Self {
        let mut cluster = Self::absent();
        cluster.start_again();
        cluster
    }

    /// A cluster that exists on disk only.
    pub(crate) fn absent() -> Self {
        let (_, template) = TEMPLATE.get_or_init(template);
        let scratch = Scratch::new();
        let copied = Command::new("cp").arg("-a").arg(template).arg(scratch.path().join("data")).status();
        assert!(copied.expect("cp").success(), "the template cluster could not be copied");
        give_to_postgres(scratch.path());
        Self { scratch, postmaster: None }
    }

    /// The URL of one of its databases.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://candor@localhost/{database}?host={}", self.scratch.path().display())
    }

    /// A connection of an operator's to it.
    pub(crate) async fn connect(&self) -> Operator {
        Operator(PgConnection::connect(&self.url("postgres")).await.expect("the cluster"))
    }

    /// Starts it, or starts it once more.
    pub(crate) fn start_again(&mut self) {
        assert!(self.postmaster.is_none(), "the cluster runs");
        self.launch();
        self.wait_until_ready();
    }

    fn launch(&mut self) {
        let data = self.scratch.path().join("data");
        // A killed postmaster leaves both behind, and neither says anything about the next one.
        let _ = std::fs::remove_file(data.join("postmaster.pid"));
        let mut command = as_postgres(&binary("postgres"));
        command.arg("-D").arg(&data).arg("-k").arg(self.scratch.path());
        for setting in
            ["listen_addresses=", "fsync=off", "max_connections=200", "shared_buffers=32MB", "logging_collector=off"]
        {
            command.args(["-c", setting]);
        }
        let log = std::fs::File::create(self.scratch.path().join("log")).expect("a log");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0);
        self.postmaster = Some(spawn_for_good(command));
    }

    /// Processes of a killed cluster hold its memory until they notice, and a new one that finds them ends at once.
    fn wait_until_ready(&mut self) {
        for _ in 0..600 {
            if self.postmaster.is_none_or(|postmaster| rustix::process::test_kill_process(postmaster).is_err()) {
                self.launch();
            }
            let mut probe = Command::new(binary("pg_isready"));
            probe.args(["-q", "-d", "postgres", "-U", "candor", "-h"]).arg(self.scratch.path());
            if probe.status().is_ok_and(|status| status.success()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let log = std::fs::read_to_string(self.scratch.path().join("log")).unwrap_or_default();
        panic!("postgres did not start: {log}");
    }

    /// Stops it as an operator would in a hurry: clients are thrown out.
    pub(crate) fn stop(&mut self) {
        self.end(Signal::INT);
    }

    /// Kills it and all its processes at once, as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.end(Signal::KILL);
    }

    fn end(&mut self, signal: Signal) {
        let Some(postmaster) = self.postmaster.take() else { return };
        if signal == Signal::KILL {
            let _ = rustix::process::kill_process_group(postmaster, signal);
        } else {
            let _ = kill_process(postmaster, signal);
        }
        for _ in 0..600 {
            if rustix::process::test_kill_process(postmaster).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("postgres did not end");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.end(Signal::KILL);
    }
}

/// Starts a process that ends when the test binary does. Linux sends the death signal when the *thread* that started a
/// process ends, so that thread stays until the process is gone.
fn spawn_for_good(mut command: Command) -> Pid {
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let mut child = command.spawn().expect("postgres starts");
        let _ = tell.send(Pid::from_child(&child));
        let _ = child.wait();
    });
    told.recv().expect("a process id")
}

/// Makes the cluster that all others are copies of.
fn template() -> (Scratch, PathBuf) {
    let scratch = Scratch::new();
    give_to_postgres(scratch.path());
    let data = scratch.path().join("data");
    let mut command = as_postgres(&binary("initdb"));
    command.arg("-D").arg(&data).args(["-U", "candor", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]);
    let made = command.stdin(Stdio::null()).output().expect("initdb runs");
    assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
    (scratch, data)
}

/// The newest installed binary of a name.
fn binary(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin").join(name))))
        .filter(|(_, path)| path.is_file())
        .collect();
    found.sort();
    // Elsewhere than on Debian the binaries are on the path.
    found.pop().map_or_else(|| PathBuf::from(name), |(_, path)| path)
}

/// A command as a user that Postgres accepts, which ends when the test binary does.
fn as_postgres(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if let Some((user, group)) = unprivileged() {
        command.arg(format!("--reuid={user}")).arg(format!("--regid={group}")).arg("--clear-groups");
    }
    command.arg("--").arg(program).current_dir("/");
    command
}

fn give_to_postgres(path: &Path) {
    if let Some((user, group)) = unprivileged() {
        std::os::unix::fs::chown(path, Some(user), Some(group)).expect("a directory of our own");
    }
}

/// Who runs Postgres where the tests are run by root.
fn unprivileged() -> Option<(u32, u32)> {
    if !rustix::process::getuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").expect("/etc/passwd");
    let ids = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    ids("postgres").or_else(|| ids("nobody"))
}
