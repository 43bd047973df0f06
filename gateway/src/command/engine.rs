//! `candor engine`: models in this process, without a gateway around them.

mod bench;
mod plan;
mod run;
mod verify;

use std::process::ExitCode;

use candor_engine as engine;

use super::{Failure, print};
use crate::cli::{Engine, EngineModel, QuantisationName};
use crate::config::{Environment, model_path};

/// Runs the command.
pub(super) fn run(command: &Engine) -> Result<ExitCode, Failure> {
    match command {
        Engine::Run(arguments) => run::run(arguments),
        Engine::Bench(arguments) => bench::run(arguments),
        Engine::Verify(arguments) => verify::run(arguments),
        Engine::Plan(arguments) => plan::run(arguments),
    }
}

/// Loads a model that serves so many replies at once.
fn load(model: &EngineModel, sequences: usize) -> Result<engine::Engine, Failure> {
    let path = model_path(&model.model, &Environment::of_process()).map_err(Failure::usage)?;
    print::progress("loading the model ...");
    let settings = engine::Settings {
        model: path,
        context: model.context,
        threads: model.threads,
        sequences,
        quantise: model.quantize.map(quantisation),
        ..engine::Settings::default()
    };
    let loaded = engine::Engine::load(settings);
    print::progress("");
    loaded.map_err(|error| Failure::outside(format!("failed to load the model: {error}")))
}

fn quantisation(name: QuantisationName) -> engine::Quantisation {
    match name {
        QuantisationName::Q8_0 => engine::Quantisation::Q8_0,
        QuantisationName::Q4K => engine::Quantisation::Q4K,
    }
}

/// Bytes as people write them.
fn bytes(count: u64) -> String {
    match count {
        0..1_000_000 => format!("{count} B"),
        1_000_000..1_000_000_000 => format!("{:.0} MB", count as f64 / 1e6),
        _ => format!("{:.1} GB", count as f64 / 1e9),
    }
}
