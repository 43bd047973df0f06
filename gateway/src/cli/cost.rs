//! What the command line says of costs.

use clap::{Args, Subcommand, ValueEnum};

use super::Configured;

/// Say what traffic cost.
#[derive(Debug, Subcommand)]
pub enum Cost {
    /// Sum costs and tokens, and say what other models would have cost.
    Report(CostReport),
}

/// Sum costs and tokens.
#[derive(Debug, Args)]
pub struct CostReport {
    /// How far back, such as `24h`, `30d`, or the first day, such as `2026-11-01`.
    #[arg(long, default_value = "30d")]
    pub since: String,
    /// Until when, as --since; the day itself does not count.
    #[arg(long)]
    pub until: Option<String>,
    /// What is summed together; an exchange on several topics counts on each.
    #[arg(long, value_enum, default_value_t = By::Model)]
    pub by: By,
    /// Say what the same tokens would have cost on this model. May be given more than once.
    #[arg(long = "as", value_name = "MODEL")]
    pub models: Vec<String>,
    /// The prices of --as are those of this day instead of the day of each exchange.
    #[arg(long, value_name = "DAY", requires = "models")]
    pub prices_at: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub configured: Configured,
}

/// What is summed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// Callers.
    Caller,
    /// Teams.
    Team,
    /// Models as clients name them.
    Model,
    /// Upstreams.
    Upstream,
    /// Topics that rules found.
    Topic,
    /// Days (UTC).
    Day,
}
