//! Settings of what works beside the traffic: the judge model, the canary, logs and exports, reloads.

use std::path::PathBuf;
use std::time::Duration;

use super::Secret;

/// When the configuration is read again beside the times that somebody asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reload {
    /// Whether its files are watched.
    pub watch: bool,
    /// How often they are looked at.
    pub every: Duration,
}

/// A model that is asked what others did, after their exchanges have ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Judging {
    /// The model, by a name that clients use.
    pub model: String,
    /// Which exchanges it is asked about.
    pub when: AskWhen,
    /// Share of those that it is really asked about, above 0 to 1.
    pub sample: f64,
    /// Time that its whole answer may take.
    pub timeout: Duration,
    /// Questions in a minute at most, over all workers.
    pub max_per_minute: u32,
}

/// Which exchanges a judge model is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskWhen {
    /// Those on which the verdict is not sure.
    Unsure,
    /// All whose answer was judged by its words.
    Always,
}

/// Logs, traces and metrics.
#[derive(Debug, Clone, PartialEq)]
pub struct Observe {
    /// Filter in the syntax of `tracing_subscriber::EnvFilter`.
    pub log_filter: String,
    /// How log lines look.
    pub log_format: LogFormat,
    /// OTLP/HTTP endpoint such as `http://127.0.0.1:4318`; `None` exports nothing.
    pub otlp: Option<String>,
    /// Extra headers of OTLP requests.
    pub otlp_headers: Vec<(String, Secret)>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// Probes that are asked again and again of one model, and the band that the rate of what it withholds stays in.
#[derive(Debug, Clone, PartialEq)]
pub struct Canary {
    /// A suite's file, or the name of a shipped one.
    pub suite: String,
    /// The model, by a name that clients use.
    pub route: String,
    /// How often a round of probes is asked.
    pub every: Duration,
    /// Probes of a round.
    pub probes: usize,
    /// The band: rates from 0 to 1.
    pub band: (f64, f64),
    /// Rounds on average, at the least, between alerts while the rate stays in its band.
    pub rounds_per_false_alert: u64,
    /// The key that it asks with.
    pub key: Secret,
    /// Address of the front door; the gateway's own where it is absent.
    pub gateway: Option<String>,
    /// PEM file of the authority behind the front door's certificate.
    pub authority: Option<PathBuf>,
    /// Who is told of an alert: a URL that gets JSON by POST.
    pub webhook: Option<Secret>,
}
