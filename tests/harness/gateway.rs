//! The real program under a generated configuration: started, asked, signalled, and found without a panic in the end.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::client::Client;
use super::scratch::Scratch;
use super::upstream::Upstream;
use super::wait::{until, within};
use super::{database, raw::Raw};

/// The key of the one configured caller.
pub(crate) const KEY: &str = "sk-candor-test-0123456789";
/// The key that the gateway shows to upstreams.
pub(crate) const UPSTREAM_KEY: &str = "sk-upstream-9876543210";

const PROGRAM: &str = env!("CARGO_BIN_EXE_candor-tested");

/// A configuration in a directory of its own, and what runs under it.
pub(crate) struct Setup {
    config: Value,
    scratch: Scratch,
    /// Whether a database must still be chosen.
    shares_database: bool,
    variables: Vec<(String, String)>,
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Standard output as one JSON value.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Standard output as JSON lines.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let line = |text: &str| serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        self.out.lines().map(line).collect()
    }
}

impl Setup {
    /// A gateway before nobody.
    pub(crate) fn new() -> Self {
        let config = json!({
            "data": "data",
            "workers": 2,
            "drain": "5s",
            "listen": {"address": "127.0.0.1:0"},
            "callers": {
                "refresh": "100ms",
                "keys": [{"caller": "alice", "team": "research", "role": "developer", "key": KEY}],
            },
            "policies": {"shipped": []},
        });
        Self { config, scratch: Scratch::new(), shares_database: true, variables: Vec::new() }
    }

    /// A gateway before one upstream.
    pub(crate) fn before(upstream: &Upstream) -> Self {
        Self::new().with(json!({"upstreams": [remote("up", &upstream.base_url())]}))
    }

    /// Lays settings over those that are there; lists are replaced.
    pub(crate) fn with(mut self, settings: Value) -> Self {
        merge(&mut self.config, settings);
        self
    }

    /// Adds a pack of rules.
    pub(crate) fn pack(self, text: &str) -> Self {
        self.file("pack.yaml", text).with(json!({"policies": {"files": ["pack.yaml"]}}))
    }

    /// Adds a file beside the configuration.
    pub(crate) fn file(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        self.scratch.write(name, text);
        self
    }

    /// Speaks plain HTTP.
    pub(crate) fn plain(self) -> Self {
        self.with(json!({"listen": {"plain": true}}))
    }

    /// Lets the gateway run its own Postgres.
    pub(crate) fn managed(mut self) -> Self {
        self.shares_database = false;
        self
    }

    /// Uses a given database.
    pub(crate) fn database(mut self, url: &str) -> Self {
        self.shares_database = false;
        self.with(json!({"database": {"url": url}}))
    }

    /// Sets an environment variable for the gateway.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The directory of the configuration.
    pub(crate) fn path(&self) -> &Path {
        self.scratch.path()
    }

    /// Writes the configuration as it now is.
    pub(crate) async fn settle(&mut self) {
        if std::mem::take(&mut self.shares_database) {
            merge(&mut self.config, json!({"database": {"url": database::fresh().await}}));
        }
        // JSON is YAML.
        self.scratch.write("candor.yaml", serde_json::to_string_pretty(&self.config).expect("JSON"));
    }

    /// Starts the gateway and waits until it serves.
    pub(crate) async fn start(mut self) -> Gateway {
        self.settle().await;
        let (child, ready) = self.launch().await;
        Gateway { setup: self, child, ready }
    }

    /// Runs a command under this configuration.
    pub(crate) async fn candor(&self, arguments: &[&str]) -> Ran {
        let mut command = self.command();
        command.args(arguments).arg("--config").arg(self.path().join("candor.yaml"));
        run(command, "").await
    }

    /// Runs a command that takes no configuration, in this configuration's directory.
    pub(crate) async fn candor_alone(&self, arguments: &[&str]) -> Ran {
        let mut command = self.command();
        command.args(arguments);
        run(command, "").await
    }

    fn command(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        command.current_dir(self.path()).envs(self.variables.iter().cloned()).kill_on_drop(true);
        command
    }

    /// Starts the program; gives it back with its first event.
    async fn launch(&self) -> (Child, Value) {
        let file = |name: &str, append| {
            let mut options = std::fs::OpenOptions::new();
            options.create(true).write(true).append(append).truncate(!append);
            options.open(self.path().join(name)).expect("a file for output")
        };
        let mut command = self.command();
        command.arg("serve").arg("--config").arg(self.path().join("candor.yaml")).arg("--json");
        command.stdin(Stdio::null()).stdout(file("stdout", false)).stderr(file("stderr", true));
        let mut child = command.spawn().expect("the program starts");
        let ready = until("the gateway to be ready", async || {
            if let Some(line) = self.output("stdout").lines().find(|line| line.contains("\"ready\"")) {
                return serde_json::from_str(line).ok();
            }
            let ended = child.try_wait().expect("a child");
            assert!(ended.is_none(), "the gateway ended ({ended:?}): {}", self.output("stderr"));
            None
        })
        .await;
        (child, ready)
    }

