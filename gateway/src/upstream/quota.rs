//! What upstreams say is left of their rates: read from a reply's headers, and kept until it is theirs to give again.
//! Nobody is asked or refused here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::HeaderMap;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::Instant;

use super::lock::lock;

/// The longest that a rate is respected which a head says is spent: rates are told by the minute, and what vendors tell is
/// when all of it is back.
pub(crate) const LONGEST: Duration = Duration::from_secs(60);

/// Accounts and models that are remembered at most.
const MOST: usize = 1024;

/// Numbers from here on are points in time: seconds since 1970, and milliseconds from a thousand times that.
const EPOCH: f64 = 1e9;

/// Headers that say how many may still be asked, and when all may be again: OpenAI's, relays', Anthropic's.
const HEADERS: [(&str, &str); 7] = [
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    ("x-ratelimit-remaining", "x-ratelimit-reset"),
    ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"),
    ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
    ("anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset"),
    ("anthropic-ratelimit-output-tokens-remaining", "anthropic-ratelimit-output-tokens-reset"),
];

/// How long nothing may be asked, where a reply says that nothing is left; what cannot be read says nothing.
#[must_use]
pub(crate) fn spent(headers: &HeaderMap, now: OffsetDateTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let none_left = |name| text(name).and_then(number).is_some_and(|left| left <= 0.0);
    let resets = HEADERS.iter().filter(|(remaining, _)| none_left(*remaining)).filter_map(|(_, reset)| text(reset));
    let longest = resets.filter_map(|reset| until(reset, now)).max()?;
    (!longest.is_zero()).then(|| longest.min(LONGEST))
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Reads `6m0s`, `20ms`, seconds, a point in time as a number, or a date as in RFC 3339.
fn until(reset: &str, now: OffsetDateTime) -> Option<Duration> {
    if let Some(number) = number(reset) {
        let since = now.unix_timestamp_nanos() as f64 / 1e9;
        let seconds = match number {
            _ if number >= EPOCH * 1e3 => number / 1e3 - since,
            _ if number >= EPOCH => number - since,
            _ => number,
        };
        return Duration::try_from_secs_f64(seconds.max(0.0)).ok();
    }
    if let Ok(date) = OffsetDateTime::parse(reset, &Rfc3339) {
        return Some(Duration::try_from(date - now).unwrap_or_default());
    }
    units(reset)
}

/// Reads a duration as Go writes it: numbers, each with its unit.
fn units(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (count, unit) = rest.split_at(digits);
        let end = unit.find(|letter: char| letter.is_ascii_digit()).unwrap_or(unit.len());
        let (unit, next) = unit.split_at(end);
        let length = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        seconds += count.parse::<f64>().ok()? * length;
        rest = next;
    }
    if text.is_empty() { None } else { Duration::try_from_secs_f64(seconds).ok() }
}

/// Rates that are spent, by the account that has them and the model they are of.
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    spent: Mutex<HashMap<(u64, Arc<str>), Instant>>,
    /// Whether any was ever noted and is not known to be over: mostly not, and each request asks.
    any: AtomicBool,
}

impl Quotas {
    /// Takes note that an account may ask nothing more of a model until then.
    pub(crate) fn note(&self, account: u64, model: &Arc<str>, until: Instant, now: Instant) {
        let mut all = lock(&self.spent);
        all.retain(|_, until| *until > now);
        let key = (account, model.clone());
        if all.len() < MOST || all.contains_key(&key) {
            let known = all.entry(key).or_insert(until);
            *known = until.max(*known);
            self.any.store(true, Ordering::Relaxed);
        }
    }

    /// Whether nothing is spent, as far as is known.
    pub(crate) fn are_whole(&self) -> bool {
        !self.any.load(Ordering::Relaxed)
    }

    /// Until when an account may ask nothing of a model, where that is so.
    pub(crate) fn until(&self, account: u64, model: &Arc<str>, now: Instant) -> Option<Instant> {
        let mut all = lock(&self.spent);
        all.retain(|_, until| *until > now);
        self.any.store(!all.is_empty(), Ordering::Relaxed);
        all.get(&(account, model.clone())).copied()
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-26 10:00:00 UTC);

