//! The part of a configuration that says what models cost, and the shipped prices in the same form.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value as Json;
use time::Date;
use time::format_description::well_known::Iso8601;

use super::env::Environment;
use super::read::{Mistake, Shared, Table};
use super::resolve::close;
use super::settings::Model;
use super::tree;
use crate::cost::{Currency, Days, Price, Rates, When, read_nanos};

/// How prices name the models of this process.
pub const LOCAL: &str = "local";

const AMOUNT: &str = "an amount such as `0.55`, with at most nine digits behind the point";

/// Reads a whole file of prices; each must say where it was read, and when.
///
/// # Errors
/// Every mistake in it, with its line.
pub fn read_prices(name: &str, text: &str) -> Result<Vec<Price>, Vec<Mistake>> {
    let environment = Environment::default();
    let mut shared = Shared {
        file: name,
        base: Path::new(""),
        environment: &environment,
        mistakes: Vec::new(),
        known_variables: BTreeSet::new(),
        files: Vec::new(),
        secrets: Vec::new(),
        providers: crate::upstream::catalogue::load(None).map(|catalogue| catalogue.names()).unwrap_or_default(),
    };
    let root = match tree::parse(text) {
        Ok(root) => root,
        Err(error) => {
            let place = error.location().map(|at| tree::Place { line: at.line(), column: at.column() });
            shared.mistake(place.unwrap_or_default(), format!("not valid YAML: {}", error.without_snippet()), None);
            return Err(shared.mistakes);
        }
    };
    let mut root = Table::root(root, &mut shared);
    let prices = prices(&mut root, Kind::Shipped, &mut shared);
    let _ = root.finish(&mut shared);
    if shared.mistakes.is_empty() { Ok(prices) } else { Err(shared.mistakes) }
}

/// Whose prices are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Those that come with the program: sources and dates must be there.
    Shipped,
    /// The operator's own.
    Own,
}

/// Reads `prices`.
pub(super) fn prices(root: &mut Table, kind: Kind, shared: &mut Shared<'_>) -> Vec<Price> {
    let (mut prices, mut shown) = (Vec::<Price>::new(), Vec::new());
    for mut entry in root.tables("prices", shared) {
        let place = entry.place();
        if let Some(price) = listed(&mut entry, kind, shared) {
            if let Some(other) = prices.iter().find(|other| clash(other, &price)) {
                let message =
                    format!("price `{}` holds for the same model, provider and days as `{}`", price.id, other.id);
                shared.mistake(place, message, Some("give one of them `until` or the other `from`".to_owned()));
            }
            if prices.iter().any(|other| other.id == price.id) {
                shared.mistake(place, format!("two prices are named `{}`", price.id), None);
            }
            prices.push(price);
        }
        shown.push(entry.finish(shared));
    }
    root.note("prices", shown);
    prices
}

/// Reads the price of one candidate under `price`.
pub(super) fn own_price(item: &mut Table, model: &str, shared: &mut Shared<'_>) -> Option<Price> {
    if !item.has("price") {
        let _ = item.tables("price", shared);
        return None;
    }
    let mut table = item.table("price", shared);
    let price = price(&mut table, Some(model.to_owned()), shared);
    close(item, "price", table, shared);
    price
}

fn listed(entry: &mut Table, kind: Kind, shared: &mut Shared<'_>) -> Option<Price> {
    let model = entry.required("model", shared);
    if let Some(model) = &model
        && model.trim_end_matches('*').contains('*')
    {
        shared.mistake(entry.place_of("model"), "a model's `*` may only stand at its end", None);
    }
    let (source, checked) = match kind {
        Kind::Shipped => (entry.required("source", shared), entry.required("checked", shared)),
        Kind::Own => (entry.text("source", shared), entry.text("checked", shared)),
    };
    let price = price(entry, model.clone(), shared);
    model?;
    Some(Price { source: source.unwrap_or_default(), checked: checked.unwrap_or_default(), ..price? })
}

/// Reads what all prices say.
fn price(table: &mut Table, model: Option<String>, shared: &mut Shared<'_>) -> Option<Price> {
    let model = model.unwrap_or_default();
    let providers = table.texts("providers", &[], shared);
    let known = shared.providers.clone();
    for name in providers.iter().filter(|name| *name != LOCAL && !known.contains(*name)) {
        let message = format!("no provider is named `{name}`");
        shared.mistake(table.place_of("providers"), message, Some(format!("known: {}", known.join(", "))));
    }
    let currency = table.parsed("currency", "three letters such as `USD`", Currency::read, shared);
    let day = |text: &str| Date::parse(text, &Iso8601::DATE).ok();
    let from = table.parsed("from", "a day such as `2025-01-20`", day, shared);
    let until = table.parsed("until", "a day such as `2025-01-20`", day, shared);
    if let (Some(from), Some(until)) = (from, until)
        && from >= until
    {
        shared.mistake(table.place_of("until"), "a price must end after it began", None);
    }
    let id = table.text("id", shared).unwrap_or_else(|| match from {
        Some(from) => format!("{model}@{from}"),
        None => format!("{model}@own"),
    });
    let rates = rates(table, shared);
    let mut special = Vec::new();
    let mut shown = Vec::new();
    for mut entry in table.tables("special", shared) {
        special.extend(special_rates(&mut entry, shared));
        shown.push(entry.finish(shared));
    }
    table.note("special", shown);
    Some(Price {
        id: id.into(),
        model,
        providers,
        currency: currency.unwrap_or(Currency::USD),
        from,
        until,
        rates: rates?,
        special,
        source: String::new(),
        checked: String::new(),
    })
}

