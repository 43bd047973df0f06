//! Health, readiness and metrics, for whoever runs the gateway, and where it is told to read its configuration again. What
//! it tells is read from the parts when it is asked.

use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Map, Value, json};

use crate::exchange::Peer;
use crate::listen::{Answer, Upload};
use crate::observe::metrics::Metrics;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Status, content type and body of an answer.
pub type Page = (StatusCode, &'static str, String);

/// How one part of the gateway is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It does all that it should.
    Ready,
    /// Exchanges are served all the same; a human should look.
    Degraded(String),
    /// Exchanges cannot be served as promised.
    Unready(String),
}

/// Tells how the gateway is.
pub struct Health {
    metrics: Arc<Metrics>,
    parts: Vec<Part>,
}

struct Part {
    name: &'static str,
    look: Box<dyn Fn() -> State + Send + Sync>,
}

impl Health {
    /// Health without parts yet.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, parts: Vec::new() }
    }

    /// Adds a part and how to look at it; looking must not wait.
    #[must_use]
    pub fn with(mut self, name: &'static str, look: impl Fn() -> State + Send + Sync + 'static) -> Self {
        self.parts.push(Part { name, look: Box::new(look) });
        self
    }

    /// Answers `/healthz`, `/readyz`, `/metrics` for loopback peers of the front door; `None` for all else.
    #[must_use]
    pub fn answer(&self, path: &str, peer: SocketAddr) -> Option<Page> {
        // The paths come first: they are cheaper to tell apart, and this stands before every exchange.
        if !matches!(path, "/healthz" | "/readyz" | "/metrics") || !peer.ip().to_canonical().is_loopback() {
            return None;
        }
        self.page(path)
    }

    /// Answers the same paths whoever asks.
    #[must_use]
    pub fn page(&self, path: &str) -> Option<Page> {
        match path {
            "/healthz" => Some((StatusCode::OK, TEXT, "ok\n".to_owned())),
            "/readyz" => Some(self.readiness()),
            "/metrics" => Some((StatusCode::OK, OPEN_METRICS, self.metrics.text())),
            _ => None,
        }
    }

    fn readiness(&self) -> Page {
        let mut ready = true;
        let mut parts = Map::new();
        for part in &self.parts {
            let state = match (part.look)() {
                State::Ready => json!({"state": "ready"}),
                State::Degraded(why) => json!({"state": "degraded", "why": why}),
                State::Unready(why) => {
                    ready = false;
                    json!({"state": "unready", "why": why})
                }
            };
            parts.insert(part.name.to_owned(), state);
        }
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let body = json!({"ready": ready, "parts": Value::Object(parts)});
        (status, JSON, format!("{body}\n"))
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.parts.iter().map(|part| part.name).collect();
        formatter.debug_struct("Health").field("parts", &names).finish_non_exhaustive()
    }
}

/// Reads the configuration again, and says what came of it: what is in force now, or the mistakes.
pub type Reload = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<Value, Value>> + Send>> + Send + Sync>;

/// What the admin listener answers: the same pages, to all; and reloads, for those on this machine.
pub struct Pages {
    health: Arc<Health>,
    reload: Reload,
}

impl Pages {
    /// Pages over a gateway's health.
    #[must_use]
    pub fn new(health: Arc<Health>, reload: Reload) -> Self {
        Self { health, reload }
    }

    async fn post(&self, path: &str, peer: SocketAddr) -> Page {
        if path != "/reload" {
            return (StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET\n".to_owned());
        }
        if !peer.ip().to_canonical().is_loopback() {
            return (StatusCode::FORBIDDEN, TEXT, "only from this machine\n".to_owned());
        }
        match (self.reload)().await {
            Ok(told) => (StatusCode::OK, JSON, format!("{told}\n")),
            Err(told) => (StatusCode::UNPROCESSABLE_ENTITY, JSON, format!("{told}\n")),
        }
    }
}

impl Answer for Pages {
    type Body = Full<Bytes>;

