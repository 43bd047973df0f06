//! The one cryptographic provider. It holds no certificate and no key.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};

/// The provider that every TLS builder of the gateway is given.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Makes it the process's default as well, for libraries that build their own TLS; the first call counts.
pub fn install() {
    // A second installation fails, which changes nothing: it would be the same provider.
    let _ = aws_lc_rs::default_provider().install_default();
}
