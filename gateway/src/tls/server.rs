//! What the front door shows and asks for in a handshake. A certificate is verified before it is published, and live
//! connections keep the one they began with.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{ClientHello, NoClientAuth, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use time::{Duration, OffsetDateTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

use super::{Error, certificate, development, provider};
use crate::config::{CertificateFiles, ClientCertificates, Listen, Tls};

/// A connection after its handshake.
pub type Stream<S> = tokio_rustls::server::TlsStream<S>;

/// How long before its end a certificate is warned of.
const WARN_BEFORE: Duration = Duration::days(14);

/// The front door's side of handshakes.
#[derive(Debug)]
pub struct Server {
    current: ArcSwap<ServerConfig>,
    files: CertificateFiles,
    shown: Shown,
}

/// Certificates that are verified and not in force yet.
#[derive(Debug)]
pub struct Prepared(Arc<ServerConfig>);

/// What people are told so that their clients can trust the front door.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The development authority's certificate, for clients; `None` where the operator gave a certificate.
    pub authority: Option<PathBuf>,
    /// SHA-256 of the authority's certificate, or of the operator's leaf, as `AB:CD:...`.
    pub fingerprint: String,
}

impl Server {
    /// Loads the operator's certificate, or makes one for development in the data directory.
    ///
    /// # Errors
    /// Where a file is missing, unreadable or not what it should be.
    pub fn open(tls: &Tls, listen: &Listen, data: &Path, now: OffsetDateTime) -> Result<Self, Error> {
        let (files, authority) = match &tls.certificate {
            Some(files) => (files.clone(), None),
            None => {
                let names = development::names(&tls.development_names, listen.address);
                let made = development::open(&data.join("tls"), &names, now)?;
                (made.files, Some(made.authority))
            }
        };
        let config = load(&files, &tls.client_certificates, now)?;
        let fingerprint = fingerprint(authority.as_ref().unwrap_or(&files.chain))?;
        // Absolute, since whoever reads it may stand elsewhere.
        let authority = authority.map(|path| std::path::absolute(&path).unwrap_or(path));
        let shown = Shown { authority, fingerprint };
        Ok(Self { current: ArcSwap::new(config), files, shown })
    }

    /// What people are told.
    #[must_use]
    pub fn shown(&self) -> &Shown {
        &self.shown
    }

    /// Reads the files again, which may be others than before; the development certificate stays the one that was made.
    /// What is in force stays until it is published.
    ///
    /// # Errors
    /// As [`Server::open`].
    pub fn prepare(&self, tls: &Tls, now: OffsetDateTime) -> Result<Prepared, Error> {
        let files = tls.certificate.as_ref().unwrap_or(&self.files);
        load(files, &tls.client_certificates, now).map(Prepared)
    }

    /// Puts what was read in force for connections that begin from now on.
    pub fn publish(&self, prepared: Prepared) {
        self.current.store(prepared.0);
    }

    /// Does the handshake of one connection; the caller bounds its time.
    ///
    /// # Errors
    /// Where the client and we do not agree, or it leaves.
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, socket: S) -> std::io::Result<Stream<S>> {
        TlsAcceptor::from(self.current.load_full()).accept(socket).await
    }
}

/// Subject of the certificate that a client proved to hold, where it was asked for one.
#[must_use]
pub fn client_subject<S>(stream: &Stream<S>) -> Option<Arc<str>> {
    let leaf = stream.get_ref().1.peer_certificates()?.first()?;
    Some(certificate::read(leaf)?.subject.into())
}

fn load(
    files: &CertificateFiles,
    clients: &ClientCertificates,
    now: OffsetDateTime,
) -> Result<Arc<ServerConfig>, Error> {
    let key = certified_key(files)?;
    warn_of_expiry(&files.chain, &key, now);
    let provider = provider();
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
    let builder = match clients {
        ClientCertificates::Ignore => builder.with_client_cert_verifier(Arc::new(NoClientAuth)),
        ClientCertificates::Optional { authorities } => {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots(authorities)?, provider);
            let verifier = verifier.allow_unauthenticated().build();
            builder.with_client_cert_verifier(verifier.map_err(|error| Error::content(authorities, error))?)
        }
        ClientCertificates::Required { authorities } => {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots(authorities)?, provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| Error::content(authorities, error))?)
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(One(Arc::new(key))));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Returning clients resume without a full handshake, on any worker.
    config.ticketer = Ticketer::new()?;
    Ok(Arc::new(config))
}

/// The one certificate that is shown, whatever name a client asks for.
#[derive(Debug)]
struct One(Arc<CertifiedKey>);

impl ResolvesServerCert for One {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

fn certified_key(files: &CertificateFiles) -> Result<CertifiedKey, Error> {
    let chain = certificates(&files.chain)?;
    let text = std::fs::read(&files.key).map_err(|error| Error::file(&files.key, error))?;
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        rustls_pki_types::pem::Error::NoItemsFound => Error::content(&files.key, "holds no private key in PEM"),
        error => Error::content(&files.key, error),
    })?;
    let signer = provider().key_provider.load_private_key(key).map_err(|error| Error::content(&files.key, error))?;
    let key = CertifiedKey::new(chain, signer);
    match key.keys_match() {
        // A key of a kind that cannot tell is tried as it is.
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(key),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(Error::Mismatch { chain: files.chain.clone(), key: files.key.clone() })
        }
        Err(error) => Err(Error::content(&files.chain, error)),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let text = std::fs::read(path).map_err(|error| Error::file(path, error))?;
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(&text).collect::<Result<_, _>>().map_err(|error| Error::content(path, error))?;
    if certificates.is_empty() {
        return Err(Error::content(path, "holds no certificate in PEM"));
    }
    match certificates.iter().position(|der| certificate::read(der).is_none()) {
        Some(at) => Err(Error::content(path, format!("certificate {} is not an X.509 certificate", at + 1))),
        None => Ok(certificates),
    }
}

fn roots(path: &Path) -> Result<Arc<RootCertStore>, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| Error::content(path, error))?;
    }
    Ok(Arc::new(roots))
}

fn fingerprint(path: &Path) -> Result<String, Error> {
    let certificates = certificates(path)?;
    let der = certificates.first().map(AsRef::as_ref).unwrap_or_default();
    let bytes: Vec<String> = digest(&SHA256, der).as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    Ok(bytes.join(":"))
}

fn warn_of_expiry(path: &Path, key: &CertifiedKey, now: OffsetDateTime) {
    let Some(facts) = key.cert.first().and_then(|leaf| certificate::read(leaf)) else { return };
    let (path, not_after) = (path.display(), facts.not_after);
    if not_after < now {
        tracing::warn!(%path, %not_after, "the certificate has expired; clients will refuse it");
    } else if not_after < now + WARN_BEFORE {
        tracing::warn!(%path, %not_after, "the certificate expires soon");
    } else if now < facts.not_before {
        tracing::warn!(%path, not_before = %facts.not_before, "the certificate is not valid yet");
    }
}

#[cfg(test)]
mod tests;
