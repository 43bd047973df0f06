//! `candor engine`: models in this process, without a gateway around them.

mod bench;
mod plan;
mod run;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use candor_engine as engine;

use super::{Failure, print};
use crate::cli::{Engine, EngineModel, QuantisationName};
use crate::config::{Environment, Place, find_model, model_path};
use crate::upstream::hub;

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
    let path = find(model)?;
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

fn find(model: &EngineModel) -> Result<PathBuf, Failure> {
    let environment = Environment::of_process();
    if !model.fetch {
        return model_path(&model.model, &environment).map_err(Failure::usage);
    }
    let wanted = match find_model(&model.model, &environment).map_err(Failure::usage)? {
        Place::Here(path) => return Ok(path),
        Place::Hub(wanted) => wanted,
    };
    let show = |hub::Progress { file, here, all }: hub::Progress<'_>| {
        print::progress(&format!("fetching {file}: {} of {}", bytes(here), bytes(all)));
    };
    let fetched = hub::fetch(&wanted, &show);
    print::progress("");
    fetched.map_err(|error| Failure::outside(format!("failed to {error}")))
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
