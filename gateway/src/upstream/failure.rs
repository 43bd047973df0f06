//! Why a try failed, and why an exchange got no reply: for operators in full, for callers what they may read. Texts of
//! peers and credentials never stand here.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::config::write_duration;
use crate::fault::Fault;

/// Why one try failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// No upstream of that name is running.
    Unknown,
    /// All its places are taken.
    Busy,
    /// No connection could be made.
    Connect(&'static str),
    /// No connection could be made in time.
    ConnectTimedOut(Duration),
    /// No reply head came in time.
    HeadTimedOut(Duration),
    /// The connection failed before the reply was whole.
    Broken(&'static str),
    /// What came is not what was asked for.
    Malformed(&'static str),
    /// It answered with an error status.
    Status(u16),
    /// It answered that it serves nothing where this dialect is spoken.
    Absent {
        /// The dialect's name.
        dialect: &'static str,
        /// The status that it answered with.
        status: u16,
    },
    /// The engine cannot serve such a request.
    Request {
        /// The field at fault.
        parameter: Option<String>,
        /// What the caller may read.
        message: String,
    },
    /// The engine failed.
    Engine(String),
}

impl Error {
    /// What was being done with the upstream, and what came of it.
    fn parts(&self) -> (&'static str, Cow<'static, str>) {
        let timed_out = |limit: &Duration| Cow::from(format!("timed out after {}", write_duration(*limit)));
        match self {
            Self::Unknown => ("find", "it is not running".into()),
            Self::Busy => ("enter", "all its places are taken".into()),
            Self::Connect(why) => ("connect to", (*why).into()),
            Self::ConnectTimedOut(limit) => ("connect to", timed_out(limit)),
            Self::HeadTimedOut(limit) => ("get a reply head from", timed_out(limit)),
            Self::Broken(why) | Self::Malformed(why) => ("read the reply of", (*why).into()),
            Self::Status(status) => ("get an answer from", format!("status {status}").into()),
            Self::Absent { dialect, status } => {
                let why = format!("it serves no {dialect} (status {status}): check its `base_url` and `dialects`");
                ("ask", why.into())
            }
            Self::Request { message, .. } => ("serve the request on", message.clone().into()),
            Self::Engine(why) => ("generate on", why.clone().into()),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (doing, why) = self.parts();
        write!(formatter, "{doing} the upstream: {why}")
    }
}

impl std::error::Error for Error {}

/// Why no candidate gave a reply: the last try's error.
#[derive(Debug, Clone)]
pub struct Failure {
    upstream: Option<Arc<str>>,
    error: Error,
}

impl Failure {
    /// The last try's error.
    #[must_use]
    pub fn new(upstream: Option<Arc<str>>, error: Error) -> Self {
        Self { upstream, error }
    }

    /// Whether a time limit was the reason.
    #[must_use]
    pub fn timed_out(&self) -> bool {
        matches!(self.error, Error::ConnectTimedOut(_) | Error::HeadTimedOut(_))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (doing, why) = self.error.parts();
        match &self.upstream {
            Some(upstream) => write!(formatter, "{doing} upstream \"{upstream}\": {why}"),
            None => write!(formatter, "{doing} any upstream: {why}"),
        }
    }
}

impl std::error::Error for Failure {}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        let name = failure.upstream.as_deref().map_or_else(String::new, |name| format!(" \"{name}\""));
        match failure.error {
            Error::ConnectTimedOut(_) | Error::HeadTimedOut(_) => {
                Self::upstream(504, "upstream_timeout", format!("The upstream{name} did not answer in time."))
            }
            Error::Connect(_) => {
                Self::upstream(502, "upstream_unreachable", format!("The upstream{name} could not be reached."))
            }
            Error::Malformed(_) => {
                let message = format!("The reply of the upstream{name} is not what its dialect says.");
                Self::upstream(502, "upstream_reply_malformed", message)
            }
            Error::Busy => {
                let message = format!("The upstream{name} is busy; try again soon.");
                let mut fault = Self::upstream(503, "upstream_busy", message);
                fault.retry_after = Some(Duration::from_secs(1));
                fault
            }
            Error::Unknown => {
                Self::unavailable("no_upstream", "No upstream takes this request now.", Duration::from_secs(5))
            }
            Error::Absent { dialect, status } => {
                let message = format!(
                    "The upstream{name} serves no {dialect} (it answered {status}): whoever runs this gateway should check \
                     its `base_url`, and name the dialects that it does serve in its `dialects`."
                );
                Self::upstream(502, "upstream_lacks_endpoint", message)
            }
            Error::Request { parameter, message } => {
                let fault = Self::invalid("unsupported_parameter", message);
                parameter.into_iter().fold(fault, Self::with_parameter)
            }
            Error::Broken(_) | Error::Status(_) | Error::Engine(_) => {
                Self::upstream(502, "upstream_failed", format!("The upstream{name} failed to answer."))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_read_a_fragment_and_callers_a_status() {
        let check = |error: Error, text: &str, status: u16| {
            let failure = Failure::new(Some(Arc::from("eu-1")), error);
            assert_eq!(failure.to_string(), text);
            let fault = Fault::from(failure);
            assert_eq!(fault.status, status, "{text}");
            assert!(fault.status == 400 || fault.message.contains("\"eu-1\"") || fault.code == "no_upstream", "{text}");
        };
        let limit = Duration::from_secs(5);
        check(Error::ConnectTimedOut(limit), "connect to upstream \"eu-1\": timed out after 5s", 504);
        check(Error::HeadTimedOut(limit), "get a reply head from upstream \"eu-1\": timed out after 5s", 504);
        check(Error::Connect("connection refused"), "connect to upstream \"eu-1\": connection refused", 502);
        check(Error::Broken("connection reset"), "read the reply of upstream \"eu-1\": connection reset", 502);
        check(Error::Busy, "enter upstream \"eu-1\": all its places are taken", 503);
        check(Error::Unknown, "find upstream \"eu-1\": it is not running", 503);
        check(Error::Status(500), "get an answer from upstream \"eu-1\": status 500", 502);
        check(Error::Engine("out of pages".into()), "generate on upstream \"eu-1\": out of pages", 502);
        let text = "ask upstream \"eu-1\": it serves no anthropic (status 404): check its `base_url` and `dialects`";
        check(Error::Absent { dialect: "anthropic", status: 404 }, text, 502);
        let request = Error::Request { parameter: Some("n".into()), message: "Too many.".into() };
        check(request.clone(), "serve the request on upstream \"eu-1\": Too many.", 400);
        assert_eq!(Fault::from(Failure::new(None, request)).parameter.as_deref(), Some("n"));
        assert_eq!(Error::Busy.to_string(), "enter the upstream: all its places are taken");
        assert!(!Fault::from(Failure::new(None, Error::Engine("inner".into()))).message.contains("inner"));
    }
}
