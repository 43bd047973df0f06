//! The resolved configuration: every value present, typed and checked. It does not read files or the environment.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use super::{Canary, Issuer, Judging, Observe, Place, Reload, Secret, Team, Terms};
use crate::cost::{Currency, Price};
use crate::exchange::Dialect;
use crate::upstream::catalogue::Catalogue;

/// Everything the gateway was told, checked as a whole; holding one means it is usable.
#[derive(Debug, Clone)]
pub struct Config {
    /// Directory for the spool, development certificates, the managed cluster and caches.
    pub data: PathBuf,
    /// Number of serving threads, each with a runtime of its own.
    pub workers: usize,
    /// The front door.
    pub listen: Listen,
    /// Address of a separate admin listener; health is answered on the front door in any case.
    pub admin: Option<SocketAddr>,
    /// What one client may take.
    pub limits: Limits,
    /// How long shutdown may take before streams are ended.
    pub drain: Duration,
    /// Where records end up.
    pub database: Database,
    /// How records are kept until then.
    pub spool: Spool,
    /// How the ledger over them is signed.
    pub ledger: Ledger,
    /// Keys that requests and replies are hidden under in the database; the first one is written with.
    pub payload_keys: Vec<PayloadKey>,
    /// How long they are kept.
    pub retention: Retention,
    /// Who may call.
    pub callers: Callers,
    /// What teams may take together.
    pub teams: Vec<Team>,
    /// How vendors differ: the shipped entries and those of the file.
    pub catalogue: Arc<Catalogue>,
    /// The file of them, where there is one.
    pub catalogue_file: Option<PathBuf>,
    /// What can answer, in the order of the file.
    pub upstreams: Vec<Upstream>,
    /// Names that clients use, and who may serve them.
    pub models: Vec<Model>,
    /// What models cost, as the operator says; asked before what is shipped.
    pub prices: Vec<Price>,
    /// What one unit of another currency is worth, in billionths of a dollar: budgets are kept in dollars.
    pub exchange_rates: Vec<(Currency, u64)>,
    /// The rule packs in force.
    pub policies: Policies,
    /// The model that is asked about verdicts, where one is.
    pub judge: Option<Judging>,
    /// Logs, traces, metrics.
    pub observe: Observe,
    /// What is asked again and again, to see whether a model changes.
    pub canary: Option<Canary>,
    /// When the configuration is read again.
    pub reload: Reload,
}

impl Config {
    /// Files beside the configuration's own that say what it means.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let tls = match &self.listen.transport {
            Transport::Tls(tls) => Some(tls),
            Transport::Plain => None,
        };
        let own = tls.and_then(|tls| tls.certificate.as_ref()).into_iter().flat_map(|own| [&own.chain, &own.key]);
        let clients = tls.and_then(|tls| match &tls.client_certificates {
            ClientCertificates::Ignore => None,
            ClientCertificates::Optional { authorities } | ClientCertificates::Required { authorities } => {
                Some(authorities)
            }
        });
        let roots = self.upstreams.iter().filter_map(|upstream| match &upstream.kind {
            UpstreamKind::Remote(remote) => remote.roots.as_ref(),
            UpstreamKind::Local(_) => None,
        });
        let packs = self.policies.files.iter().chain(&self.catalogue_file);
        packs.chain(own).chain(clients).chain(roots).map(PathBuf::as_path)
    }
}

/// The front door's address and transport.
#[derive(Debug, Clone, PartialEq)]
pub struct Listen {
    /// Address to bind; port 0 asks the system for one.
    pub address: SocketAddr,
    /// TLS, or plain HTTP where the file says so.
    pub transport: Transport,
}

/// How bytes travel between clients and the gateway.
#[derive(Debug, Clone, PartialEq)]
pub enum Transport {
    /// Plain HTTP; resolution has made sure the address is loopback or the file insists.
    Plain,
    /// TLS with the operator's or the development certificate.
    Tls(Tls),
}

/// Server-side TLS.
#[derive(Debug, Clone, PartialEq)]
pub struct Tls {
    /// Certificate chain and key files; `None` makes a development CA in the data directory.
    pub certificate: Option<CertificateFiles>,
    /// Names and addresses that a development certificate is made for.
    pub development_names: Vec<String>,
    /// Whether clients present certificates.
    pub client_certificates: ClientCertificates,
}

/// PEM files of a certificate chain and its private key.
#[derive(Debug, Clone, PartialEq)]
pub struct CertificateFiles {
    /// Chain, leaf first.
    pub chain: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

/// What is asked of clients during the handshake.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientCertificates {
    /// Nothing is asked.
    Ignore,
    /// A certificate is verified when one is given.
    Optional {
        /// PEM file of the authorities that clients may be signed by.
        authorities: PathBuf,
    },
    /// A handshake without a verified certificate fails.
    Required {
        /// PEM file of the authorities that clients may be signed by.
        authorities: PathBuf,
    },
}

