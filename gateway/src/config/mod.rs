//! Configuration: file and environment in, one checked [`Config`] out.

mod secret;
mod settings;

pub use secret::Secret;
pub use settings::{
    CallerKey, Callers, Candidate, CertificateFiles, ClientCertificates, Config, Database, Limits,
    Listen, LocalModel, LogFormat, Model, Observe, Policies, Recording, Remote, Spool, Timeouts,
    Tls, Transport, Upstream, UpstreamKind,
};
