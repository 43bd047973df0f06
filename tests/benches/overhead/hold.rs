//! Many streams at once, held for a while: does memory stay, does a reload in the middle lose any, is all of it recorded?

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::harness::gateway::Gateway;
use super::harness::wait::until;
use super::load::{self, Phase};
use super::process::Process;
use super::target::{self, Target};

/// Looks at memory.
const LOOKS: u32 = 12;

/// Holds so many streams for a time, and tells what was seen.
pub(crate) async fn run(upstream: SocketAddr, streams: usize, time: Duration) -> String {
    let mut target = target::held(upstream).await;
    let phase = Phase { clients: streams, model: "slow", prompt: 1 << 10, path: load::CHAT };
    let mut text = format!("{streams} streams, an event each 50 ms, held for {} s\n", time.as_secs());
    let ((asked, whole), seen) = tokio::join!(load::hold(&target, &phase, time), watch(&target, time));
    let Target { process: Some(process), .. } = &target else { return text };
    let _ = writeln!(text, "streams: {asked}, whole: {whole}, lost: {}", asked - whole);
    let _ = writeln!(text, "resident MiB over time: {}", shown(&seen));
    let _ = writeln!(text, "at most {:.0} MiB; CPU {:.2} of a core", mebibytes(process.peak()), busy(process, time));
    let _ = writeln!(text, "{}", recorded(target.gateway(), asked).await);
    target.stop().await;
    text
}

/// Looks at memory now and then, and has the configuration read again in the middle.
async fn watch(target: &Target, time: Duration) -> Vec<u64> {
    let mut seen = Vec::new();
    for look in 0..LOOKS {
        sleep(time / LOOKS).await;
        seen.extend(target.process.as_ref().map(Process::resident));
        if look == LOOKS / 2 {
            target.gateway().signal(Signal::HUP);
        }
    }
    seen
}

/// What the gateway itself counted, once all of it is durable.
async fn recorded(gateway: &Gateway, asked: usize) -> String {
    let of = |metrics: &str, name: &str| {
        let line = metrics.lines().find(|line| line.split(' ').next() == Some(name));
        line.and_then(|line| line.split(' ').nth(1)?.parse::<usize>().ok()).unwrap_or_default()
    };
    let began = Instant::now();
    let counted = until("all records to be durable", async || {
        let metrics = gateway.client().get("/metrics").await.text().await;
        let recorded = of(&metrics, "candor_records_recorded_total");
        let counted = json!({
            "recorded": recorded,
            "lost": of(&metrics, "candor_records_lost_total"),
            "reloads": of(&metrics, "candor_reloads_applied_total"),
        });
        (recorded >= asked || began.elapsed() > Duration::from_secs(30)).then_some(counted)
    });
    counted.await.to_string()
}

fn busy(process: &Process, time: Duration) -> f64 {
    process.cpu() as f64 / 1e9 / time.as_secs_f64()
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn shown(seen: &[u64]) -> String {
    let seen: Vec<String> = seen.iter().map(|bytes| format!("{:.0}", mebibytes(*bytes))).collect();
    seen.join(" ")
}
