//! TLS: the only importer of rustls. Certificates are verified before they are published; no socket is opened here.
//!
//! - `server`: what the front door shows and asks for
//! - `development`: a CA and certificate of our own, where the operator gave none
//! - [`client`]: what upstreams are trusted by
//! - `system`: connections on errands of the gateway's own
//! - `certificate`: the few facts that are read from a certificate

mod server;

mod development;

pub mod client;
mod system;

mod certificate;
mod error;
mod provider;

pub use error::Error;
pub use provider::{install, provider};
pub use server::{Prepared, Server, Shown, Stream, client_subject};
pub use system::{Connector, connector, connector_trusting};
