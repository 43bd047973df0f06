//! `candor providers`: the catalogue of providers, those of one's own included.

use std::process::ExitCode;

use super::table::{Column, lay_out, room};
use super::{Failure, print};
use crate::cli::Providers;
use crate::cost::{Price, write_nanos};
use crate::upstream::catalogue::{Provider, Quirks, shipped_prices};

const COLUMNS: [Column; 6] = [
    Column::text("provider", 0),
    Column::text("dialect", 2),
    Column::text("checked", 3),
    Column::number("rules", 4),
    Column::number("prices", 5),
    Column::text("url", 0),
];

/// Runs the command.
pub(super) fn run(arguments: &Providers) -> Result<ExitCode, Failure> {
    let config = print::configuration(&arguments.configured)?.config;
    let catalogue = &config.catalogue;
    let prices = shipped_prices().unwrap_or_default();
    let prices: Vec<&Price> = config.prices.iter().chain(&prices).collect();
    let chosen: Vec<&Provider> = match &arguments.name {
        None => catalogue.providers().collect(),
        Some(name) => match catalogue.entry(name) {
            Some(provider) => vec![provider],
            None => {
                print::error(&format!("no provider is named `{name}`; `candor providers` lists them"));
                return Ok(ExitCode::FAILURE);
            }
        },
    };
    if arguments.configured.json {
        chosen.iter().for_each(|provider| print::line(provider.shown.to_string()));
    } else if let (Some(_), [provider]) = (&arguments.name, chosen.as_slice()) {
        describe(provider, &prices).into_iter().for_each(print::line);
    } else {
        let rows: Vec<Vec<String>> = chosen.into_iter().map(|provider| row(provider, &prices)).collect();
        lay_out(&COLUMNS, &rows, room()).into_iter().for_each(print::line);
    }
    Ok(ExitCode::SUCCESS)
}

/// Prices of one provider.
fn of<'p>(provider: &Provider, prices: &[&'p Price]) -> impl Iterator<Item = &'p Price> {
    prices.iter().copied().filter(|price| price.providers.contains(&provider.name))
}

fn row(provider: &Provider, prices: &[&Price]) -> Vec<String> {
    vec![
        provider.name.clone(),
        provider.dialect.clone(),
        provider.checked.clone(),
        provider.models.iter().map(|quirks| quirks.lines().len()).sum::<usize>().to_string(),
        of(provider, prices).count().to_string(),
        provider.base_url.clone().unwrap_or_else(|| "-".to_owned()),
    ]
}

/// One entry for people.
fn describe(provider: &Provider, prices: &[&Price]) -> Vec<String> {
    let field = |name: &str, value: &str| (!value.is_empty()).then(|| format!("{name:<10} {value}"));
    let shown = &provider.shown;
    let list = |key: &str| {
        shown[key].as_array().map_or_else(String::new, |items| {
            items.iter().filter_map(|item| item.as_str()).collect::<Vec<_>>().join(", ")
        })
    };
    let mut lines: Vec<String> = [
        field("provider", &provider.name),
        field("dialect", &provider.dialect),
        field("url", provider.base_url.as_deref().unwrap_or_default()),
        field("reasoning", &provider.reasoning.fields.join(", ")),
        field("usage", shown["usage"].as_str().unwrap_or_default()),
        field("alive by", &list("keep_alive")),
        field("checked", &provider.checked),
        field("source", &provider.source),
        field("notes", provider.notes.trim()),
    ]
    .into_iter()
    .flatten()
    .collect();
    lines.extend(provider.models.iter().flat_map(Quirks::lines).map(|line| format!("rule       {line}")));
    lines.extend(of(provider, prices).map(|price| {
        let amount = |nanos: u64| write_nanos(i64::try_from(nanos).unwrap_or(i64::MAX));
        let (input, output) = (amount(price.rates.input), amount(price.rates.output));
        let day = |word: &str, day: Option<time::Date>| day.map(|day| format!(" {word} {day}")).unwrap_or_default();
        let (from, until) = (day("from", price.from), day("until", price.until));
        format!("price      {}: {input} in, {output} out {}{from}{until}", price.model, price.currency)
    }));
    lines
}
