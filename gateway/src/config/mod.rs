//! Configuration: file and environment in, one checked [`Config`] out.

mod beside;
mod settings;

mod resolve;

mod auditing;
mod callers;
mod front;
mod issuers;
mod serving;
mod terms;

mod read;

mod env;
mod hidden;
mod hub;
mod prices;
mod secret;
mod tree;
mod units;

pub use beside::{AskWhen, Canary, Judging, LogFormat, Observe, Reload};
pub use env::Environment;
pub use hidden::Hidden;
pub use hub::{HubModel, Place, find_model, model_path};
pub use issuers::{Issuer, KeySource, key_url};
pub use prices::{LOCAL, read_prices};
pub use read::Mistake;
pub(crate) use read::{Shared, Table, nearest};
pub use resolve::{Loaded, load, read};
pub use secret::Secret;
pub use settings::{
    Adaptation, CallerCertificate, CallerKey, Callers, Candidate, CertificateFiles, ClientCertificates, Config,
    Database, Ledger, Limits, Listen, LocalModel, Model, PayloadKey, Policies, Quantise, Recording, Remote, Retention,
    RetentionClass, Shadow, Spool, StreamUsage, Timeouts, Tls, Transport, Upstream, UpstreamKind,
};
pub use terms::{Team, Terms};
pub(crate) use tree::{Node, Place as FilePlace, Value as Tree, parse as parse_tree};
pub use units::{read_duration, write_duration};

#[cfg(test)]
mod tests;
