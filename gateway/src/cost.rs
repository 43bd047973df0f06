//! What an exchange costs: token counts and a dated price to money, in whole numbers. It reads no file and no clock.
//!
//! Money is counted in nano-units of a currency (a billionth of a dollar), prices in nano-units for a million tokens;
//! the sum over all kinds of tokens is rounded once, to the nearest nano-unit. Each token is billed exactly once: cached
//! and written ones are among the prompt's, reasoning among the completion's.

use std::fmt;
use std::sync::Arc;

use time::{Date, OffsetDateTime, Weekday};

use crate::exchange::Usage;

/// Nano-units of one unit of a currency.
pub const NANO: u64 = 1_000_000_000;

/// A currency by its three letters (ISO 4217).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// The currency that budgets are kept in.
    pub const USD: Self = Self(*b"USD");

    /// Reads three capital letters.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let letters: [u8; 3] = text.as_bytes().try_into().ok()?;
        letters.iter().all(u8::is_ascii_uppercase).then_some(Self(letters))
    }

    /// The three letters.
    #[must_use]
    pub fn name(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Reads an amount such as `0.55` as nano-units: digits, and at most nine of them behind the point.
#[must_use]
pub fn read_nanos(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) || part.len() > 9 || (part.is_empty() && text.contains('.'))
    {
        return None;
    }
    let nanos: u64 = format!("{part:0<9}").parse().ok()?;
    let nanos = whole.parse::<u64>().ok()?.checked_mul(NANO)?.checked_add(nanos)?;
    // What is beyond would be no price and no budget, and must fit a signed column.
    (nanos <= i64::MAX.unsigned_abs()).then_some(nanos)
}

/// Writes nano-units as an amount, without zeros at its end but with two digits at least.
#[must_use]
pub fn write_nanos(nanos: i64) -> String {
    let (sign, size) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
    let part = format!("{:09}", size % NANO);
    let (kept, rest) = part.split_at(2);
    format!("{sign}{}.{kept}{}", size / NANO, rest.trim_end_matches('0'))
}

/// Prices of tokens, in nano-units for a million of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Prompt tokens that came from no cache.
    pub input: u64,
    /// Prompt tokens that came from a cache; where it is not known they are billed as `input`, and that is an estimate.
    pub cached: Option<u64>,
    /// Prompt tokens that were written to a cache; as `cached` where it is not known.
    pub written: Option<u64>,
    /// Tokens of the completion.
    pub output: u64,
    /// Tokens of reasoning, where they are not billed as `output`.
    pub reasoning: Option<u64>,
}

/// When rates of their own hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct When {
    /// Prompts of more tokens than this.
    pub prompt_above: u64,
    /// Hours of the day (UTC), from and until, the latter not included; none are all.
    pub hours: Vec<(u8, u8)>,
    /// Days of the week.
    pub days: Days,
}

/// Days of the week (UTC). Holidays are not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Days {
    /// All.
    #[default]
    Every,
    /// Monday to Friday.
    Working,
    /// Saturday and Sunday.
    Weekend,
}

impl When {
    fn holds(&self, prompt: u64, at: OffsetDateTime) -> bool {
        let at = at.to_offset(time::UtcOffset::UTC);
        let weekend = matches!(at.weekday(), Weekday::Saturday | Weekday::Sunday);
        let day = match self.days {
            Days::Every => true,
            Days::Working => !weekend,
            Days::Weekend => weekend,
        };
        let hour = at.hour();
        day && prompt >= self.prompt_above.saturating_add(u64::from(self.prompt_above > 0))
            && (self.hours.is_empty() || self.hours.iter().any(|(from, until)| (*from..*until).contains(&hour)))
    }
}

/// What a model's tokens cost, where and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    /// Its name, which records hold.
    pub id: Arc<str>,
    /// The model's name at its vendor; a trailing `*` matches any suffix.
    pub model: String,
    /// Providers that bill so; none are all.
    pub providers: Vec<String>,
    /// The currency of all its rates.
    pub currency: Currency,
    /// The first day that it holds.
    pub from: Option<Date>,
    /// The first day that it holds no more.
    pub until: Option<Date>,
    /// Rates where no special ones hold.
    pub rates: Rates,
    /// Rates for long prompts, hours and days; of those that hold, the last counts for the whole request.
    pub special: Vec<(When, Rates)>,
    /// Where it was read.
    pub source: String,
    /// When it was read.
    pub checked: String,
}

/// What one exchange cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    /// Nano-units of the currency.
    pub nanos: i64,
    /// The currency.
    pub currency: Currency,
    /// The price that it was computed from.
    pub price: Arc<str>,
    /// Whether a rate was not known and a higher one stands in for it.
    pub estimated: bool,
}

impl Price {
    /// The price of what nobody bills: models of this process.
    #[must_use]
    pub fn free() -> Self {
        let rates = Rates { input: 0, cached: Some(0), written: Some(0), output: 0, reasoning: None };
        Self {
            id: Arc::from("local"),
            model: "*".to_owned(),
            providers: Vec::new(),
            currency: Currency::USD,
            from: None,
            until: None,
            rates,
            special: Vec::new(),
            source: "a model of this process is billed by nobody".to_owned(),
            checked: String::new(),
        }
    }

