//! `candor ledger`: where the ledger stands, its newest signed head, and what was done beside the traffic.

use std::process::ExitCode;

use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use super::database::{Expect, with_store};
use super::records::back;
use super::table::{Column, lay_out, room};
use super::{Failure, print};
use crate::assemble::kept;
use crate::cli::{Configured, Ledger, LedgerEvents};
use crate::ledger::leaf::Kind;
use crate::record::wall_clock;
use crate::store::events::{self, Event, Wanted};
use crate::store::seal::{Standing, standing};

const COLUMNS: [Column; 4] =
    [Column::text("TIME", 0), Column::text("KIND", 0), Column::text("EXCHANGE", 1), Column::text("WHAT", 0)];

/// Runs the command.
pub(super) fn run(command: &Ledger) -> Result<ExitCode, Failure> {
    match command {
        Ledger::Status(configured) => status(configured),
        Ledger::Checkpoint(configured) => checkpoint(configured),
        Ledger::Events(arguments) => events(arguments),
    }
}

fn events(arguments: &LedgerEvents) -> Result<ExitCode, Failure> {
    let kinds = match arguments.kinds.as_slice() {
        [] => Kind::events().collect(),
        names => names.iter().map(|name| named(name)).collect::<Result<_, _>>()?,
    };
    let since = back(&arguments.since, wall_clock())?;
    let wanted = Wanted { since, kinds, exchange: arguments.exchange, limit: arguments.limit };
    let found =
        with_store(&arguments.configured, Expect::Cluster, async |store| Ok(events::list(store, &wanted).await?))?;
    if arguments.configured.json {
        found.iter().for_each(|event| print::line(describe(event).to_string()));
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|event| {
            let at = event.occurred_at;
            let time = format!("{} {:02}:{:02}:{:02}Z", at.date(), at.hour(), at.minute(), at.second());
            let exchange = event.exchange.map_or_else(|| "-".to_owned(), |exchange| exchange.to_string());
            vec![time, event.kind.clone(), exchange, print::safe(&in_words(&event.text))]
        })
        .collect();
    lay_out(&COLUMNS, &rows, room()).iter().for_each(print::line);
    if usize::try_from(arguments.limit).is_ok_and(|limit| limit == found.len()) {
        print::error(&format!("these are the newest {}; there may be more: --limit", found.len()));
    }
    Ok(ExitCode::SUCCESS)
}

fn named(name: &str) -> Result<Kind, Failure> {
    Kind::named(name).filter(|kind| Kind::events().any(|event| event == *kind)).ok_or_else(|| {
        let known = Kind::events().map(Kind::name).collect::<Vec<_>>().join(", ");
        Failure::usage(format!("--kind: `{}` is no kind of event; known: {known}", print::safe(name)))
    })
}

fn describe(event: &Event) -> Value {
    let told: Value = serde_json::from_str(&event.text).unwrap_or_default();
    json!({
        "id": event.id,
        "occurred_at": event.occurred_at.format(&Rfc3339).unwrap_or_default(),
        "kind": event.kind,
        "exchange": event.exchange,
        "what": told,
    })
}

/// The fields of an event's text that say something, one after the other.
fn in_words(text: &str) -> String {
    let Ok(Value::Object(fields)) = serde_json::from_str(text) else { return text.to_owned() };
    let said = fields.iter().filter(|(name, _)| *name != "exchange").filter_map(|(name, value)| {
        let told = match value {
            Value::Null => return None,
            Value::String(text) => text.clone(),
            Value::Array(all) if all.is_empty() => return None,
            Value::Array(all) => all.iter().map(named_or_whole).collect::<Vec<_>>().join(" "),
            other => other.to_string(),
        };
        Some(format!("{name}: {told}"))
    });
    said.collect::<Vec<_>>().join(", ")
}

/// A text, or the name of something that has one.
fn named_or_whole(value: &Value) -> String {
    let text = value.as_str().or_else(|| value["name"].as_str());
    text.map_or_else(|| value.to_string(), str::to_owned)
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