    fn check(told: &[(&'static str, &str)], expected: Option<f64>) {
        let headers = told.iter().map(|(name, value)| {
            let value = value.parse().unwrap_or_else(|_| panic!("{value}"));
            (http::HeaderName::from_static(name), value)
        });
        let found = spent(&headers.collect(), NOW).map(|pause| pause.as_secs_f64());
        let close = match (found, expected) {
            (Some(found), Some(expected)) => (found - expected).abs() < 0.01,
            (found, expected) => found == expected,
        };
        assert!(close, "{told:?}: {found:?}, not {expected:?}");
    }

    #[test]
    fn a_spent_rate_is_read_in_every_vendors_form() {
        for (reset, expected) in [
            ("1s", 1.0),
            ("6m0s", 60.0),
            ("0m30.5s", 30.5),
            ("20ms", 0.02),
            ("12", 12.0),
            ("1795687215", 15.0),
            ("1795687215000", 15.0),
            ("1h", 60.0),
            ("2026-11-26T10:00:07Z", 7.0),
            ("2026-11-26T11:00:07+01:00", 7.0),
        ] {
            let told = [("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", reset)];
            check(&told, Some(expected));
            let told = [
                ("anthropic-ratelimit-input-tokens-remaining", "0"),
                ("anthropic-ratelimit-input-tokens-reset", reset),
            ];
            check(&told, Some(expected));
        }
        let both = [
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "2s"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "9s"),
        ];
        check(&both, Some(9.0));
    }

    #[test]
    fn what_is_left_or_cannot_be_read_says_nothing() {
        for remaining in ["1", "149000", "", "none", "NaN", "inf", "-inf"] {
            check(&[("x-ratelimit-remaining-requests", remaining), ("x-ratelimit-reset-requests", "5s")], None);
        }
        for reset in [
            "",
            "soon",
            "s",
            "5",
            "5 s",
            "5d",
            "5s5",
            "-5",
            "-5s",
            "1.2.3s",
            "NaN",
            "1e999",
            "2026-11-26",
            "0",
            "0s",
            "2026-11-26T09:00:00Z",
            "5sm",
            "٣s",
        ] {
            let expected = (reset == "5").then_some(5.0);
            let headers = HeaderMap::from_iter([
                (http::HeaderName::from_static("x-ratelimit-remaining-tokens"), "0".parse().expect("a value")),
                (
                    http::HeaderName::from_static("x-ratelimit-reset-tokens"),
                    http::HeaderValue::from_bytes(reset.as_bytes()).expect("a value"),
                ),
            ]);
            assert_eq!(spent(&headers, NOW).map(|pause| pause.as_secs_f64()), expected, "{reset}");
        }
        check(&[("x-ratelimit-remaining-requests", "0")], None);
    }

    #[test]
    fn a_spent_rate_is_of_one_account_and_model_and_ends() {
        let (quotas, now) = (Quotas::default(), Instant::now());
        let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
        quotas.note(7, &one, now + Duration::from_secs(5), now);
        assert_eq!(quotas.until(7, &one, now), Some(now + Duration::from_secs(5)));
        assert_eq!(quotas.until(7, &other, now), None);
        assert_eq!(quotas.until(8, &one, now), None);
        assert_eq!(quotas.until(7, &one, now + Duration::from_secs(5)), None);
        for account in 0..2 * MOST as u64 {
            quotas.note(account, &other, now + LONGEST, now);
        }
        assert!(lock(&quotas.spent).len() <= MOST, "it is bounded");
        quotas.note(0, &other, now + 2 * LONGEST, now);
        assert_eq!(quotas.until(0, &other, now), Some(now + 2 * LONGEST), "one that is known may last longer");
        assert!(!quotas.are_whole());
        assert_eq!(quotas.until(7, &other, now + 2 * LONGEST), None);
        assert!(quotas.are_whole(), "all of them are over");
    }
}
