//! A server that behaves as told, call by call, and remembers what it was sent.

#![expect(clippy::disallowed_methods, reason = "a test has one runtime, which ends with it")]

use std::future::pending;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper::{Request, Response, Version, body::Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// What a server does with one request.
#[derive(Debug, Clone)]
pub(super) enum Act {
    /// Says this and waits for the next request.
    Say(String),
    /// Says this and resets the connection.
    SayThenReset(String),
    /// Says this and then nothing more.
    SayThenHang(String),
    /// Reads the request and closes the connection.
    Close,
    /// Reads the request and never answers.
    Hang,
}

/// A running server.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Does the acts in order; the last one again and again.
    pub(super) async fn start(acts: Vec<Act>) -> Self {
        let (listener, server) = Self::bind().await;
        let running = server.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap_or_else(|error| panic!("{error}"));
                tokio::spawn(running.clone().serve(stream, acts.clone()));
            }
        });
        server
    }

    async fn bind() -> (TcpListener, Self) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap_or_else(|error| panic!("{error}"));
        let address = listener.local_addr().unwrap_or_else(|error| panic!("{error}"));
        (listener, Self { address, seen: Arc::default() })
    }

    async fn serve(self, mut stream: TcpStream, acts: Vec<Act>) {
        while let Some(request) = read(&mut stream).await {
            let number = {
                let mut seen = self.seen.lock().unwrap_or_else(|error| panic!("{error}"));
                seen.push(request);
                seen.len() - 1
            };
            let act = acts.get(number).or_else(|| acts.last()).unwrap_or_else(|| panic!("no act"));
            match act {
                Act::Say(text) => _ = stream.write_all(text.as_bytes()).await,
                Act::SayThenReset(text) => {
                    let _ = stream.write_all(text.as_bytes()).await;
                    let _ = stream.flush().await;
                    // Unread bytes at closing make the system reset the connection; lingering for no time does as well.
                    let _ = stream.set_zero_linger();
                    return;
                }
                Act::SayThenHang(text) => {
                    let _ = stream.write_all(text.as_bytes()).await;
                    return pending().await;
                }
                Act::Close => return,
                Act::Hang => return pending().await,
            }
        }
    }

    /// The requests that came, heads in lower case.
    pub(super) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap_or_else(|error| panic!("{error}")).clone()
    }

    pub(super) fn calls(&self) -> usize {
        self.seen().len()
    }
}

async fn read(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        if let Some(request) = whole(&bytes) {
            return Some(request);
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn whole(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let head = head.to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
    (body.len() >= length.parse().ok()?).then(|| format!("{head}\r\n\r\n{body}"))
}

/// A whole reply.
pub(super) fn reply(status: u16, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} Told\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

/// A server with TLS that answers over HTTP/2, and a file of the authority that signed it.
pub(super) async fn secure(alpn: &[&str]) -> (Server, PathBuf) {
    let key = rcgen::KeyPair::generate().unwrap_or_else(|error| panic!("{error}"));
    let parameters = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]);
    let certificate = parameters.and_then(|parameters| parameters.self_signed(&key));
    let certificate = certificate.unwrap_or_else(|error| panic!("{error}"));
    let (listener, server) = Server::bind().await;
    let roots = std::env::temp_dir().join(format!("candor-roots-{}-{}.pem", std::process::id(), server.address.port()));
    std::fs::write(&roots, certificate.pem()).unwrap_or_else(|error| panic!("{error}"));
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map(|builder| {
            let key = rustls_pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap_or_else(|e| panic!("{e}"));
            builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key)
        })
        .unwrap_or_else(|error| panic!("{error}"))
        .unwrap_or_else(|error| panic!("{error}"));
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let running = server.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, seen) = (acceptor.clone(), running.seen.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = service_fn(move |request| echo(request, seen.clone()));
                let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    (server, roots)
}

async fn echo(
    request: Request<Incoming>,
    seen: Arc<Mutex<Vec<String>>>,
) -> Result<Response<Full<Bytes>>, std::convert::Infallible> {
    let version = if request.version() == Version::HTTP_2 { "h2" } else { "h1" };
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    seen.lock().unwrap_or_else(|error| panic!("{error}")).push(format!("{version} {path}"));
    Ok(Response::new(Full::new(body)))
}
