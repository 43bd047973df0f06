//! `candor records`: recorded exchanges as a list, newest first. One of them as a whole is `show`'s.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use time::OffsetDateTime;

use super::database::{Expect, with_store};
use super::table::{Column, lay_out, room};
use super::{Failure, costs, custody, export, print, show};
use crate::cli::{Records, RecordsList};
use crate::config;
use crate::record::wall_clock;
use crate::store::records::{self, Filter, Record};
use crate::store::search::{self, Coverage};

/// Most rows that one list holds.
const MOST: u32 = 10_000;

const COLUMNS: [Column; 12] = [
    Column::text("TIME (UTC)", 0),
    Column::text("ID", 0),
    Column::text("CALLER", 2),
    Column::text("MODEL", 3),
    Column::text("UPSTREAM", 8),
    Column::number("STATUS", 6),
    Column::text("OUTCOME", 0),
    Column::text("FOUND", 4),
    Column::number("TOKENS", 7),
    Column::number("COST", 9),
    Column::number("TOOK", 5),
    Column::text("PROMPT", 1),
];

/// Runs the command.
pub(super) fn run(command: &Records) -> Result<ExitCode, Failure> {
    match command {
        Records::List(arguments) => list(arguments),
        Records::Show(arguments) => show::run(arguments),
        Records::Export(arguments) => export::run(arguments),
        Records::Decide(arguments) => custody::decide(arguments),
        Records::Erase(arguments) => custody::erase(arguments),
        Records::Hold(arguments) => custody::hold(arguments),
        Records::Release(arguments) => custody::release(arguments),
        Records::Retain(configured) => custody::retain(configured),
    }
}

fn list(arguments: &RecordsList) -> Result<ExitCode, Failure> {
    let filter = filter(arguments, wall_clock())?;
    let (found, losses) = with_store(&arguments.configured, Expect::Cluster, async |store| {
        let found = match &arguments.text {
            Some(text) => {
                let (found, coverage) = search::find(store, &filter, text).await?;
                tell(&coverage);
                found
            }
            None => records::list(store, &filter).await?,
        };
        Ok((found, records::losses(store, filter.since).await?))
    })?;
    if arguments.configured.json {
        for record in &found {
            print::line(json!(record).to_string());
        }
    } else if !found.is_empty() {
        let rows: Vec<Vec<String>> = found.iter().map(row).collect();
        lay_out(&COLUMNS, &rows, room()).iter().for_each(print::line);
    }
    if found.is_empty() {
        print::error(&format!("no such exchange within {}; look further back with --since", arguments.since));
    } else if u32::try_from(found.len()) == Ok(filter.limit) {
        print::error(&format!("these are the newest {}; there may be more, see --limit", filter.limit));
    }
    for (why, count) in losses {
        print::error(&format!("{count} frames were lost within {} ({why})", arguments.since));
    }
    Ok(ExitCode::SUCCESS)
}

/// Says how much was looked at: an empty list means little where much was not.
fn tell(coverage: &Coverage) {
    let Coverage { indexed_days, read, cut } = coverage;
    let days = if *indexed_days == 1 { "day" } else { "days" };
    print::error(&format!(
        "searched the index of {indexed_days} {days}, and read {read} exchanges that are not in it yet"
    ));
    if *cut {
        print::error("older exchanges that are not in the index yet were not read; wait for the index");
    }
}

fn filter(arguments: &RecordsList, now: OffsetDateTime) -> Result<Filter, Failure> {
    let back = back(&arguments.since, now)?;
    if !(1..=MOST).contains(&arguments.limit) {
        return Err(Failure::usage(format!("--limit must be between 1 and {MOST}")));
    }
    Ok(Filter {
        since: back,
        caller: arguments.caller.clone(),
        model: arguments.model.clone(),
        upstream: arguments.upstream.clone(),
        outcome: one_of("--outcome", arguments.outcome.as_deref(), &OUTCOMES)?,
        manner: one_of("--manner", arguments.manner.as_deref(), &MANNERS)?,
        ending: one_of("--ending", arguments.ending.as_deref(), &ENDINGS)?,
        rule: arguments.rule.clone(),
        topic: arguments.topic.clone(),
        action: one_of("--action", arguments.action.as_deref(), &ACTIONS)?,
        review: one_of("--review", arguments.review.as_deref(), &REVIEWS)?.is_some(),
        limit: arguments.limit,
    })
}

