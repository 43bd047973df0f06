//! `candor cost report`: what traffic cost, summed, and what the same traffic would have cost on other models.

use std::collections::BTreeMap;
use std::process::ExitCode;

use serde_json::{Value, json};
use time::format_description::well_known::{Iso8601, Rfc3339};
use time::{Date, OffsetDateTime};

use super::costs::micros;
use super::database::{Expect, with_store};
use super::records::back;
use super::table::{Column, lay_out, room};
use super::{Failure, print};
use crate::cli::{By, Cost, CostReport};
use crate::cost::{Prices, write_nanos};
use crate::exchange::Usage;
use crate::record::wall_clock;
use crate::store::costs::{Bill, bills};
use crate::upstream::catalogue::shipped_prices;

const SUMS: [Column; 9] = [
    Column::text("OF", 0),
    Column::number("EXCHANGES", 0),
    Column::number("PROMPT", 2),
    Column::number("CACHED", 3),
    Column::number("COMPLETION", 2),
    Column::number("REASONING", 3),
    Column::number("COST", 0),
    Column::number("ESTIMATED", 4),
    Column::number("UNKNOWN", 0),
];

const OTHERWISE: [Column; 6] = [
    Column::text("OF", 0),
    Column::text("ON MODEL", 0),
    Column::number("WOULD HAVE COST", 0),
    Column::number("TO ACTUAL", 0),
    Column::number("TO FIRST", 1),
    Column::number("UNKNOWN", 2),
];

/// Runs the command.
pub(super) fn run(command: &Cost) -> Result<ExitCode, Failure> {
    let Cost::Report(arguments) = command;
    report(arguments)
}

fn report(arguments: &CostReport) -> Result<ExitCode, Failure> {
    let now = wall_clock();
    let since = moment("--since", &arguments.since, now)?;
    let until = arguments.until.as_deref().map_or(Ok(now), |until| moment("--until", until, now))?;
    if since >= until {
        return Err(Failure::usage("--until must be later than --since"));
    }
    let prices_at = arguments.prices_at.as_deref().map(|day| moment("--prices-at", day, now)).transpose()?;
    let config = print::configuration(&arguments.configured)?.config;
    let shipped = shipped_prices().map_err(|mistakes| Failure::mistakes(&mistakes))?;
    let prices = Prices::of(vec![config.prices, shipped]);
    for model in &arguments.models {
        if prices.nearest(model, prices_at.unwrap_or(now)).is_none() {
            let known: Vec<&str> = prices.models().collect();
            let hint = format!("priced: {}; others go under `prices` in the configuration", known.join(", "));
            return Err(Failure::usage(format!("--as: no price of `{}` is known\n  hint: {hint}", print::safe(model))));
        }
    }
    let otherwise = Otherwise { prices: &prices, models: &arguments.models, at: prices_at };
    let (mut groups, mut total) = (BTreeMap::<String, Sums>::new(), Sums::default());
    with_store(&arguments.configured, Expect::Cluster, async |store| {
        Ok(bills(store, (since, until), |bill| {
            for key in keys(arguments.by, bill) {
                groups.entry(key).or_default().add(bill, &otherwise);
            }
            total.add(bill, &otherwise);
        })
        .await?)
    })?;
    if arguments.configured.json {
        let time = |time: OffsetDateTime| time.format(&Rfc3339).unwrap_or_default();
        let rows: Vec<Value> = groups.iter().map(|(key, sums)| sums.describe(Some(key))).collect();
        let by = format!("{:?}", arguments.by).to_lowercase();
        let report =
            json!({"since": time(since), "until": time(until), "by": by, "rows": rows, "total": total.describe(None)});
        print::line(report.to_string());
        return Ok(ExitCode::SUCCESS);
    }
    if total.exchanges == 0 {
        print::error("no exchange ended in that time; look further back with --since");
        return Ok(ExitCode::SUCCESS);
    }
    let all = || groups.iter().map(|(key, sums)| (key.as_str(), sums)).chain([("all", &total)]);
    let rows: Vec<Vec<String>> = all().map(|(key, sums)| sums.row(key)).collect();
    lay_out(&SUMS, &rows, room()).iter().for_each(print::line);
    if !arguments.models.is_empty() {
        print::line("");
        let rows: Vec<Vec<String>> = all().flat_map(|(key, sums)| sums.other_rows(key)).collect();
        lay_out(&OTHERWISE, &rows, room()).iter().for_each(print::line);
    }
    if total.unknown > 0 {
        let text = "whose tokens or whose model's price are not known stand in no sum";
        print::error(&format!("{} exchanges {text}", total.unknown));
    }
    Ok(ExitCode::SUCCESS)
}

