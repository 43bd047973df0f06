//! `candor records erase|hold|release`: what takes records away, and what keeps them.

use std::process::ExitCode;

use serde_json::json;

use super::database::{Expect, with_any_store, with_store};
use super::records::{back, one_of};
use super::{Failure, print};
use crate::cli::{Configured, Meant, RecordsDecide, RecordsErase, RecordsHold, RecordsRelease};
use crate::record::wall_clock;
use crate::store::custody::{self, Authority, Erased, Whose};
use crate::store::retention::enforce;

/// Runs `records erase`.
pub(super) fn erase(arguments: &RecordsErase) -> Result<ExitCode, Failure> {
    let two = print::configuration(&arguments.configured)?.config.retention.two_person_erasure;
    let why = arguments.why.as_deref().unwrap_or_default();
    let authority = Authority { by: named("--by", &arguments.by)?, why };
    let whose = arguments.meant.as_ref().map(|meant| whose(meant, &arguments.since)).transpose()?;
    let done = with_store(&arguments.configured, Expect::Cluster, async |store| match (&arguments.approve, &whose) {
        (Some(request), _) => Ok(custody::approve(store, *request, authority.by).await?),
        (None, Some(whose)) if two => Ok(Some(custody::ask(store, whose, authority).await?)),
        (None, Some(whose)) => Ok(Some(custody::erase(store, whose, authority).await?)),
        (None, None) => Err(Failure::usage("say which exchanges: ids, --caller or --subject")),
    })?;
    let Some(done) = done else {
        print::error("no such request is open, or the person who asked may not approve it");
        return Ok(ExitCode::from(1));
    };
    if arguments.configured.json {
        print::line(json!(done).to_string());
    } else {
        to_text(&done).iter().for_each(print::line);
    }
    // A name that nothing bears is misspelt, more often than not.
    let nothing = done.waits_for_approval.is_none() && done.erased.is_empty();
    let good = done.held.is_empty() && done.unknown.is_empty() && !nothing;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn to_text(done: &Erased) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(request) = done.waits_for_approval {
        lines.push(format!("asked for as {request}"));
        lines.push(format!("another person approves it with `candor records erase --approve {request} --by NAME`"));
        return lines;
    }
    lines.push(format!("{} erased", done.erased.len()));
    lines.extend(done.held.iter().map(|exchange| format!("{exchange} is held and stays")));
    lines.extend(done.unknown.iter().map(|exchange| format!("{exchange} is not there")));
    lines
}

/// Decisions that a reviewer may take.
const DECISIONS: [&str; 6] = ["confirmed", "over_refusal", "censorship", "detector_error", "no_issue", "escalated"];

/// Runs `records decide`.
pub(super) fn decide(arguments: &RecordsDecide) -> Result<ExitCode, Failure> {
    let decision = one_of("--decision", Some(&arguments.decision), &DECISIONS)?.unwrap_or_default();
    let authority = Authority { by: named("--by", &arguments.by)?, why: named("--why", &arguments.why)? };
    let there = with_store(&arguments.configured, Expect::Cluster, async |store| {
        Ok(custody::decide(store, arguments.id, &decision, authority).await?)
    })?;
    if !there {
        print::error(&format!("nothing is recorded of {}", arguments.id));
        return Ok(ExitCode::from(1));
    }
    tell(arguments.configured.json, "decided", 1);
    Ok(ExitCode::SUCCESS)
}

/// Runs `records hold`.
pub(super) fn hold(arguments: &RecordsHold) -> Result<ExitCode, Failure> {
    let whose = whose(&arguments.meant, &arguments.since)?;
    let authority = Authority { by: named("--by", &arguments.by)?, why: named("--why", &arguments.why)? };
    let matter = named("--matter", &arguments.matter)?;
    let held = with_store(&arguments.configured, Expect::Cluster, async |store| {
        Ok(custody::hold(store, &whose, matter, authority).await?)
    })?;
    tell(arguments.configured.json, "held", held);
    Ok(ExitCode::SUCCESS)
}

/// Runs `records release`.
pub(super) fn release(arguments: &RecordsRelease) -> Result<ExitCode, Failure> {
    let authority = Authority { by: named("--by", &arguments.by)?, why: named("--why", &arguments.why)? };
    let released = with_store(&arguments.configured, Expect::Cluster, async |store| {
        Ok(custody::release(store, &arguments.matter, authority).await?)
    })?;
    tell(arguments.configured.json, "released", released);
    Ok(if released > 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Runs `records retain`.
pub(super) fn retain(configured: &Configured) -> Result<ExitCode, Failure> {
    let retention = print::configuration(configured)?.config.retention;
    if retention.payload_days.is_none() && retention.metadata_months.is_none() {
        return Err(Failure::usage("nothing expires: set retention.payload_days or retention.metadata_months"));
    }
    let dropped =
        with_any_store(configured, Expect::Cluster, async |store| Ok(enforce(store, &retention, wall_clock()).await?))?;
    if configured.json {
        print::line(
            json!({"partitions": dropped.partitions, "kept": dropped.kept, "expired": dropped.expired}).to_string(),
        );
        return Ok(ExitCode::SUCCESS);
    }
    dropped.partitions.iter().for_each(|name| print::line(format!("dropped {name}")));
    print::line(format!("{} payloads kept aside, {} of those kept before expired", dropped.kept, dropped.expired));
    Ok(ExitCode::SUCCESS)
}

fn tell(json: bool, what: &str, count: u64) {
    print::line(if json { json!({what: count}).to_string() } else { format!("{count} {what}") });
}

fn whose(meant: &Meant, since: &str) -> Result<Whose, Failure> {
    let now = wall_clock();
    match (&meant.caller, &meant.subject) {
        (Some(caller), _) => Ok(Whose::Caller { name: caller.clone(), since: back(since, now)?, until: now }),
        (None, Some(tag)) => Ok(Whose::Subject { tag: tag.clone(), since: back(since, now)?, until: now }),
        (None, None) => Ok(Whose::Exchanges(meant.ids.clone())),
    }
}

/// A word that will stand in the ledger for ever.
fn named<'a>(option: &str, text: &'a str) -> Result<&'a str, Failure> {
    match text.trim() {
        "" => Err(Failure::usage(format!("{option} must not be empty"))),
        text if text.len() > 500 => Err(Failure::usage(format!("{option} is too long"))),
        text => Ok(text),
    }
}
