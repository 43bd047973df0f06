//! `candor engine run`: a model on the terminal, reasoning dimmed, speed at the end. It serves nobody else.

use std::io::Read;
use std::process::ExitCode;

use candor_engine as engine;
use serde_json::json;
use tokio::time::Instant;

use super::load;
use crate::cli::EngineRun;
use crate::command::print::Style;
use crate::command::{Failure, print};

/// Runs the command.
pub(super) fn run(arguments: &EngineRun) -> Result<ExitCode, Failure> {
    let engine = load(&arguments.model, 1)?;
    let conversation = conversation(arguments)?;
    let prompt = engine.prompt(&conversation).map_err(Failure::usage)?;
    let sampling = engine::Sampling {
        max_tokens: Some(arguments.max_tokens),
        temperature: arguments.temperature,
        top_p: arguments.top_p,
        seed: arguments.seed,
        max_reasoning_tokens: arguments.max_reasoning_tokens,
        ..engine::Sampling::default()
    };
    let mut generation = engine.generate(prompt, sampling).map_err(Failure::usage)?;
    let style = Style::of_stdout();
    let started = Instant::now();
    let mut first = None;
    while let Some(event) = generation.next_blocking() {
        match event {
            engine::Event::Text { channel, text, .. } => {
                first.get_or_insert_with(|| started.elapsed());
                show(channel, &text, arguments.json, style);
            }
            engine::Event::Done { finish, usage } => {
                report(finish, usage, started.elapsed(), first.unwrap_or_default(), arguments.json, style);
            }
            engine::Event::Failed(error) => return Err(Failure::outside(error)),
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn conversation(arguments: &EngineRun) -> Result<engine::Conversation, Failure> {
    let mut text = arguments.prompt.clone();
    if text == "-" {
        text.clear();
        std::io::stdin().read_to_string(&mut text)?;
    }
    let message =
        |role: &str, content: String| engine::Message { role: role.to_owned(), content, ..engine::Message::default() };
    let system = arguments.system.iter().map(|system| message("system", system.clone()));
    let messages = system.chain([message("user", text)]).collect();
    Ok(engine::Conversation { messages, ..engine::Conversation::default() })
}

fn show(channel: engine::Channel, text: &str, as_json: bool, style: Style) {
    let reasoning = matches!(channel, engine::Channel::Reasoning);
    if as_json {
        let channel = if reasoning { "reasoning" } else { "answer" };
        print::line(json!({"channel": channel, "text": text}).to_string());
    } else if reasoning {
        print::text(&style.dim(&print::safe(text)));
    } else {
        print::text(&print::safe(text));
    }
}

fn report(
    finish: engine::Finish,
    usage: engine::Usage,
    total: std::time::Duration,
    first: std::time::Duration,
    as_json: bool,
    style: Style,
) {
    let generating = total.saturating_sub(first).as_secs_f64().max(1e-9);
    // The first token ends the prompt's work; the others are what generating costs.
    let rate = usage.completion_tokens.saturating_sub(1) as f64 / generating;
    let finish = match finish {
        engine::Finish::Stop => "stop",
        engine::Finish::Length => "length",
        engine::Finish::Cancelled => "cancelled",
    };
    if as_json {
        let line = json!({
            "finish": finish,
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
            "cached_tokens": usage.cached_tokens,
            "first_token_ms": first.as_secs_f64() * 1e3,
            "tokens_per_second": rate,
        });
        print::line(line.to_string());
    } else {
        let text = format!(
            "\n[{finish}: {} prompt and {} generated tokens, first after {:.0} ms, then {rate:.1} tokens/s]",
            usage.prompt_tokens,
            usage.completion_tokens,
            first.as_secs_f64() * 1e3,
        );
        print::line(style.dim(&text));
    }
}
