//! TLS and HTTP as real clients speak them.

use std::process::Stdio;

use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::certificates::Authority;
use crate::harness::client::CHAT;
use crate::harness::gateway::{Gateway, KEY, Setup};
use crate::harness::script::{DONE, Reply, finish, say};
use crate::harness::upstream::Upstream;

fn ask(stream: bool) -> Value {
    json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "Hello"}]})
}

fn stream() -> [String; 3] {
    [say("Hi"), finish(0, "stop"), DONE.to_owned()]
}

#[tokio::test]
async fn curl_is_served_over_both_protocols_with_the_development_ca() {
    let upstream = Upstream::always(Reply::frames(stream())).await;
    let gateway = Gateway::before(&upstream).await;
    for (flag, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        for host in ["localhost", "127.0.0.1"] {
            let mut curl = Command::new("curl");
            curl.args([
                "--silent",
                "--show-error",
                "--max-time",
                "30",
                flag,
                "--write-out",
                "\n%{http_code} %{http_version}",
            ]);
            curl.arg("--cacert").arg(gateway.ca().expect("a development CA"));
            curl.args(["-H", &format!("authorization: Bearer {KEY}"), "-H", "content-type: application/json"]);
            curl.args(["--data", &ask(true).to_string()]);
            curl.arg(format!("https://{host}:{}{CHAT}", gateway.address().port()));
            let output = curl.stdin(Stdio::null()).output().await.expect("curl runs");
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(text, format!("{}\n200 {version}", stream().concat()));
        }
    }
}

#[tokio::test]
async fn the_development_certificate_outlives_restarts_and_its_fingerprint_is_true() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let mut gateway = Gateway::before(&upstream).await;
    let ca = gateway.ca_pem().expect("a development CA");
    let said = gateway.ready()["fingerprint"].as_str().expect("a fingerprint").to_owned();
    let der = CertificateDer::from_pem_slice(ca.as_bytes()).expect("a certificate");
    let file = gateway.data().join("ca.der");
    std::fs::write(&file, der).expect("a file");
    let sum = Command::new("sha256sum").arg(&file).output().await.expect("sha256sum runs");
    let sum = String::from_utf8_lossy(&sum.stdout).split(' ').next().unwrap_or_default().to_owned();
    let digits: String = said.chars().filter(char::is_ascii_hexdigit).collect();
    assert!(sum.len() == 64 && digits.to_lowercase().ends_with(&sum), "{said} {sum}");
    gateway.stop().await;
    gateway.start_again().await;
    assert_eq!(gateway.ca_pem().as_deref(), Some(&*ca));
    assert_eq!(gateway.client().chat(&ask(false)).await.status, 200);
}

#[tokio::test]
async fn an_operators_own_certificate_is_served() {
    let authority = Authority::new("an operator's authority");
    let identity = authority.identity(&["localhost"]);
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let setup = Setup::before(&upstream).file("chain.pem", &identity.chain_pem).file("key.pem", &identity.key_pem);
    let gateway = setup.with(json!({"listen": {"tls": {"certificate": "chain.pem", "key": "key.pem"}}})).start().await;
    let client = crate::harness::client::Client::new(gateway.address(), Some(authority.pem())).key(KEY);
    assert_eq!(client.chat(&ask(false)).await.status, 200);
    assert_eq!(client.http2().chat(&ask(false)).await.status, 200);
}

#[tokio::test]
async fn client_certificates_are_demanded_where_it_is_said() {
    let clients = Authority::new("clients");
    let strangers = Authority::new("strangers");
    let upstream = Upstream::always(Reply::saying("yes")).await;
    for demand in ["required", "optional"] {
        let tls = json!({"client_certificates": demand, "client_authorities": "clients.pem"});
        let setup = Setup::before(&upstream).file("clients.pem", clients.pem());
        let gateway = setup.with(json!({"listen": {"tls": tls}})).start().await;
        let ca = gateway.ca_pem().expect("a development CA");
        let try_with = async |client: crate::harness::client::Client| {
            let request = client.request(http::Method::POST, CHAT).body(ask(false).to_string().into());
            client.try_send(request.expect("a request")).await.map(|answer| answer.status)
        };
        let known = gateway.client().with_identity(&ca, clients.identity(&["alice.example"]));
        assert_eq!(try_with(known).await, Ok(200), "{demand}");
        let foreign = gateway.client().with_identity(&ca, strangers.identity(&["mallory.example"]));
        assert!(try_with(foreign).await.is_err(), "{demand}");
        let bare = try_with(gateway.client()).await;
        assert_eq!(bare.is_ok(), demand == "optional", "{demand}: {bare:?}");
    }
}

#[tokio::test]
async fn plain_http_is_served_where_it_is_asked_for() {
    let upstream = Upstream::always(Reply::frames(stream())).await;
    let gateway = Setup::before(&upstream).plain().start().await;
    assert!(gateway.ca().is_none());
    let answer = gateway.client().chat(&ask(true)).await;
    assert_eq!(answer.text().await, stream().concat());
}

#[tokio::test]
async fn many_requests_share_an_http2_connection() {
    let upstream = Upstream::always(Reply::frames(stream())).await;
    let gateway = Gateway::before(&upstream).await;
    let clients: Vec<_> = (0..16)
        .map(|_| {
            let client = gateway.client().http2();
            tokio::spawn(async move { client.chat(&ask(true)).await.text().await })
        })
        .collect();
    for client in clients {
        assert_eq!(client.await.expect("a client"), stream().concat());
    }
}

#[tokio::test]
async fn an_upstream_with_a_foreign_certificate_is_not_trusted() {
    let authority = Authority::new("nobody knows");
    let upstream = Upstream::over_tls(&authority, Reply::saying("yes")).await;
    let gateway = Gateway::before(&upstream).await;
    let answer = gateway.client().chat(&ask(false)).await;
    assert!(answer.status == 502 || answer.status == 503, "{}", answer.status);
    assert!(upstream.received().is_empty());
}