/// A duration back from now, a day, or a moment.
fn moment(option: &str, text: &str, now: OffsetDateTime) -> Result<OffsetDateTime, Failure> {
    let day = || Date::parse(text, &Iso8601::DATE).ok().map(|day| day.midnight().assume_utc());
    let exact = || OffsetDateTime::parse(text, &Rfc3339).ok();
    day().or_else(exact).map_or_else(
        || {
            let why = format!(
                "{option}: `{}` is neither a duration such as `7d` nor a day such as `2026-11-01`",
                print::safe(text)
            );
            back(text, now).map_err(|_| Failure::usage(why))
        },
        Ok,
    )
}

/// What an exchange is counted under.
fn keys(by: By, bill: &Bill) -> Vec<String> {
    let or_none = |text: &Option<String>| vec![text.clone().unwrap_or_else(|| "-".to_owned())];
    match by {
        By::Caller => vec![bill.caller.clone()],
        By::Team => or_none(&bill.team),
        By::Model => vec![bill.model.clone()],
        By::Upstream => or_none(&bill.upstream),
        By::Day => vec![bill.ended_at.to_offset(time::UtcOffset::UTC).date().to_string()],
        By::Topic if bill.topics.is_empty() => vec!["-".to_owned()],
        By::Topic => bill.topics.clone(),
    }
}

/// Models that the same traffic could have gone to.
struct Otherwise<'a> {
    prices: &'a Prices,
    models: &'a [String],
    /// The day of their prices; that of each exchange where there is none.
    at: Option<OffsetDateTime>,
}

/// Sums of some exchanges.
#[derive(Debug, Clone, Default, PartialEq)]
struct Sums {
    exchanges: u64,
    prompt: i128,
    cached: i128,
    completion: i128,
    reasoning: i128,
    costs: BTreeMap<String, i128>,
    estimated: u64,
    unknown: u64,
    others: Vec<Other>,
}

/// What some exchanges would have cost on another model.
#[derive(Debug, Clone, Default, PartialEq)]
struct Other {
    model: String,
    costs: BTreeMap<String, i128>,
    /// Of those whose actual cost is known in the same currency: the sums of both.
    both: (i128, i128),
    unknown: u64,
}

impl Sums {
    fn add(&mut self, bill: &Bill, otherwise: &Otherwise<'_>) {
        self.exchanges += 1;
        let tokens = |count: Option<i64>| i128::from(count.unwrap_or_default());
        self.prompt += tokens(bill.prompt_tokens);
        self.cached += tokens(bill.cached_tokens);
        self.completion += tokens(bill.completion_tokens);
        self.reasoning += tokens(bill.reasoning_tokens);
        self.estimated += u64::from(bill.cost_estimated);
        match (bill.cost_nanos, &bill.currency) {
            (Some(nanos), Some(currency)) => *self.costs.entry(currency.clone()).or_default() += i128::from(nanos),
            // What no upstream answered, or one with an error, was not billed.
            _ => self.unknown += u64::from(bill.upstream.is_some() && bill.status.is_none_or(|status| status < 400)),
        }
        if self.others.is_empty() {
            let other = |model: &String| Other { model: model.clone(), ..Other::default() };
            self.others = otherwise.models.iter().map(other).collect();
        }
        if bill.upstream.is_some() {
            self.others.iter_mut().for_each(|other| other.add(bill, otherwise));
        }
    }

    fn row(&self, key: &str) -> Vec<String> {
        let counts = [self.exchanges.into(), self.prompt, self.cached, self.completion, self.reasoning];
        let mut row = vec![print::safe(key).replace('\n', " ")];
        row.extend(counts.iter().map(ToString::to_string));
        row.extend([amounts(&self.costs), self.estimated.to_string(), self.unknown.to_string()]);
        row
    }

    fn other_rows(&self, key: &str) -> Vec<Vec<String>> {
        let first = self.others.first().map(|other| &other.costs);
        let rows = self.others.iter().map(|other| {
            let to_first = first.and_then(|first| {
                let (currency, nanos) = other.costs.first_key_value().filter(|_| other.costs.len() == 1)?;
                times(*nanos, *first.get(currency)?)
            });
            let key = print::safe(key).replace('\n', " ");
            let shown = |times: Option<f64>| times.map_or_else(|| "-".to_owned(), |times| format!("{times:.1}x"));
            let to_actual = times(other.both.0, other.both.1);
            let unknown = other.unknown.to_string();
            vec![key, print::safe(&other.model), amounts(&other.costs), shown(to_actual), shown(to_first), unknown]
        });
        rows.collect()
    }

    fn describe(&self, key: Option<&str>) -> Value {
        let others: Vec<Value> = self
            .others
            .iter()
            .map(|other| {
                let times = times(other.both.0, other.both.1);
                json!({"model": other.model, "cost": exact(&other.costs), "times": times, "unknown": other.unknown})
            })
            .collect();
        json!({
            "of": key,
            "exchanges": self.exchanges,
            "prompt_tokens": long(self.prompt),
            "cached_tokens": long(self.cached),
            "completion_tokens": long(self.completion),
            "reasoning_tokens": long(self.reasoning),
            "cost": exact(&self.costs),
            "estimated": self.estimated,
            "unknown": self.unknown,
            "as": others,
        })
    }
}

