//! Configuration: file and environment in, one checked [`Config`] out.

mod settings;

mod resolve;

mod auditing;
mod front;
mod serving;

mod read;

mod env;
mod hub;
mod prices;
mod secret;
pub(crate) mod tree;
mod units;

pub use env::Environment;
pub use hub::{HubModel, Place, find_model, model_path};
pub use prices::{LOCAL, read_prices};
pub use read::Mistake;
pub use resolve::{Loaded, load, read};
pub use secret::Secret;
pub use settings::{
    AskWhen, CallerKey, Callers, Canary, Candidate, CertificateFiles, ClientCertificates, Config, Database, Judging,
    Ledger, Limits, Listen, LocalModel, LogFormat, Model, Observe, PayloadKey, Policies, Quantise, Recording, Reload,
    Remote, Retention, RetentionClass, Shadow, Spool, Timeouts, Tls, Transport, Upstream, UpstreamKind,
};
pub use units::{read_duration, write_duration};

#[cfg(test)]
mod tests;
