//! A scripted upstream on a real socket: it plays replies and keeps what it was asked. It decides nothing.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Version};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::certificates::Authority;
use super::script::{Reply, Step};
use super::wait::until;

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Received {
    /// A header's text; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

type Answer = Box<dyn Fn(&Received) -> Reply + Send + Sync>;

/// A running upstream; it ends with the test.
pub(crate) struct Upstream {
    address: SocketAddr,
    scheme: &'static str,
    stage: Arc<Stage>,
    accepting: tokio::task::JoinHandle<()>,
}

/// What all connections share.
struct Stage {
    answer: Answer,
    received: Mutex<Vec<Received>>,
    /// Bodies that were dropped before their script was over: the gateway had left.
    abandoned: AtomicUsize,
}

impl Upstream {
    /// Answers as a function says.
    pub(crate) async fn answering(answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        Self::start("http", Box::new(answer), None).await
    }

    /// Answers everything alike.
    pub(crate) async fn always(reply: Reply) -> Self {
        Self::answering(move |_| reply.clone()).await
    }

    /// Answers the first request with the first reply and so on; the last one stays.
    pub(crate) async fn in_turn(replies: Vec<Reply>) -> Self {
        let next = AtomicUsize::new(0);
        Self::answering(move |_| {
            let turn = next.fetch_add(1, Ordering::Relaxed).min(replies.len() - 1);
            replies[turn].clone()
        })
        .await
    }

    /// Speaks HTTP/2 (or 1.1) over TLS, with a certificate for `localhost` by an authority.
    pub(crate) async fn over_tls(authority: &Authority, reply: Reply) -> Self {
        let config = authority.server_config(&["localhost"]);
        Self::start("https", Box::new(move |_| reply.clone()), Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn start(scheme: &'static str, answer: Answer, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let stage = Arc::new(Stage { answer, received: Mutex::default(), abandoned: AtomicUsize::new(0) });
        let accepting = tokio::spawn(accept(listener, tls, stage.clone()));
        Self { address, scheme, stage, accepting }
    }

    /// What a configuration calls `base_url`.
    pub(crate) fn base_url(&self) -> String {
        let host = if self.scheme == "https" { "localhost" } else { "127.0.0.1" };
        format!("{}://{host}:{}/v1", self.scheme, self.address.port())
    }

    /// All that was asked so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.stage.received.lock().expect("no panic").clone()
    }

    /// The one request that was asked.
    pub(crate) fn only(&self) -> Received {
        let mut received = self.received();
        assert_eq!(received.len(), 1, "requests at the upstream");
        received.remove(0)
    }

    /// Waits until so many requests have come.
    pub(crate) async fn asked(&self, count: usize) {
        until("the upstream to be asked", async || (self.received().len() >= count).then_some(())).await;
    }

    /// Waits until the gateway has left a reply before its end.
    pub(crate) async fn abandoned(&self) {
        let left = async || (self.stage.abandoned.load(Ordering::Relaxed) > 0).then_some(());
        until("the upstream to be left", left).await;
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, stage: Arc<Stage>) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let reset = Arc::new(AtomicBool::new(false));
        let stream = Resettable { stream, reset: reset.clone() };
        let (tls, stage) = (tls.clone(), stage.clone());
        tokio::spawn(async move {
            match tls {
                None => serve(stream, stage, reset).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, stage, reset).await;
                    }
                }
            }
        });
    }
}

async fn serve<S>(stream: S, stage: Arc<Stage>, reset: Arc<AtomicBool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| respond(request, stage.clone(), reset.clone()));
    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    // An error here is a scripted one, or the gateway closing its connection.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

async fn respond(
    request: Request<Incoming>,
    stage: Arc<Stage>,
    reset: Arc<AtomicBool>,
) -> Result<Response<Play>, io::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let received = Received {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        version: parts.version,
        headers: parts.headers,
        body,
    };
    let reply = (stage.answer)(&received);
    stage.received.lock().expect("no panic").push(received);
    tokio::time::sleep(reply.delay).await;
    if reply.mute {
        return Err(io::Error::other("scripted silence"));
    }
    let mut response = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        response = response.header(*name, value);
    }
    let body = Play { steps: reply.steps.into_iter().collect(), sized: reply.sized, waiting: None, stage, reset };
    Ok(response.body(body).expect("a valid head"))
}

/// A body that plays steps.
struct Play {
    steps: std::collections::VecDeque<Step>,
    sized: bool,
    waiting: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    stage: Arc<Stage>,
    reset: Arc<AtomicBool>,
}

impl Body for Play {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        loop {
            if let Some(waiting) = &mut self.waiting {
                ready!(waiting.as_mut().poll(context));
                self.waiting = None;
            }
            match self.steps.pop_front() {
                None => return Poll::Ready(None),
                Some(Step::Send(bytes)) => {
                    // hyper flushes when a body has nothing to give, so that a step is a write of its own.
                    if !self.sized && !self.steps.is_empty() {
                        self.waiting = Some(Box::pin(tokio::task::yield_now()));
                    }
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Some(Step::Pause(time)) => self.waiting = Some(Box::pin(tokio::time::sleep(time))),
                Some(Step::Hold(signal)) => self.waiting = Some(Box::pin(async move { signal.given().await })),
                Some(Step::Reset) => {
                    self.reset.store(true, Ordering::Relaxed);
                    return Poll::Ready(Some(Err(io::Error::other("scripted reset"))));
                }
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self.steps.front() {
            Some(Step::Send(bytes)) if self.sized => SizeHint::with_exact(bytes.len() as u64),
            _ => SizeHint::default(),
        }
    }
}

impl Drop for Play {
    fn drop(&mut self) {
        if !self.steps.is_empty() || self.waiting.is_some() {
            self.stage.abandoned.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A TCP stream that can end with a reset instead of a farewell.
struct Resettable {
    stream: TcpStream,
    reset: Arc<AtomicBool>,
}

impl Drop for Resettable {
    fn drop(&mut self) {
        if self.reset.load(Ordering::Relaxed) {
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Resettable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Resettable {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.reset.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// A closed port: nobody answers there.
pub(crate) async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    format!("http://{address}/v1")
}