impl Other {
    fn add(&mut self, bill: &Bill, otherwise: &Otherwise<'_>) {
        let count = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok());
        let usage = Usage {
            prompt: count(bill.prompt_tokens),
            completion: count(bill.completion_tokens),
            reasoning: count(bill.reasoning_tokens),
            cached: count(bill.cached_tokens),
            written: count(bill.written_tokens),
        };
        let at = otherwise.at.unwrap_or(bill.ended_at);
        let cost = otherwise.prices.nearest(&self.model, at).and_then(|price| price.cost(&usage, at));
        let Some(cost) = cost else {
            self.unknown += 1;
            return;
        };
        let currency = cost.currency.to_string();
        if let (Some(actual), Some(billed)) = (bill.cost_nanos, &bill.currency)
            && *billed == currency
        {
            self.both = (self.both.0 + i128::from(cost.nanos), self.both.1 + i128::from(actual));
        }
        *self.costs.entry(currency).or_default() += i128::from(cost.nanos);
    }
}

/// How many times one sum is another.
#[expect(clippy::cast_precision_loss, reason = "a ratio for people, shown with one digit behind the point")]
fn times(nanos: i128, of: i128) -> Option<f64> {
    (of > 0).then(|| nanos as f64 / of as f64)
}

fn long(sum: i128) -> i64 {
    i64::try_from(sum).unwrap_or(i64::MAX)
}

/// Sums by currency, for people.
fn amounts(costs: &BTreeMap<String, i128>) -> String {
    let all = costs.iter().map(|(currency, nanos)| format!("{} {}", micros(long(*nanos)), print::safe(currency)));
    let text = all.collect::<Vec<_>>().join(" + ");
    if text.is_empty() { "-".to_owned() } else { text }
}

/// Sums by currency, for programs: amounts as texts, since floats would not be exact.
fn exact(costs: &BTreeMap<String, i128>) -> Value {
    costs.iter().map(|(currency, nanos)| (currency.clone(), Value::from(write_nanos(long(*nanos))))).collect()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn bill(nanos: Option<i64>) -> Bill {
        Bill {
            ended_at: datetime!(2026-11-26 10:00 UTC),
            caller: "ana".to_owned(),
            team: None,
            model: "r1".to_owned(),
            upstream: Some("up".to_owned()),
            status: Some(200),
            prompt_tokens: Some(1000),
            completion_tokens: Some(4000),
            reasoning_tokens: Some(3000),
            cached_tokens: None,
            written_tokens: None,
            cost_nanos: nanos,
            currency: nanos.map(|_| "USD".to_owned()),
            cost_estimated: false,
            topics: vec!["a".to_owned(), "b".to_owned()],
        }
    }

    #[test]
    fn the_same_traffic_on_o1_would_have_cost_27_times_what_r1_did() {
        let prices = Prices::of(vec![shipped_prices().expect("prices")]);
        let models = ["deepseek-reasoner".to_owned(), "o1".to_owned()];
        let otherwise = Otherwise { prices: &prices, models: &models, at: Some(datetime!(2025-01-27 00:00 UTC)) };
        let mut sums = Sums::default();
        sums.add(&bill(Some(9_310_000)), &otherwise);
        sums.add(&bill(None), &otherwise);
        sums.add(&Bill { prompt_tokens: None, ..bill(None) }, &otherwise);
        sums.add(&Bill { upstream: None, ..bill(None) }, &otherwise);
        assert_eq!((sums.exchanges, sums.unknown, sums.prompt), (4, 2, 3000));
        assert_eq!(sums.row("x")[6], "0.00931 USD");
        let rows = sums.other_rows("x");
        assert_eq!(rows[0][1..], ["deepseek-reasoner", "0.01862 USD", "1.0x", "1.0x", "1"]);
        assert_eq!(rows[1][1..], ["o1", "0.51 USD", "27.4x", "27.4x", "1"]);
        assert_eq!(sums.describe(None)["as"][1]["cost"]["USD"], "0.51");
    }

    #[test]
    fn an_exchange_counts_under_what_is_asked() {
        let bill = bill(Some(1));
        let check = |by, expected: &[&str]| assert_eq!(keys(by, &bill), expected, "{by:?}");
        check(By::Topic, &["a", "b"]);
        check(By::Team, &["-"]);
        check(By::Caller, &["ana"]);
        check(By::Model, &["r1"]);
        check(By::Upstream, &["up"]);
        check(By::Day, &["2026-11-26"]);
    }
}
