//! The command line as plain data. It runs nothing.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

mod audit;
mod cost;
mod records;

pub use audit::{
    Audit, AuditCheck, AuditCompare, AuditDiscover, AuditDoor, AuditMatrix, AuditReport, AuditRun, AuditSimulate,
    AuditSuites, ReportFormat, SuiteFormat,
};
pub use cost::{By, Cost, CostReport};
pub use records::{
    Ledger, LedgerEvents, Meant, Records, RecordsDecide, RecordsErase, RecordsExport, RecordsHold, RecordsList,
    RecordsRelease, RecordsShow, Spool, SpoolImport, Verify,
};

/// Policy-aware reasoning gateway and auditing proxy.
#[derive(Debug, Parser)]
#[command(name = "candor", version, max_term_width = 100)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the gateway.
    Serve(Serve),
    /// Show everything on this machine: managed Postgres, shipped model, TLS, sample traffic, an audit.
    Demo(Demo),
    /// Validate configuration and packs; print the resolved configuration, secrets masked.
    Check(Check),
    /// List the catalogue of providers, or show one entry of it.
    Providers(Providers),
    /// Bring a database to this version.
    Migrate(Configured),
    /// Test and explain content rules.
    #[command(subcommand)]
    Policy(Policy),
    /// Judge existing traffic: JSON lines in, one verdict per line out.
    Classify(Classify),
    /// Ask models what they withhold: suites against routes, statistics, reports.
    #[command(subcommand)]
    Audit(Audit),
    /// Look at recorded exchanges.
    #[command(subcommand)]
    Records(Records),
    /// Say what traffic cost.
    #[command(subcommand)]
    Cost(Cost),
    /// Check an evidence bundle offline: 0 verified, 1 changed, 4 incomplete, 5 not anchored.
    Verify(Verify),
    /// Look at the ledger over all records.
    #[command(subcommand)]
    Ledger(Ledger),
    /// Records on this machine's disk that are not in the database yet.
    #[command(subcommand)]
    Spool(Spool),
    /// Manage callers' keys.
    #[command(subcommand)]
    Keys(Keys),
    /// Run models in this process.
    #[command(subcommand)]
    Engine(Engine),
    /// Run Postgres as a child that ends with its parent; used by the gateway itself.
    #[command(hide = true, name = "managed-postgres")]
    ManagedPostgres(ManagedPostgres),
}

/// Which configuration to use.
#[derive(Debug, Clone, Args)]
pub struct Configured {
    /// Configuration file [default: candor.yaml here, else /etc/candor/candor.yaml, else built-in defaults].
    #[arg(long, short, value_name = "FILE", env = "CANDOR_CONFIG")]
    pub config: Option<PathBuf>,
    /// Print JSON for programs instead of text for people.
    #[arg(long)]
    pub json: bool,
}

/// Run the gateway.
#[derive(Debug, Args)]
pub struct Serve {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub configured: Configured,
}

/// Show everything on this machine.
#[derive(Debug, Args)]
pub struct Demo {
    /// Where the demo keeps its model, database and certificates.
    #[arg(long, value_name = "DIR", default_value = "candor-demo")]
    pub data: PathBuf,
    /// Where the gateway listens.
    #[arg(long, default_value = "127.0.0.1:8443")]
    pub address: std::net::SocketAddr,
    /// Another model to ask: folder of the checkpoint or GGUF file.
    #[arg(long, value_name = "PATH")]
    pub model: Option<PathBuf>,
    /// End after the audit instead of serving on.
    #[arg(long)]
    pub once: bool,
    /// Print JSON lines for programs, an event each.
    #[arg(long)]
    pub json: bool,
}

/// Validate configuration and packs.
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub configured: Configured,
}

/// List the catalogue of providers.
#[derive(Debug, Args)]
pub struct Providers {
    /// The entry to show.
    #[arg(value_name = "PROVIDER")]
    pub name: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub configured: Configured,
}

/// Test and explain content rules.
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Run the packs' own tests.
    Test(PolicyTest),
    /// Say what a text triggers, and why.
    Explain(Box<PolicyExplain>),
    /// Say what other rules would have done to recorded traffic.
    Replay(PolicyReplay),
    /// Print the JSON Schema of packs, for editors.
    Schema,
    /// Make weights of the refusal classifier from labelled exchanges.
    Train(PolicyTrain),
}

/// Run the packs' own tests.
#[derive(Debug, Args)]
pub struct PolicyTest {
    /// Pack files to test instead of the configured ones.
    #[arg(value_name = "PACK")]
    pub packs: Vec<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub configured: Configured,
}

