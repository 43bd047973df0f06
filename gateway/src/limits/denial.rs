//! Why somebody is not served now, and how much is left to them, in the words and headers that clients know.

use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::fault::Fault;

/// Why a request is not let in. `whose` is `key`, `caller` or `team`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Denial {
    /// Too many requests in a minute.
    Requests {
        /// Whose limit it is.
        whose: &'static str,
        /// The limit.
        limit: u64,
        /// When to try again.
        wait: Duration,
    },
    /// Too many tokens in a minute.
    Tokens {
        /// Whose limit it is.
        whose: &'static str,
        /// The limit.
        limit: u64,
        /// Tokens that the request may take.
        asked: u64,
        /// When to try again; `None` where the prompt alone is more than the limit.
        wait: Option<Duration>,
    },
    /// Too many requests at once.
    Concurrency {
        /// Whose limit it is.
        whose: &'static str,
        /// The limit.
        limit: u64,
    },
    /// The money of a day or a month is spent.
    Budget {
        /// Whose budget it is.
        whose: &'static str,
        /// `day` or `month`.
        period: &'static str,
    },
}

/// How soon it is worth to try again where only others' ends make room.
const SOON: Duration = Duration::from_secs(1);

impl From<Denial> for Fault {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Requests { whose, limit, wait } => {
                let message = format!("Rate limit reached for this {whose}: {limit} requests per minute (RPM).");
                Self::limited("requests", "rate_limit_exceeded", message, Some(wait))
            }
            Denial::Tokens { whose, limit, asked, wait: Some(wait) } => {
                let message =
                    format!("Rate limit reached for this {whose}: {limit} tokens per minute (TPM). Requested {asked}.");
                Self::limited("tokens", "rate_limit_exceeded", message, Some(wait))
            }
            Denial::Tokens { whose, limit, asked, wait: None } => {
                let message = format!(
                    "Request too large for this {whose}: about {asked} tokens, and its limit is {limit} per minute (TPM)."
                );
                Self::limited("tokens", "rate_limit_exceeded", message, None)
            }
            Denial::Concurrency { whose, limit } => {
                let message = format!("This {whose} has {limit} requests under way already, as many as it may.");
                Self::limited("requests", "concurrency_limit_exceeded", message, Some(SOON))
            }
            Denial::Budget { whose, period } => {
                let message = format!("The budget of this {whose} for this {period} is spent.");
                Self::limited("insufficient_quota", "insufficient_quota", message, None)
            }
        }
    }
}

/// What is left of a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// In a minute.
    pub limit: u64,
    /// Now.
    pub remaining: u64,
    /// Until all is there again.
    pub reset: Duration,
}

impl Left {
    /// Which of two is nearer to its end.
    pub(super) fn tighter(self, other: Self) -> Self {
        let share = |left: &Self| u128::from(left.remaining).saturating_mul(1_000_000) / u128::from(left.limit.max(1));
        if share(&other) < share(&self) { other } else { self }
    }
}

/// How a caller stands with its rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Requests.
    pub requests: Option<Left>,
    /// Tokens.
    pub tokens: Option<Left>,
}

impl Standing {
    /// Writes OpenAI's headers, in place of an upstream's of the same names.
    pub fn write(&self, headers: &mut HeaderMap) {
        if let Some(left) = &self.requests {
            put(
                headers,
                ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"],
                left,
            );
        }
        if let Some(left) = &self.tokens {
            put(
                headers,
                ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"],
                left,
            );
        }
    }
}

fn put(headers: &mut HeaderMap, [limit, remaining, reset]: [&'static str; 3], left: &Left) {
    headers.insert(HeaderName::from_static(limit), HeaderValue::from(left.limit));
    headers.insert(HeaderName::from_static(remaining), HeaderValue::from(left.remaining));
    if let Ok(text) = HeaderValue::from_str(&short(left.reset)) {
        headers.insert(HeaderName::from_static(reset), text);
    }
}

/// A time as OpenAI writes it: `20ms`, `8.2s`, `6m0s`.
fn short(time: Duration) -> String {
    let millis = time.as_millis();
    match millis {
        0 => "0s".to_owned(),
        1..1000 => format!("{millis}ms"),
        1000..60_000 => format!("{}s", time.as_secs() + u64::from(time.subsec_nanos() > 0)),
        _ => format!("{}m{}s", time.as_secs() / 60, time.as_secs() % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn denials_speak_openais_words() {
        let wait = Duration::from_secs(20);
        let whose = "key";
        let cases = [
            (Denial::Requests { whose, limit: 3, wait }, "requests", "rate_limit_exceeded", Some(wait)),
            (
                Denial::Tokens { whose, limit: 3, asked: 9, wait: Some(wait) },
                "tokens",
                "rate_limit_exceeded",
                Some(wait),
            ),
            (Denial::Tokens { whose, limit: 3, asked: 9, wait: None }, "tokens", "rate_limit_exceeded", None),
            (Denial::Concurrency { whose, limit: 3 }, "requests", "concurrency_limit_exceeded", Some(SOON)),
            (Denial::Budget { whose, period: "day" }, "insufficient_quota", "insufficient_quota", None),
        ];
        for (denial, kind, code, after) in cases {
            let fault = Fault::from(denial);
            assert_eq!((fault.status, fault.kind, fault.code, fault.retry_after), (429, kind, code, after));
        }
    }

    #[test]
    fn headers_are_openais_and_replace_an_upstreams() {
        let mut headers = HeaderMap::new();
        headers.insert("x-ratelimit-limit-requests", HeaderValue::from_static("10000"));
        let left = Left { limit: 60, remaining: 59, reset: Duration::from_millis(1001) };
        Standing { requests: Some(left), tokens: None }.write(&mut headers);
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("-").to_owned();
        assert_eq!(text("x-ratelimit-limit-requests"), "60");
        assert_eq!(text("x-ratelimit-remaining-requests"), "59");
        assert_eq!(text("x-ratelimit-reset-requests"), "2s");
        assert_eq!(text("x-ratelimit-limit-tokens"), "-");
        assert_eq!([0, 20, 366_000].map(|millis| short(Duration::from_millis(millis))), ["0s", "20ms", "6m6s"]);
    }
}
