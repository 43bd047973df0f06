//! `candor engine plan`: what a model would cost on this machine, and how fast it could be at most.

use std::process::ExitCode;

use candor_engine::measure::bandwidth;
use candor_engine::plan::{self, Plan};
use serde_json::json;
use tokio::time::Instant;

use super::{bytes, quantisation};
use crate::cli::EnginePlan;
use crate::command::{Failure, print};

/// Runs the command: exit status 1 where the model does not fit.
pub(super) fn run(arguments: &EnginePlan) -> Result<ExitCode, Failure> {
    let given = &arguments.config;
    let file = if given.is_dir() { given.join("config.json") } else { given.clone() };
    let plan = plan::plan(&file, arguments.quant.map(quantisation), arguments.context).map_err(Failure::usage)?;
    let threads = arguments.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    print::progress("measuring the memory's bandwidth ...");
    let began = Instant::now();
    let measured = bandwidth(threads, &|| began.elapsed());
    print::progress("");
    if arguments.json {
        print::line(as_json(&plan, measured, threads).to_string());
    } else {
        describe(&plan, measured, threads).iter().for_each(print::line);
    }
    Ok(if plan.fits() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn as_json(plan: &Plan, bandwidth: f64, threads: usize) -> serde_json::Value {
    json!({
        "parameters": plan.parameters,
        "active_parameters": plan.active_parameters,
        "weights_bytes": plan.weights,
        "active_bytes_per_token": plan.active_weights,
        "cache_bytes_per_token": plan.cache_per_token,
        "context": plan.context,
        "cache_bytes": plan.cache,
        "other_bytes": plan.besides,
        "needed_bytes": plan.needed(),
        "available_bytes": plan.available,
        "fits": plan.fits(),
        "bandwidth_bytes_per_second": bandwidth,
        "threads": threads,
        "bound_tokens_per_second": plan.bound(bandwidth, 0),
        "bound_tokens_per_second_at_full_context": plan.bound(bandwidth, plan.context),
    })
}

fn describe(plan: &Plan, bandwidth: f64, threads: usize) -> Vec<String> {
    let billions = |count: u64| format!("{:.2} billion", count as f64 / 1e9);
    let available = plan.available.map_or_else(|| "an unknown amount".to_owned(), bytes);
    let verdict = if plan.fits() { "it fits" } else { "IT DOES NOT FIT" };
    vec![
        format!(
            "parameters        {}, of which a token passes {}",
            billions(plan.parameters),
            billions(plan.active_parameters)
        ),
        format!("weights           {}", bytes(plan.weights)),
        format!(
            "cache             {} a token, {} for {} tokens",
            bytes(plan.cache_per_token),
            bytes(plan.cache),
            plan.context
        ),
        format!("besides           {}", bytes(plan.besides)),
        format!("needed            {}; this machine has {available}: {verdict}", bytes(plan.needed())),
        format!("read per token    {} of weights", bytes(plan.active_weights)),
        format!("bandwidth         {:.1} GB/s on {threads} threads, as measured now", bandwidth / 1e9),
        format!(
            "speed at most     {:.2} tokens/s, {:.2} at full context",
            plan.bound(bandwidth, 0),
            plan.bound(bandwidth, plan.context)
        ),
    ]
}
