//! TLS towards upstreams: whom to trust, and how a refused certificate is told. It opens no connections itself.

use std::error::Error as StdError;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper_rustls::HttpsConnector;
use rustls::crypto::aws_lc_rs;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// Whom an upstream's certificate may be signed by; cheap to clone, and sessions are resumed over all clones.
#[derive(Clone)]
pub struct Trust(Arc<ClientConfig>);

impl fmt::Debug for Trust {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Trust")
    }
}

impl Trust {
    /// Trusts nobody: for upstreams that are spoken to in plain HTTP.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn nobody() -> Result<Self, Error> {
        Self::of(RootCertStore::empty())
    }

    /// Trusts the system's authorities, and those of a PEM file beside them.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn open(extra: Option<&Path>) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        // Certificates of the system that cannot be read are of no use, and no reason not to start.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = extra {
            for certificate in read(path)? {
                roots.add(certificate).map_err(|_| Error::Certificate(path.to_owned()))?;
            }
        }
        if roots.is_empty() {
            return Err(Error::NoRoots);
        }
        Self::of(roots)
    }

    fn of(roots: RootCertStore) -> Result<Self, Error> {
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|_| Error::Provider)?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    /// Puts TLS over a connector wherever a URL asks for it.
    #[must_use]
    pub fn over<C>(&self, connector: C) -> HttpsConnector<C> {
        HttpsConnector::from((connector, self.0.clone()))
    }
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let bytes = std::fs::read(path).map_err(|error| Error::File(path.to_owned(), error.kind()))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(Error::Certificate(path.to_owned())),
    }
}

/// Why TLS towards upstreams cannot be set up.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read.
    File(PathBuf, std::io::ErrorKind),
    /// A file holds no usable certificate.
    Certificate(PathBuf),
    /// Nobody is trusted: the system has no authorities and the configuration names none.
    NoRoots,
    /// The cryptography lacks what TLS needs: a defect of the build.
    Provider,
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, kind) => write!(formatter, "read certificates from `{}`: {kind}", path.display()),
            Self::Certificate(path) => {
                write!(formatter, "read certificates from `{}`: it holds none that can be used", path.display())
            }
            Self::NoRoots => formatter.write_str(
                "trust any upstream: this system has no certificate authorities (install `ca-certificates` or set `roots`)",
            ),
            Self::Provider => formatter.write_str("set up TLS: the cryptography provider lacks its protocol versions"),
        }
    }
}

impl StdError for Error {}

/// What an operator may read of a failed handshake, where an error in the chain is one. Names from the peer's
/// certificate are left out.
#[must_use]
pub fn explain(error: &(dyn StdError + 'static)) -> Option<&'static str> {
    let error = error.downcast_ref::<rustls::Error>()?;
    Some(match error {
        rustls::Error::InvalidCertificate(error) => match error {
            // A bad signature is what an unknown authority with a known one's name comes to.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "its certificate is signed by no authority that is trusted"
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "its certificate has expired",
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate is for another name"
            }
            CertificateError::Revoked => "its certificate was revoked",
            _ => "its certificate is not acceptable",
        },
        rustls::Error::InvalidMessage(_) => "it does not speak TLS",
        rustls::Error::AlertReceived(_) => "it refused the handshake",
        rustls::Error::PeerIncompatible(_) => "no TLS version or cipher in common",
        _ => "the TLS handshake failed",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("candor-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap_or_else(|error| panic!("{error}"));
        path
    }

    #[test]
    fn a_file_without_certificates_is_told_by_its_path() {
        let check = |path: &Path, part: &str| {
            let text = Trust::open(Some(path)).map(|_| ()).unwrap_err().to_string();
            assert!(text.contains(part) && text.contains(&path.display().to_string()), "{text}");
        };
        let empty = file("empty.pem", "");
        let broken = file("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        check(&empty, "holds none");
        check(&broken, "holds none");
        check(Path::new("/nowhere/roots.pem"), "entity not found");
        let _ = (std::fs::remove_file(empty), std::fs::remove_file(broken));
    }

    #[test]
    fn extra_roots_are_trusted() {
        let key = rcgen::KeyPair::generate().unwrap_or_else(|error| panic!("{error}"));
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap_or_else(|error| panic!("{error}"));
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = parameters.self_signed(&key).unwrap_or_else(|error| panic!("{error}"));
        let path = file("roots.pem", &certificate.pem());
        assert!(Trust::open(Some(&path)).is_ok());
        let _ = std::fs::remove_file(path);
    }
}
