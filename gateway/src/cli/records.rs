//! What the command line says of records and the ledger over them.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Configured;

/// Look at recorded exchanges.
#[derive(Debug, Subcommand)]
pub enum Records {
    /// List exchanges, newest first.
    List(Box<RecordsList>),
    /// Show one exchange: prompt, reasoning, answer, findings marked in place, verdict, timings.
    Show(RecordsShow),
    /// Write exchanges as JSON lines, or as an evidence bundle that proves them.
    Export(RecordsExport),
    /// Write down what a reviewer decided about an exchange; it leaves the review queue.
    Decide(RecordsDecide),
    /// Destroy requests and replies; what happened stays provable.
    Erase(RecordsErase),
    /// Protect exchanges from erasure and retention.
    Hold(RecordsHold),
    /// End the protection of a matter's exchanges.
    Release(RecordsRelease),
    /// Drop what is older than `retention` allows; a gateway does so by itself where its database user may.
    Retain(Configured),
}

/// Which exchanges are meant.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub struct Meant {
    /// Exchanges by id, as in `x-request-id`.
    #[arg(value_name = "ID")]
    pub ids: Vec<uuid::Uuid>,
    /// All exchanges of this caller within --since.
    #[arg(long, conflicts_with = "ids")]
    pub caller: Option<String>,
    /// All exchanges within --since whose clients said this in `x-candor-subject`.
    #[arg(long, conflicts_with_all = ["ids", "caller"])]
    pub subject: Option<String>,
}

/// Write exchanges out.
#[derive(Debug, Args)]
pub struct RecordsExport {
    /// How far back, such as `15m`, `24h`, `7d`.
    #[arg(long, default_value = "24h", conflicts_with = "all")]
    pub since: String,
    /// Everything that was ever recorded.
    #[arg(long)]
    pub all: bool,
    /// Write an evidence bundle to this file instead of JSON lines to standard output.
    #[arg(long, value_name = "FILE")]
    pub bundle: Option<PathBuf>,
    /// A signed checkpoint that was kept; the bundle proves that it continues it. May be given more than once.
    #[arg(long, value_name = "FILE", requires = "bundle")]
    pub checkpoint: Vec<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub configured: Configured,
}

/// Destroy requests and replies.
#[derive(Debug, Args)]
pub struct RecordsErase {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub meant: Option<Meant>,
    /// How far back --caller reaches, such as `24h`, `365d`.
    #[arg(long, default_value = "3650d")]
    pub since: String,
    /// Who erases.
    #[arg(long)]
    pub by: String,
    /// Why: a request's reference, an article of law.
    #[arg(long, required_unless_present = "approve")]
    pub why: Option<String>,
    /// Approve an erasure that somebody else asked for.
    #[arg(long, value_name = "REQUEST", conflicts_with_all = ["ids", "caller", "subject", "why"])]
    pub approve: Option<uuid::Uuid>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub configured: Configured,
}

/// Write a decision down.
#[derive(Debug, Args)]
pub struct RecordsDecide {
    /// The exchange's id, as in `x-request-id`.
    pub id: uuid::Uuid,
    /// What was decided: confirmed, over_refusal, censorship, detector_error, no_issue, escalated.
    #[arg(long)]
    pub decision: String,
    /// Who decides.
    #[arg(long)]
    pub by: String,
    /// Why.
    #[arg(long)]
    pub why: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub configured: Configured,
}

/// Protect exchanges.
#[derive(Debug, Args)]
pub struct RecordsHold {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub meant: Meant,
    /// How far back --caller reaches, such as `24h`, `365d`.
    #[arg(long, default_value = "3650d")]
    pub since: String,
    /// The matter that they are held for.
    #[arg(long)]
    pub matter: String,
    /// Who holds.
    #[arg(long)]
    pub by: String,
    /// Why.
    #[arg(long)]
    pub why: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub configured: Configured,
}

/// End a protection.
#[derive(Debug, Args)]
pub struct RecordsRelease {
    /// The matter whose exchanges need no protection any more.
    #[arg(long)]
    pub matter: String,
    /// Who releases.
    #[arg(long)]
    pub by: String,
    /// Why.
    #[arg(long)]
    pub why: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub configured: Configured,
}

