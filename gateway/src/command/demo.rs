//! `candor demo`: everything on this machine. It puts the gateway together as `serve` does, asks it through its own HTTPS
//! front door, shows what was recorded of that, and serves on.

mod ask;
mod audit;
mod questions;
mod show;

use std::path::PathBuf;
use std::process::ExitCode;

use candor_engine::shipped;
use serde_json::json;
use tokio::time::Instant;

use self::ask::{Asker, Door};
use self::show::Screen;
use super::{Failure, print};
use crate::assemble::{self, Running, Signals};
use crate::cli::Demo;
use crate::config::{self, Environment, Loaded};
use crate::observe::logs;
use crate::store::Store;

/// The name that the demo's model has for clients.
const MODEL: &str = shipped::NAME;

/// Runs the command.
pub(super) fn run(arguments: &Demo) -> Result<ExitCode, Failure> {
    let began = Instant::now();
    let model = match &arguments.model {
        Some(model) => model.clone(),
        None => lay_down(&arguments.data)?,
    };
    let key = format!("demo-{}", uuid::Uuid::now_v7().simple());
    let loaded = configuration(arguments, &model, &key)?;
    let _logs = logs::start(&loaded.config.observe).map_err(Failure::outside)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(demonstrate(arguments, loaded, key, began))?;
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}

/// Writes the shipped model's files where the engine can map them.
fn lay_down(data: &std::path::Path) -> Result<PathBuf, Failure> {
    print::progress("writing the shipped model ...");
    let folder = data.join("model").join(shipped::NAME);
    let written = shipped::write(&folder);
    print::progress("");
    written.map_err(|error| {
        Failure::outside(format!(
            "cannot write the shipped model to {}: {error}; choose another place with --data",
            folder.display()
        ))
    })?;
    Ok(folder)
}

/// What `serve` would read from a file. Variables of the environment override it as they do there.
fn configuration(arguments: &Demo, model: &std::path::Path, key: &str) -> Result<Loaded, Failure> {
    let text = json!({
        "data": arguments.data,
        "listen": {"address": arguments.address.to_string()},
        "callers": {"keys": [{"caller": "demo", "key": key}]},
        "upstreams": [{"name": "shipped", "local": {"path": model}}],
        "models": [{"name": MODEL, "candidates": [{"upstream": "shipped"}]}],
        "observe": {"log": {"filter": "warn"}},
    });
    config::read("the demo's configuration", &text.to_string(), None, &Environment::of_process())
        .map_err(|mistakes| Failure::mistakes(&mistakes))
}

async fn demonstrate(arguments: &Demo, loaded: Loaded, key: String, began: Instant) -> Result<(), Failure> {
    let mut signals = Signals::take()?;
    let (database, data) = (loaded.config.database.clone(), loaded.config.data.clone());
    print::progress("starting Postgres and loading the model ...");
    let started = assemble::start(loaded, None).await;
    print::progress("");
    let running = started?;
    let (store, screen) = (Store::connect(&database, &data)?, Screen::new(arguments.json));
    let shown = tokio::select! {
        shown = tour(&running, &store, screen, &key, began) => Some(shown),
        () = signals.end() => None,
    };
    match shown {
        Some(Ok(())) if !arguments.once => {
            screen.serving();
            Box::pin(running.until_signal(signals)).await;
        }
        Some(Err(failure)) => {
            running.end(signals).await;
            return Err(failure);
        }
        _ => running.end(signals).await,
    }
    Ok(())
}

/// What is shown: a few exchanges as they stream, the audit, how to go on.
async fn tour(running: &Running, store: &Store, screen: Screen, key: &str, began: Instant) -> Result<(), Failure> {
    let door = Door::of(running.told(), key)?;
    let asker = Asker::new(&door)?;
    screen.ready(&door);
    let mut first = None;
    for question in questions::SHOWN {
        screen.question(question);
        let mut speech = screen.speech();
        let heard = asker.ask(question, |channel, text| speech.piece(channel, text)).await?;
        // From the program's start, the model and the database included.
        first.get_or_insert_with(|| heard.first_piece.duration_since(began));
        let trace = ask::recorded(store, heard.exchange).await?;
        screen.exchange(question, &heard, &trace);
    }
    let results = audit::run(&asker, store).await?;
    screen.audit(&results);
    screen.connect(&door, first.unwrap_or_default());
    store.close().await;
    Ok(())
}
