//! `candor engine bench`: how fast a model runs here. It compares nothing.

use std::process::ExitCode;

use candor_engine::measure::{self, Plan, Speed};
use serde_json::json;
use tokio::time::Instant;

use super::load;
use crate::cli::EngineBench;
use crate::command::table::{Column, lay_out, room};
use crate::command::{Failure, print};

const COLUMNS: [Column; 5] = [
    Column::number("streams", 0),
    Column::number("prompt tokens/s", 0),
    Column::number("reply tokens/s", 0),
    Column::number("first token ms", 1),
    Column::number("prompt known ms", 1),
];

/// Runs the command.
pub(super) fn run(arguments: &EngineBench) -> Result<ExitCode, Failure> {
    let streams: Vec<usize> = arguments.streams.iter().map(|count| usize::from(*count)).collect();
    let engine = load(&arguments.model, streams.iter().copied().max().unwrap_or(1))?;
    let (prompt_tokens, gen_tokens) = (arguments.prompt_tokens.max(1), arguments.gen_tokens.max(1));
    let plan = Plan { prompt_tokens, gen_tokens, streams };
    let began = Instant::now();
    let measured = measure::speed(&engine, &plan, &|| began.elapsed()).map_err(Failure::usage)?;
    if arguments.json {
        measured.iter().for_each(|speed| print::line(as_json(speed).to_string()));
    } else {
        let rows: Vec<Vec<String>> = measured.iter().map(row).collect();
        lay_out(&COLUMNS, &rows, room()).iter().for_each(print::line);
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(speed: &Speed) -> serde_json::Value {
    json!({
        "streams": speed.streams,
        "prompt_tokens": speed.prompt_tokens,
        "gen_tokens": speed.gen_tokens,
        "prompt_tokens_per_second": speed.prefill(),
        "reply_tokens_per_second": speed.decode(),
        "first_token_ms": speed.cold.as_secs_f64() * 1e3,
        "known_first_token_ms": speed.repeated.as_secs_f64() * 1e3,
    })
}

fn row(speed: &Speed) -> Vec<String> {
    vec![
        speed.streams.to_string(),
        format!("{:.1}", speed.prefill()),
        format!("{:.1}", speed.decode()),
        format!("{:.0}", speed.cold.as_secs_f64() * 1e3),
        format!("{:.0}", speed.repeated.as_secs_f64() * 1e3),
    ]
}
