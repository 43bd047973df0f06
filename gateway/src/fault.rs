//! What went wrong, whose fault it is and what the caller may read. Inner text never stands in a [`Fault`]'s public part.

use std::time::Duration;

/// A failure on its way to a client.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Who can do something about it.
    pub blame: Blame,
    /// HTTP status.
    pub status: u16,
    /// The envelope's `type`.
    pub kind: &'static str,
    /// The envelope's `code`.
    pub code: &'static str,
    /// The parameter at fault, as a path into the request.
    pub parameter: Option<String>,
    /// What the caller may read.
    pub message: String,
    /// When to try again.
    pub retry_after: Option<Duration>,
}

/// Who can do something about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The caller.
    Caller,
    /// Whoever runs the upstream.
    Upstream,
    /// Whoever runs the gateway.
    Gateway,
}

impl Blame {
    /// Name in records and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Upstream => "upstream",
            Self::Gateway => "gateway",
        }
    }
}

impl Fault {
    fn new(blame: Blame, status: u16, kind: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        Self { blame, status, kind, code, parameter: None, message: message.into(), retry_after: None }
    }

    /// The request cannot be served as it stands.
    #[must_use]
    pub fn invalid(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Blame::Caller, 400, "invalid_request_error", code, message)
    }

    /// As [`Fault::invalid`], with another status of the 4xx family.
    #[must_use]
    pub fn refused(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Blame::Caller, status, "invalid_request_error", code, message)
    }

    /// The caller is not known.
    #[must_use]
    pub fn unauthenticated(message: impl Into<String>) -> Self {
        Self::new(Blame::Caller, 401, "invalid_request_error", "invalid_api_key", message)
    }

    /// The caller took as much as it may; clients know the kinds `requests`, `tokens` and `insufficient_quota`.
    #[must_use]
    pub fn limited(
        kind: &'static str,
        code: &'static str,
        message: impl Into<String>,
        retry_after: Option<Duration>,
    ) -> Self {
        let mut fault = Self::new(Blame::Caller, 429, kind, code, message);
        fault.retry_after = retry_after;
        fault
    }

    /// An upstream did not do its part.
    #[must_use]
    pub fn upstream(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Blame::Upstream, status, "upstream_error", code, message)
    }

    /// The gateway cannot do its part now.
    #[must_use]
    pub fn unavailable(code: &'static str, message: impl Into<String>, retry_after: Duration) -> Self {
        let mut fault = Self::new(Blame::Gateway, 503, "server_error", code, message);
        fault.retry_after = Some(retry_after);
        fault
    }

    /// Names the parameter at fault.
    #[must_use]
    pub fn with_parameter(mut self, parameter: impl Into<String>) -> Self {
        self.parameter = Some(parameter.into());
        self
    }
}
