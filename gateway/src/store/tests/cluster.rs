//! Managed clusters: owned by one, joined by others, back after every kind of end.

use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};
use uuid::Uuid;

use super::fixtures::{begin, end, frames, id};
use super::{Scratch, block_on, options};
use crate::record::{Entry, Sink};
use crate::store::managed::{Cluster, Error, Options, Place};
use crate::store::pool::managed_options;
use crate::store::{Store, migrate};

fn answers(data: &Path) -> bool {
    let place = Place::of(data).expect("a place");
    let store = Store::with(managed_options(place.socket()));
    block_on(async { store.ready().await.is_ok() })
}

fn postmaster(data: &Path) -> Pid {
    let text = std::fs::read_to_string(data.join("postgres/postmaster.pid")).expect("a running cluster");
    Pid::from_raw(text.lines().next().and_then(|line| line.parse().ok()).expect("a number")).expect("a process")
}

#[test]
fn a_cluster_is_joined_by_others_and_taken_over_from_an_owner_that_left() {
    let scratch = Scratch::new();
    let data = scratch.path();
    let owner = Cluster::start_with(data, options()).expect("started");
    let first = postmaster(data);
    let guest = Cluster::start_with(data, options()).expect("joined");
    assert_eq!(postmaster(data), first);

    let passing = Cluster::start_with(data, options()).expect("joined");
    passing.stop();
    assert!(answers(data), "a guest that leaves stops nothing");

    owner.stop();
    let another = Cluster::start_with(data, options()).expect("joined the guest's, or started");
    assert_ne!(postmaster(data), first);
    assert!(answers(data));
    another.stop();
    guest.stop();
    assert!(!answers(data));
}

#[test]
fn commands_that_run_side_by_side_lose_the_cluster_to_none_of_them() {
    let scratch = Scratch::new();
    let brief = || Options { brief: true, ..options() };
    std::thread::scope(|scope| {
        let commands: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    (0..3).all(|_| {
                        let cluster = Cluster::start_with(scratch.path(), brief()).expect("started or joined");
                        let good = (0..3).all(|_| answers(scratch.path()));
                        cluster.stop();
                        good
                    })
                })
            })
            .collect();
        for command in commands {
            assert!(command.join().expect("no panic"));
        }
    });
    assert!(!answers(scratch.path()));
}

#[test]
fn a_cluster_that_was_killed_comes_back() {
    let scratch = Scratch::new();
    let data = scratch.path();
    let cluster = Cluster::start_with(data, options()).expect("started");
    let first = postmaster(data);
    kill_process(first, Signal::QUIT).expect("killed");
    // The keeper starts it again; whoever joins waits for that.
    let guest = Cluster::start_with(data, options());
    assert!(guest.is_ok() && answers(data));
    drop(guest);
    cluster.stop();
    assert!(!answers(data));
}

#[test]
fn frames_are_stored_once_though_postgres_is_killed_again_and_again() {
    let scratch = Scratch::new();
    let data = scratch.path();
    let cluster = Cluster::start_with(data, options()).expect("started");
    let store = Store::with(managed_options(cluster.place().socket()));
    let stream = Uuid::now_v7();
    let pair = |number| [Entry::Begin(Box::new(begin(id(number, 0)))), Entry::End(Box::new(end(id(number, 0))))];
    let all = frames(stream, 1, (0..120).flat_map(pair).collect());
    block_on(async {
        migrate::run(&store).await.expect("migrated");
        for (batch, number) in all.chunks(8).zip(0..) {
            let write = async { while store.write(stream, batch).await.is_err() {} };
            let kill = async {
                if number % 10 == 5 {
                    tokio::task::yield_now().await;
                    kill_process(postmaster(data), Signal::QUIT).expect("killed");
                }
            };
            // The answer to a batch that was stored may be lost: it is shipped again.
            tokio::join!(write, kill);
            store.write(stream, batch).await.ok();
        }
        while store.position(stream).await != Ok(240) {}
        let counts: (i64, i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM record_begin), (SELECT count(*) FROM record_end),
                    (SELECT count(DISTINCT (exchange, part)) FROM payload)",
        )
        .fetch_one(&store.pool)
        .await
        .expect("counts");
        assert_eq!(counts, (120, 120, 120 * 4));
        store.close().await;
    });
    cluster.stop();
}

#[test]
fn what_a_crash_left_behind_is_no_obstacle() {
    let scratch = Scratch::new();
    let data = scratch.path();
    Cluster::start_with(data, options()).expect("started").stop();
    // The mark of a crashed Postgres, with a number that has gone to another process; and half a cluster.
    let mark = format!("{}\n{}\n1\n5432\n\n\n\nready   \n", std::process::id(), data.join("postgres").display());
    std::fs::write(data.join("postgres/postmaster.pid"), mark).expect("a stale mark");
    std::fs::create_dir(data.join("postgres.new")).expect("half a cluster");
    std::fs::write(data.join("postgres.new/PG_VERSION"), "15\n").expect("half a cluster");
    let cluster = Cluster::start_with(data, options()).expect("started again");
    assert!(answers(data));
    cluster.stop();
}

#[test]
fn a_long_path_is_no_obstacle() {
    let scratch = Scratch::new();
    let data = scratch.path().join("x".repeat(120));
    let cluster = Cluster::start_with(&data, options()).expect("started");
    assert!(answers(&data));
    let socket = cluster.place().socket().to_owned();
    assert!(socket.as_os_str().len() < 100);
    cluster.stop();
    let _ = std::fs::remove_dir_all(socket);
}

#[test]
fn a_cluster_that_cannot_be_had_says_why() {
    let scratch = Scratch::new();
    let check = |options: Options, word: &str| {
        let error = Cluster::start_with(scratch.path(), options).expect_err("no cluster").to_string();
        assert!(error.contains(word), "{error}");
    };
    check(Options { binaries: Some("/nonexistent".into()), ..options() }, "apt-get install postgresql");
    Cluster::start_with(scratch.path(), options()).expect("started").stop();
    std::fs::write(scratch.path().join("postgres/postgresql.conf"), "nonsense = 1\n").expect("a broken setting");
    check(options(), "nonsense");
    std::fs::write(scratch.path().join("postgres/PG_VERSION"), "13\n").expect("another version");
    let error = Cluster::start_with(scratch.path(), options()).expect_err("no cluster");
    assert!(matches!(error, Error::Version { made_by: 13, .. }), "{error}");
}
