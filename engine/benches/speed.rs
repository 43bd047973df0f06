//! Speed of one model as a line of JSON per measurement: `cargo bench -p candor-engine --bench speed -- --model FILE
//! [--threads N] [--avx2] [--prompt-tokens N] [--gen-tokens N] [--streams 1,8] [--context N]`. It compares nothing;
//! `against_llama.py` does.
#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "it measures time and prints what it measured")]

use std::time::{Duration, Instant};

use candor_engine::measure::{Plan, bandwidth, leave_avx512, speed};
use candor_engine::{Engine, Settings};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let value =
        |name: &str| arguments.iter().position(|argument| argument == name).and_then(|at| arguments.get(at + 1));
    let number = |name: &str, usual: usize| value(name).map_or(usual, |text| text.parse().expect("a number"));
    let began = Instant::now();
    if let Some(threads) = value("--bandwidth") {
        let threads = threads.parse().expect("a number");
        println!("{{\"bandwidth_gb_s\":{:.1}}}", bandwidth(threads, &|| began.elapsed()) / 1e9);
    }
    if arguments.iter().any(|argument| argument == "--avx2") {
        leave_avx512();
    }
    // `cargo test --benches` runs this without a model.
    let Some(model) = value("--model") else { return };
    let streams = value("--streams").map_or("1", String::as_str);
    let plan = Plan {
        prompt_tokens: number("--prompt-tokens", 512),
        gen_tokens: number("--gen-tokens", 64),
        streams: streams.split(',').map(|count| count.parse().expect("a number")).collect(),
    };
    let settings = Settings {
        model: model.into(),
        threads: Some(number("--threads", 2)),
        context: Some(number("--context", 4096)),
        ..Settings::default()
    };
    let opened = began.elapsed();
    let engine = Engine::load(settings).expect("a model");
    let loaded = began.elapsed() - opened;
    let measured = speed(&engine, &plan, &|| began.elapsed()).expect("a measurement");
    for speed in measured {
        let seconds = |time: Duration| time.as_secs_f64();
        println!(
            "{{\"streams\":{},\"prefill\":{:.1},\"decode\":{:.2},\"cold_s\":{:.3},\"repeated_s\":{:.3},\"load_s\":{:.2},\"rss_mb\":{}}}",
            speed.streams,
            speed.prefill(),
            speed.decode(),
            seconds(speed.cold),
            seconds(speed.repeated),
            seconds(loaded),
            resident(),
        );
    }
}

/// Megabytes of memory that this process has, mapped files included.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()).unwrap_or(0) / 1024
}
