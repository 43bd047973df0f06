//! `candor audit report`: what came of a run, or of recorded traffic, in one of several forms.

use std::path::Path;
use std::process::ExitCode;

use super::database::{Expect, with_store};
use super::print::Style;
use super::records::back;
use super::table::{Column, lay_out, room};
use super::{Failure, print};
use crate::audit::calibration::{self, Calibrations};
use crate::audit::report::{self, Proof, Report, Settings, build, live};
use crate::audit::run::Run;
use crate::cli::{AuditReport, ReportFormat};
use crate::record::wall_clock;
use crate::store::Store;
use crate::store::audits::{Seen, Window, page};

/// Exchanges that are read at once.
const PAGE: u32 = 2_000;

/// Exchanges of recorded traffic at most.
const MOST: usize = 2_000_000;

/// Runs the command.
pub(super) fn run(arguments: &AuditReport) -> Result<ExitCode, Failure> {
    let settings = settings(arguments)?;
    let made = match &arguments.directory {
        Some(directory) => of_run(directory, &settings)?,
        None => of_traffic(arguments, &settings)?,
    };
    show(&made, arguments);
    Ok(ExitCode::SUCCESS)
}

fn settings(arguments: &AuditReport) -> Result<Settings, Failure> {
    let within = |name: &str, value: f64| match value > 0.0 && value < 1.0 {
        true => Ok(value),
        false => Err(Failure::usage(format!("{name} must lie between 0 and 1"))),
    };
    let same = arguments.same.iter().map(|pair| match pair.split_once('=') {
        Some((one, other)) => Ok((one.to_owned(), other.to_owned())),
        None => Err(Failure::usage(format!("--same: `{pair}`; write such as `vendor=own`"))),
    });
    Ok(Settings {
        level: within("--level", arguments.level)?,
        false_share: within("--false-share", arguments.false_share)?,
        calibrations: calibrations(arguments.calibration.as_deref())?,
        same: same.collect::<Result<_, _>>()?,
        now: wall_clock(),
    })
}

fn calibrations(file: Option<&Path>) -> Result<Calibrations, Failure> {
    let Some(path) = file else { return Ok(calibration::shipped()) };
    let told = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| told(&error.kind()))?;
    calibration::read(&text).map_err(|error| told(&error))
}

/// Opens a run and what came of it.
pub(super) fn ended(directory: &Path) -> Result<(Run, Vec<crate::audit::run::Outcome>), Failure> {
    let told = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", directory.display()));
    let run = Run::open(directory).map_err(|error| told(&error))?;
    let outcomes = run.outcomes().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::usage(format!(
            "{} has no results yet; get them by `candor audit run --resume {}`",
            directory.display(),
            directory.display()
        )),
        _ => told(&error),
    })?;
    Ok((run, outcomes))
}

fn of_run(directory: &Path, settings: &Settings) -> Result<Report, Failure> {
    let (run, outcomes) = ended(directory)?;
    for (one, other) in &settings.same {
        if let Some(strange) = [one, other].into_iter().find(|route| !run.plan.routes.contains(route)) {
            return Err(Failure::usage(format!(
                "--same: `{strange}` was not asked; routes: {}",
                run.plan.routes.join(", ")
            )));
        }
    }
    let checkpoint = std::fs::read_to_string(directory.join("checkpoint.txt")).ok();
    let proof = checkpoint.map(|checkpoint| Proof {
        checkpoint,
        exchanges: outcomes.iter().map(|outcome| outcome.exchange).collect(),
        command: "candor records export --since 365d --bundle evidence.jsonl".to_owned(),
    });
    Ok(build(&run, &outcomes, proof, settings))
}

fn of_traffic(arguments: &AuditReport, settings: &Settings) -> Result<Report, Failure> {
    let window = Window {
        since: back(arguments.since.as_deref().unwrap_or("24h"), settings.now)?,
        until: back(&arguments.until, settings.now)?,
        caller: arguments.caller.clone(),
    };
    let exchanges = with_store(&arguments.configured, Expect::Cluster, async |store| read(store, &window).await)?;
    print::progress("");
    if exchanges.len() >= MOST {
        print::error(&format!("only the newest {MOST} exchanges were read; ask for less time"));
    }
    Ok(live(&exchanges, &window, settings))
}

async fn read(store: &Store, window: &Window) -> Result<Vec<Seen>, Failure> {
    let (mut all, mut before) = (Vec::new(), None);
    while all.len() < MOST {
        let some = page(store, window, before, PAGE).await?;
        let Some(last) = some.last() else { break };
        before = Some(last.exchange);
        all.extend(some);
        print::progress(&format!("{} exchanges read", all.len()));
    }
    Ok(all)
}

fn show(made: &Report, arguments: &AuditReport) {
    let format = if arguments.configured.json { ReportFormat::Json } else { arguments.format };
    match format {
        ReportFormat::Terminal => terminal(made),
        ReportFormat::Html => print::text(&report::html(made)),
        ReportFormat::Json => print::line(serde_json::to_string(made).unwrap_or_default()),
        ReportFormat::Csv => print::text(&report::csv(made)),
        ReportFormat::Md => print::text(&report::markdown(made)),
    }
}

fn terminal(made: &Report) {
    let style = Style::of_stdout();
    print::line(style.bold(&print::safe(&made.title)));
    for sentence in &made.summary {
        print::line(format!("- {}", print::safe(sentence)));
    }
    for sheet in report::sheets(made) {
        print::line("");
        print::line(style.bold(sheet.title));
        let rows: Vec<Vec<String>> = sheet
            .rows
            .iter()
            .map(|row| row.iter().map(|cell| print::safe(cell).replace('\n', " ")).collect())
            .collect();
        let column = |(at, head): (usize, &&'static str)| {
            // The first columns say what a row is about and stay.
            let spare = if at < 4 { 0 } else { u8::try_from(at).unwrap_or(u8::MAX) };
            match head.strip_prefix('#') {
                Some(head) => Column::number(head, spare),
                None => Column::text(head, spare),
            }
        };
        let columns: Vec<Column> = sheet.columns.iter().enumerate().map(column).collect();
        lay_out(&columns, &rows, room()).iter().for_each(print::line);
    }
    print::line("");
    print::line(style.dim("--format html gives one page with examples and method; --format json everything"));
}