    async fn answer(self: Arc<Self>, request: Request<Upload>, peer: Peer) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        let page = match *request.method() {
            Method::GET | Method::HEAD => self.health.page(path),
            Method::POST => Some(self.post(path, peer.address).await),
            _ => Some((StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET\n".to_owned())),
        };
        let unknown = || (StatusCode::NOT_FOUND, TEXT, "/healthz, /readyz, /metrics, or POST /reload\n".to_owned());
        let (status, kind, body) = page.unwrap_or_else(unknown);
        let mut response = Response::new(Full::from(body));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        response
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn health() -> (Health, Arc<AtomicBool>) {
        let full = Arc::new(AtomicBool::new(false));
        let spool = full.clone();
        let health = Health::new(Arc::new(Metrics::new(std::iter::empty())))
            .with("keys", || State::Ready)
            .with("store", || State::Degraded("connect: refused".to_owned()))
            .with("spool", move || match spool.load(Ordering::Relaxed) {
                false => State::Ready,
                true => State::Unready("no room".to_owned()),
            });
        (health, full)
    }

    #[test]
    fn front_door_tells_loopback_peers_only() {
        let (health, _) = health();
        let check = |path: &str, peer: &str, answered: bool| {
            assert_eq!(health.answer(path, peer.parse().unwrap()).is_some(), answered, "{path} {peer}");
        };
        for path in ["/healthz", "/readyz", "/metrics"] {
            check(path, "127.0.0.1:1", true);
            check(path, "[::1]:1", true);
            check(path, "[::ffff:127.0.0.1]:1", true);
            check(path, "10.0.0.1:1", false);
            check(path, "[2001:db8::1]:1", false);
        }
        check("/v1/models", "127.0.0.1:1", false);
        check("/metrics/", "127.0.0.1:1", false);
    }

    #[test]
    fn readiness_is_each_part_as_it_is_now() {
        let (health, full) = health();
        let store = json!({"state": "degraded", "why": "connect: refused"});
        let check = |status: StatusCode, spool: Value| {
            let (found, _, body) = health.page("/readyz").unwrap();
            let body: Value = serde_json::from_str(&body).unwrap();
            let parts = json!({"keys": {"state": "ready"}, "store": store, "spool": spool});
            assert_eq!((found, body), (status, json!({"ready": status == StatusCode::OK, "parts": parts})));
        };
        check(StatusCode::OK, json!({"state": "ready"}));
        full.store(true, Ordering::Relaxed);
        check(StatusCode::SERVICE_UNAVAILABLE, json!({"state": "unready", "why": "no room"}));
    }

    #[tokio::test]
    async fn admin_listener_answers_the_pages_and_nothing_else() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        use crate::admit::Phase;
        use crate::listen::{Front, Settings, bind};

        let loaded = crate::config::read("test", "", None, &crate::config::Environment::default()).unwrap();
        let (_phase, closing) = tokio::sync::watch::channel(Phase::Serving);
        let settings = Settings { name: "admin", workers: 1, limits: loaded.config.limits, tls: None, closing };
        let health = Arc::new(health().0);
        let reload: Reload = Arc::new(|| Box::pin(async { Err(json!({"mistakes": ["a", "b"]})) }));
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let front =
            Front::open(listener, &settings, move || Arc::new(Pages::new(health.clone(), reload.clone()))).unwrap();
        let cases = [
            ("GET /healthz", "HTTP/1.1 200 OK", "ok\n"),
            ("GET /readyz", "HTTP/1.1 200 OK", "{\"ready\":true"),
            ("GET /metrics", "HTTP/1.1 200 OK", "# EOF"),
            ("GET /", "HTTP/1.1 404 Not Found", "/healthz"),
            ("POST /healthz", "HTTP/1.1 405 Method Not Allowed", "only GET"),
            ("POST /reload", "HTTP/1.1 422 Unprocessable Entity", r#"{"mistakes":["a","b"]}"#),
        ];
        for (request, status, body) in cases {
            let mut stream = tokio::net::TcpStream::connect(front.address()).await.unwrap();
            let request = format!("{request} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with(status) && answer.contains(body), "{request}: {answer}");
        }
    }
}
