//! The part of a configuration that says what is asked again and again, to see whether a model changes.

use std::path::Path;
use std::time::Duration;

use super::beside::Canary;
use super::read::{Shared, Table};
use super::resolve::close;
use super::settings::Model;

/// Reads `audit`; without a canary nothing is asked.
pub(super) fn canary(root: &mut Table, base: &Path, models: &[Model], shared: &mut Shared<'_>) -> Option<Canary> {
    let mut audit = root.table("audit", shared);
    let there = audit.has("canary");
    let mut table = audit.table("canary", shared);
    let suite = table.text("suite", shared).unwrap_or_else(|| "topics".to_owned());
    table.note("suite", suite.clone());
    let route = table.text("route", shared);
    let every = table.duration("every", Duration::from_secs(3600), shared);
    let probes = table.count("probes", 20, 1, shared).min(10_000) as usize;
    let rate = |text: &str| text.parse().ok().filter(|rate: &f64| (0.0..=1.0).contains(rate));
    let low = table.parsed("from", "a rate from 0 to 1", rate, shared).unwrap_or(0.0);
    let high = table.parsed("to", "a rate from 0 to 1", rate, shared).unwrap_or(0.2);
    table.note("from", low);
    table.note("to", high);
    let rounds = table.count("rounds_per_false_alert", 1_000, 2, shared);
    let key = table.secret_of_traffic(["key", "key_env", "key_file"], shared);
    let gateway = table.text("gateway", shared);
    let authority = table.path("ca", shared).map(|path| base.join(path));
    let webhook = table.secret_of_traffic(["webhook", "webhook_env", "webhook_file"], shared);
    if low > high {
        shared.mistake(table.place_of("from"), "audit.canary.from must not be above `to`", None);
    }
    let served = |name: &str| {
        let serves = |model: &Model| match model.name.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => model.name == name,
        };
        models.iter().any(serves)
    };
    if let Some(route) = route.as_deref().filter(|route| !served(route)) {
        shared.mistake(table.place_of("route"), format!("no model is named `{route}`"), None);
    }
    if there && route.is_none() {
        let hint = Some("the name of a model that is served".to_owned());
        shared.mistake(table.place(), "`audit.canary` lacks `route`", hint);
    }
    let is_url = |url: &str| url.starts_with("http://") || url.starts_with("https://");
    if webhook.as_ref().is_some_and(|webhook| !is_url(webhook.reveal().trim())) {
        shared.mistake(table.place_of("webhook"), "audit.canary.webhook must be a URL", None);
    }
    if there && key.is_none() && !shared.environment.is_aside() {
        let hint = Some("make one with `candor keys create --caller canary`, and name it by `key_file`".to_owned());
        shared.mistake(table.place(), "`audit.canary` lacks a caller's key: `key`, `key_env` or `key_file`", hint);
    }
    close(&mut audit, "canary", table, shared);
    close(root, "audit", audit, shared);
    // Relative to the file, like every path; a shipped suite is known by its name.
    let file = base.join(&suite);
    let suite = if file.is_file() { file.display().to_string() } else { suite };
    let (band, key, rounds_per_false_alert) = ((low, high), key?, rounds);
    Some(Canary { suite, route: route?, every, probes, band, rounds_per_false_alert, key, gateway, authority, webhook })
}
