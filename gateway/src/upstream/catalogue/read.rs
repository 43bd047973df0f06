//! Reads the catalogue of providers and checks it as a whole, every mistake at once. It knows nothing of connections.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use http::Uri;
use serde_json::Value as Json;

use super::{Auth, Catalogue, Exposure, KeepAlive, Pattern, Provider, Reasoning, Signal, UsageAt, quirks};
use crate::config::{Environment, FilePlace, Mistake, Node, Shared, Table, Tree, nearest, parse_tree};
use crate::exchange::Dialect;

/// The shipped catalogue.
const SHIPPED: &str = include_str!("providers.yaml");

/// The name that mistakes in it are told under.
const SHIPPED_NAME: &str = "providers.yaml (shipped)";

/// Dialects that an entry may be spoken to in.
const DIALECTS: [&str; 3] = ["openai-chat", "openai-responses", "anthropic"];

/// The shipped catalogue, with the entries of a file of one's own laid over it where there is one. An entry of a name
/// that is known takes the place of the shipped one; with `extends: NAME` it has that entry's keys where it lacks them.
///
/// # Errors
/// Every mistake of either, with line.
pub fn load(own: Option<(&str, &str)>) -> Result<Catalogue, Vec<Mistake>> {
    let environment = Environment::default();
    let (shipped, mut mistakes) = nodes(SHIPPED_NAME, SHIPPED, &environment);
    let (added, more) = own.map_or_else(Default::default, |(name, text)| nodes(name, text, &environment));
    mistakes.extend(more);
    let mut providers: Vec<Provider> = Vec::new();
    for (file, node) in shipped
        .iter()
        .map(|node| (SHIPPED_NAME, node))
        .chain(added.iter().map(|node| (own.map_or("", |(name, _)| name), node)))
    {
        let mut shared = shared(file, &environment);
        let node = extended(node.clone(), &shipped, &mut shared);
        let mut table = Table::item("providers".to_owned(), node, &mut shared);
        if let Some(provider) = provider(&mut table, &mut shared) {
            put(&mut providers, Provider { shown: table.finish(&mut shared), ..provider });
        } else {
            drop(table.finish(&mut shared));
        }
        mistakes.extend(shared.mistakes);
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let text = [SHIPPED, own.map_or("", |(_, text)| text)].concat();
    let digest = digest(&SHA256, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Catalogue { providers, digest })
}

fn put(providers: &mut Vec<Provider>, provider: Provider) {
    match providers.iter_mut().find(|known| known.name == provider.name) {
        Some(known) => *known = provider,
        None => providers.push(provider),
    }
}

fn shared<'a>(file: &'a str, environment: &'a Environment) -> Shared<'a> {
    Shared {
        file,
        base: Path::new(""),
        environment,
        mistakes: Vec::new(),
        known_variables: BTreeSet::new(),
        files: Vec::new(),
        secrets: Vec::new(),
        providers: Vec::new(),
    }
}

/// The entries of a text, and what is wrong with its outer form; names that stand twice among them.
fn nodes(file: &str, text: &str, environment: &Environment) -> (Vec<Node>, Vec<Mistake>) {
    let mut shared = shared(file, environment);
    let root = match parse_tree(text) {
        Ok(root) => root,
        Err(error) => {
            let place = error.location().map(|at| FilePlace { line: at.line(), column: at.column() });
            let message = format!("not valid YAML: {}", error.without_snippet());
            shared.mistake(place.unwrap_or_default(), message, None);
            return (Vec::new(), shared.mistakes);
        }
    };
    let mut table = Table::item(String::new(), root, &mut shared);
    let nodes = table.list("providers", &mut shared);
    let mut names = BTreeSet::new();
    for node in &nodes {
        if let Some(name) = text_of(node, "name")
            && !names.insert(name)
        {
            shared.mistake(node.place, format!("provider `{name}` stands twice"), None);
        }
    }
    drop(table.finish(&mut shared));
    (nodes, shared.mistakes)
}

fn text_of<'n>(node: &'n Node, wanted: &str) -> Option<&'n str> {
    let Tree::Map(entries) = &node.value else { return None };
    entries.iter().find(|(key, _)| key == wanted).and_then(|(_, node)| match &node.value {
        Tree::Text(text) => Some(text.as_str()),
        _ => None,
    })
}

/// An entry with what it lacks of the one that it extends.
fn extended(mut node: Node, shipped: &[Node], shared: &mut Shared<'_>) -> Node {
    let Some(base) = text_of(&node, "extends").map(str::to_owned) else { return node };
    let Some(found) = shipped.iter().find(|node| text_of(node, "name") == Some(&base)) else {
        let names: Vec<&str> = shipped.iter().filter_map(|node| text_of(node, "name")).collect();
        let hint = nearest(&base, &names).map(|near| format!("did you mean `{near}`?"));
        shared.mistake(node.place, format!("no shipped provider is named `{base}`"), hint);
        return node;
    };
    if let (Tree::Map(entries), Tree::Map(inherited)) = (&mut node.value, &found.value) {
        for (key, value) in inherited {
            if !entries.iter().any(|(known, _)| known == key) {
                entries.push((key.clone(), value.clone()));
            }
        }
    }
    node
}

/// Patterns under `match`, at least one.
pub(super) fn patterns(table: &mut Table, shared: &mut Shared<'_>) -> Vec<Pattern> {
    let patterns: Vec<Pattern> = table.texts("match", &[], shared).iter().map(|text| Pattern::new(text)).collect();
    if patterns.is_empty() {
        let hint = Some("`match: [\"o1*\"]`, or `match: [\"*\"]` for all".to_owned());
        shared.mistake(table.place_of("match"), "no model is matched", hint);
    }
    patterns
}

