//! `candor audit suites` and `candor audit check`: what can be asked.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use super::table::{Column, lay_out, room};
use super::{Failure, print};
use crate::audit::suite::{self, Format, Suite};
use crate::cli::{AuditCheck, AuditSuites, SuiteFormat};

/// Lists the shipped suites.
pub(super) fn list(arguments: &AuditSuites) -> Result<ExitCode, Failure> {
    let suites: Vec<Suite> = suite::shipped_names().into_iter().filter_map(suite::shipped).collect();
    if arguments.json {
        suites.iter().for_each(|suite| print::line(describe(suite).to_string()));
        return Ok(ExitCode::SUCCESS);
    }
    let columns = [
        Column::text("SUITE", 0),
        Column::number("VERSION", 2),
        Column::number("PROBES", 0),
        Column::number("TWINS", 0),
        Column::number("TOPICS", 0),
        Column::text("LANGUAGES", 1),
        Column::text("ABOUT", 0),
    ];
    let rows: Vec<Vec<String>> = suites
        .iter()
        .map(|suite| {
            let twins = suite.probes.iter().filter(|probe| probe.control).count();
            vec![
                suite.name.clone(),
                suite.version.to_string(),
                (suite.probes.len() - twins).to_string(),
                twins.to_string(),
                topics(suite).len().to_string(),
                languages(suite).into_iter().collect::<Vec<_>>().join(", "),
                suite.about.clone(),
            ]
        })
        .collect();
    lay_out(&columns, &rows, room()).iter().for_each(print::line);
    Ok(ExitCode::SUCCESS)
}

/// Checks a suite.
pub(super) fn check(arguments: &AuditCheck) -> Result<ExitCode, Failure> {
    let suite = open(&arguments.suite, arguments.format)?;
    if arguments.jsonl {
        print::text(&suite.lines());
        return Ok(ExitCode::SUCCESS);
    }
    let twins = suite.probes.iter().filter(|probe| probe.control).count();
    let lonely = suite.probes.iter().filter(|probe| !probe.control && probe.twin.is_none()).count();
    print::line(format!(
        "{} {}: {} probes and {twins} twins on {} topics in {}; SHA-256 {}",
        print::safe(&suite.name),
        suite.version,
        suite.probes.len() - twins,
        topics(&suite).len(),
        languages(&suite).into_iter().map(print::safe).collect::<Vec<_>>().join(", "),
        suite.digest()
    ));
    if lonely > 0 {
        print::error(&format!("{lonely} probes have no twin; of those a report gives rates, and tests nothing"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Opens a shipped suite by its name, or a file.
pub(super) fn open(name: &str, format: Option<SuiteFormat>) -> Result<Suite, Failure> {
    if format.is_none()
        && let Some(suite) = suite::shipped(name)
    {
        return Ok(suite);
    }
    let path = Path::new(name);
    if !path.is_file() {
        return Err(Failure::usage(format!(
            "{}: there is no such file, and no shipped suite of that name; shipped: {}",
            print::safe(name),
            suite::shipped_names().join(", ")
        )));
    }
    let format = format.map(|format| match format {
        SuiteFormat::Yaml => Format::Yaml,
        SuiteFormat::Jsonl => Format::Lines,
        SuiteFormat::Promptfoo => Format::PromptfooYaml,
        SuiteFormat::PromptfooCsv => Format::PromptfooTable,
        SuiteFormat::Harmbench => Format::HarmBench,
        SuiteFormat::Speechmap => Format::SpeechMap,
    });
    suite::open(path, format).map_err(|mistakes| Failure::mistakes(&mistakes))
}

fn describe(suite: &Suite) -> serde_json::Value {
    json!({
        "name": suite.name, "version": suite.version, "about": suite.about, "digest": suite.digest(),
        "probes": suite.probes.len(), "twins": suite.probes.iter().filter(|probe| probe.control).count(),
        "topics": topics(suite), "languages": languages(suite),
    })
}

fn topics(suite: &Suite) -> BTreeSet<String> {
    suite.probes.iter().map(crate::audit::suite::Probe::subject).collect()
}

fn languages(suite: &Suite) -> BTreeSet<&str> {
    suite.probes.iter().map(|probe| probe.language.as_str()).collect()
}
