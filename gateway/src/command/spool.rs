//! `candor spool`: what waits on this machine's disk, and the spools of gateways that will not come back.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::database::{Expect, with_store};
use super::table::{Column, lay_out, room};
use super::{Failure, print};
use crate::cli::{Configured, Spool, SpoolImport};
use crate::record::{Recorder, Waiting};

/// Longest that an import may take; a second one goes on where it stopped.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

const COLUMNS: [Column; 5] = [
    Column::text("STREAM", 0),
    Column::text("STATE", 0),
    Column::number("SEGMENTS", 0),
    Column::number("BYTES", 0),
    Column::text("KEPT FOR YOU TO LOOK AT", 1),
];

/// Runs the command.
pub(super) fn run(command: &Spool) -> Result<ExitCode, Failure> {
    match command {
        Spool::Status(configured) => status(configured),
        Spool::Import(arguments) => import(arguments),
    }
}

fn status(configured: &Configured) -> Result<ExitCode, Failure> {
    let data = print::configuration(configured)?.config.data;
    let found = Recorder::look(&data);
    let found = found.map_err(|error| Failure::outside(format!("{}: {error}", data.join("spool").display())))?;
    if configured.json {
        found.iter().for_each(|waiting| print::line(json!(waiting).to_string()));
    } else if found.is_empty() {
        print::line("nothing waits");
    } else {
        let rows: Vec<Vec<String>> = found.iter().map(row).collect();
        lay_out(&COLUMNS, &rows, room()).iter().for_each(print::line);
    }
    Ok(ExitCode::SUCCESS)
}

fn row(waiting: &Waiting) -> Vec<String> {
    let evidence = if waiting.evidence.is_empty() { "-".to_owned() } else { waiting.evidence.join(", ") };
    vec![
        waiting.stream.to_string(),
        if waiting.in_use { "in use" } else { "left behind" }.to_owned(),
        waiting.segments.to_string(),
        waiting.bytes.to_string(),
        evidence,
    ]
}

fn import(arguments: &SpoolImport) -> Result<ExitCode, Failure> {
    let directory = &arguments.directory;
    if !directory.join("spool").is_dir() {
        return Err(Failure::usage(format!(
            "{} is no data directory of a gateway: it has no spool",
            directory.display()
        )));
    }
    let before = Recorder::look(directory)?;
    if let Some(busy) = before.iter().find(|waiting| waiting.in_use) {
        return Err(Failure::outside(format!("a gateway is still using the stream {}; stop it first", busy.stream)));
    }
    let spool = print::configuration(&arguments.configured)?.config.spool;
    let left = with_store(&arguments.configured, Expect::Anything, async |store| {
        let (recorder, mut shipper) = Recorder::open(directory, &spool).map_err(Failure::outside)?;
        recorder.close();
        Ok(shipper.drain(store, Instant::now() + PATIENCE).await)
    })?;
    let stored = before.iter().filter(|waiting| waiting.segments > 0).count();
    if arguments.configured.json {
        print::line(json!({"streams": stored, "frames_left": left}).to_string());
    } else {
        print::line(format!("{stored} streams stored, {left} frames left"));
    }
    Ok(if left == 0 { ExitCode::SUCCESS } else { ExitCode::from(3) })
}
