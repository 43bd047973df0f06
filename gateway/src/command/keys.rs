//! `candor keys` and `candor migrate`: callers' keys and the database's version.

use std::process::ExitCode;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::database::{Expect, with_any_store, with_store};
use super::table::{Column, lay_out, room};
use super::{Failure, print};
use crate::cli::{Configured, Keys, KeysCreate, KeysRevoke};
use crate::config::{self, Terms};
use crate::cost::{read_nanos, write_nanos};
use crate::exchange::is_own_name;
use crate::record::wall_clock;
use crate::store::keys::{self, NewKey, Revoked, StoredKey};
use crate::store::migrate;

const COLUMNS: [Column; 8] = [
    Column::text("ID", 0),
    Column::text("CALLER", 0),
    Column::text("TEAM", 2),
    Column::text("ROLE", 3),
    Column::text("CREATED", 1),
    Column::text("EXPIRES", 4),
    Column::text("STATE", 0),
    Column::text("MAY", 5),
];

/// Runs `candor keys`.
pub(super) fn run(command: &Keys) -> Result<ExitCode, Failure> {
    match command {
        Keys::Create(arguments) => create(arguments),
        Keys::List(arguments) => list(arguments),
        Keys::Revoke(arguments) => revoke(arguments),
    }
}

/// Runs `candor migrate`.
pub(super) fn migrate(arguments: &Configured) -> Result<ExitCode, Failure> {
    let done = with_any_store(arguments, Expect::Anything, async |store| Ok(migrate::run(store).await?))?;
    if arguments.json {
        print::line(json!({"before": done.before, "now": done.now}).to_string());
    } else if done.before == done.now {
        print::line(format!("the database is at version {}: nothing to do", done.now));
    } else {
        print::line(format!("the database went from version {} to {}", done.before, done.now));
    }
    Ok(ExitCode::SUCCESS)
}

fn create(arguments: &KeysCreate) -> Result<ExitCode, Failure> {
    if is_own_name(&arguments.caller) {
        return Err(Failure::usage(format!("`{}` is the gateway's own name", arguments.caller)));
    }
    let new = NewKey {
        caller: name("--caller", &arguments.caller)?,
        team: arguments.team.as_deref().map(|team| name("--team", team)).transpose()?,
        role: arguments.role.as_deref().map(|role| name("--role", role)).transpose()?,
        expires: arguments.expires.as_deref().map(end_of).transpose()?,
        terms: terms(arguments)?,
    };
    let by = arguments.by.as_deref();
    let (stored, key) =
        with_store(&arguments.configured, Expect::Anything, async |store| Ok(keys::create(store, &new, by).await?))?;
    if arguments.configured.json {
        let mut value = describe(&stored);
        if let Value::Object(map) = &mut value {
            map.insert("key".to_owned(), Value::from(key));
        }
        print::line(value.to_string());
    } else {
        print::line(&key);
        let until = stored.expires.map_or_else(|| "for ever".to_owned(), |end| format!("until {}", moment(end)));
        print::error(&format!("key {} for {} is good {until}; it is shown only this once", stored.id, stored.caller));
    }
    Ok(ExitCode::SUCCESS)
}

fn list(arguments: &Configured) -> Result<ExitCode, Failure> {
    let stored = with_store(arguments, Expect::Cluster, async |store| Ok(keys::load_all(store).await?))?;
    if arguments.json {
        stored.iter().for_each(|key| print::line(describe(key).to_string()));
        return Ok(ExitCode::SUCCESS);
    }
    let text = |text: Option<&str>| text.map_or_else(|| "-".to_owned(), print::safe);
    let now = wall_clock();
    let rows: Vec<Vec<String>> = stored
        .iter()
        .map(|key| {
            vec![
                key.id.clone(),
                print::safe(&key.caller),
                text(key.team.as_deref()),
                text(key.role.as_deref()),
                moment(key.created),
                key.expires.map_or_else(|| "never".to_owned(), moment),
                state(key, now).to_owned(),
                may(&key.terms),
            ]
        })
        .collect();
    lay_out(&COLUMNS, &rows, room()).iter().for_each(print::line);
    Ok(ExitCode::SUCCESS)
}

