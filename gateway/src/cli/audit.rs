//! What the command line says of audits.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Configured;

/// Ask models what they withhold.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// List the suites that are shipped.
    Suites(AuditSuites),
    /// Check a suite, or print it as JSON lines.
    Check(AuditCheck),
    /// Ask the probes of a suite of one or more routes, over a running gateway.
    Run(Box<AuditRun>),
    /// Say what came of a run, or of recorded traffic.
    Report(Box<AuditReport>),
    /// Say what has changed between two runs; exit status 1 where something has.
    Compare(AuditCompare),
    /// Look for refused subjects that nobody has listed.
    Discover(Box<AuditDiscover>),
    /// Put a table of labels of many models through the same statistics.
    Matrix(AuditMatrix),
    /// Check the statistics by audits whose truth is known; exit status 1 where one does not hold.
    Simulate(AuditSimulate),
}

/// List suites.
#[derive(Debug, Args)]
pub struct AuditSuites {
    /// Print JSON for programs instead of text for people.
    #[arg(long)]
    pub json: bool,
}

/// How a file of probes is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SuiteFormat {
    /// This project's, as YAML.
    Yaml,
    /// This project's, a probe a line.
    Jsonl,
    /// A promptfoo configuration or list of tests.
    Promptfoo,
    /// A promptfoo table of tests.
    PromptfooCsv,
    /// A HarmBench table of behaviours.
    Harmbench,
    /// SpeechMap questions, a JSON object a line.
    Speechmap,
}

/// Check a suite.
#[derive(Debug, Args)]
pub struct AuditCheck {
    /// A suite's file, or the name of a shipped one.
    #[arg(value_name = "SUITE")]
    pub suite: String,
    /// How it is written; recognised when absent.
    #[arg(long = "as", value_enum, value_name = "FORMAT")]
    pub format: Option<SuiteFormat>,
    /// Print its probes, a JSON object a line: so files of others become suites.
    #[arg(long)]
    pub jsonl: bool,
}

/// Where the gateway is, and who asks.
#[derive(Debug, Clone, Args)]
pub struct AuditDoor {
    /// Address of the gateway; that of the configuration when absent.
    #[arg(long, value_name = "URL")]
    pub gateway: Option<String>,
    /// The auditor's key at the gateway.
    #[arg(long, env = "CANDOR_AUDIT_KEY", hide_env_values = true)]
    pub key: Option<String>,
    /// A file that holds the key.
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    pub key_file: Option<PathBuf>,
    /// PEM file of the authority that signed the gateway's certificate; its development CA when absent.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Longest that an answer may take.
    #[arg(long, default_value = "10m")]
    pub timeout: String,
}

/// Ask probes.
#[derive(Debug, Args)]
pub struct AuditRun {
    /// A suite's file, or the name of a shipped one.
    #[arg(long, required_unless_present = "resume")]
    pub suite: Option<String>,
    /// How it is written; recognised when absent.
    #[arg(long = "as", value_enum, value_name = "FORMAT", requires = "suite")]
    pub format: Option<SuiteFormat>,
    /// A model to ask, by the name that clients use. May be given more than once.
    #[arg(long = "route", value_name = "MODEL", required_unless_present = "resume", conflicts_with = "resume")]
    pub routes: Vec<String>,
    /// Only probes in this language. May be given more than once.
    #[arg(long = "language", value_name = "CODE", conflicts_with = "resume")]
    pub languages: Vec<String>,
    /// Only probes of this topic (`china/taiwan`) or pack (`china`). May be given more than once.
    #[arg(long = "topic", value_name = "TOPIC", conflicts_with = "resume")]
    pub topics: Vec<String>,
    /// Times that each probe is asked of each route.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub samples: u32,
    /// What order and seeds are drawn from.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Questions on their way at once, for each route; an upstream's own limit holds where it is less.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub concurrency: u16,
    /// Tokens that an answer may take.
    #[arg(long, value_name = "TOKENS")]
    pub answer_tokens: Option<u32>,
    /// Stop when so many tokens are used up, in and out.
    #[arg(long, value_name = "TOKENS")]
    pub max_tokens: Option<u64>,
    /// Stop when so many dollars are used up, at the prices that are known or given by --price.
    #[arg(long, value_name = "MONEY")]
    pub max_cost: Option<f64>,
    /// What a million tokens cost in dollars, in and out, where it is not known or differs, such as `deepseek-reasoner=0.55/2.19`. May be given more than once.
    #[arg(long = "price", value_name = "MODEL=IN/OUT")]
    pub prices: Vec<String>,
    /// Ask without asking first whether the estimate is fine.
    #[arg(long)]
    pub yes: bool,
    /// Go on with the run in this directory; nothing is asked twice.
    #[arg(long, value_name = "DIR")]
    pub resume: Option<PathBuf>,
    /// Directory of the new run.
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub door: AuditDoor,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub configured: Configured,
}