    fn output(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.path().join(name)).unwrap_or_default()).into_owned()
    }
}

/// A running gateway.
pub(crate) struct Gateway {
    setup: Setup,
    child: Child,
    ready: Value,
}

impl Gateway {
    /// Starts a gateway with defaults before one upstream.
    pub(crate) async fn before(upstream: &Upstream) -> Self {
        Setup::before(upstream).start().await
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        let address = self.ready["address"].as_str().and_then(|text| text.parse().ok());
        address.unwrap_or_else(|| panic!("no address in {}", self.ready))
    }

    /// The first event as it was printed.
    pub(crate) fn ready(&self) -> &Value {
        &self.ready
    }

    /// The development CA's file.
    pub(crate) fn ca(&self) -> Option<PathBuf> {
        self.ready["ca"].as_str().map(|path| self.setup.path().join(path))
    }

    /// The development CA.
    pub(crate) fn ca_pem(&self) -> Option<String> {
        self.ca().map(|path| std::fs::read_to_string(path).expect("the CA's file"))
    }

    /// A client with the configured caller's key.
    pub(crate) fn client(&self) -> Client {
        self.stranger().key(KEY)
    }

    /// A client without a key.
    pub(crate) fn stranger(&self) -> Client {
        Client::new(self.address(), self.ca_pem().as_deref())
    }

    /// A bare connection.
    pub(crate) async fn raw(&self) -> Raw {
        Raw::open(self.address()).await
    }

    /// The process's id.
    pub(crate) fn pid(&self) -> Pid {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        id.expect("the gateway runs")
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("a signal");
    }

    /// Waits for its end and gives the exit code; none where a signal ended it.
    pub(crate) async fn exit(&mut self) -> Option<i32> {
        within("the gateway to end", self.child.wait()).await.expect("a child").code()
    }

    /// Ends it as an operator does, and expects a good end.
    pub(crate) async fn stop(&mut self) {
        self.signal(Signal::TERM);
        assert_eq!(self.exit().await, Some(0), "{}", self.log());
    }

    /// Kills it.
    pub(crate) async fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.exit().await;
    }

    /// Starts it once more over the same data.
    pub(crate) async fn start_again(&mut self) {
        (self.child, self.ready) = self.setup.launch().await;
    }

    /// Runs a command under the same configuration.
    pub(crate) async fn candor(&self, arguments: &[&str]) -> Ran {
        self.setup.candor(arguments).await
    }

    /// Starts a command under the same configuration, to be ended by the test.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = self.setup.command();
        command.args(arguments).arg("--config").arg(self.setup.path().join("candor.yaml"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("the program starts")
    }

    /// Everything it logged.
    pub(crate) fn log(&self) -> String {
        self.setup.output("stderr")
    }

    /// Its data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.setup.path().join("data")
    }

    /// Lays settings over the configuration that it was started with, and writes them down.
    pub(crate) fn change(&mut self, settings: Value) {
        merge(&mut self.setup.config, settings);
        self.write("candor.yaml", serde_json::to_string_pretty(&self.setup.config).expect("JSON"));
    }

    /// Replaces a file beside the configuration.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        self.setup.scratch.write(name, text);
    }

    /// All records, newest first.
    pub(crate) async fn records(&self) -> Vec<Value> {
        let ran = self.candor(&["records", "list", "--limit", "10000", "--json"]).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.lines()
    }

    /// One exchange's record, once its end is in the database.
    pub(crate) async fn record(&self, id: &str) -> Value {
        until("a record", async || {
            let ran = self.candor(&["records", "show", id, "--json"]).await;
            let record: Value = serde_json::from_str(&ran.out).ok()?;
            record["ending"].is_string().then_some(record)
        })
        .await
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let log = self.log();
        let panicked = log.contains("panicked at");
        if std::thread::panicking() {
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            let text = format!("--- log of the gateway\n{}\n", tail.join("\n"));
            let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
        } else {
            assert!(!panicked, "the gateway panicked: {log}");
        }
    }
}

/// An upstream's entry in a configuration.
pub(crate) fn remote(name: &str, base_url: &str) -> Value {
    json!({"name": name, "base_url": base_url, "key": UPSTREAM_KEY})
}

/// Runs the program without a configuration.
pub(crate) async fn candor(arguments: &[&str], input: &str) -> Ran {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).kill_on_drop(true);
    run(command, input).await
}

async fn run(mut command: Command, input: &str) -> Ran {
    use tokio::io::AsyncWriteExt;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let output = within("a command", async {
        let write = async {
            // A command that reads nothing closes its end early.
            let _ = stdin.write_all(input.as_bytes()).await;
            drop(stdin);
        };
        let ((), output) = tokio::join!(write, child.wait_with_output());
        output.expect("output")
    })
    .await;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    let ran = Ran { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) };
    assert!(!ran.err.contains("panicked at"), "the command panicked: {ran:?}");
    ran
}

/// Lays one value over another: mappings are joined, everything else is replaced.
fn merge(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                merge(under.entry(key).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over,
    }
}
