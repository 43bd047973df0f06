//! Prices as vendors publish them: by model, date, length of the prompt and hour. It multiplies nothing.

use time::{Date, OffsetDateTime, Time, Weekday};

use super::Pattern;
use crate::config::{Shared, Table};

/// Millionths of a currency unit for a million tokens, so that `0.55` is 550,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(pub u64);

impl std::fmt::Display for Rate {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = format!("{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000);
        formatter.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// What tokens cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Prompt tokens that came from no cache.
    pub input: Rate,
    /// Prompt tokens that came from a cache; absent where they cost as much as others.
    pub cached: Option<Rate>,
    /// Prompt tokens written to a cache; absent where that costs nothing more.
    pub written: Option<Rate>,
    /// Tokens of the completion, reasoning included.
    pub output: Rate,
}

/// Rates for prompts beyond a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tier {
    /// Prompt tokens above which they hold, for the whole exchange.
    pub above: u64,
    /// The rates.
    pub rates: Rates,
}

/// Rates for some hours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Band {
    /// Spans of the day in UTC, each from its start up to its end.
    pub hours: Vec<(Time, Time)>,
    /// Whether they hold from Monday to Friday only.
    pub working_days: bool,
    /// The rates.
    pub rates: Rates,
}

/// Prices of some models from one day on.
#[derive(Debug, Clone)]
pub struct Price {
    /// Which models.
    pub models: Vec<Pattern>,
    /// First day, in UTC.
    pub from: Date,
    /// Day before which they end.
    pub until: Option<Date>,
    /// ISO 4217 code.
    pub currency: String,
    /// The rates where no tier or band holds.
    pub rates: Rates,
    /// Rates for longer prompts, shortest first.
    pub tiers: Vec<Tier>,
    /// Rates for some hours; the first that holds counts.
    pub bands: Vec<Band>,
    /// Where they are published.
    pub source: String,
}

impl Price {
    /// Whether this is what a model costs on a day.
    #[must_use]
    pub fn applies(&self, model: &str, on: Date) -> bool {
        self.from <= on
            && self.until.is_none_or(|until| on < until)
            && self.models.iter().any(|pattern| pattern.matches(model))
    }

    /// The rates that hold at a time for a prompt of so many tokens.
    #[must_use]
    pub fn rates(&self, at: OffsetDateTime, prompt: u64) -> &Rates {
        let at = at.to_offset(time::UtcOffset::UTC);
        let weekend = matches!(at.weekday(), Weekday::Saturday | Weekday::Sunday);
        let within = |band: &&Band| {
            !(band.working_days && weekend) && band.hours.iter().any(|(from, to)| (*from..*to).contains(&at.time()))
        };
        let tier = self.tiers.iter().rev().find(|tier| prompt > tier.above).map(|tier| &tier.rates);
        let band = || self.bands.iter().find(within).map(|band| &band.rates);
        tier.or_else(band).unwrap_or(&self.rates)
    }
}

/// Reads a price; `None` where that was a mistake, which is noted.
pub(super) fn read(table: &mut Table, shared: &mut Shared<'_>) -> Option<Price> {
    let models = super::read::patterns(table, shared);
    let from = date(table, "from", shared);
    let until = date(table, "until", shared);
    if from.is_none() && !table.has("from") {
        shared.mistake(table.place(), "a price lacks `from`", Some("a day such as 2026-11-26".to_owned()));
    }
    if let (Some(from), Some(until)) = (from, until)
        && until <= from
    {
        shared.mistake(table.place_of("until"), "`until` must come after `from`", None);
    }
    let is_currency =
        |text: &str| (text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase())).then(|| text.to_owned());
    let currency = table.parsed("currency", "an ISO 4217 code such as `USD`", is_currency, shared);
    let source = table.required("source", shared);
    let rates = rates(table, shared);
    let (tiers, bands) = (tiers(table, shared), bands(table, shared));
    let currency = currency.or_else(|| (!table.has("currency")).then(|| "USD".to_owned()))?;
    table.note("currency", currency.clone());
    Some(Price { models, from: from?, until, currency, rates: rates?, tiers, bands, source: source? })
}

fn tiers(table: &mut Table, shared: &mut Shared<'_>) -> Vec<Tier> {
    let (mut tiers, mut shown) = (Vec::new(), Vec::new());
    for mut entry in table.tables("tiers", shared) {
        let above = entry.optional_count("above", shared);
        if above.is_none() && !entry.has("above") {
            shared.mistake(entry.place(), "a tier lacks `above`, the prompt tokens from which on it holds", None);
        }
        if let (Some(above), Some(rates)) = (above, rates(&mut entry, shared)) {
            tiers.push(Tier { above: above as u64, rates });
        }
        shown.push(entry.finish(shared));
    }
    table.note("tiers", shown);
    tiers.sort_by_key(|tier| tier.above);
    tiers
}

fn bands(table: &mut Table, shared: &mut Shared<'_>) -> Vec<Band> {
    let (mut bands, mut shown) = (Vec::new(), Vec::new());
    for mut entry in table.tables("bands", shared) {
        let mut hours = Vec::new();
        for text in entry.texts("hours", &[], shared) {
            match span(&text) {
                Some(span) => hours.push(span),
                None => {
                    let message = format!("`{text}` is no span of hours such as \"01:00-04:00\"");
                    shared.mistake(entry.place_of("hours"), message, None);
                }
            }
        }
        let working_days = entry.flag("working_days", false, shared);
        if let Some(rates) = rates(&mut entry, shared) {
            bands.push(Band { hours, working_days, rates });
        }
        shown.push(entry.finish(shared));
    }
    table.note("bands", shown);
    bands
}

fn rates(table: &mut Table, shared: &mut Shared<'_>) -> Option<Rates> {
    let expected = "a price for a million tokens, such as 0.55";
    for key in ["input", "output"] {
        if !table.has(key) {
            shared.mistake(table.place(), format!("a price lacks `{key}`"), None);
        }
    }
    let input = table.parsed("input", expected, rate, shared);
    let cached = table.parsed("cached", expected, rate, shared);
    let written = table.parsed("written", expected, rate, shared);
    let output = table.parsed("output", expected, rate, shared);
    Some(Rates { input: input?, cached, written, output: output? })
}

/// A decimal number with at most six places.
fn rate(text: &str) -> Option<Rate> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || part.len() > 6 || !digits(whole) || !digits(part) {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let part: u64 = format!("{part:0<6}").parse().ok()?;
    whole.checked_mul(1_000_000)?.checked_add(part).map(Rate)
}

fn date(table: &mut Table, key: &'static str, shared: &mut Shared<'_>) -> Option<Date> {
    table.parsed(key, "a day such as 2026-11-26", day, shared)
}

/// A day as `2026-11-26`.
pub(super) fn day(text: &str) -> Option<Date> {
    let mut parts = text.splitn(3, '-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if year.len() != 4 || month.len() != 2 || day.len() != 2 {
        return None;
    }
    let month = time::Month::try_from(month.parse::<u8>().ok()?).ok()?;
    Date::from_calendar_date(year.parse().ok()?, month, day.parse().ok()?).ok()
}

fn span(text: &str) -> Option<(Time, Time)> {
    let clock = |text: &str| {
        let (hour, minute) = text.trim().split_once(':')?;
        if (hour, minute) == ("24", "00") {
            return Some(Time::MAX);
        }
        Time::from_hms(hour.parse().ok()?, minute.parse().ok()?, 0).ok()
    };
    let (from, to) = text.split_once('-')?;
    let (from, to) = (clock(from)?, clock(to)?);
    (from < to).then_some((from, to))
}