fn rates(table: &mut Table, shared: &mut Shared<'_>) -> Option<Rates> {
    let mut inner = table.table("per_million", shared);
    for key in ["input", "output"] {
        if !inner.has(key) {
            let hint = "write such as `per_million: {input: 0.55, cached: 0.14, output: 2.19}`".to_owned();
            shared.mistake(inner.place(), format!("a price lacks `per_million.{key}`"), Some(hint));
        }
    }
    let input = inner.parsed("input", AMOUNT, read_nanos, shared);
    let cached = inner.parsed("cached", AMOUNT, read_nanos, shared);
    let written = inner.parsed("written", AMOUNT, read_nanos, shared);
    let output = inner.parsed("output", AMOUNT, read_nanos, shared);
    let reasoning = inner.parsed("reasoning", AMOUNT, read_nanos, shared);
    close(table, "per_million", inner, shared);
    Some(Rates { input: input?, cached, written, output: output?, reasoning })
}

fn special_rates(entry: &mut Table, shared: &mut Shared<'_>) -> Option<(When, Rates)> {
    let prompt_above = entry.count("prompt_above", 0, 0, shared);
    let words = [("every", Days::Every), ("working", Days::Working), ("weekend", Days::Weekend)];
    let days = entry.choice("days", &words, "every", shared).unwrap_or_default();
    let mut hours = Vec::new();
    for text in entry.texts("hours", &[], shared) {
        let read = || {
            let (from, until) = text.split_once('-')?;
            let (from, until) = (from.trim().parse::<u8>().ok()?, until.trim().parse::<u8>().ok()?);
            (from < until && until <= 24).then_some((from, until))
        };
        match read() {
            Some(span) => hours.push(span),
            None => {
                let message = format!("`{text}` are no hours of a day");
                shared.mistake(entry.place_of("hours"), message, Some("write such as `01-04`, in UTC".to_owned()));
            }
        }
    }
    if prompt_above == 0 && hours.is_empty() && days == Days::Every {
        let message = "special rates must say when they hold";
        shared.mistake(entry.place(), message, Some("`prompt_above`, `hours` or `days`".to_owned()));
    }
    Some((When { prompt_above, hours, days }, rates(entry, shared)?))
}

/// Reads `exchange_rates`: every currency that something is priced in must have one, or no budget could hold.
pub(super) fn exchange_rates(
    root: &mut Table,
    prices: &[Price],
    models: &[Model],
    shared: &mut Shared<'_>,
) -> Vec<(Currency, u64)> {
    let place = root.place_of("exchange_rates");
    let mut rates = Vec::new();
    for (name, text) in root.texts_by_name("exchange_rates", shared) {
        match (Currency::read(&name), read_nanos(&text).filter(|nanos| *nanos > 0)) {
            (Some(currency), Some(nanos)) => rates.push((currency, nanos)),
            (None, _) => shared.mistake(place, format!("exchange_rates: `{name}` is no currency such as `EUR`"), None),
            (_, None) => shared.mistake(place, format!("exchange_rates.{name} must be {AMOUNT}"), None),
        }
    }
    let shown: serde_json::Map<_, _> =
        rates.iter().map(|(currency, nanos)| (currency.to_string(), Json::from(*nanos))).collect();
    root.note("exchange_rates", shown);
    let own = models.iter().flat_map(|model| &model.candidates).filter_map(|candidate| candidate.price.as_ref());
    for price in prices.iter().chain(own) {
        let known = price.currency == Currency::USD || rates.iter().any(|(currency, _)| *currency == price.currency);
        if !known {
            let message = format!("price `{}` is in {}, and budgets are kept in USD", price.id, price.currency);
            let hint = format!(
                "say what one {} is worth in dollars: `exchange_rates: {{{}: 1.08}}`",
                price.currency, price.currency
            );
            shared.mistake(place, message, Some(hint));
        }
    }
    rates
}

/// Whether two prices say different things of the same tokens.
fn clash(a: &Price, b: &Price) -> bool {
    let same_provider = a.providers == b.providers || a.providers.iter().any(|name| b.providers.contains(name));
    let before = |a: &Price, b: &Price| a.until.is_some_and(|until| b.from.is_some_and(|from| until <= from));
    a.model == b.model && same_provider && !before(a, b) && !before(b, a)
}