    /// What tokens cost at a time; `None` where it is not known how many they are. What costs nothing is known to cost
    /// nothing.
    #[must_use]
    pub fn cost(&self, usage: &Usage, at: OffsetDateTime) -> Option<Cost> {
        let free = |rates: &Rates| rates.input == 0 && rates.output == 0 && rates.reasoning.unwrap_or(0) == 0;
        if free(&self.rates) && self.special.iter().all(|(_, rates)| free(rates)) {
            return Some(self.costing(0, false));
        }
        let (prompt, completion) = (usage.prompt?, usage.completion?);
        let rates = self.rates(prompt, at);
        // Whatever an upstream says, no token is billed twice and none that it did not count.
        let cached = usage.cached.unwrap_or(0).min(prompt);
        let written = usage.written.unwrap_or(0).min(prompt - cached);
        let reasoning = usage.reasoning.filter(|_| rates.reasoning.is_some()).unwrap_or(0).min(completion);
        let parts = [
            (prompt - cached - written, rates.input),
            (cached, rates.cached.unwrap_or(rates.input)),
            (written, rates.written.unwrap_or(rates.input)),
            (completion - reasoning, rates.output),
            (reasoning, rates.reasoning.unwrap_or(rates.output)),
        ];
        let sum: u128 = parts.iter().map(|(tokens, rate)| u128::from(*tokens) * u128::from(*rate)).sum();
        let estimated = (cached > 0 && rates.cached.is_none()) || (written > 0 && rates.written.is_none());
        let nanos = i64::try_from(sum.saturating_add(500_000) / 1_000_000).unwrap_or(i64::MAX);
        Some(self.costing(nanos, estimated))
    }

    fn costing(&self, nanos: i64, estimated: bool) -> Cost {
        Cost { nanos, currency: self.currency, price: self.id.clone(), estimated }
    }

    /// The rates of a prompt of so many tokens at a time.
    fn rates(&self, prompt: u64, at: OffsetDateTime) -> &Rates {
        let special = self.special.iter().rev().find(|(when, _)| when.holds(prompt, at));
        special.map_or(&self.rates, |(_, rates)| rates)
    }

    fn holds(&self, day: Date) -> bool {
        self.from.is_none_or(|from| day >= from) && self.until.is_none_or(|until| day < until)
    }

    /// How closely it names a model at a provider; `None` where it does not.
    fn fits(&self, provider: Option<&str>, model: &str) -> Option<(bool, usize, bool)> {
        let known =
            provider.is_none_or(|name| self.providers.is_empty() || self.providers.iter().any(|one| one == name));
        let fits = match self.model.strip_suffix('*') {
            Some(prefix) => model.starts_with(prefix).then_some((false, prefix.len())),
            None => (self.model == model).then_some((true, model.len())),
        };
        fits.filter(|_| known).map(|(exact, length)| (exact, length, !self.providers.is_empty()))
    }
}

/// All prices that are known, in the order in which they are asked: those of the configuration before shipped ones.
#[derive(Debug, Clone, Default)]
pub struct Prices {
    ranks: Vec<Vec<Price>>,
}

impl Prices {
    /// Prices of which earlier lists are asked first.
    #[must_use]
    pub fn of(ranks: Vec<Vec<Price>>) -> Self {
        Self { ranks }
    }

    /// What a model costs at a provider (`None` for whoever serves it) on a day: the exact name before the longest
    /// pattern, a named provider before all, the latest of several.
    #[must_use]
    pub fn find(&self, provider: Option<&str>, model: &str, at: OffsetDateTime) -> Option<&Price> {
        let day = at.to_offset(time::UtcOffset::UTC).date();
        self.best(provider, model, |price| price.holds(day))
    }

    /// As [`Prices::find`], and where none holds on that day the latest that is known of the model.
    #[must_use]
    pub fn nearest(&self, model: &str, at: OffsetDateTime) -> Option<&Price> {
        self.find(None, model, at).or_else(|| self.best(None, model, |_| true))
    }

    /// A price by its name.
    #[must_use]
    pub fn named(&self, id: &str) -> Option<&Price> {
        self.ranks.iter().flatten().find(|price| *price.id == *id)
    }

    /// Names of models that have prices, for hints.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.ranks.iter().flatten().map(|price| price.model.as_str())
    }

    fn best(&self, provider: Option<&str>, model: &str, holds: impl Fn(&Price) -> bool) -> Option<&Price> {
        let best = |prices: &'_ Vec<Price>| -> Option<usize> {
            let fits = prices.iter().enumerate().filter(|(_, price)| holds(price));
            let ranked = fits.filter_map(|(at, price)| Some(((price.fits(provider, model)?, price.from), at)));
            ranked.max_by(|(a, _), (b, _)| a.cmp(b)).map(|(_, at)| at)
        };
        self.ranks.iter().find_map(|prices| prices.get(best(prices)?))
    }
}

#[cfg(test)]
mod tests;
