//! Connections through a real handshake.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::TlsConnector;

use super::*;
use crate::config::{ClientCertificates, Listen, Tls, Transport};
use crate::record::wall_clock;

struct Data(std::path::PathBuf);

impl Drop for Data {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn server(client_certificates: ClientCertificates) -> (Data, Arc<crate::tls::Server>) {
    crate::tls::install();
    let data = Data(std::env::temp_dir().join(format!("candor-listen-{}", uuid::Uuid::now_v7())));
    let tls = Tls { certificate: None, development_names: vec![], client_certificates };
    let listen = Listen { address: SocketAddr::from(([127, 0, 0, 1], 0)), transport: Transport::Tls(tls.clone()) };
    let server = crate::tls::Server::open(&tls, &listen, &data.0, wall_clock()).unwrap();
    (data, Arc::new(server))
}

#[tokio::test]
async fn handshake_that_does_not_come_is_closed_in_time() {
    let (_data, tls) = server(ClientCertificates::Ignore);
    let mut door = open(limits(), Some(tls));
    for sent in [&b""[..], b"\x16\x03\x01\x02", b"GET / HTTP/1.1\r\n\r\n"] {
        let mut stream = door.connect().await;
        stream.write_all(sent).await.unwrap();
        let answer = read_all(&mut stream).await;
        assert!(!answer.contains("HTTP/1.1"), "{answer}");
    }
    door.phase.send_replace(Phase::Draining);
    door.front.quiet().await;
    assert_eq!(door.front.counts().handshakes_failed.load(std::sync::atomic::Ordering::Relaxed), 3);
}

/// An authority's certificate in PEM, and a client's chain and key by it.
fn client_of_authority() -> (String, CertificateDer<'static>, PrivateKeyDer<'static>) {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "alice");
    let key = KeyPair::generate().unwrap();
    let leaf = params.signed_by(&key, &issuer).unwrap();
    (pem, leaf.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
}

#[tokio::test]
async fn handler_learns_whose_certificate_a_client_holds() {
    let (authority, leaf, key) = client_of_authority();
    let path = std::env::temp_dir().join(format!("candor-listen-{}.pem", uuid::Uuid::now_v7()));
    std::fs::write(&path, authority).unwrap();
    let (_data, tls) = server(ClientCertificates::Required { authorities: path.clone() });
    std::fs::remove_file(path).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(tls.shown().authority.as_ref().unwrap()).unwrap()).unwrap();
    let door = open(patient(), Some(tls));
    let builder = ClientConfig::builder_with_provider(crate::tls::provider());
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
    let with = builder.clone().with_client_auth_cert(vec![leaf], key).unwrap();
    for (config, expected) in [(with, Some("CN=alice:x")), (builder.with_no_client_auth(), None)] {
        let connector = TlsConnector::from(Arc::new(config));
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = connector.connect(name, door.connect().await).await.unwrap();
        let request = b"POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 1\r\n\r\nx";
        let _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8(answer).unwrap();
        // In version 1.3 a client learns of its refusal with its first read.
        assert_eq!(expected.is_some_and(|text| answer.contains(text)), expected.is_some(), "{answer}");
        assert_eq!(answer.is_empty(), expected.is_none());
    }
}
