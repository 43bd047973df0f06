//! Takes a changed configuration into force while traffic runs: read and checked whole, then swapped; where anything is
//! wrong, all that was in force stays. An exchange keeps the snapshot that it began under.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval};

use super::background::Announcements;
use crate::admin;
use crate::config::{Config, Database, Limits, Loaded, Transport};
use crate::identify::Keys;
use crate::record::wall_clock;
use crate::snapshot::Snapshot;
use crate::tls;
use crate::upstream::Backends;

/// Reads the configuration again, wherever it came from; what is wrong with it, ready to be shown.
pub type Source = Arc<dyn Fn() -> Result<Loaded, Vec<String>> + Send + Sync>;

/// What became of a reload: the digest of the snapshot in force and whether it is another one than before, or why all
/// stays as it was.
pub(super) type Outcome = Result<(Arc<str>, bool), Vec<String>>;

/// Asks for reloads.
#[derive(Debug, Clone)]
pub(super) struct Asking(mpsc::Sender<oneshot::Sender<Outcome>>);

impl Asking {
    /// Asks for one, and hears what came of it; `None` where the gateway is on its way out.
    pub(super) async fn reload(&self) -> Option<Outcome> {
        let (told, outcome) = oneshot::channel();
        self.0.send(told).await.ok()?;
        outcome.await.ok()
    }
}

/// How to ask, and where it is heard.
pub(super) fn asking() -> (Asking, mpsc::Receiver<oneshot::Sender<Outcome>>) {
    let (ask, asked) = mpsc::channel(4);
    (Asking(ask), asked)
}

/// What the admin listener does where a reload is asked for.
pub(super) fn reload_page(asking: Asking) -> admin::Reload {
    Arc::new(move || {
        let asking = asking.clone();
        Box::pin(async move {
            match asking.reload().await {
                Some(Ok((digest, changed))) => Ok(json!({"digest": &*digest, "changed": changed})),
                Some(Err(mistakes)) => Err(json!({"mistakes": mistakes})),
                None => Err(json!({"mistakes": ["the gateway is shutting down"]})),
            }
        })
    })
}

/// Reloads so far.
#[derive(Debug, Default)]
pub(super) struct Reloads {
    pub(super) applied: AtomicU64,
    pub(super) refused: AtomicU64,
}

/// What a reload replaces, and what it needs for that.
pub(super) struct Reloading {
    pub(super) source: Option<Source>,
    pub(super) snapshot: Arc<ArcSwap<Snapshot>>,
    pub(super) keys: Arc<Keys>,
    pub(super) tls: Option<Arc<tls::Server>>,
    pub(super) announce: Announcements,
    pub(super) counts: Arc<Reloads>,
    /// Files that the configuration in force was read from.
    pub(super) files: Vec<PathBuf>,
}

impl Reloading {
    /// Reloads whenever it is asked to, or a file changes, one after the other.
    pub(super) async fn run(mut self, mut asked: mpsc::Receiver<oneshot::Sender<Outcome>>) {
        let mut seen = stamp(&self.files);
        let mut changing = None;
        let (watch, every) = {
            let reload = &self.snapshot.load().config.reload;
            (reload.watch && self.source.is_some(), reload.every)
        };
        let mut look = interval(every.max(Duration::from_millis(10)));
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                asked = asked.recv() => {
                    let Some(tell) = asked else { return };
                    let outcome = self.reload().await;
                    (seen, changing) = (stamp(&self.files), None);
                    // Whoever asked may have left.
                    let _ = tell.send(outcome);
                }
                _ = look.tick(), if watch => {
                    let now = stamp(&self.files);
                    // Only what two looks find the same has been written to its end.
                    if now != seen && changing == Some(now) {
                        (seen, changing) = (now, None);
                        tracing::info!("a file of the configuration has changed");
                        let _ = self.reload().await;
                        seen = if stamp(&self.files) == now { now } else { seen };
                    } else {
                        changing = (now != seen).then_some(now);
                    }
                }
            }
        }
    }

    async fn reload(&mut self) -> Outcome {
        let outcome = self.try_reload().await;
        match &outcome {
            Ok((digest, changed)) => {
                self.counts.applied.fetch_add(1, Ordering::Relaxed);
                tracing::info!(%digest, changed, "the configuration was read again and is in force");
            }
            Err(mistakes) => {
                self.counts.refused.fetch_add(1, Ordering::Relaxed);
                tracing::error!(
                    mistakes = mistakes.join("\n"),
                    "the configuration cannot be taken; all stays as it was"
                );
            }
        }
        outcome
    }

    async fn try_reload(&mut self) -> Outcome {
        let Some(source) = self.source.clone() else {
            return Err(vec!["this gateway was not started from a configuration file".to_owned()]);
        };
        let (before, front) = (self.snapshot.load_full(), self.tls.clone());
        // Files are read and models loaded: nothing that a thread of the runtime should wait for.
        let made = tokio::task::spawn_blocking(move || {
            let loaded = source()?;
            let fixed = fixed(&before.config, &loaded.config);
            if !fixed.is_empty() {
                return Err(fixed);
            }
            let certificate = match (&front, &loaded.config.listen.transport) {
                (Some(front), Transport::Tls(tls)) => {
                    Some(front.prepare(tls, wall_clock()).map_err(|error| vec![error.to_string()])?)
                }
                _ => None,
            };
            let files = loaded.files.clone();
            let snapshot = Snapshot::build(loaded, Some(&before))?;
            let backends = Backends::open(&snapshot.config, &before.backends)?;
            Ok((snapshot.answered_by(backends), certificate, files))
        });
        let made = made.await.map_err(|error| vec![format!("reading it failed: {error}")])?;
        let (snapshot, certificate, files) = made?;
        Ok(self.publish(snapshot, certificate, files))
    }

    fn publish(
        &mut self,
        snapshot: Snapshot,
        certificate: Option<tls::Prepared>,
        files: Vec<PathBuf>,
    ) -> (Arc<str>, bool) {
        let snapshot = Arc::new(snapshot);
        self.keys.configure(&snapshot.config.callers);
        let before = self.snapshot.swap(snapshot.clone());
        if let (Some(front), Some(certificate)) = (&self.tls, certificate) {
            front.publish(certificate);
        }
        self.files = files;
        let changed = before.digest != snapshot.digest;
        if changed {
            self.announce.tell(&snapshot);
        }
        (snapshot.digest.clone(), changed)
    }
}