/// Bounds on what one client or connection may take.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Open connections over all workers.
    pub connections: usize,
    /// Time for a TLS handshake.
    pub handshake: Duration,
    /// Bytes of one request's header section.
    pub header_bytes: usize,
    /// Time for a header section to arrive.
    pub header_time: Duration,
    /// Bytes of one request body.
    pub body_bytes: usize,
    /// Time for a body to arrive whole.
    pub body_time: Duration,
    /// Time a connection may idle between requests.
    pub idle: Duration,
    /// Concurrent streams of one HTTP/2 connection.
    pub h2_streams: u32,
    /// Streams that a client may open and reset before the connection is closed.
    pub h2_resets: usize,
    /// Exchanges in flight over all callers.
    pub exchanges: usize,
    /// Bytes of a reply kept for its record and for judgement; what is beyond is passed on and counted.
    pub reply_bytes: usize,
    /// Bytes of one event of a stream.
    pub event_bytes: usize,
}

/// Where the store lives.
#[derive(Debug, Clone, PartialEq)]
pub enum Database {
    /// A Postgres that somebody runs.
    Url(Secret),
    /// A private cluster that the gateway runs from installed binaries.
    Managed {
        /// Directory of `initdb` and `postgres`; `None` searches the usual places.
        binaries: Option<PathBuf>,
    },
}

/// The local queue of records.
#[derive(Debug, Clone, PartialEq)]
pub struct Spool {
    /// Longest that a frame waits for others before it is synced.
    pub group: Duration,
    /// Bytes after which a segment is closed.
    pub segment_bytes: u64,
    /// Bytes that all segments together may take.
    pub total_bytes: u64,
    /// Rows of one shipped batch.
    pub batch_rows: usize,
    /// Keys that frames are hidden under on the disk: those of payloads.
    pub keys: Vec<PayloadKey>,
}

/// The ledger over all records.
#[derive(Debug, Clone, PartialEq)]
pub struct Ledger {
    /// How often waiting records are sealed and the head is signed.
    pub every: Duration,
    /// Name of the key that signs.
    pub name: String,
    /// The key, Ed25519 in PKCS#8; `None` for one that is made in the data directory.
    pub key_file: Option<PathBuf>,
}

/// A key that payloads are hidden under in the database.
#[derive(Clone, PartialEq)]
pub struct PayloadKey {
    /// Its name, as rows have it.
    pub id: String,
    /// The key, for AES-256.
    pub bytes: [u8; 32],
}

impl std::fmt::Debug for PayloadKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("PayloadKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// How long records are kept, and who may take them away.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Retention {
    /// Days that requests and replies are kept; `None` for ever.
    pub payload_days: Option<u32>,
    /// Months that everything else is kept; `None` for ever.
    pub metadata_months: Option<u32>,
    /// Findings whose payloads are kept longer.
    pub classes: Vec<RetentionClass>,
    /// Whether an erasure needs a second person.
    pub two_person_erasure: bool,
}

/// Findings whose payloads are kept longer.
#[derive(Debug, Clone, PartialEq)]
pub struct RetentionClass {
    /// A rule or a topic.
    pub name: String,
    /// Days that their exchanges' payloads are kept.
    pub payload_days: u32,
}

/// What is promised of a route's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recording {
    /// Nothing is answered whole unless its record is durable.
    Required,
    /// The record never delays or refuses an exchange; losses are counted.
    BestEffort,
}

/// Who may call.
#[derive(Debug, Clone)]
pub struct Callers {
    /// Whether a request without a key is served, as the caller `anonymous`.
    pub anonymous: bool,
    /// Keys named in the file, beside those in the database.
    pub keys: Vec<CallerKey>,
    /// How often the database's keys are read again.
    pub refresh: Duration,
    /// What every caller may take that has no terms of its own.
    pub defaults: Arc<Terms>,
    /// Client certificates that stand for callers.
    pub certificates: Vec<CallerCertificate>,
    /// Whose signed tokens say who a caller is.
    pub issuers: Vec<Issuer>,
}

/// One key from the file.
#[derive(Debug, Clone)]
pub struct CallerKey {
    /// Who it stands for.
    pub caller: String,
    /// The caller's team.
    pub team: Option<String>,
    /// The caller's role.
    pub role: Option<String>,
    /// The key itself.
    pub key: Secret,
    /// What it may ask for, and how much of it.
    pub terms: Terms,
    /// When it ends.
    pub expires: Option<OffsetDateTime>,
}

/// A client certificate that stands for a caller.
#[derive(Debug, Clone)]
pub struct CallerCertificate {
    /// Its subject as the gateway shows it, such as `CN=batch, O=example`; a trailing `*` matches any suffix.
    pub subject: String,
    /// Who it stands for.
    pub caller: String,
    /// The caller's team.
    pub team: Option<String>,
    /// The caller's role.
    pub role: Option<String>,
    /// What it may ask for, and how much of it.
    pub terms: Terms,
}

