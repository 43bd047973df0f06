//! `candor audit compare`: what has changed from one run to another.

use std::process::ExitCode;

use serde_json::json;

use super::report::ended;
use super::table::{Column, lay_out, room};
use super::{Failure, print};
use crate::audit::report::{Drift, drift};
use crate::cli::AuditCompare;

/// Runs the command.
pub(super) fn run(arguments: &AuditCompare) -> Result<ExitCode, Failure> {
    let (earlier, later) = (ended(&arguments.earlier)?, ended(&arguments.later)?);
    let all = drift((&earlier.0, &earlier.1), (&later.0, &later.1), arguments.false_share);
    if all.is_empty() {
        return Err(Failure::usage("the two runs have no route and topic in common"));
    }
    let found = all.iter().filter(|one| one.discovery).count();
    if arguments.json {
        let runs = [&earlier.0.plan.run, &later.0.plan.run];
        print::line(json!({"earlier": runs[0], "later": runs[1], "changes": all}).to_string());
    } else {
        tell(&all, found);
    }
    Ok(if found == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn tell(all: &[Drift], found: usize) {
    let columns = [
        Column::text("TOPIC", 0),
        Column::text("LANGUAGE", 0),
        Column::text("ROUTE", 0),
        Column::number("THEN", 0),
        Column::number("NOW", 0),
        Column::number("DIFFERENCE", 0),
        Column::number("INTERVAL", 2),
        Column::number("P", 3),
        Column::number("Q", 0),
        Column::text("", 0),
    ];
    let mut shown: Vec<&Drift> = all.iter().filter(|one| one.discovery || one.subject == "all").collect();
    shown.sort_by(|left, right| left.q.total_cmp(&right.q));
    let rows: Vec<Vec<String>> = shown
        .iter()
        .map(|one| {
            vec![
                print::safe(&one.subject),
                print::safe(&one.language),
                print::safe(&one.route),
                format!("{}/{}", one.earlier.hits, one.earlier.of),
                format!("{}/{}", one.later.hits, one.later.of),
                format!("{:+.2}", one.difference),
                format!("{:+.2} to {:+.2}", one.interval.low, one.interval.high),
                format!("{:.4}", one.p),
                format!("{:.4}", one.q),
                if one.discovery { "changed".to_owned() } else { String::new() },
            ]
        })
        .collect();
    lay_out(&columns, &rows, room()).iter().for_each(print::line);
    let how =
        if all.first().is_some_and(|one| one.paired) { "the same probes, paired" } else { "other probes, unpaired" };
    print::line(format!("{} rates compared ({how}), {found} have changed", all.len()));
}
