//! `candor engine verify`: a checkpoint against the golden values beside it.

use std::process::ExitCode;

use candor_engine::verify::{self, PromptReport};
use serde_json::json;

use crate::cli::EngineVerify;
use crate::command::table::{Column, lay_out, room};
use crate::command::{Failure, print};
use crate::config::{Environment, model_path};

const COLUMNS: [Column; 6] = [
    Column::text("prompt", 0),
    Column::number("logits off by", 0),
    Column::number("hidden off by", 1),
    Column::text("router sets", 0),
    Column::text("greedy", 0),
    Column::text("not bit for bit", 0),
];

/// Runs the command.
pub(super) fn run(arguments: &EngineVerify) -> Result<ExitCode, Failure> {
    let folder = model_path(&arguments.model, &Environment::of_process()).map_err(Failure::usage)?;
    let report = verify::golden(&folder).map_err(Failure::outside)?;
    let good = report.is_within(arguments.bound);
    if arguments.json {
        let prompts: Vec<serde_json::Value> = report.prompts.iter().map(as_json).collect();
        print::line(json!({ "within_bounds": good, "bound": arguments.bound, "prompts": prompts }).to_string());
    } else {
        let rows: Vec<Vec<String>> = report.prompts.iter().map(row).collect();
        lay_out(&COLUMNS, &rows, room()).iter().for_each(print::line);
        let verdict = if good { "within bounds" } else { "OUT OF BOUNDS" };
        print::line(format!("{verdict}: logits may be off by {:e}, all else must be equal", arguments.bound));
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn as_json(prompt: &PromptReport) -> serde_json::Value {
    json!({
        "name": prompt.name,
        "logit_error": prompt.logit_error,
        "hidden_error": prompt.hidden_error,
        "routed_otherwise": prompt.routed_otherwise,
        "router_error": prompt.router_error,
        "greedy_agreed": prompt.greedy_agreed,
        "greedy_expected": prompt.greedy_expected,
        "unstable": prompt.unstable,
    })
}

fn row(prompt: &PromptReport) -> Vec<String> {
    let sets = match prompt.routed_otherwise {
        None => "none".to_owned(),
        Some(0) => "equal".to_owned(),
        Some(count) => format!("{count} differ"),
    };
    vec![
        prompt.name.clone(),
        format!("{:.1e}", prompt.logit_error),
        prompt.hidden_error.map_or_else(|| "none".to_owned(), |error| format!("{error:.1e}")),
        sets,
        format!("{}/{}", prompt.greedy_agreed, prompt.greedy_expected),
        if prompt.unstable.is_empty() { "none".to_owned() } else { prompt.unstable.join(", ") },
    ]
}