fn provider(table: &mut Table, shared: &mut Shared<'_>) -> Option<Provider> {
    let name = table.required("name", shared);
    let _ = table.text("extends", shared);
    let dialect = dialect(table, shared);
    let base_url = table.parsed("base_url", "a URL without a slash at its end", url, shared);
    let speaks: BTreeMap<String, String> = table.texts_by_name("speaks", shared).into_iter().collect();
    for name in speaks.keys().filter(|name| Dialect::named(name).is_none()) {
        let message = format!("`{name}` is not a dialect that the gateway speaks");
        let known = Dialect::ALL.map(Dialect::name).join(", ");
        shared.mistake(table.place_of("speaks"), message, Some(format!("known: {known}")));
    }
    table.note("speaks", speaks.iter().map(|(name, url)| (name.clone(), Json::from(url.clone()))).collect::<Json>());
    let words = [("bearer", Auth::Bearer), ("api-key", Auth::ApiKey), ("x-api-key", Auth::XApiKey)];
    let auth = table.choice("auth", &words, "bearer", shared);
    let reasoning = reasoning(table, shared);
    let words = [("asked", UsageAt::Asked), ("always", UsageAt::Always), ("choice", UsageAt::Choice)];
    let usage = table.choice("usage", &words, "asked", shared);
    let keep_alive = keep_alive(table, shared);
    let limit_headers = table.texts("limit_headers", &[], shared);
    let relays = table.flag("relays", false, shared);
    let blocks = each(table, "blocks", shared, Signal::read);
    let unpaid = each(table, "unpaid", shared, Signal::read);
    let main = dialect.as_deref().and_then(Dialect::named).unwrap_or(Dialect::OpenaiChat);
    let models = each(table, "models", shared, |entry, shared| Some(quirks::read(entry, main, shared)));
    let is_date = |text: &str| (month(text) || day(text)).then(|| text.to_owned());
    let checked = table.parsed("checked", "a month such as 2026-11 or a day such as 2026-11-26", is_date, shared);
    if checked.is_none() && !table.has("checked") {
        shared.mistake(table.place(), "`providers` lacks `checked`, the month it was compared with its sources", None);
    }
    let source = table.required("source", shared);
    let notes = table.text("notes", shared).unwrap_or_default();
    Some(Provider {
        name: name?,
        dialect: dialect?,
        base_url,
        speaks,
        auth: auth?,
        reasoning,
        usage: usage?,
        keep_alive,
        limit_headers,
        relays,
        blocks,
        unpaid,
        models,
        checked: checked?,
        source: source?,
        notes,
        shown: Json::Null,
    })
}

fn dialect(table: &mut Table, shared: &mut Shared<'_>) -> Option<String> {
    let dialect = table.required("dialect", shared)?;
    if !DIALECTS.contains(&dialect.as_str()) {
        let message = format!("`{dialect}` is not a dialect that the gateway speaks");
        shared.mistake(table.place_of("dialect"), message, Some(format!("known: {}", DIALECTS.join(", "))));
    }
    Some(dialect)
}

fn reasoning(table: &mut Table, shared: &mut Shared<'_>) -> Reasoning {
    let mut inner = table.table("reasoning", shared);
    let words = [("never", Exposure::Never), ("learned", Exposure::Learned)];
    let reasoning = Reasoning {
        fields: inner.texts("fields", &[], shared),
        inline: inner.flag("inline", false, shared),
        exposed: inner.choice("exposed", &words, "learned", shared).unwrap_or(Exposure::Learned),
    };
    let shown = inner.finish(shared);
    table.note("reasoning", shown);
    reasoning
}

fn keep_alive(table: &mut Table, shared: &mut Shared<'_>) -> Vec<KeepAlive> {
    let mut habits = Vec::new();
    for word in table.texts("keep_alive", &[], shared) {
        match word.as_str() {
            "comments" => habits.push(KeepAlive::Comments),
            "empty_lines" => habits.push(KeepAlive::EmptyLines),
            "pings" => habits.push(KeepAlive::Pings),
            _ => {
                let message = format!("`{word}` is no habit of keeping alive");
                let hint = Some("known: comments, empty_lines, pings".to_owned());
                shared.mistake(table.place_of("keep_alive"), message, hint);
            }
        }
    }
    habits
}

/// Reads each mapping of a list.
fn each<T>(
    table: &mut Table,
    key: &'static str,
    shared: &mut Shared<'_>,
    read: impl Fn(&mut Table, &mut Shared<'_>) -> Option<T>,
) -> Vec<T> {
    let (mut all, mut shown) = (Vec::new(), Vec::new());
    for mut entry in table.tables(key, shared) {
        all.extend(read(&mut entry, shared));
        shown.push(entry.finish(shared));
    }
    table.note(key, shown);
    all
}

fn url(text: &str) -> Option<String> {
    let uri: Uri = text.parse().ok()?;
    (uri.host().is_some() && uri.query().is_none() && !text.ends_with('/')).then(|| text.to_owned())
}

/// A day as `2026-11-26`.
fn day(text: &str) -> bool {
    let (month_of, day) = text.split_at_checked(8).unwrap_or_default();
    month_of.strip_suffix('-').is_some_and(month)
        && day.len() == 2
        && day.parse().is_ok_and(|day: u8| (1..=31).contains(&day))
}

fn month(text: &str) -> bool {
    let (year, month) = text.split_once('-').unwrap_or_default();
    year.len() == 4
        && year.bytes().all(|byte| byte.is_ascii_digit())
        && month.len() == 2
        && month.parse().is_ok_and(|month: u8| (1..=12).contains(&month))
}

#[cfg(test)]
mod tests;
