//! What deserves another try, when, and how many tries the gateway as a whole may add. Pure but for the dice.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::time::Instant;

use super::failure::Error;
use super::lock::lock;
use super::reply::Tells;

/// The longest pause that an exchange waits for a candidate that was tried before.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(3);

/// The pause before a candidate is tried a second time; each further round doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// How long an upstream that is out of quota rests where it did not say.
const QUOTA_REST: Duration = Duration::from_secs(1);

/// What follows from one try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// The reply is the caller's.
    Give,
    /// Another candidate may do better; this one will not.
    Elsewhere,
    /// Another candidate may do better, or this one after a pause.
    Again,
}

/// What one try shows of its upstream's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shows {
    /// It works.
    Health,
    /// It does not.
    Failure,
    /// Neither.
    Nothing,
}

/// What an error asks for; a content block is a verdict and never asked for again.
#[must_use]
pub(crate) fn after_status(status: StatusCode, tells: Tells) -> (Next, Shows) {
    match status.as_u16() {
        _ if tells == Tells::Block => (Next::Give, Shows::Health),
        _ if tells == Tells::Unpaid => (Next::Elsewhere, Shows::Failure),
        200..=299 => (Next::Give, Shows::Nothing),
        408 | 500 | 502 | 503 | 504 | 520..=529 => (Next::Again, Shows::Failure),
        429 => (Next::Again, Shows::Nothing),
        // Our own credentials, account or permission there: nothing that the caller could mend.
        401 | 402 => (Next::Elsewhere, Shows::Failure),
        403 => (Next::Elsewhere, Shows::Nothing),
        400..=499 => (Next::Give, Shows::Health),
        _ => (Next::Give, Shows::Nothing),
    }
}

/// What a try without a reply asks for.
#[must_use]
pub(crate) fn after_error(error: &Error) -> (Next, Shows) {
    match error {
        Error::Connect(_) | Error::ConnectTimedOut(_) | Error::Broken(_) => (Next::Again, Shows::Failure),
        // The same one would take as long once more.
        Error::HeadTimedOut(_) | Error::Malformed(_) | Error::Engine(_) => (Next::Elsewhere, Shows::Failure),
        Error::Busy => (Next::Again, Shows::Nothing),
        Error::Unknown | Error::Request { .. } | Error::Absent { .. } => (Next::Elsewhere, Shows::Nothing),
        Error::Status(_) => (Next::Give, Shows::Nothing),
    }
}

/// How long an upstream asked not to be called, or should not be for its status.
#[must_use]
pub(crate) fn rest(status: StatusCode, headers: &HeaderMap, now: OffsetDateTime) -> Option<Duration> {
    match status {
        StatusCode::TOO_MANY_REQUESTS => Some(retry_after(headers, now).unwrap_or(QUOTA_REST)),
        StatusCode::SERVICE_UNAVAILABLE => retry_after(headers, now),
        _ => None,
    }
}

/// Reads `retry-after-ms`, or `retry-after` in seconds or as a date.
fn retry_after(headers: &HeaderMap, now: OffsetDateTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
    if let Some(milliseconds) = text("retry-after-ms").and_then(number) {
        return Duration::try_from_secs_f64(milliseconds / 1e3).ok();
    }
    let text = text("retry-after")?;
    if let Some(seconds) = number(text) {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = OffsetDateTime::parse(text, &Rfc2822).ok()?;
    Some(Duration::try_from(date - now).unwrap_or_default())
}

/// The pause before a round of candidates that were tried before; `round` counts from 1.
#[must_use]
pub(crate) fn pause(round: u32, dice: &mut fastrand::Rng) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1_u32.checked_shl(round.saturating_sub(1).min(16)).unwrap_or(1));
    doubled.min(LONGEST_WAIT).mul_f64(0.5 + dice.f64() / 2.0)
}

/// Tries that the gateway may add to those that clients asked for: a fifth of these, and a few a second in any case, so
/// that a failing upstream is not drowned in second tries. As in linkerd and tower.
#[derive(Debug)]
pub(crate) struct Budget {
    /// Thousandths of a try that first tries have earned.
    earned: AtomicU64,
    floor: Mutex<Floor>,
}

#[derive(Debug)]
struct Floor {
    tries: f64,
    filled: Instant,
}

/// Thousandths of a second try that each first try earns.
const EARNED: u64 = 200;

/// The most that can be saved up, in thousandths.
const MOST_EARNED: u64 = 100_000;

/// Second tries a second that need not be earned.
const FLOOR: f64 = 10.0;

