//! `candor verify`: what an evidence bundle proves. It needs no database, no network and no configuration.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use super::{Failure, print};
use crate::cli::Verify;
use crate::ledger::checkpoint::Verifier;
use crate::ledger::verify::{Conclusion, Grade, Reading, Report, Status, Trust};

/// Bytes of one line at most: the largest payload that is kept, in base64.
const LONGEST: u64 = 256 << 20;

/// Exceptions that are listed for people.
const LISTED: usize = 20;

/// Runs the command.
pub(super) fn run(arguments: &Verify) -> Result<ExitCode, Failure> {
    let trust = trust(arguments)?;
    let report = if arguments.bundle == Path::new("-") {
        read(BufReader::new(io::stdin().lock()))
    } else {
        let file = File::open(&arguments.bundle);
        let file = file.map_err(|error| Failure::usage(format!("{}: {error}", arguments.bundle.display())))?;
        read(BufReader::with_capacity(1 << 20, file))
    };
    let report = report?.conclude(&trust);
    if arguments.json {
        print::line(json!(report).to_string());
    } else {
        to_text(&report).iter().for_each(print::line);
    }
    Ok(ExitCode::from(match report.conclusion {
        Conclusion::Verified => 0,
        Conclusion::Invalid => 1,
        Conclusion::Incomplete => 4,
        Conclusion::Unanchored => 5,
    }))
}

fn trust(arguments: &Verify) -> Result<Trust, Failure> {
    let mut trust = Trust::default();
    for text in &arguments.key {
        let key = Verifier::read(text);
        let key = key.ok_or_else(|| Failure::usage(format!("--key: `{}` is no verifier key", print::safe(text))))?;
        trust.keys.push(key);
    }
    for path in &arguments.checkpoint {
        let note = std::fs::read_to_string(path);
        trust.checkpoints.push(note.map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?);
    }
    Ok(trust)
}

fn read(mut input: impl BufRead) -> Result<Reading, Failure> {
    let mut reading = Reading::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        let length = input.by_ref().take(LONGEST).read_until(b'\n', &mut line).map_err(Failure::outside)?;
        if length == 0 {
            return Ok(reading);
        }
        reading.line(&line);
    }
}

fn to_text(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    let conclusion = match report.conclusion {
        Conclusion::Verified => "verified: every record is as it was, or its absence is accounted for",
        Conclusion::Unanchored => {
            "consistent, but not anchored: give --key or --checkpoint to show that this is the ledger you know"
        }
        Conclusion::Incomplete => "INCOMPLETE: something that was recorded is not here",
        Conclusion::Invalid => "INVALID: something is not as it was recorded",
    };
    lines.push(conclusion.to_owned());
    lines.push(format!("ledger {}, {} of its {} leaves", print::safe(&report.origin), report.leaves, report.size));
    if let Some(key) = &report.signed_by {
        lines.push(format!("signed by {}; kept checkpoints that agree: {}", print::safe(key), report.anchors));
    }
    for status in Status::ALL {
        if let Some(count) = report.records.get(status.name()) {
            lines.push(format!("{count:>9} {}", status.name()));
        }
    }
    for (count, what) in [(report.running, "were still running"), (report.unsealed, "have no leaf yet")] {
        if count > 0 {
            lines.push(format!("{count:>9} {what}"));
        }
    }
    for (exchange, status) in report.exceptions.iter().take(LISTED) {
        lines.push(format!("  {exchange} {}", status.name()));
    }
    if report.exceptions.len() > LISTED {
        lines.push(format!("  and {} more; --json lists all", report.exceptions.len() - LISTED));
    }
    for problem in &report.problems {
        let grade = match problem.grade {
            Grade::Invalid => "invalid",
            Grade::Incomplete => "incomplete",
        };
        lines.push(format!("{grade}: {}", print::safe(&problem.what)));
    }
    lines
}
