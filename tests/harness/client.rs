//! A client of the gateway over HTTP/1.1 or HTTP/2, TLS or plain. Each request has a connection of its own, so that
//! dropping an answer is leaving.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::certificates::Identity;
use super::wait::within;

/// Where the one dialect is spoken.
pub(crate) const CHAT: &str = "/v1/chat/completions";

/// How to reach a gateway.
#[derive(Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    http2: bool,
    headers: Vec<(&'static str, String)>,
}

impl Client {
    /// A client that trusts a CA file, or speaks plain HTTP where there is none.
    pub(crate) fn new(address: SocketAddr, ca_pem: Option<&str>) -> Self {
        Self { address, tls: ca_pem.map(|pem| Arc::new(config(pem, None))), http2: false, headers: Vec::new() }
    }

    /// Shows a client certificate.
    pub(crate) fn with_identity(mut self, ca_pem: &str, identity: Identity) -> Self {
        self.tls = Some(Arc::new(config(ca_pem, Some(identity))));
        self
    }

    /// Speaks HTTP/2.
    pub(crate) fn http2(mut self) -> Self {
        self.http2 = true;
        self
    }

    /// Presents a key.
    pub(crate) fn key(self, key: &str) -> Self {
        self.header("authorization", &format!("Bearer {key}"))
    }

    /// Sends a header with every request, in place of one of that name.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Asks for a completion.
    pub(crate) async fn chat(&self, body: &Value) -> Answer {
        self.post(body.to_string()).await
    }

    /// Sends bytes as a request for a completion.
    pub(crate) async fn post(&self, body: impl Into<Bytes>) -> Answer {
        let request = self.request(Method::POST, CHAT).header("content-type", "application/json");
        self.send(request.body(Full::new(body.into())).expect("a request")).await
    }

    /// Sends a request to a path.
    pub(crate) async fn post_to(&self, path: &str, body: &Value) -> Answer {
        let request = self.request(Method::POST, path).header("content-type", "application/json");
        self.send(request.body(Full::new(body.to_string().into())).expect("a request")).await
    }

    /// Gets a path.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path).body(Full::default()).expect("a request")).await
    }

    /// The beginning of a request.
    pub(crate) fn request(&self, method: Method, path: &str) -> http::request::Builder {
        let mut request = Request::builder().method(method);
        request = match self.http2 {
            true => request.uri(format!("https://localhost:{}{path}", self.address.port())),
            false => request.uri(path).header("host", format!("localhost:{}", self.address.port())),
        };
        self.headers.iter().fold(request, |request, (name, value)| request.header(*name, value))
    }

    /// Sends a request and waits for the head of the answer.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        within("an answer", Box::pin(self.try_send(request))).await.expect("an answer")
    }

    /// As [`Client::send`], where the connection may fail.
    pub(crate) async fn try_send(&self, request: Request<Full<Bytes>>) -> Result<Answer, String> {
        let stream = TcpStream::connect(self.address).await.map_err(|error| format!("connect: {error}"))?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        match &self.tls {
            None => self.exchange(stream, request).await,
            Some(tls) => {
                let mut tls = (**tls).clone();
                tls.alpn_protocols = vec![if self.http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
                let name = ServerName::try_from("localhost").expect("a name");
                let stream = TlsConnector::from(Arc::new(tls)).connect(name, stream).await;
                self.exchange(stream.map_err(|error| format!("handshake: {error}"))?, request).await
            }
        }
    }

    async fn exchange<S>(&self, stream: S, request: Request<Full<Bytes>>) -> Result<Answer, String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let io = TokioIo::new(stream);
        let (response, task) = if self.http2 {
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.map_err(|e| e.to_string())?;
            let task = tokio::spawn(async move { drop(connection.await) });
            (sender.send_request(request).await, task)
        } else {
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(io).await.map_err(|e| e.to_string())?;
            let task = tokio::spawn(async move { drop(connection.await) });
            (sender.send_request(request).await, task)
        };
        let connection = Connection(task);
        Ok(Answer::new(response.map_err(|error| format!("{error:?}"))?, connection))
    }
}

/// The task behind a connection; it ends with the answer.
struct Connection(tokio::task::JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An answer whose head has come. Dropping it closes the connection.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    body: Incoming,
    /// What has been read of the body.
    pub(crate) taken: Vec<u8>,
    /// Whether the body broke off.
    pub(crate) broken: bool,
    _connection: Connection,
}

impl Answer {
    fn new(response: Response<Incoming>, connection: Connection) -> Self {
        let (parts, body) = response.into_parts();
        Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
            taken: Vec::new(),
            broken: false,
            _connection: connection,
        }
    }

    /// A header's text; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The gateway's id of the exchange.
    pub(crate) fn id(&self) -> String {
        let id = self.header("x-request-id");
        assert!(!id.is_empty(), "no x-request-id in {:?}", self.headers);
        id.to_owned()
    }

    /// Reads on until a text has come.
    pub(crate) async fn read_until(&mut self, text: &str) {
        let found = |taken: &[u8]| taken.windows(text.len()).any(|window| window == text.as_bytes());
        while !found(&self.taken) {
            assert!(self.read_more().await, "ended before {text:?}: {}", String::from_utf8_lossy(&self.taken));
        }
    }

    /// Reads the next bytes; `false` at the end, broken or not.
    pub(crate) async fn read_more(&mut self) -> bool {
        match within("more of an answer", self.body.frame()).await {
            None => false,
            Some(Ok(frame)) => {
                self.taken.extend(frame.into_data().unwrap_or_default());
                true
            }
            Some(Err(_)) => {
                self.broken = true;
                false
            }
        }
    }

    /// Reads to the end, which must come properly.
    pub(crate) async fn bytes(mut self) -> Vec<u8> {
        while self.read_more().await {}
        assert!(!self.broken, "the answer broke off after {:?}", String::from_utf8_lossy(&self.taken));
        self.taken
    }

    /// Reads to the end, as text.
    pub(crate) async fn text(self) -> String {
        String::from_utf8(self.bytes().await).expect("UTF-8")
    }

    /// Reads to the end, as JSON.
    pub(crate) async fn json(self) -> Value {
        let text = self.text().await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}

fn config(ca_pem: &str, identity: Option<Identity>) -> ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
        roots.add(certificate.expect("a certificate")).expect("an authority");
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.expect("protocol versions").with_root_certificates(roots);
    match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => builder.with_client_auth_cert(identity.chain, identity.key).expect("a client certificate"),
    }
}
