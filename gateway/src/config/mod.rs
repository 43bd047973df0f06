//! Configuration: file and environment in, one checked [`Config`] out.

mod settings;

mod resolve;

mod front;
mod serving;

mod read;

mod env;
mod hub;
mod secret;
mod tree;
mod units;

pub use env::Environment;
pub use hub::{HubModel, Place, find_model, model_path};
pub use read::Mistake;
pub use resolve::{Loaded, load, read};
pub use secret::Secret;
pub use settings::{
    CallerKey, Callers, Candidate, CertificateFiles, ClientCertificates, Config, Database, Limits, Listen, LocalModel,
    LogFormat, Model, Observe, Policies, Quantise, Recording, Remote, Spool, Timeouts, Tls, Transport, Upstream,
    UpstreamKind,
};
pub use units::{read_duration, write_duration};

#[cfg(test)]
mod tests;
