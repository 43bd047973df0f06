//! `candor audit matrix` and `candor audit simulate`: the statistics on labels of others, and on audits whose truth is known.

use std::process::ExitCode;

use serde_json::json;

use super::table::{Column, lay_out, room};
use super::{Failure, print};
use crate::audit::matrix::{Matrix, matrix};
use crate::audit::simulation::simulate;
use crate::cli::{AuditMatrix, AuditSimulate};

/// Runs `candor audit matrix`.
pub(super) fn run(arguments: &AuditMatrix) -> Result<ExitCode, Failure> {
    let told = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", arguments.file.display()));
    let text = std::fs::read_to_string(&arguments.file).map_err(|error| told(&error.kind()))?;
    let found = matrix(&text, arguments.false_share).map_err(|error| told(&error))?;
    if arguments.json {
        print::line(serde_json::to_string(&found).unwrap_or_default());
    } else {
        tell(&found);
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(found: &Matrix) {
    let columns = [
        Column::text("MODEL", 0),
        Column::text("FIRST", 0),
        Column::text("SECOND", 0),
        Column::number("PAIRS", 2),
        Column::number("ONLY FIRST", 3),
        Column::number("ONLY SECOND", 3),
        Column::number("DIFFERENCE", 0),
        Column::number("INTERVAL", 0),
        Column::number("P", 4),
        Column::number("Q", 0),
        Column::number("HOLM", 1),
        Column::number("H", 4),
    ];
    let mut shown: Vec<_> = found.contrasts.iter().filter(|one| one.discovery).collect();
    shown.sort_by(|left, right| left.q.total_cmp(&right.q).then(right.difference.total_cmp(&left.difference)));
    let rows: Vec<Vec<String>> = shown
        .iter()
        .map(|one| {
            vec![
                print::safe(&one.model),
                print::safe(&one.first),
                print::safe(&one.second),
                one.pairs.count().to_string(),
                one.pairs.first.to_string(),
                one.pairs.second.to_string(),
                format!("{:+.2}", one.difference),
                format!("{:+.2} to {:+.2}", one.interval.low, one.interval.high),
                format!("{:.1e}", one.p),
                format!("{:.1e}", one.q),
                format!("{:.1e}", one.holm),
                format!("{:+.2}", one.h),
            ]
        })
        .collect();
    lay_out(&columns, &rows, room()).iter().for_each(print::line);
    print::line(format!(
        "{} rows counted, {} left out; {} of {} differences are discoveries",
        found.rows,
        found.left_out,
        shown.len(),
        found.contrasts.len()
    ));
    if let Some(agreement) = &found.agreement {
        print::line(format!(
            "the two columns of labels agree on {:.1} % of {}: kappa {:.3} ({:.3} to {:.3})",
            agreement.observed * 100.0,
            agreement.count,
            agreement.kappa,
            agreement.interval.low,
            agreement.interval.high
        ));
    }
}

/// By how much a share may be off by chance and still hold: three standard errors near 0.95 among a thousand, and what Wilson's
/// interval is short by at some rates.
const TOLERANCE: f64 = 0.021;

/// Runs `candor audit simulate`.
pub(super) fn simulated(arguments: &AuditSimulate) -> Result<ExitCode, Failure> {
    print::progress(&format!("simulating {} audits ...", arguments.audits));
    let all = simulate(arguments.audits, arguments.seed);
    print::progress("");
    let holds = |one: &crate::audit::simulation::Simulated| one.holds(if one.at_least { TOLERANCE } else { 0.0 });
    if arguments.json {
        print::line(json!({"audits": arguments.audits, "seed": arguments.seed, "statements": all}).to_string());
    } else {
        for one in &all {
            let bound = if one.at_least { "at least" } else { "at most" };
            let end = match holds(one) {
                true if one.holds(0.0) => "holds",
                true => "within 0.02",
                false => "does not hold",
            };
            print::line(format!("{:>7.4} {bound:>8} {:>7.4}  {end:<13} {}", one.found, one.stated, one.what));
        }
    }
    Ok(if all.iter().all(holds) { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