/// Say what a text triggers, and why.
#[derive(Debug, Args)]
pub struct PolicyExplain {
    /// The text; `-` reads standard input.
    #[arg(long)]
    pub text: String,
    /// The channel that it stands on.
    #[arg(long, value_enum, default_value_t = ChannelName::Prompt)]
    pub channel: ChannelName,
    /// The caller that rules see.
    #[arg(long, default_value = "anonymous")]
    pub caller: String,
    /// The caller's team.
    #[arg(long)]
    pub team: Option<String>,
    /// The caller's role.
    #[arg(long)]
    pub role: Option<String>,
    /// The model that rules see.
    #[arg(long, default_value = "any")]
    pub model: String,
    /// The upstream that answers; its tags are those configured. Without one, rules that ask for it do not hold.
    #[arg(long)]
    pub upstream: Option<String>,
    /// A tag of the upstream, such as `jurisdiction=eu`.
    #[arg(long = "tag", value_name = "NAME=VALUE")]
    pub tags: Vec<String>,
    /// The upstream is a model of the gateway's own process.
    #[arg(long)]
    pub local: bool,
    /// When, such as `2026-03-02T09:30:00+01:00`; now when absent.
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// The verdict's outcome: complied, partial, refused, blocked, failed. Without one, rules that ask for it do not hold.
    #[arg(long)]
    pub outcome: Option<String>,
    /// A manner of the verdict, such as `party_line`.
    #[arg(long = "manner")]
    pub manners: Vec<String>,
    /// Pack files to use instead of the configured ones.
    #[arg(long = "pack", value_name = "PACK")]
    pub packs: Vec<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub configured: Configured,
}

/// Say what other rules would have done to recorded traffic.
#[derive(Debug, Args)]
pub struct PolicyReplay {
    /// How far back, such as `15m`, `24h`, `7d`.
    #[arg(long, default_value = "24h")]
    pub since: String,
    /// At most so many of the newest exchanges.
    #[arg(long, default_value_t = 100_000)]
    pub limit: u32,
    /// How many of the exchanges that would change are listed.
    #[arg(long, default_value_t = 20)]
    pub show: usize,
    /// Pack files to replay instead of the configured ones.
    #[arg(long = "pack", value_name = "PACK")]
    pub packs: Vec<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub configured: Configured,
}

/// Make weights of the refusal classifier from labelled exchanges.
#[derive(Debug, Args)]
pub struct PolicyTrain {
    /// JSON lines with `prompt`, `response`, `label` and, if known, `reasoning`, `source`, `lang`, `model`, `group`, `weight`.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Where the weights go.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Leave a source out of training, so that it can be measured on afterwards.
    #[arg(long, value_name = "SOURCE")]
    pub without: Vec<String>,
}

/// A channel's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ChannelName {
    /// What the client sent.
    Prompt,
    /// The model's thinking.
    Reasoning,
    /// The model's answer.
    Answer,
    /// Arguments of a tool call.
    Tool,
    /// A vendor's own refusal field.
    Refusal,
}

/// Judge existing traffic.
#[derive(Debug, Args)]
pub struct Classify {
    /// JSON lines; standard input when absent or `-`.
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Pack files whose topics are looked for, beside the shipped ones.
    #[arg(long = "pack", value_name = "PACK")]
    pub packs: Vec<PathBuf>,
    /// Instead of verdicts, print how far they agree with each line's `label`, by `source`, `lang` and `model`.
    #[arg(long)]
    pub labels: bool,
    /// With `--labels`: print JSON for programs instead of tables for people. Verdicts are JSON in any case.
    #[arg(long)]
    pub json: bool,
    /// Judge with these classifier weights instead of the shipped ones.
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
}

/// Manage callers' keys.
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Make a key; it is shown once.
    Create(KeysCreate),
    /// List keys, without the keys themselves.
    List(Configured),
    /// Revoke a key by its id.
    Revoke(KeysRevoke),
}

/// Make a key.
#[derive(Debug, Args)]
pub struct KeysCreate {
    /// Who it stands for.
    #[arg(long)]
    pub caller: String,
    /// The caller's team.
    #[arg(long)]
    pub team: Option<String>,
    /// The caller's role.
    #[arg(long)]
    pub role: Option<String>,
    /// How long it is good for, such as `90d`; for ever when absent.
    #[arg(long)]
    pub expires: Option<String>,
    /// Models that it may ask for, such as `r1,gpt-*`; all when absent.
    #[arg(long, value_delimiter = ',')]
    pub models: Vec<String>,
    /// Requests in a minute.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub rpm: Option<u64>,
    /// Tokens in a minute, of prompts and completions.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub tpm: Option<u64>,
    /// Requests at once.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub concurrency: Option<u64>,
    /// Dollars a day (UTC), such as `2.50`.
    #[arg(long, value_name = "USD")]
    pub budget_day: Option<String>,
    /// Dollars a month (UTC).
    #[arg(long, value_name = "USD")]
    pub budget_month: Option<String>,
    /// Who does it, for the ledger, which notes the database's user in any case.
    #[arg(long)]
    pub by: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub configured: Configured,
}