/// What cannot change while the gateway runs, and is told otherwise.
fn fixed(before: &Config, after: &Config) -> Vec<String> {
    let kind = |config: &Config| match &config.listen.transport {
        Transport::Plain => 0,
        Transport::Tls(tls) if tls.certificate.is_none() => 1,
        Transport::Tls(_) => 2,
    };
    let managed = |config: &Config| matches!(config.database, Database::Managed { .. });
    let checks = [
        ("data", before.data != after.data),
        ("workers", before.workers != after.workers),
        ("listen.address", before.listen.address != after.listen.address),
        ("listen: plain, development or own certificate", kind(before) != kind(after)),
        ("admin", before.admin != after.admin),
        ("limits of connections", of_connections(&before.limits) != of_connections(&after.limits)),
        ("database", before.database != after.database || managed(before) != managed(after)),
        ("spool", before.spool != after.spool),
        ("ledger", before.ledger != after.ledger),
        ("payload_keys", before.payload_keys != after.payload_keys),
        ("callers.refresh", before.callers.refresh != after.callers.refresh),
        ("audit.canary", before.canary != after.canary),
        ("observe", before.observe != after.observe),
        ("reload", before.reload != after.reload),
    ];
    let told =
        |what: &str| format!("`{what}` cannot change while the gateway runs; restart it, or take the change back");
    checks.into_iter().filter(|(_, differs)| *differs).map(|(what, _)| told(what)).collect()
}

fn of_connections(limits: &Limits) -> impl PartialEq + use<> {
    let times = [limits.handshake, limits.header_time, limits.idle];
    (times, [limits.connections, limits.header_bytes, limits.h2_streams as usize, limits.h2_resets])
}

/// What the files look like from outside; a file that is replaced, written or gone looks different.
fn stamp(files: &[PathBuf]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in files {
        let seen = std::fs::metadata(file).ok();
        seen.map(|seen| (seen.ino(), seen.size(), seen.mtime(), seen.mtime_nsec())).hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, read};

    fn config(text: &str) -> Config {
        read("x", text, None, &Environment::default()).unwrap_or_else(|mistakes| panic!("{mistakes:?}")).config
    }

    #[test]
    fn what_cannot_change_is_named() {
        let check = |text: &str, expected: &[&str]| {
            let found = fixed(&config("workers: 2"), &config(&format!("workers: 2\n{text}")));
            let named: Vec<&str> = found.iter().filter_map(|told| told.split('`').nth(1)).collect();
            assert_eq!(named, expected, "{text}");
        };
        check("", &[]);
        check("policies: {shipped: []}", &[]);
        check("callers: {anonymous: true}", &[]);
        check("limits: {body_bytes: 1MiB, reply_bytes: 1MiB, exchanges: 3}", &[]);
        check("upstreams: [{name: a, base_url: 'http://127.0.0.1:1/v1'}]", &[]);
        check("data: /elsewhere", &["data"]);
        check("limits: {connections: 7}", &["limits of connections"]);
        check("database: {url: 'postgres://a@b/c'}", &["database"]);
        check("listen: {address: '127.0.0.1:1'}\nspool: {batch_rows: 3}", &["listen.address", "spool"]);
        check("observe: {log: {filter: debug}}", &["observe"]);
    }

    #[test]
    fn a_file_that_changes_is_noticed() {
        let folder = std::env::temp_dir().join(format!("candor-reload-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let files = [folder.join("a"), folder.join("b")];
        let mut stamps = vec![stamp(&files)];
        for text in ["one", "three"] {
            std::fs::write(&files[0], text).unwrap();
            stamps.push(stamp(&files));
        }
        // Replaced by one that looks the same but for its place on the disk.
        std::fs::write(&files[1], "three").unwrap();
        std::fs::rename(&files[1], &files[0]).unwrap();
        stamps.push(stamp(&files));
        std::fs::remove_dir_all(&folder).unwrap();
        stamps.push(stamp(&files));
        assert_eq!(stamps[0], stamps[4]);
        stamps.dedup();
        assert_eq!(stamps.len(), 5, "{stamps:?}");
    }
}
