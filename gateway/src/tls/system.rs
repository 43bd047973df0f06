//! Connections that the gateway makes on errands of its own, to servers that the system's roots vouch for, or to itself.
//! Upstreams are not among them.

use std::path::Path;

use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;

use super::client::{Error, Trust};

/// Connects to `https` with the system's roots, and to `http`.
pub type Connector = HttpsConnector<HttpConnector>;

/// A connector; the system's roots are read only where they are needed.
///
/// # Errors
/// Where they are needed and there are none.
pub fn connector(url: &str) -> Result<Connector, Error> {
    let trust = if url.starts_with("https:") { Trust::open(None)? } else { Trust::nobody()? };
    Ok(over_tcp(&trust))
}

/// A connector that trusts an authority of a file too.
///
/// # Errors
/// Where the file holds none.
pub fn connector_trusting(authority: &Path) -> Result<Connector, Error> {
    Ok(over_tcp(&Trust::open(Some(authority))?))
}

fn over_tcp(trust: &Trust) -> Connector {
    let mut http = HttpConnector::new();
    http.set_nodelay(true);
    http.enforce_http(false);
    trust.over(http)
}