/// Revoke a key.
#[derive(Debug, Args)]
pub struct KeysRevoke {
    /// The key's id, as `keys list` shows it.
    pub id: String,
    /// Who does it, for the ledger, which notes the database's user in any case.
    #[arg(long)]
    pub by: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub configured: Configured,
}

/// Run models in this process.
#[derive(Debug, Subcommand)]
pub enum Engine {
    /// Generate from a model and stream to the terminal.
    Run(EngineRun),
    /// Measure a model's speed.
    Bench(EngineBench),
    /// Compare a model with the golden values beside it; exit status 1 where it is out of bounds.
    Verify(EngineVerify),
    /// Say what a model would cost on this machine, from its `config.json` alone.
    Plan(EnginePlan),
}

/// A model and how to load it.
#[derive(Debug, Args)]
pub struct EngineModel {
    /// Folder of the checkpoint, GGUF file, or `hf:org/name` in the local hub cache.
    #[arg(long)]
    pub model: PathBuf,
    /// Fetch a model that the hub's cache lacks.
    #[arg(long)]
    pub fetch: bool,
    /// Compute threads; one per processor when absent.
    #[arg(long)]
    pub threads: Option<usize>,
    /// Most tokens of prompt and reply together.
    #[arg(long)]
    pub context: Option<usize>,
    /// Make weights in floats smaller when they are loaded.
    #[arg(long, visible_alias = "quant", value_enum)]
    pub quantize: Option<QuantisationName>,
}

/// A type that weights are made smaller to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum QuantisationName {
    /// Eight bits and a half.
    #[value(name = "q8_0")]
    Q8_0,
    /// Four bits and a half.
    #[value(name = "q4_k")]
    Q4K,
}

/// Generate from a model.
#[derive(Debug, Args)]
pub struct EngineRun {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub model: EngineModel,
    /// What the user says; `-` reads standard input.
    #[arg(long)]
    pub prompt: String,
    /// A system message.
    #[arg(long)]
    pub system: Option<String>,
    /// Tokens to generate at most.
    #[arg(long, default_value_t = 512)]
    pub max_tokens: usize,
    /// Tokens of reasoning after which it is closed.
    #[arg(long)]
    pub max_reasoning_tokens: Option<usize>,
    /// Temperature; 0 takes the likeliest token.
    #[arg(long, default_value_t = 0.6)]
    pub temperature: f32,
    /// Nucleus mass.
    #[arg(long, default_value_t = 0.95)]
    pub top_p: f32,
    /// Seed.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Print JSON lines, an event each.
    #[arg(long)]
    pub json: bool,
}

/// Measure a model's speed.
#[derive(Debug, Args)]
pub struct EngineBench {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub model: EngineModel,
    /// Tokens of each prompt.
    #[arg(long, default_value_t = 512)]
    pub prompt_tokens: usize,
    /// Tokens of each reply after its first.
    #[arg(long, default_value_t = 128)]
    pub gen_tokens: usize,
    /// Replies side by side; a measurement for each number.
    #[arg(long, value_delimiter = ',', default_value = "1", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub streams: Vec<u16>,
    /// Print JSON lines, a measurement each.
    #[arg(long)]
    pub json: bool,
}

/// Compare a model with golden values.
#[derive(Debug, Args)]
pub struct EngineVerify {
    /// Folder of the checkpoint, with `golden.json` and `golden.safetensors`.
    #[arg(long)]
    pub model: PathBuf,
    /// The largest distance of a logit that is let pass.
    #[arg(long, default_value_t = 1e-3)]
    pub bound: f32,
    /// Print JSON for programs instead of text for people.
    #[arg(long)]
    pub json: bool,
}

/// Say what a model would cost.
#[derive(Debug, Args)]
pub struct EnginePlan {
    /// The model's `config.json`, or its folder.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Weights made smaller to this; as the model has them when absent.
    #[arg(long, visible_alias = "quantize", value_enum)]
    pub quant: Option<QuantisationName>,
    /// Tokens of context to plan for.
    #[arg(long)]
    pub context: Option<usize>,
    /// Threads that the bandwidth is measured with; one per processor when absent.
    #[arg(long)]
    pub threads: Option<usize>,
    /// Print JSON for programs instead of text for people.
    #[arg(long)]
    pub json: bool,
}

/// Run Postgres as a child that ends with its parent.
#[derive(Debug, Args)]
pub struct ManagedPostgres {
    /// The program and its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    pub program: Vec<std::ffi::OsString>,
}