impl Budget {
    /// A budget with a full floor.
    #[must_use]
    pub(crate) fn new(now: Instant) -> Self {
        Self { earned: AtomicU64::new(0), floor: Mutex::new(Floor { tries: FLOOR, filled: now }) }
    }

    /// Takes note of a first try.
    pub(crate) fn earn(&self) {
        if self.earned.load(Ordering::Relaxed) < MOST_EARNED {
            self.earned.fetch_add(EARNED, Ordering::Relaxed);
        }
    }

    /// Takes one further try, if there is one.
    pub(crate) fn spend(&self, now: Instant) -> bool {
        let spent = self.earned.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |earned| earned.checked_sub(1000));
        if spent.is_ok() {
            return true;
        }
        let mut floor = lock(&self.floor);
        let gained = now.saturating_duration_since(floor.filled).as_secs_f64() * FLOOR;
        floor.tries = (floor.tries + gained).min(FLOOR);
        floor.filled = now;
        let enough = floor.tries >= 1.0;
        if enough {
            floor.tries -= 1.0;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn every_status_has_its_consequence() {
        let of = |wanted: Next| -> Vec<u16> {
            let statuses = (200..600).filter_map(|status| StatusCode::from_u16(status).ok());
            statuses
                .filter(|status| after_status(*status, Tells::Nothing).0 == wanted)
                .map(|status| status.as_u16())
                .collect()
        };
        let again: Vec<u16> = [408, 429, 500, 502, 503, 504].into_iter().chain(520..=529).collect();
        assert_eq!(of(Next::Again), again);
        assert_eq!(of(Next::Elsewhere), [401, 402, 403]);
        let failures: Vec<u16> = (200..600)
            .filter(|status| {
                StatusCode::from_u16(*status)
                    .is_ok_and(|status| after_status(status, Tells::Nothing).1 == Shows::Failure)
            })
            .collect();
        let ill: Vec<u16> = [401, 402, 408, 500, 502, 503, 504].into_iter().chain(520..=529).collect();
        assert_eq!(failures, ill);
        for status in [400, 403, 500, 502] {
            let status = StatusCode::from_u16(status).unwrap_or_default();
            let block = after_status(status, Tells::Block);
            assert_eq!(block, (Next::Give, Shows::Health), "a content block is a verdict");
            let unpaid = after_status(status, Tells::Unpaid);
            assert_eq!(unpaid, (Next::Elsewhere, Shows::Failure), "others may have money");
        }
    }

    #[test]
    fn what_an_upstream_asks_for_is_read_in_every_form() {
        let now = datetime!(2026-11-25 10:00:00 UTC);
        let check = |name: &'static str, value: &str, expected: Option<f64>| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap_or_else(|_| panic!("{value}")));
            let found = rest(StatusCode::SERVICE_UNAVAILABLE, &headers, now).map(|pause| pause.as_secs_f64());
            assert_eq!(found, expected, "{value}");
        };
        check("retry-after", "7", Some(7.0));
        check("retry-after", " 0.5", Some(0.5));
        check("retry-after", "Wed, 25 Nov 2026 10:00:30 GMT", Some(30.0));
        check("retry-after", "Wed, 25 Nov 2026 09:00:00 GMT", Some(0.0));
        check("retry-after-ms", "250", Some(0.25));
        for wrong in ["", "soon", "-1", "NaN", "inf", "1e400", "99999999999999999999999"] {
            check("retry-after", wrong, None);
        }
        let none = HeaderMap::new();
        assert_eq!(rest(StatusCode::TOO_MANY_REQUESTS, &none, now), Some(QUOTA_REST));
        assert_eq!(rest(StatusCode::BAD_GATEWAY, &none, now), None);
    }

    #[test]
    fn pauses_grow_within_bounds() {
        let mut dice = fastrand::Rng::with_seed(3);
        for round in [1, 2, 5, 100, u32::MAX] {
            let pause = pause(round, &mut dice);
            assert!(pause >= FIRST_PAUSE / 2 && pause <= LONGEST_WAIT, "{round}: {pause:?}");
        }
    }

    #[test]
    fn a_budget_gives_a_fifth_and_a_floor() {
        let start = Instant::now();
        let budget = Budget::new(start);
        let spend = |now| (0..1000).take_while(|_| budget.spend(now)).count();
        assert_eq!(spend(start), 10);
        (0..50).for_each(|_| budget.earn());
        assert_eq!(spend(start), 10);
        assert_eq!(spend(start + Duration::from_millis(500)), 5);
        (0..1_000_000).for_each(|_| budget.earn());
        assert_eq!(spend(start + Duration::from_secs(100)), 110);
    }
}