/// Check an evidence bundle.
#[derive(Debug, Args)]
pub struct Verify {
    /// The bundle; `-` reads standard input.
    #[arg(value_name = "BUNDLE")]
    pub bundle: PathBuf,
    /// A key that you know to be the ledger's, as `candor serve` prints it. May be given more than once.
    #[arg(long, value_name = "KEY")]
    pub key: Vec<String>,
    /// A signed checkpoint that you kept. May be given more than once.
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Vec<PathBuf>,
    /// Print JSON for programs instead of text for people.
    #[arg(long)]
    pub json: bool,
}

/// Look at the ledger.
#[derive(Debug, Subcommand)]
pub enum Ledger {
    /// How much is sealed, what waits, which streams there are.
    Status(Configured),
    /// Print the newest signed checkpoint: keep it where nobody of this system can write.
    Checkpoint(Configured),
    /// List what was done to records, and to what they are made under: erasures, holds, looks, changed rules and keys.
    Events(LedgerEvents),
}

/// List events of the ledger.
#[derive(Debug, Args)]
pub struct LedgerEvents {
    /// How far back, such as `24h`, `30d`.
    #[arg(long, default_value = "30d")]
    pub since: String,
    /// Only of this kind, such as `erase`. May be given more than once.
    #[arg(long = "kind", value_name = "KIND")]
    pub kinds: Vec<String>,
    /// Only about this exchange.
    #[arg(long)]
    pub exchange: Option<uuid::Uuid>,
    /// How many at most, newest first.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub configured: Configured,
}

/// List exchanges.
#[derive(Debug, Args)]
pub struct RecordsList {
    /// How far back, such as `15m`, `24h`, `7d`.
    #[arg(long, default_value = "24h")]
    pub since: String,
    /// Only exchanges of this caller.
    #[arg(long)]
    pub caller: Option<String>,
    /// Only exchanges with this model.
    #[arg(long)]
    pub model: Option<String>,
    /// Only exchanges that this upstream answered.
    #[arg(long)]
    pub upstream: Option<String>,
    /// Only this outcome: complied, partial, refused, blocked, failed.
    #[arg(long)]
    pub outcome: Option<String>,
    /// Only this manner, such as `canned_deflection`.
    #[arg(long)]
    pub manner: Option<String>,
    /// Only exchanges that ended so, such as `complete`, `stopped`, `client_left`.
    #[arg(long)]
    pub ending: Option<String>,
    /// Only exchanges with a finding of this rule.
    #[arg(long)]
    pub rule: Option<String>,
    /// Only exchanges with a finding on this topic.
    #[arg(long)]
    pub topic: Option<String>,
    /// Only exchanges with a finding of this action: flag, redact, stop.
    #[arg(long)]
    pub action: Option<String>,
    /// Only exchanges that wait for a person to look at them: pending.
    #[arg(long)]
    pub review: Option<String>,
    /// Only exchanges in whose texts all these words stand; the words' order is not asked.
    #[arg(long)]
    pub text: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 50)]
    pub limit: u32,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub configured: Configured,
}

/// Show one exchange.
#[derive(Debug, Args)]
pub struct RecordsShow {
    /// The exchange's id, as in `x-request-id`.
    pub id: uuid::Uuid,
    /// Also print the raw bytes of request and reply.
    #[arg(long)]
    pub raw: bool,
    /// Who looks; the ledger keeps it.
    #[arg(long, env = "USER", default_value = "unknown")]
    pub by: String,
    /// What for; the ledger keeps it.
    #[arg(long, default_value = "")]
    pub purpose: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub configured: Configured,
}

/// Records on this machine's disk.
#[derive(Debug, Subcommand)]
pub enum Spool {
    /// Which streams wait, and how much of them.
    Status(Configured),
    /// Store the spool of a gateway that will not come back; it must not be running.
    Import(SpoolImport),
}

/// Store another gateway's spool.
#[derive(Debug, Args)]
pub struct SpoolImport {
    /// That gateway's data directory.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub configured: Configured,
}
