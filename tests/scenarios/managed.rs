//! Managed mode: the gateway's own Postgres comes with it, goes with it, and survives its crash.

use std::path::Path;

use serde_json::json;

use crate::harness::gateway::Setup;
use crate::harness::script::Reply;
use crate::harness::upstream::Upstream;
use crate::harness::wait::until;

/// Processes of Postgres that work under a directory.
fn postgres_under(directory: &Path) -> usize {
    let directory = directory.canonicalize().expect("a directory");
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let under = |entry: &std::fs::DirEntry| {
        let Ok(command) = std::fs::read(entry.path().join("cmdline")) else { return false };
        let command = String::from_utf8_lossy(&command).into_owned();
        command.contains("postgres") && command.contains(&*directory.to_string_lossy())
            || std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(&directory))
                && std::fs::read_to_string(entry.path().join("comm")).is_ok_and(|name| name.trim() == "postgres")
    };
    processes.filter(under).count()
}

fn ask() -> serde_json::Value {
    json!({"model": "m", "messages": [{"role": "user", "content": "Hello"}]})
}

#[tokio::test]
async fn without_a_database_url_the_gateway_brings_its_own_and_takes_it_along() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let mut gateway = Setup::before(&upstream).managed().start().await;
    let id = gateway.client().chat(&ask()).await.id();
    assert_eq!(gateway.record(&id).await["ending"], "complete");
    assert!(postgres_under(&gateway.data()) > 0);
    gateway.stop().await;
    until("postgres to be gone", async || (postgres_under(&gateway.data()) == 0).then_some(())).await;

    // Commands work without a running gateway, and leave nothing running.
    assert_eq!(gateway.records().await.len(), 1);
    until("postgres to be gone", async || (postgres_under(&gateway.data()) == 0).then_some(())).await;
}

#[tokio::test]
async fn a_killed_gateway_leaves_no_postgres_and_starts_again_over_its_data() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let mut gateway = Setup::before(&upstream).managed().start().await;
    let mut ids = vec![gateway.client().chat(&ask()).await.id()];
    gateway.kill().await;
    until("postgres to be gone", async || (postgres_under(&gateway.data()) == 0).then_some(())).await;
    gateway.start_again().await;
    ids.push(gateway.client().chat(&ask()).await.id());
    for id in &ids {
        assert_eq!(gateway.record(id).await["ending"], "complete");
    }
    assert_eq!(gateway.records().await.len(), 2);
    gateway.stop().await;
}

#[tokio::test]
async fn a_managed_postgres_that_dies_is_started_again() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let mut gateway = Setup::before(&upstream).managed().start().await;
    let mut ids = vec![gateway.client().chat(&ask()).await.id()];
    gateway.record(&ids[0]).await;
    let pid_file = find(&gateway.data(), "postmaster.pid").expect("a postmaster");
    let text = std::fs::read_to_string(pid_file).expect("its id");
    let pid = text.lines().next().and_then(|line| line.parse().ok()).and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(pid.expect("a process id"), rustix::process::Signal::KILL).expect("a signal");
    ids.push(gateway.client().chat(&ask()).await.id());
    for id in &ids {
        assert_eq!(gateway.record(id).await["ending"], "complete");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn missing_postgres_binaries_are_named_with_the_package_to_install() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let mut setup =
        Setup::before(&upstream).managed().with(json!({"database": {"managed": {"binaries": "/nowhere/bin"}}}));
    setup.settle().await;
    let ran = setup.candor(&["serve", "--json"]).await;
    assert!(ran.code == 2 || ran.code == 3, "{ran:?}");
    assert!(ran.err.contains("/nowhere/bin") || ran.err.contains("postgresql"), "{ran:?}");
}

fn find(directory: &Path, name: &str) -> Option<std::path::PathBuf> {
    let entries: Vec<_> = std::fs::read_dir(directory).ok()?.flatten().map(|entry| entry.path()).collect();
    let here = entries.iter().find(|path| path.file_name().is_some_and(|file| file == name)).cloned();
    here.or_else(|| entries.iter().filter(|path| path.is_dir()).find_map(|path| find(path, name)))
}