fn revoke(arguments: &KeysRevoke) -> Result<ExitCode, Failure> {
    let (id, by) = (arguments.id.as_str(), arguments.by.as_deref());
    let revoked =
        with_store(&arguments.configured, Expect::Cluster, async |store| Ok(keys::revoke(store, id, by).await?))?;
    let (text, code) = match revoked {
        Revoked::Now => ("revoked; running gateways learn of it when they next read their keys".to_owned(), 0),
        Revoked::Before(when) => (format!("has been revoked since {}", moment(when)), 0),
        Revoked::Unknown => ("is no key's id; `candor keys list` shows them".to_owned(), 1),
    };
    if arguments.configured.json {
        let done =
            json!({"id": id, "revoked": revoked != Revoked::Unknown, "before": matches!(revoked, Revoked::Before(_))});
        print::line(done.to_string());
    } else if code == 0 {
        print::line(format!("{id} {text}"));
    } else {
        print::error(&format!("{} {text}", print::safe(id)));
    }
    Ok(ExitCode::from(code))
}

fn describe(key: &StoredKey) -> Value {
    let time = |time: OffsetDateTime| time.format(&Rfc3339).unwrap_or_default();
    json!({
        "id": key.id,
        "caller": key.caller,
        "team": key.team,
        "role": key.role,
        "created": time(key.created),
        "expires": key.expires.map(time),
        "revoked": key.revoked.map(time),
        "state": state(key, wall_clock()),
        "models": key.terms.models,
        "requests_per_minute": key.terms.requests_per_minute,
        "tokens_per_minute": key.terms.tokens_per_minute,
        "concurrency": key.terms.concurrency,
        "budget_day": key.terms.budget_day.map(dollars),
        "budget_month": key.terms.budget_month.map(dollars),
    })
}

fn state(key: &StoredKey, now: OffsetDateTime) -> &'static str {
    match key {
        StoredKey { revoked: Some(_), .. } => "revoked",
        StoredKey { expires: Some(end), .. } if *end <= now => "expired",
        _ => "good",
    }
}

/// What a new key may take.
fn terms(arguments: &KeysCreate) -> Result<Terms, Failure> {
    let money = |option: &str, text: &Option<String>| {
        let read = |text: &String| {
            read_nanos(text).filter(|nanos| *nanos > 0).ok_or_else(|| {
                Failure::usage(format!("{option}: `{}` is no amount of dollars such as `2.50`", print::safe(text)))
            })
        };
        text.as_ref().map(read).transpose()
    };
    for model in &arguments.models {
        name("--models", model)?;
        if model.trim_end_matches('*').contains('*') {
            return Err(Failure::usage(format!(
                "--models: the `*` of `{}` may only stand at its end",
                print::safe(model)
            )));
        }
    }
    Ok(Terms {
        models: (!arguments.models.is_empty()).then(|| arguments.models.clone()),
        requests_per_minute: arguments.rpm,
        tokens_per_minute: arguments.tpm,
        concurrency: arguments.concurrency,
        budget_day: money("--budget-day", &arguments.budget_day)?,
        budget_month: money("--budget-month", &arguments.budget_month)?,
    })
}

/// What a key may ask for, and how much of it, in a few words.
fn may(terms: &Terms) -> String {
    let limit = |limit: Option<u64>, of: &str| limit.map(|limit| format!("{limit} {of}"));
    let money = |limit: Option<u64>, of: &str| limit.map(|limit| format!("{} USD/{of}", dollars(limit)));
    let models = terms.models.as_ref().map(|models| print::safe(&models.join(" ")));
    let all = [
        models,
        limit(terms.requests_per_minute, "rpm"),
        limit(terms.tokens_per_minute, "tpm"),
        limit(terms.concurrency, "at once"),
        money(terms.budget_day, "day"),
        money(terms.budget_month, "month"),
    ];
    let said: Vec<String> = all.into_iter().flatten().collect();
    if said.is_empty() { "anything".to_owned() } else { said.join(", ") }
}

fn dollars(nanos: u64) -> String {
    write_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
}

/// A name that a person gave to a caller, a team or a role.
fn name(option: &str, text: &str) -> Result<String, Failure> {
    let name = text.trim();
    if name.is_empty() || name.len() > 200 || name.chars().any(char::is_control) {
        return Err(Failure::usage(format!("{option} must be a name of 1 to 200 bytes without control characters")));
    }
    Ok(name.to_owned())
}

fn end_of(text: &str) -> Result<OffsetDateTime, Failure> {
    let wrong = || Failure::usage(format!("--expires: `{text}` is no duration; write it such as `90d` or `12h`"));
    let duration = config::read_duration(text).filter(|duration| !duration.is_zero()).ok_or_else(wrong)?;
    let duration = time::Duration::try_from(duration).map_err(|_| wrong())?;
    wall_clock().checked_add(duration).ok_or_else(wrong)
}

fn moment(time: OffsetDateTime) -> String {
    let date = time.date();
    format!("{date} {:02}:{:02}Z", time.hour(), time.minute())
}
