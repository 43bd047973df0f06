//! Handshakes with certificates as operators make them, good and bad.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{ClientConfig, SupportedProtocolVersion};
use rustls_pki_types::ServerName;
use time::macros::datetime;
use tokio_rustls::TlsConnector;

use super::*;
use crate::config::Transport;
use crate::record::wall_clock;
use crate::tls::install;

/// A folder of this test's own, gone at its end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("candor-tls-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn put(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

fn authority() -> Authority {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    Authority { issuer: Issuer::new(params, key), pem }
}

/// Chain and key in PEM.
fn issue(authority: &Authority, name: &str) -> (String, String) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, &authority.issuer).unwrap().pem(), key.serialize_pem())
}

fn open(tls: Tls, data: &Path, now: OffsetDateTime) -> Result<Server, Error> {
    let listen = Listen { address: SocketAddr::from(([127, 0, 0, 1], 0)), transport: Transport::Tls(tls.clone()) };
    Server::open(&tls, &listen, data, now)
}

fn development(names: &[&str], clients: ClientCertificates) -> Tls {
    let development_names = names.iter().map(|name| (*name).to_owned()).collect();
    Tls { certificate: None, development_names, client_certificates: clients }
}

fn given(chain: PathBuf, key: PathBuf, client_certificates: ClientCertificates) -> Tls {
    Tls { certificate: Some(CertificateFiles { chain, key }), development_names: vec![], client_certificates }
}

type Presented = Option<(String, String)>;

