//! `candor audit discover`: refused subjects that nobody has listed.

use std::process::ExitCode;

use uuid::Uuid;

use super::database::{Expect, with_store};
use super::door::door;
use super::table::{Column, lay_out, room};
use super::{Failure, print};
use crate::audit::discover::{Failed, Found, Search, Wording, discover};
use crate::cli::AuditDiscover;
use crate::screen::{Rules, shipped_packs};

/// Runs the command.
pub(super) fn run(arguments: &AuditDiscover) -> Result<ExitCode, Failure> {
    let config = print::configuration(&arguments.configured)?.config;
    let door = door(&arguments.door, &config)?;
    let path = &arguments.seed_topics;
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("{}: {}", path.display(), error.kind())))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let seeds: Vec<String> = lines.map(str::to_owned).collect();
    if seeds.is_empty() {
        return Err(Failure::usage(format!("{} names no subject; write one on each line", path.display())));
    }
    let wording = Wording::of(&arguments.language)
        .ok_or_else(|| Failure::usage(format!("--language: `{}` is none of en, zh, pt", arguments.language)))?;
    let search = Search {
        run: Uuid::now_v7().simple().to_string(),
        route: arguments.route.clone(),
        seeds,
        budget: arguments.budget,
        neighbours: arguments.neighbours,
        wording,
    };
    let names: Vec<String> = shipped_packs().into_iter().map(str::to_owned).collect();
    let rules = Rules::compile(&names, &[]).map_err(|mistakes| Failure::mistakes(&mistakes))?;
    let tell = |asked: u32, withheld: usize| {
        print::progress(&format!("{asked} of {} questions asked, {withheld} subjects withheld", arguments.budget));
    };
    let found = with_store(&arguments.configured, Expect::Cluster, async |store| {
        Box::pin(discover(store, &door, &search, &rules, tell)).await.map_err(|failed| match failed {
            Failed::Stop(stop) => Failure::outside(stop),
            Failed::Store(error) => error.into(),
            Failed::Late => {
                Failure::outside("the gateway's records do not reach the database; see `candor spool status`")
            }
        })
    })?;
    print::progress("");
    if arguments.configured.json {
        print::line(serde_json::to_string(&found).unwrap_or_default());
    } else {
        show(&found);
    }
    Ok(ExitCode::SUCCESS)
}

fn show(found: &Found) {
    let columns = [
        Column::text("SUBJECT", 0),
        Column::text("OUTCOME", 0),
        Column::number("STEPS", 2),
        Column::number("NAMED", 3),
        Column::text("LISTED AS", 1),
        Column::text("FROM", 4),
    ];
    let withheld = found.subjects.iter().filter(|subject| subject.withheld == Some(true));
    let rows: Vec<Vec<String>> = withheld
        .map(|subject| {
            let manners = subject.manners.join(", ");
            let listed = if subject.topics.is_empty() { "nowhere".to_owned() } else { subject.topics.join(", ") };
            vec![
                print::safe(&subject.subject),
                if manners.is_empty() { subject.outcome.clone() } else { format!("{}: {manners}", subject.outcome) },
                subject.depth.to_string(),
                subject.named.to_string(),
                print::safe(&listed),
                subject.from.as_deref().map(print::safe).unwrap_or_default(),
            ]
        })
        .collect();
    lay_out(&columns, &rows, room()).iter().for_each(print::line);
    let new = found.subjects.iter().filter(|one| one.withheld == Some(true) && one.depth > 0).count();
    let unlisted = found
        .subjects
        .iter()
        .filter(|one| one.withheld == Some(true) && one.depth > 0 && one.topics.is_empty())
        .count();
    print::line(format!(
        "{} questions, {} subjects probed, {} withheld; {new} of those were not among the seeds, {unlisted} in no shipped topic",
        found.questions,
        found.subjects.len(),
        found.withheld.hits
    ));
    print::line(format!(
        "about {:.0} withheld subjects around these seeds ({:.0} to {:.0}), by how often those were named that were found; {} \
         subjects were named and not probed",
        found.richness.estimate, found.richness.interval.low, found.richness.interval.high, found.unprobed
    ));
}
