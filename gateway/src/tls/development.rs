//! A certificate authority and a server certificate for development, kept in the data directory and made again when
//! they are about to expire. It is never used where the operator gave a certificate.

use std::fs;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use time::{Duration, OffsetDateTime};

use super::{Error, certificate};
use crate::config::CertificateFiles;

const AUTHORITY_LIFE: Duration = Duration::days(3650);
const LEAF_LIFE: Duration = Duration::days(397);
/// What is about to end is made again: a process may run for long after it has looked.
const RENEW_BEFORE: Duration = Duration::days(60);

/// The files of a development certificate.
#[derive(Debug, Clone)]
pub(super) struct Development {
    /// Certificate of the authority, for clients.
    pub(super) authority: PathBuf,
    /// The server's chain and key.
    pub(super) files: CertificateFiles,
}

/// Makes what is missing in a folder, for these names.
///
/// # Errors
/// Where the folder cannot be written or holds something else.
pub(super) fn open(folder: &Path, names: &[String], now: OffsetDateTime) -> Result<Development, Error> {
    let development = Development {
        authority: folder.join("ca.pem"),
        files: CertificateFiles { chain: folder.join("server.pem"), key: folder.join("server.key") },
    };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| Error::file(folder, error))?;
    let (authority, made) = authority(&development.authority, &folder.join("ca.key"), now)?;
    let note = format!("# names: {}", names.join(" "));
    if made || !good(&development.files, &note, now) {
        leaf(&development.files, &authority, names, &note, now)?;
    }
    Ok(development)
}

/// Names that a development certificate is for: this machine's, the operator's and the address.
#[must_use]
pub(super) fn names(wanted: &[String], address: SocketAddr) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    names.push(host.trim().to_owned());
    if !address.ip().is_unspecified() {
        names.push(address.ip().to_string());
    }
    names.extend(wanted.iter().cloned());
    let mut kept: Vec<String> = Vec::new();
    for name in names {
        if usable(&name) && !kept.contains(&name) {
            kept.push(name);
        }
    }
    kept
}

/// Whether a certificate can be made for a name: an address or a DNS name, perhaps with a wildcard.
fn usable(name: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() < 64
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    name.parse::<IpAddr>().is_ok() || name.strip_prefix("*.").unwrap_or(name).split('.').all(label)
}

/// The authority's certificate and key, and whether they are new.
fn authority(path: &Path, key: &Path, now: OffsetDateTime) -> Result<(Issuer<'static, KeyPair>, bool), Error> {
    if path.exists() && key.exists() && lives(path, now)? {
        let text = fs::read_to_string(key).map_err(|error| Error::file(key, error))?;
        let pair = KeyPair::from_pem(&text).map_err(|error| Error::content(key, error))?;
        return Ok((Issuer::new(authority_params(&pair, now), pair), false));
    }
    let pair = KeyPair::generate()?;
    let params = authority_params(&pair, now);
    let certificate = params.self_signed(&pair)?;
    write(key, &pair.serialize_pem(), 0o600)?;
    write(path, &certificate.pem(), 0o644)?;
    Ok((Issuer::new(params, pair), true))
}

/// What the authority's certificate says; but for its dates it follows from the key alone, so that the certificate
/// need not be read to sign in its name.
fn authority_params(pair: &KeyPair, now: OffsetDateTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    let id: String = params.key_identifier(pair).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    params.distinguished_name = name(&format!("Candor development CA {id}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    params.not_before = now - Duration::days(1);
    params.not_after = now + AUTHORITY_LIFE;
    params
}

/// Whether the files hold a certificate for the same names that will last.
fn good(files: &CertificateFiles, note: &str, now: OffsetDateTime) -> bool {
    let same = fs::read_to_string(&files.chain).is_ok_and(|text| text.lines().next() == Some(note));
    same && files.key.exists() && lives(&files.chain, now).unwrap_or(false)
}

fn lives(path: &Path, now: OffsetDateTime) -> Result<bool, Error> {
    let der = CertificateDer::from_pem_file(path).map_err(|error| Error::content(path, error))?;
    let facts = certificate::read(&der).ok_or_else(|| Error::content(path, "not a certificate"))?;
    Ok(now + RENEW_BEFORE < facts.not_after && facts.not_before <= now)
}

fn leaf(
    files: &CertificateFiles,
    authority: &Issuer<'_, KeyPair>,
    names: &[String],
    note: &str,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let pair = KeyPair::generate()?;
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = name("Candor development server");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Strict clients refuse a leaf that does not name its authority's key.
    params.use_authority_key_identifier_extension = true;
    params.not_before = now - Duration::days(1);
    params.not_after = now + LEAF_LIFE;
    let certificate = params.signed_by(&pair, authority)?;
    write(&files.key, &pair.serialize_pem(), 0o600)?;
    write(&files.chain, &format!("{note}\n{}", certificate.pem()), 0o644)
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

/// Replaces a file whole, so that a reader never sees half of it.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), Error> {
    let beside = path.with_extension("new");
    let put = || {
        // The mode counts only for a file that is made, so one left behind must go first.
        let _ = fs::remove_file(&beside);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    put().map_err(|error| Error::file(path, error))
}
