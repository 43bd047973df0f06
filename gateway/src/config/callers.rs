//! The part of a configuration that says who may call: keys, certificates, and what all of them may take.

use std::path::Path;
use std::sync::Arc;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::issuers::{Issuer, issuer};
use super::read::{Shared, Table};
use super::resolve::close;
use super::settings::{CallerCertificate, CallerKey, Callers};
use super::terms::terms;

/// Reads `callers`.
pub(super) fn callers(root: &mut Table, base: &Path, shared: &mut Shared<'_>) -> Callers {
    let mut table = root.table("callers", shared);
    let anonymous = table.flag("anonymous", false, shared);
    let refresh = table.duration("refresh", std::time::Duration::from_secs(2), shared);
    let mut inner = table.table("defaults", shared);
    let defaults = Arc::new(terms(&mut inner, shared));
    close(&mut table, "defaults", inner, shared);
    let keys = listed(&mut table, "keys", key, shared);
    let certificates = listed(&mut table, "certificates", certificate, shared);
    let issuers = listed(&mut table, "issuers", |entry, shared| issuer(entry, base, shared), shared);
    if let Some(twice) = issuers
        .iter()
        .enumerate()
        .find_map(|(at, one)| issuers.iter().take(at).any(|other: &Issuer| other.name == one.name).then_some(&one.name))
    {
        shared.mistake(table.place_of("issuers"), format!("issuer `{twice}` is defined twice"), None);
    }
    close(root, "callers", table, shared);
    Callers { anonymous, keys, refresh, defaults, certificates, issuers }
}

fn listed<T>(
    table: &mut Table,
    name: &'static str,
    read: impl Fn(&mut Table, &mut Shared<'_>) -> Option<T>,
    shared: &mut Shared<'_>,
) -> Vec<T> {
    let (mut all, mut shown) = (Vec::new(), Vec::new());
    for mut entry in table.tables(name, shared) {
        all.extend(read(&mut entry, shared));
        shown.push(entry.finish(shared));
    }
    table.note(name, shown);
    all
}

fn caller(entry: &mut Table, shared: &mut Shared<'_>) -> Option<String> {
    let caller = entry.required("caller", shared);
    if let Some(name) = caller.as_deref().filter(|name| crate::exchange::is_own_name(name)) {
        let message = format!("`{name}` is the gateway's own name");
        shared.mistake(entry.place_of("caller"), message, None);
    }
    caller
}

fn key(entry: &mut Table, shared: &mut Shared<'_>) -> Option<CallerKey> {
    let caller = caller(entry, shared);
    let team = entry.text("team", shared);
    let role = entry.text("role", shared);
    let key = entry.secret_of_traffic(["key", "key_env", "key_file"], shared);
    let terms = terms(entry, shared);
    let moment = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok();
    let expires = entry.parsed("expires", "a moment such as `2026-12-31T00:00:00Z`", moment, shared);
    if let Some(key) = &key
        && key.reveal().len() < 16
    {
        shared.mistake(entry.place(), "a caller's key must have at least 16 characters", None);
    }
    let caller = caller?;
    if key.is_none() && !shared.environment.is_aside() {
        let hint = "give `key`, `key_env` or `key_file`, or make one with `candor keys create`".to_owned();
        shared.mistake(entry.place(), "a caller lacks a key", Some(hint));
    }
    Some(CallerKey { caller, team, role, key: key?, terms, expires })
}

fn certificate(entry: &mut Table, shared: &mut Shared<'_>) -> Option<CallerCertificate> {
    let subject = entry.required("subject", shared);
    let caller = caller(entry, shared);
    let team = entry.text("team", shared);
    let role = entry.text("role", shared);
    let terms = terms(entry, shared);
    Some(CallerCertificate { subject: subject?, caller: caller?, team, role, terms })
}
