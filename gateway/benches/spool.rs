//! Recording: frames made durable per second by group and size, and what a call costs the thread that makes it.
//! The disk is the one under the target directory; the figures say as much of it as of the code.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use candor_gateway::config::{Recording, Spool};
use candor_gateway::exchange::{Caller, Channel, Dialect, Ending, ExchangeId, Segment, Timings, Usage, Verdict};
use candor_gateway::record::{Attempt, Begin, End, Recorder, Shipper, wall_clock};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tokio::time::Instant;
use uuid::Uuid;

/// A directory that goes when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(Uuid::now_v7().to_string());
        std::fs::create_dir_all(&path).expect("a directory for the bench");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn open(scratch: &Scratch) -> (Recorder, Shipper) {
    let config = Spool {
        group: Duration::from_millis(5),
        segment_bytes: 64 << 20,
        total_bytes: 64 << 30,
        batch_rows: 500,
        keys: Vec::new(),
    };
    Recorder::open(&scratch.0, &config).expect("a spool")
}

fn begin(size: usize) -> Begin {
    Begin {
        exchange: ExchangeId::begin(),
        at: wall_clock(),
        dialect: Dialect::OpenaiChat,
        caller: Caller { name: "anna".into(), team: Some("search".into()), role: None, key_id: Some("k1".into()) },
        peer: "127.0.0.1".into(),
        client_request_id: None,
        subject: None,
        audit: None,
        model: "some-model".into(),
        stream: true,
        preview: None,
        request: Bytes::from(vec![b'p'; size]),
        headers: vec![("user-agent".into(), "bench/1.0".into()), ("content-type".into(), "application/json".into())],
        snapshot: "0123456789abcdef".into(),
        recording: Recording::Required,
    }
}

/// An end whose reply came in many pieces, as streams do.
fn end(exchange: ExchangeId, size: usize) -> End {
    End {
        exchange,
        at: wall_clock(),
        ending: Ending::Complete,
        status: 200,
        fault: None,
        attempts: vec![Attempt {
            upstream: "one".into(),
            status: Some(200),
            fault: None,
            took: Duration::from_millis(12),
        }],
        upstream: Some("one".into()),
        upstream_dialect: None,
        upstream_model: Some("some-model-2".into()),
        upstream_reply_id: Some("chatcmpl-1".into()),
        sent: None,
        adapted: Vec::new(),
        received: (0..32).map(|_| Bytes::from(vec![b'a'; size / 32])).collect(),
        delivered: None,
        unkept_bytes: 0,
        segments: vec![Segment {
            choice: 0,
            channel: Channel::Answer,
            part: 0,
            role: None,
            text: "a".repeat(size / 4),
            authored_bytes: 0,
        }],
        finishes: vec![(0, "stop".into())],
        unread_frames: 0,
        findings: Vec::new(),
        unkept_findings: 0,
        verdict: Verdict {
            choice: 0,
            outcome: "complied",
            manners: Vec::new(),
            evidence: Vec::new(),
            language: Some("en"),
            confidence: 0.9,
            decided_by: "structure",
            signal: None,
            detector: "1",
        },
        review: false,
        usage: Usage { prompt: Some(300), completion: Some(200), ..Usage::default() },
        cost: None,
        thinking: None,
        timings: Timings { total: Duration::from_millis(12), ..Timings::default() },
    }
}

/// Frames that wait for the same sync.
fn groups(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut bench = criterion.benchmark_group("durable");
    bench.sample_size(10).measurement_time(Duration::from_secs(3));
    for size in [1 << 10, 16 << 10] {
        for group in [1, 16, 128, 1024] {
            let scratch = Scratch::new();
            let (recorder, _shipper) = open(&scratch);
            bench.throughput(Throughput::Elements(group));
            bench.bench_function(BenchmarkId::new(format!("{size}B"), group), |bencher| {
                bencher.iter(|| {
                    runtime.block_on(async {
                        let slots: Vec<_> = (0..group)
                            .map(|_| {
                                let mut slot = recorder.reserve(Recording::Required).expect("room");
                                let durable = slot.begin(begin(size));
                                (slot, durable)
                            })
                            .collect();
                        for (slot, durable) in slots {
                            durable.await.expect("durable");
                            drop(slot);
                        }
                    });
                });
            });
            recorder.close();
        }
    }
}

/// What an exchange's own thread pays for both frames, making them not included.
fn calls(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut bench = criterion.benchmark_group("calls");
    bench.sample_size(10).measurement_time(Duration::from_secs(3));
    for size in [1 << 10, 4 << 10] {
        let scratch = Scratch::new();
        let (recorder, _shipper) = open(&scratch);
        bench.bench_function(BenchmarkId::new("begin_and_end", size), |bencher| {
            bencher.iter_custom(|iterations| {
                let mut took = Duration::ZERO;
                let mut left = iterations;
                while left > 0 {
                    let round = left.min(ROUND);
                    let samples: Vec<_> =
                        (0..round).map(|_| begin(size)).map(|begin| (end(begin.exchange, size), begin)).collect();
                    let started = Instant::now();
                    let mut last = None;
                    for (end, begin) in samples {
                        let mut slot = recorder.reserve(Recording::BestEffort).expect("a slot");
                        drop(slot.begin(begin));
                        last = Some(slot.end(end));
                    }
                    took += started.elapsed();
                    // Everything is on the disk before the next round, so that nothing piles up.
                    runtime.block_on(last.into_iter().next().expect("a round")).expect("durable");
                    left -= round;
                }
                took
            });
        });
        recorder.close();
    }
}

/// Exchanges recorded before the bench waits for the disk.
const ROUND: u64 = 64;

criterion_group!(benches, groups, calls);
criterion_main!(benches);
