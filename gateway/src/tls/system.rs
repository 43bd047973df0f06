//! Connections that the gateway makes on errands of its own, to servers that the system's roots vouch for. Upstreams are
//! not among them.

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
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    Ok(trust.over(http))
}