fn client(ca: &str, version: &'static SupportedProtocolVersion, presented: Presented) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[version]).unwrap();
    let builder = builder.with_root_certificates(roots);
    let mut config = match presented {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let chain = vec![CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()];
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsConnector::from(Arc::new(config))
}

/// The client's subject as the server sees it, or what kept the two apart.
async fn handshake(server: &Server, client: TlsConnector, name: &str) -> Result<Option<Arc<str>>, String> {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let (served, connected) = tokio::join!(server.accept(ours), client.connect(name, theirs));
    let served = served.map_err(|error| error.to_string())?;
    assert_eq!(served.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    connected.map_err(|error| error.to_string())?;
    Ok(client_subject(&served))
}

#[tokio::test]
async fn development_certificate_is_good_for_all_its_names_in_both_versions() {
    install();
    let data = Folder::new();
    let tls = development(&["gateway.example", "10.1.2.3"], ClientCertificates::Ignore);
    let server = open(tls, &data.0, wall_clock()).unwrap();
    let shown = server.shown().clone();
    assert_eq!(shown.fingerprint.len(), 95);
    let ca = std::fs::read_to_string(shown.authority.unwrap()).unwrap();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for name in ["localhost", "127.0.0.1", "::1", "gateway.example", "10.1.2.3"] {
            assert_eq!(handshake(&server, client(&ca, version, None), name).await, Ok(None), "{name}");
        }
        assert!(handshake(&server, client(&ca, version, None), "elsewhere.example").await.is_err());
    }
}

#[tokio::test]
async fn returning_client_resumes_and_a_reload_starts_afresh() {
    install();
    let data = Folder::new();
    let now = wall_clock();
    let tls = development(&[], ClientCertificates::Ignore);
    let server = open(tls.clone(), &data.0, now).unwrap();
    let ca = std::fs::read_to_string(server.shown().authority.as_ref().unwrap()).unwrap();
    // Version 1.2, whose tickets come in the handshake itself.
    let client = client(&ca, &rustls::version::TLS12, None);
    let resumes = async || {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let name = ServerName::try_from("localhost").unwrap();
        let (served, connected) = tokio::join!(server.accept(ours), client.connect(name, theirs));
        connected.unwrap();
        served.unwrap().get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    };
    assert!(!resumes().await);
    assert!(resumes().await);
    server.publish(server.prepare(&tls, now).unwrap());
    assert!(!resumes().await);
}

#[test]
fn development_files_are_kept_until_names_change_or_the_end_is_near() {
    let data = Folder::new();
    let read = |name: &str| std::fs::read_to_string(data.0.join("tls").join(name)).unwrap();
    let files = || [read("ca.pem"), read("ca.key"), read("server.pem"), read("server.key")];
    let start = datetime!(2026-11-25 00:00 UTC);
    let mut before = {
        open(development(&[], ClientCertificates::Ignore), &data.0, start).unwrap();
        files()
    };
    // Which of the four files are new after a start with these names so many days later.
    let mut check = |names: &[&str], days: i64, renewed: [bool; 4]| {
        open(development(names, ClientCertificates::Ignore), &data.0, start + Duration::days(days)).unwrap();
        let now = files();
        let changed: Vec<bool> = before.iter().zip(&now).map(|(before, now)| before != now).collect();
        assert_eq!(changed, renewed, "{names:?} after {days} days");
        before = now;
    };
    check(&[], 1, [false, false, false, false]);
    check(&["other.example"], 2, [false, false, true, true]);
    check(&["other.example"], 300, [false, false, false, false]);
    check(&["other.example"], 350, [false, false, true, true]);
    check(&["other.example"], 3620, [true, true, true, true]);
    for key in ["ca.key", "server.key"] {
        let mode = std::fs::metadata(data.0.join("tls").join(key)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
}

#[tokio::test]
async fn client_certificates_are_ignored_optional_or_required() {
    install();
    let data = Folder::new();
    let (ours, other) = (authority(), authority());
    let authorities = data.put("clients.pem", &ours.pem);
    let optional = || ClientCertificates::Optional { authorities: authorities.clone() };
    let required = || ClientCertificates::Required { authorities: authorities.clone() };
    let known = || Some(issue(&ours, "alice"));
    let unknown = || Some(issue(&other, "mallory"));
    // What the server learns; `None` is no connection.
    let cases: [(ClientCertificates, Presented, Option<Option<&str>>); 7] = [
        (ClientCertificates::Ignore, known(), Some(None)),
        (optional(), None, Some(None)),
        (optional(), known(), Some(Some("CN=alice"))),
        (optional(), unknown(), None),
        (required(), None, None),
        (required(), known(), Some(Some("CN=alice"))),
        (required(), unknown(), None),
    ];
    for (at, (asked, presented, expected)) in cases.into_iter().enumerate() {
        let server = open(development(&[], asked), &data.0, wall_clock()).unwrap();
        let ca = std::fs::read_to_string(server.shown().authority.as_ref().unwrap()).unwrap();
        // Version 1.2, so that the client learns of a refusal in the handshake itself.
        let seen = handshake(&server, client(&ca, &rustls::version::TLS12, presented), "localhost").await.ok();
        assert_eq!(seen.as_ref().map(|subject| subject.as_deref()), expected, "case {at}");
    }
}

#[test]
fn every_bad_file_is_named_with_what_is_wrong() {
    let data = Folder::new();
    let ca = authority();
    let (chain, key) = issue(&ca, "a.example");
    let (_, other_key) = issue(&ca, "b.example");
    let (chain, key) = (data.put("chain.pem", chain), data.put("key.pem", key));
    let other_key = data.put("other.pem", other_key);
    let absent = data.0.join("absent.pem");
    let empty = data.put("empty.pem", "");
    let junk = data.put("junk.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let check = |chain: &Path, key: &Path, authorities: Option<&Path>, parts: &[&str]| {
        let clients = authorities
            .map_or(ClientCertificates::Ignore, |path| ClientCertificates::Required { authorities: path.to_owned() });
        let tls = given(chain.to_owned(), key.to_owned(), clients);
        let error = open(tls, &data.0, wall_clock()).unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    };
    check(&absent, &key, None, &["absent.pem: No such file"]);
    check(&empty, &key, None, &["empty.pem: holds no certificate"]);
    check(&junk, &key, None, &["junk.pem: certificate 1 is not"]);
    check(&chain, &absent, None, &["absent.pem: No such file"]);
    check(&chain, &chain, None, &["chain.pem: holds no private key"]);
    check(&chain, &other_key, None, &["other.pem: not the private key", "chain.pem"]);
    check(&chain, &key, Some(&empty), &["empty.pem: holds no certificate"]);
    check(&chain, &key, Some(&junk), &["junk.pem"]);
}

#[tokio::test]
async fn reload_publishes_good_files_and_keeps_the_old_ones_else() {
    install();
    let data = Folder::new();
    let (first, second) = (authority(), authority());
    let place = |authority: &Authority| {
        let (chain, key) = issue(authority, "a.example");
        (data.put("chain.pem", chain), data.put("key.pem", key))
    };
    let (chain, key) = place(&first);
    let now = wall_clock();
    let tls = given(chain, key, ClientCertificates::Ignore);
    let server = open(tls.clone(), &data.0, now).unwrap();
    let trusts = async |authority: &Authority| {
        handshake(&server, client(&authority.pem, &rustls::version::TLS13, None), "a.example").await.is_ok()
    };
    assert!(trusts(&first).await);
    data.put("key.pem", "nonsense");
    assert!(server.prepare(&tls, now).is_err());
    assert!(trusts(&first).await);
    place(&second);
    server.publish(server.prepare(&tls, now).unwrap());
    assert!(trusts(&second).await);
    assert!(!trusts(&first).await);
}
