//! `candor ledger`: where the ledger stands, and its newest signed head.

use std::process::ExitCode;

use serde_json::json;

use super::database::{Expect, with_store};
use super::{Failure, print};
use crate::assemble::kept;
use crate::cli::{Configured, Ledger};
use crate::store::seal::{Standing, standing};

/// Runs the command.
pub(super) fn run(command: &Ledger) -> Result<ExitCode, Failure> {
    match command {
        Ledger::Status(configured) => status(configured),
        Ledger::Checkpoint(configured) => checkpoint(configured),
    }
}

fn status(configured: &Configured) -> Result<ExitCode, Failure> {
    let standing = with_store(configured, Expect::Cluster, async |store| Ok(standing(store).await?))?;
    let data = print::configuration(configured)?.config.data;
    let behind = kept(&data).is_some_and(|(_, kept)| i64::try_from(kept.size).is_ok_and(|size| size > standing.sealed));
    if configured.json {
        let mut value = json!(standing);
        if let Some(object) = value.as_object_mut() {
            object.insert("set_back".to_owned(), json!(behind));
        }
        print::line(value.to_string());
    } else {
        to_text(&standing).iter().for_each(print::line);
    }
    if behind {
        print::error("the database has fewer leaves than this gateway has signed: it was set back");
        return Ok(ExitCode::from(1));
    }
    Ok(ExitCode::SUCCESS)
}

fn to_text(standing: &Standing) -> Vec<String> {
    let mut lines =
        vec![format!("ledger {}: {} leaves sealed, {} pending", standing.origin, standing.sealed, standing.pending)];
    if let Some(signed) = standing.signed {
        lines.push(format!(
            "newest checkpoint of {} {:02}:{:02}:{:02} UTC",
            signed.date(),
            signed.hour(),
            signed.minute(),
            signed.second()
        ));
    }
    lines.extend(standing.keys.iter().map(|key| format!("key {}", print::safe(key))));
    for stream in &standing.streams {
        let state = if stream.closed.is_some() { "closed" } else { "open" };
        lines.push(format!(
            "stream {} {state} at {}, last heard of {}",
            stream.stream,
            stream.last,
            stream.heartbeat.date()
        ));
    }
    lines
}

fn checkpoint(configured: &Configured) -> Result<ExitCode, Failure> {
    let standing = with_store(configured, Expect::Cluster, async |store| Ok(standing(store).await?))?;
    let Some(note) = standing.note else {
        print::error("nothing is sealed yet");
        return Ok(ExitCode::from(1));
    };
    if configured.json {
        print::line(json!({"note": note, "sealed": standing.sealed}).to_string());
    } else {
        print::text(&note);
    }
    Ok(ExitCode::SUCCESS)
}