/// The time that `--since` names.
pub(super) fn back(since: &str, now: OffsetDateTime) -> Result<OffsetDateTime, Failure> {
    let back = config::read_duration(since).and_then(|back| now.checked_sub(time::Duration::try_from(back).ok()?));
    back.ok_or_else(|| {
        Failure::usage(format!("--since: `{since}` is no duration; write it such as `15m`, `24h` or `7d`"))
    })
}

/// A word of a fixed list: a misspelt one would find nothing and look like an answer.
pub(super) fn one_of(option: &str, word: Option<&str>, known: &[&str]) -> Result<Option<String>, Failure> {
    match word {
        Some(word) if !known.contains(&word) => {
            Err(Failure::usage(format!("{option}: `{}` is none of {}", print::safe(word), known.join(", "))))
        }
        word => Ok(word.map(str::to_owned)),
    }
}

fn row(record: &Record) -> Vec<String> {
    let safe = |text: Option<&str>| text.map_or_else(|| "-".to_owned(), |text| print::safe(text).replace('\n', " "));
    let at = record.accepted_at;
    vec![
        format!("{} {:02}:{:02}:{:02}", at.date(), at.hour(), at.minute(), at.second()),
        record.exchange.to_string(),
        safe(Some(&record.caller)),
        safe(Some(&record.model)),
        safe(record.upstream.as_deref()),
        record.status.map_or_else(|| "-".to_owned(), |status| status.to_string()),
        outcome(record),
        found(record),
        tokens(record),
        costs::short(record),
        record.total_us.map_or_else(|| "-".to_owned(), took),
        safe(record.prompt_preview.as_deref()),
    ]
}

/// How much was found, the strictest action, and whether a person must look at it.
fn found(record: &Record) -> String {
    let action =
        record.action.as_ref().map_or_else(|| "-".to_owned(), |action| format!("{} {action}", record.findings));
    if record.review.is_some() { format!("{action}, review") } else { action }
}

/// What the model did, or how the exchange ended where that says more.
pub(super) fn outcome(record: &Record) -> String {
    let ending = record.ending.as_deref().unwrap_or("running");
    let mut text = record.outcome.clone().unwrap_or_else(|| ending.to_owned());
    if !record.manners.is_empty() {
        text.push_str(&format!(": {}", record.manners.join(", ")));
    }
    if record.outcome.is_some() && ending != "complete" {
        text.push_str(&format!(" ({ending})"));
    }
    text
}

/// A time as a person reads it.
pub(super) fn took(micros: i64) -> String {
    let time = Duration::from_micros(micros.try_into().unwrap_or_default());
    match time {
        time if time < Duration::from_millis(1) => format!("{}µs", time.as_micros()),
        time if time < Duration::from_secs(1) => format!("{}ms", time.as_millis()),
        time if time < Duration::from_secs(60) => format!("{:.1}s", time.as_secs_f64()),
        time => format!("{}m{:02}s", time.as_secs() / 60, time.as_secs() % 60),
    }
}

fn tokens(record: &Record) -> String {
    match (record.prompt_tokens, record.completion_tokens) {
        (None, None) => "-".to_owned(),
        (sent, got) => {
            let count = |count: Option<i64>| count.map_or_else(|| "?".to_owned(), |count| count.to_string());
            format!("{}+{}", count(sent), count(got))
        }
    }
}

pub(super) const OUTCOMES: [&str; 5] = ["complied", "partial", "refused", "blocked", "failed"];
const REVIEWS: [&str; 1] = ["pending"];
const ACTIONS: [&str; 3] = ["flag", "redact", "stop"];
const ENDINGS: [&str; 10] = [
    "complete",
    "stopped",
    "upstream_failed",
    "client_left",
    "timed_out",
    "drained",
    "rejected",
    "crashed",
    "abandoned",
    "end_lost",
];
pub(super) const MANNERS: [&str; 17] = [
    "plain_refusal",
    "canned_deflection",
    "capability_refusal",
    "hedged",
    "party_line",
    "premise_rejection",
    "topic_swap",
    "omission",
    "language_switch",
    "empty_reasoning",
    "scripted_reasoning",
    "divergence",
    "input_block",
    "output_block",
    "retraction",
    "silent_empty",
    "own_policy",
];
