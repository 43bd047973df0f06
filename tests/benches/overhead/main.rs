//! What the gateway costs: CPU per request and per streamed event, and latency added, against nginx terminating TLS
//! before the same upstream in the same run. It proves nothing about correctness; scenarios do.
//!
//! `cargo bench -p candor-tests --bench overhead [-- --rounds 5 --seconds 2]` needs nginx on the path and prints a table.
//! With `-- --only "32 clients"` it runs only phases whose names contain that.
//! With `-- --limits` it also runs before a gateway whose caller has rates, concurrency and budgets.
//! With `-- --hold 500 --seconds 60` it holds so many streams at once before the gateway instead.
//! Rounds of all targets are interleaved and the median is shown, because machines are noisy; what differs between runs
//! is the machine, what holds is the ratio to nginx. CPU is that of the proxy's process alone: Postgres, upstream and
//! load are others'. The gateway runs with TLS, key check, shipped packs and recording, nginx with TLS and no log.

#[expect(dead_code, reason = "scenarios use the rest of the harness")]
#[path = "../../harness/mod.rs"]
mod harness;

mod hold;
mod load;
mod process;
mod target;
mod upstream;

use std::fmt::Write as _;
use std::time::Duration;

use load::{CHAT, MESSAGES, Measured, Phase};
use target::Target;

/// The phases, from what people do most to what hurts most.
const PHASES: [(&str, Phase); 8] = [
    ("whole, 1 client", Phase { clients: 1, model: "whole", prompt: 1 << 10, path: CHAT }),
    ("whole, 32 clients", Phase { clients: 32, model: "whole", prompt: 1 << 10, path: CHAT }),
    ("whole, 64 KiB prompt, 4 clients", Phase { clients: 4, model: "whole", prompt: 64 << 10, path: CHAT }),
    ("stream, an event each 10 ms, 16 clients", Phase { clients: 16, model: "paced", prompt: 1 << 10, path: CHAT }),
    ("stream, an event each 10 ms, 64 clients", Phase { clients: 64, model: "paced", prompt: 1 << 10, path: CHAT }),
    (
        "the same, asked as Messages and translated, 64 clients",
        Phase { clients: 64, model: "paced", prompt: 1 << 10, path: MESSAGES },
    ),
    (
        "whole, asked as Messages and translated, 32 clients",
        Phase { clients: 32, model: "whole", prompt: 1 << 10, path: MESSAGES },
    ),
    ("stream, all events at once, 16 clients", Phase { clients: 16, model: "burst", prompt: 1 << 10, path: CHAT }),
];

fn main() {
    let rounds = argument("--rounds").unwrap_or(5);
    let time = Duration::from_secs(argument("--seconds").unwrap_or(2));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let upstream = upstream::start();
    if let Some(streams) = argument("--hold") {
        let time = Duration::from_secs(argument("--seconds").unwrap_or(60));
        return print(&runtime.block_on(hold::run(upstream, streams as usize, time)));
    }
    let text = runtime.block_on(async {
        let mut targets = target::all(upstream, std::env::args().any(|given| given == "--limits")).await;
        let mut text = String::from(
            "| phase | target | requests/s | CPU us/request | ratio | CPU us/event | ratio | p50 ms | p99 ms | added p50 | added p99 |\n\
             |---|---|---|---|---|---|---|---|---|---|---|\n",
        );
        let only = text_argument("--only").unwrap_or_default();
        for (name, phase) in PHASES.into_iter().filter(|(name, _)| name.contains(&only)) {
            let mut seen: Vec<Vec<Measured>> = targets.iter().map(|_| Vec::new()).collect();
            for round in 0..=rounds {
                for (target, seen) in targets.iter().zip(&mut seen) {
                    let measured = load::run(target, &phase, time).await;
                    // The first round warms up.
                    if round > 0 {
                        seen.push(measured);
                    }
                }
            }
            rows(&mut text, name, &targets, &seen);
        }
        text.push_str("\n| target | resident MiB idle | at most |\n|---|---|---|\n");
        for target in targets.iter().filter(|target| target.process.is_some()) {
            let (idle, peak) = (mebibytes(target.idle), mebibytes(target.peak()));
            let _ = writeln!(text, "| {} | {idle:.1} | {peak:.1} |", target.name);
        }
        for target in &mut targets {
            target.stop().await;
        }
        text
    });
    print(&text);
}

/// One phase's rows: medians of the rounds, and what they are to nginx's and to no proxy at all.
fn rows(text: &mut String, phase: &str, targets: &[Target], seen: &[Vec<Measured>]) {
    let of = |name: &str, figure: fn(&Measured) -> f64| {
        let place = targets.iter().position(|target| target.name == name);
        place.and_then(|place| seen.get(place)).map_or(f64::NAN, |seen| median(seen, figure))
    };
    for (target, seen) in targets.iter().zip(seen) {
        let figures = |figure: fn(&Measured) -> f64| median(seen, figure);
        let added = |figure: fn(&Measured) -> f64| figures(figure) - of("direct", figure);
        let (request, event) = (figures(Measured::cpu_per_request), figures(Measured::cpu_per_event));
        let _ = writeln!(
            text,
            "| {phase} | {} | {:.0} | {} | {} | {} | {} | {:.2} | {:.2} | {:.2} | {:.2} |",
            target.name,
            figures(Measured::rate),
            shown(request, 1),
            shown(request / of("nginx", Measured::cpu_per_request), 2),
            shown(event, 2),
            shown(event / of("nginx", Measured::cpu_per_event), 2),
            figures(|it| it.quantile(0.5)),
            figures(|it| it.quantile(0.99)),
            added(|it| it.quantile(0.5)),
            added(|it| it.quantile(0.99)),
        );
    }
}

fn median(seen: &[Measured], figure: fn(&Measured) -> f64) -> f64 {
    let mut figures: Vec<f64> = seen.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

fn shown(figure: f64, places: usize) -> String {
    if figure.is_finite() { format!("{figure:.places$}") } else { "–".to_owned() }
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn argument(name: &str) -> Option<u64> {
    text_argument(name)?.parse().ok()
}

fn text_argument(name: &str) -> Option<String> {
    let mut arguments = std::env::args();
    arguments.find(|argument| argument == name)?;
    arguments.next()
}

fn print(text: &str) {
    use std::io::Write;
    let _ = std::io::stdout().write_all(text.as_bytes());
}
