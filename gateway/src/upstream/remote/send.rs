//! Sends one request to one remote backend and waits for the reply's head. It tries once.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, COOKIE, HOST, HeaderName, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body;
use hyper_util::client::legacy::{self, Client, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, timeout_at};

use super::connect::{self, Connector};
use super::incoming::{Incoming, broken};
use super::target::Target;
use crate::config::Timeouts;
use crate::exchange::{Dialect, ExchangeId};
use crate::upstream::absence;
use crate::upstream::catalogue::Signal;
use crate::upstream::failure::Error;
use crate::upstream::reply::{Answer, Tells};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The version of the Messages API that is spoken where the client names none.
pub(super) const VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// Headers that mean something in one dialect alone.
const OF_DIALECTS: [HeaderName; 3] =
    [VERSION, HeaderName::from_static("anthropic-beta"), HeaderName::from_static("openai-beta")];

/// Headers that never go on, whoever put them there: the client's credentials, and what belongs to one connection.
const WITHHELD: [HeaderName; 9] = [
    http::header::AUTHORIZATION,
    http::header::PROXY_AUTHORIZATION,
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-api-key"),
    COOKIE,
    HOST,
    CONNECTION,
    CONTENT_LENGTH,
    TRANSFER_ENCODING,
];

/// How long a connection that nobody uses is kept; shorter than what servers usually allow.
const IDLE: Duration = Duration::from_secs(50);

/// How often a silent HTTP/2 connection in use is asked whether it is alive, and how long it may take to say so.
const PING: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(20));

/// HTTP/2 flow-control windows of a stream and of a connection: what a slow client may leave unread.
const WINDOWS: (u32, u32) = (1 << 20, 8 << 20);

/// One worker's connections to one backend.
pub(crate) struct Connections(Client<Connector, Payload>);

impl fmt::Debug for Connections {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Connections")
    }
}

/// What is sent.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    /// Our id of the exchange.
    pub id: ExchangeId,
    /// What is spoken.
    pub dialect: Dialect,
    /// What the client speaks.
    pub asked: Dialect,
    /// Headers of the client's that go on.
    pub headers: &'a HeaderMap,
    /// The body.
    pub body: Bytes,
    /// Whether it asks for a stream.
    pub stream: bool,
}

impl Connections {
    /// No connections yet; they will live on the runtime that is current when they are made.
    pub(crate) fn new(target: &Target) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(target.idle)
            .http2_initial_stream_window_size(WINDOWS.0)
            .http2_initial_connection_window_size(WINDOWS.1)
            .http2_keep_alive_interval(PING.0)
            .http2_keep_alive_timeout(PING.1)
            .build(Connector::new(&target.trust, target.timeouts().connect));
        Self(client)
    }

    /// Sends a request and waits for the reply's head; of an error also for the beginning of its body.
    ///
    /// # Errors
    /// See [`Error`].
    pub(crate) async fn send(&self, target: &Target, call: Call<'_>) -> Result<Answer, Error> {
        let sent = Arc::new(OnceLock::new());
        let response = self.0.request(request(target, call, &sent));
        let response = head(response, &sent, &target.timeouts()).await?;
        let started = sent.get().copied().unwrap_or_else(Instant::now);
        let (parts, body) = response.into_parts();
        if parts.status.is_redirection() || parts.status.is_informational() {
            return Err(Error::Malformed("it redirects, and calls are not redirected"));
        }
        if parts.headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
            return Err(Error::Malformed("it is compressed, which was not asked for"));
        }
        let mut incoming = Incoming::new(body);
        let tells = match parts.status.is_success() {
            true => Tells::Nothing,
            false => read(parts.status, &incoming.peek().await?, target),
        };
        let body = incoming.into();
        let (status, headers, adapted) = (parts.status, parts.headers, Vec::new());
        Ok(Answer { status, headers, body, started, tells, authored: 0, adapted, gathers: false, asks_usage: false })
    }
}

/// What the beginning of an error says.
fn read(status: StatusCode, error: &[u8], target: &Target) -> Tells {
    let shows = |signals: &[Signal]| Signal::any(signals, status.as_u16(), error);
    match () {
        () if shows(&target.blocks) => Tells::Block,
        () if shows(&target.unpaid) => Tells::Unpaid,
        () if absence::is_told(status, error) => Tells::Absent,
        () => Tells::Nothing,
    }
}

fn request(target: &Target, call: Call<'_>, sent: &Arc<OnceLock<Instant>>) -> Request<Payload> {
    let mut request = Request::new(Payload { bytes: Some(call.body), sent: sent.clone() });
    *request.method_mut() = Method::POST;
    *request.uri_mut() = target.uri(call.dialect);
    let headers = request.headers_mut();
    headers.clone_from(&target.headers);
    for (name, value) in call.headers {
        // What is said of one dialect is not said in another.
        let foreign = call.dialect != call.asked && OF_DIALECTS.contains(name);
        if !target.headers.contains_key(name) && !WITHHELD.contains(name) && !foreign {
            headers.append(name.clone(), value.clone());
        }
    }
    if matches!(call.dialect, Dialect::Anthropic | Dialect::AnthropicCount) && !headers.contains_key(VERSION) {
        headers.insert(VERSION, HeaderValue::from_static("2023-06-01"));
    }
    if !headers.contains_key(ACCEPT) {
        let accept = if call.stream { "text/event-stream" } else { "application/json" };
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
    }
    let mut buffer = uuid::Uuid::encode_buffer();
    if let Ok(id) = HeaderValue::from_str(call.id.0.as_hyphenated().encode_lower(&mut buffer)) {
        headers.insert(REQUEST_ID, id);
    }
    request
}

/// Waits for the head. Its limit counts from the request's last byte; until that has gone, a connection may still be
/// being made, which has a limit of its own.
async fn head(
    response: ResponseFuture,
    sent: &OnceLock<Instant>,
    timeouts: &Timeouts,
) -> Result<Response<body::Incoming>, Error> {
    let begun = Instant::now();
    let mut response = pin!(response);
    let mut deadline = begun + timeouts.first_byte;
    loop {
        match timeout_at(deadline, response.as_mut()).await {
            Ok(Ok(response)) => return Ok(response),
            Ok(Err(error)) => return Err(explain(&error)),
            Err(_) => {
                let from = sent.get().copied().unwrap_or(begun + timeouts.connect);
                if from + timeouts.first_byte <= deadline {
                    return Err(Error::HeadTimedOut(timeouts.first_byte));
                }
                deadline = from + timeouts.first_byte;
            }
        }
    }
}

fn explain(error: &legacy::Error) -> Error {
    if error.is_connect() {
        return connect::explain(error);
    }
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(error) = inner.downcast_ref::<hyper::Error>() {
            return broken(error);
        }
        cause = inner.source();
    }
    Error::Broken(connect::words(error).unwrap_or("the connection failed"))
}

/// A request's body in one piece, that notes when it was taken.
struct Payload {
    bytes: Option<Bytes>,
    sent: Arc<OnceLock<Instant>>,
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = self.bytes.take();
        if bytes.is_some() {
            let _ = self.sent.set(Instant::now());
        }
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
