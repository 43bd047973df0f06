//! `candor records export`: exchanges as JSON lines, or as a bundle that proves them.

use std::fs::OpenOptions;
use std::io::BufWriter;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use super::database::{Expect, with_store};
use super::records::back;
use super::{Failure, print, show};
use crate::cli::RecordsExport;
use crate::record::wall_clock;
use crate::store::proofs::{BundleError, Wish, Written, bundle};
use crate::store::trace::{Parts, page};

/// Exchanges that are read at once.
const PAGE: u32 = 200;

/// Runs the command.
pub(super) fn run(arguments: &RecordsExport) -> Result<ExitCode, Failure> {
    match &arguments.bundle {
        Some(file) => write_bundle(arguments, file),
        None => write_lines(arguments),
    }
}

fn write_lines(arguments: &RecordsExport) -> Result<ExitCode, Failure> {
    let since = match arguments.all {
        true => time::OffsetDateTime::UNIX_EPOCH,
        false => back(&arguments.since, wall_clock())?,
    };
    with_store(&arguments.configured, Expect::Cluster, async |store| {
        let mut before = None;
        loop {
            let traces = page(store, since, before, PAGE, Parts::All).await?;
            let Some(last) = traces.last() else { return Ok(()) };
            before = Some(last.record.exchange);
            for trace in &traces {
                print::line(show::describe(trace, true).to_string());
            }
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

fn write_bundle(arguments: &RecordsExport, file: &Path) -> Result<ExitCode, Failure> {
    let now = wall_clock();
    let wish = if arguments.all { Wish::All } else { Wish::Between(back(&arguments.since, now)?, now) };
    let mut earlier = Vec::new();
    for path in &arguments.checkpoint {
        let note = std::fs::read_to_string(path);
        earlier.push(note.map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?);
    }
    // It holds what was asked and answered: nobody else's to read. An existing file is somebody's evidence.
    let out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let out = out.map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
    let written = with_store(&arguments.configured, Expect::Cluster, async |store| {
        let progress = |done, all| print::progress(&format!("{done} of {all} leaves"));
        let written = bundle(store, wish, &earlier, BufWriter::new(&out), progress).await;
        print::progress("");
        Ok(written?)
    });
    let written = written.inspect_err(|_| drop(std::fs::remove_file(file)))?;
    out.sync_all()?;
    tell(arguments.configured.json, file, &written);
    Ok(ExitCode::SUCCESS)
}

fn tell(json: bool, file: &Path, written: &Written) {
    if json {
        print::line(json!({"bundle": file.display().to_string(), "written": written}).to_string());
        return;
    }
    let Written { from, until, size, unsealed } = written;
    print::line(format!("{}: leaves {from} to {until} of {size}", file.display()));
    if *unsealed > 0 {
        print::line(format!("{unsealed} exchanges of that time are not sealed yet"));
    }
    print::line(format!("check it with `candor verify {}`", file.display()));
}

impl From<BundleError> for Failure {
    fn from(error: BundleError) -> Self {
        match error {
            BundleError::Store(error) => error.into(),
            BundleError::Checkpoint(_) => Self::usage(error),
            BundleError::Nothing | BundleError::Write(_) => Self::outside(error),
        }
    }
}
