//! Makes connections: name, TCP and TLS within one time limit. Pooling is hyper's.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiAddrs, GaiResolver, Name};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use crate::tls::client::{self, Trust};
use crate::upstream::failure::Error;

/// How long a connection may be silent before the system asks whether the peer is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

type BoxError = Box<dyn StdError + Send + Sync>;
type Boxed<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// Connects to one backend.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    inner: HttpsConnector<HttpConnector<Resolver>>,
    limit: Duration,
}

impl Connector {
    /// A connector that trusts whom it is told to, and gives up after a while.
    pub(crate) fn new(trust: &Trust, limit: Duration) -> Self {
        let mut http = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
        http.set_nodelay(true);
        http.set_keepalive(Some(KEEP_ALIVE));
        http.enforce_http(false);
        Self { inner: trust.over(http), limit }
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = Boxed<Self::Response>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.inner.call(uri);
        let limit = self.limit;
        Box::pin(async move {
            match tokio::time::timeout(limit, connecting).await {
                Ok(connected) => connected,
                Err(_) => Err(Failed::TimedOut(limit).into()),
            }
        })
    }
}

/// The system's resolver, whose failures can be told from others.
#[derive(Debug, Clone)]
struct Resolver(GaiResolver);

impl Service<Name> for Resolver {
    type Response = GaiAddrs;
    type Error = BoxError;
    type Future = Boxed<GaiAddrs>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolving = self.0.call(name);
        Box::pin(async move { resolving.await.map_err(|_| Failed::Unresolved.into()) })
    }
}

/// What can be known of a failed connection beside the system's words.
#[derive(Debug)]
enum Failed {
    TimedOut(Duration),
    Unresolved,
}

impl fmt::Display for Failed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut(_) => formatter.write_str("timed out"),
            Self::Unresolved => formatter.write_str("the name is not known"),
        }
    }
}

impl StdError for Failed {}

/// What a failed connection comes to.
pub(crate) fn explain(error: &(dyn StdError + 'static)) -> Error {
    search(error, &|error| match error.downcast_ref::<Failed>() {
        Some(Failed::TimedOut(limit)) => Some(Error::ConnectTimedOut(*limit)),
        Some(Failed::Unresolved) => Some(Error::Connect("its name is not known")),
        None => client::explain(error).map(Error::Connect),
    })
    .unwrap_or_else(|| Error::Connect(words(error).unwrap_or("no connection could be made")))
}

/// What a failed connection comes to, in words alone.
pub(crate) fn failure(error: &(dyn StdError + 'static)) -> &'static str {
    match explain(error) {
        Error::Connect(why) => why,
        _ => "no connection could be made in time",
    }
}

/// The system's word for what went wrong on the network, where it has one.
pub(crate) fn words(error: &(dyn StdError + 'static)) -> Option<&'static str> {
    search(error, &|error| {
        Some(match error.downcast_ref::<io::Error>()?.kind() {
            io::ErrorKind::ConnectionRefused => "connection refused",
            io::ErrorKind::ConnectionReset => "connection reset",
            io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => "connection aborted",
            io::ErrorKind::HostUnreachable => "the host is unreachable",
            io::ErrorKind::NetworkUnreachable => "the network is unreachable",
            io::ErrorKind::TimedOut => "the network timed out",
            io::ErrorKind::UnexpectedEof => "the connection closed early",
            io::ErrorKind::AddrNotAvailable => "no local address is free",
            _ => return None,
        })
    })
}

/// Looks through an error, its causes, and what I/O errors wrap, which is no cause to the standard library.
fn search<T>(error: &(dyn StdError + 'static), test: &dyn Fn(&(dyn StdError + 'static)) -> Option<T>) -> Option<T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = test(error) {
            return Some(found);
        }
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = wrapped.and_then(|wrapped| search(wrapped, test)) {
            return Some(found);
        }
        next = error.source();
    }
    None
}