/// How a report looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// Tables on the terminal.
    Terminal,
    /// One page for a browser or a printer, with everything in it.
    Html,
    /// Everything, for programs.
    Json,
    /// Rates and differences as one table.
    Csv,
    /// Markdown.
    Md,
}

/// Say what came of a run.
#[derive(Debug, Args)]
pub struct AuditReport {
    /// The run's directory.
    #[arg(value_name = "DIR", required_unless_present = "since")]
    pub directory: Option<PathBuf>,
    /// Report on recorded traffic instead: how far back, such as `24h`, `7d`.
    #[arg(long, conflicts_with = "directory")]
    pub since: Option<String>,
    /// Recorded traffic up to so long ago.
    #[arg(long, requires = "since", default_value = "0s")]
    pub until: String,
    /// Only recorded traffic of this caller.
    #[arg(long, requires = "since")]
    pub caller: Option<String>,
    /// How it looks.
    #[arg(long, value_enum, default_value_t = ReportFormat::Terminal)]
    pub format: ReportFormat,
    /// Two routes with the same weights, such as `vendor=own`: what differs between them comes with the host.
    #[arg(long = "same", value_name = "A=B", requires = "directory")]
    pub same: Vec<String>,
    /// Level of intervals.
    #[arg(long, default_value_t = 0.95)]
    pub level: f64,
    /// Share of false discoveries that is allowed.
    #[arg(long, default_value_t = 0.1)]
    pub false_share: f64,
    /// JSON file of the classifier's error rates by language, in place of those that are shipped.
    #[arg(long, value_name = "FILE")]
    pub calibration: Option<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub configured: Configured,
}

/// Say what has changed between two runs.
#[derive(Debug, Args)]
pub struct AuditCompare {
    /// Directory of the earlier run.
    #[arg(value_name = "EARLIER")]
    pub earlier: PathBuf,
    /// Directory of the later run.
    #[arg(value_name = "LATER")]
    pub later: PathBuf,
    /// Share of false discoveries that is allowed.
    #[arg(long, default_value_t = 0.1)]
    pub false_share: f64,
    /// Print JSON for programs instead of text for people.
    #[arg(long)]
    pub json: bool,
}

/// Look for refused subjects.
#[derive(Debug, Args)]
pub struct AuditDiscover {
    /// The model to ask, by the name that clients use.
    #[arg(long, value_name = "MODEL")]
    pub route: String,
    /// File of subjects to begin with, one a line.
    #[arg(long, value_name = "FILE")]
    pub seed_topics: PathBuf,
    /// Questions to ask at most.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub budget: u32,
    /// Language to ask in: en, zh or pt.
    #[arg(long, default_value = "en")]
    pub language: String,
    /// Neighbouring subjects that are asked for of each.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=20))]
    pub neighbours: u16,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub door: AuditDoor,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub configured: Configured,
}

/// Put a table of labels through the statistics.
#[derive(Debug, Args)]
pub struct AuditMatrix {
    /// CSV with `model`, `question`, `country`, `lang` and one or two columns that begin with `label`.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Share of false discoveries that is allowed.
    #[arg(long, default_value_t = 0.1)]
    pub false_share: f64,
    /// Print JSON for programs instead of text for people.
    #[arg(long)]
    pub json: bool,
}

/// Check the statistics.
#[derive(Debug, Args)]
pub struct AuditSimulate {
    /// Audits to simulate.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    pub audits: u32,
    /// Seed.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print JSON for programs instead of text for people.
    #[arg(long)]
    pub json: bool,
}