/// Something that can answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Upstream {
    /// Unique name, used in logs, metrics and records.
    pub name: String,
    /// Where the answers come from.
    pub kind: UpstreamKind,
    /// Free tags that rules may ask for (`jurisdiction`, `data-class`, ...).
    pub tags: Vec<(String, String)>,
}

/// A remote backend or the engine.
#[derive(Debug, Clone, PartialEq)]
pub enum UpstreamKind {
    /// A server that speaks a known dialect.
    Remote(Box<Remote>),
    /// The engine in this process.
    Local(LocalModel),
}

/// A remote backend.
#[derive(Debug, Clone, PartialEq)]
pub struct Remote {
    /// Catalogue entry that says how the vendor differs.
    pub provider: String,
    /// Base URL including the version segment, such as `https://api.deepseek.com/v1`.
    pub base_url: String,
    /// What it speaks, the main dialect first, all under the base URL; empty means what the catalogue says.
    pub dialects: Vec<Dialect>,
    /// Credential; `None` sends none.
    pub key: Option<Secret>,
    /// PEM file of extra roots; `None` trusts the system's.
    pub roots: Option<PathBuf>,
    /// Digest of the catalogue that the entry was found in.
    pub catalogue: String,
    /// Whether requests are changed to what its catalogue entry says it takes.
    pub adapt: Adaptation,
    /// Whether usage of a stream is asked for where its client does not.
    pub stream_usage: StreamUsage,
    /// Time limits by meaning.
    pub timeouts: Timeouts,
    /// Idle connections kept per worker.
    pub idle_connections: usize,
    /// Calls in flight; `None` is unlimited.
    pub concurrency: Option<usize>,
}

/// Whether requests are changed to what an upstream takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adaptation {
    /// As its catalogue entry says.
    On,
    /// Bytes pass as they are.
    Off,
}

/// Whether the usage of a stream is asked for on a client's behalf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamUsage {
    /// Where the provider tells it only if asked; the client does not see it.
    Ask,
    /// As the client asked.
    AsSent,
}

/// Time limits of one upstream call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timeouts {
    /// Connection and handshake.
    pub connect: Duration,
    /// From the request's last byte to the reply's head.
    pub first_byte: Duration,
    /// From the request's last byte to the first event that carries meaning.
    pub first_event: Duration,
    /// Between two events that carry meaning.
    pub gap: Duration,
    /// The whole call.
    pub total: Duration,
}

/// A model that the engine serves.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalModel {
    /// Folder of the checkpoint, GGUF file, or a model that is fetched from the hub before it is loaded.
    pub place: Place,
    /// What weights in floats are made smaller to; `None` leaves them as they are.
    pub quantise: Option<Quantise>,
    /// Tokens of context; `None` is the model's own.
    pub context: Option<usize>,
    /// Sequences generated at once.
    pub sequences: usize,
    /// Requests that may wait.
    pub queue: usize,
    /// Compute threads; `None` leaves it to the engine.
    pub threads: Option<usize>,
    /// Time limits: only `first_event`, `gap` and `total` apply.
    pub timeouts: Timeouts,
}

/// A type that weights are made smaller to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantise {
    /// Eight bits and a half.
    Q8_0,
    /// Four bits and a half.
    Q4K,
}

/// A name that clients use.
#[derive(Debug, Clone)]
pub struct Model {
    /// The name; a trailing `*` matches any suffix.
    pub name: String,
    /// Who may serve it.
    pub candidates: Vec<Candidate>,
    /// What is promised of its records.
    pub recording: Recording,
    /// Attempts in all, the first included, before the client is told.
    pub attempts: u32,
    /// Whether a conversation's turns go to the same candidate while it has room, for its cache of prefixes.
    pub affinity: bool,
    /// After how long without anything said a second candidate is asked beside the first; `None` for never.
    pub hedge: Option<Duration>,
    /// Who gets copies of some of its exchanges.
    pub shadow: Option<Shadow>,
}

/// Copies of exchanges that go to another upstream, recorded and read by nobody.
#[derive(Debug, Clone)]
pub struct Shadow {
    /// Share of the exchanges that are copied, above 0 to 1.
    pub sample: f64,
    /// Who answers the copies.
    pub candidate: Candidate,
}

/// One way to serve a model.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Name of the upstream.
    pub upstream: String,
    /// The model's name there; `None` keeps the client's.
    pub model: Option<String>,
    /// Lower is tried first.
    pub priority: u32,
    /// Share among candidates of equal priority; 0 takes no traffic.
    pub weight: u32,
    /// What it costs, where that is said here.
    pub price: Option<Price>,
}

/// The packs in force.
#[derive(Debug, Clone)]
pub struct Policies {
    /// Compiled-in packs by name.
    pub shipped: Vec<String>,
    /// Pack files.
    pub files: Vec<PathBuf>,
}
