//! One connection from handshake to close: its protocol, its time limits, its part in a drain. It does not know what is
//! asked or answered.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use http::header::CONNECTION;
use http::{HeaderValue, Request};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::Answer;
use super::accept::Accepted;
use super::activity::{Activity, Advice};
use super::front::{Counts, Settings};
use super::upload::Upload;
use super::wire::{Socket, Wire};
use crate::admit::{Closing, Phase};
use crate::config::Limits;
use crate::exchange::Peer;
use crate::tls;

/// Bytes that may wait to be written on one HTTP/2 stream; hyper's 400 KiB add up under many streams.
const SEND_BUFFER: usize = 64 << 10;

/// Serves connections; shared by all workers of a front.
#[derive(Debug)]
pub(super) struct Server {
    limits: Limits,
    tls: Option<Arc<tls::Server>>,
    closing: Closing,
    counts: Arc<Counts>,
    protocols: Protocols,
}

/// How each protocol is spoken.
#[derive(Debug)]
struct Protocols {
    http1: Builder<TokioExecutor>,
    http2: Builder<TokioExecutor>,
    /// Whichever the first bytes show.
    either: Builder<TokioExecutor>,
}

/// What ended the wait for a connection.
enum Event {
    Closed,
    Flooded,
    Leave,
    Look,
}

impl Server {
    pub(super) fn new(settings: &Settings, counts: Arc<Counts>) -> Self {
        let either = builder(&settings.limits);
        Self {
            limits: settings.limits.clone(),
            tls: settings.tls.clone(),
            closing: settings.closing.clone(),
            counts,
            protocols: Protocols { http1: either.clone().http1_only(), http2: either.clone().http2_only(), either },
        }
    }

    /// Serves a connection to its end.
    pub(super) async fn attend<A: Answer>(self: Arc<Self>, accepted: Accepted, answer: Arc<A>) {
        let Accepted { socket, address, open: _open } = accepted;
        let socket = match self.shake_hands(socket).await {
            Ok(socket) => socket,
            Err(error) => {
                self.counts.handshakes_failed.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(peer = %address, %error, "no connection");
                return;
            }
        };
        let certificate = match &socket {
            Socket::Plain(_) => None,
            Socket::Tls(stream) => tls::client_subject(stream),
        };
        let activity = Activity::new();
        let wire = Wire::new(socket, activity.clone());
        self.serve(wire, &activity, answer, Peer { address, certificate }).await;
    }

    async fn shake_hands(&self, socket: std::net::TcpStream) -> std::io::Result<Socket> {
        let socket = TcpStream::from_std(socket)?;
        // Events are small and must not wait for one another.
        socket.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Socket::Plain(socket)) };
        let stream = tokio::time::timeout(self.limits.handshake, tls.accept(socket)).await??;
        Ok(Socket::Tls(Box::new(stream)))
    }

    async fn serve<A: Answer>(&self, wire: Wire, activity: &Arc<Activity>, answer: Arc<A>, peer: Peer) {
        let builder = match wire.protocol() {
            Some(b"h2") => &self.protocols.http2,
            Some(_) => &self.protocols.http1,
            None => &self.protocols.either,
        };
        let service = service_fn(|request: Request<Incoming>| {
            let running = activity.begin();
            let (request, last) = Upload::of(request, activity, &self.limits);
            let answered = answer.clone().answer(request, peer.clone());
            async move {
                let mut response = answered.await.map(|body| running.with(body));
                if last.is_told() {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(response)
            }
        });
        let mut connection = pin!(builder.serve_connection(TokioIo::new(wire), service));
        let mut closing = self.closing.clone();
        let mut leave = pin!(closing.wait_for(|phase| *phase != Phase::Serving));
        let mut look = pin!(tokio::time::sleep(self.limits.header_time));
        let mut left: Option<Instant> = None;
        loop {
            let event = poll_fn(|context| {
                if let Poll::Ready(end) = connection.as_mut().poll(context) {
                    if let Err(error) = end {
                        tracing::debug!(peer = %peer.address, error, "a connection broke");
                    }
                    return Poll::Ready(Event::Closed);
                }
                if activity.flooded(self.limits.h2_resets) {
                    return Poll::Ready(Event::Flooded);
                }
                if left.is_none() && leave.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Event::Leave);
                }
                look.as_mut().poll(context).map(|()| Event::Look)
            });
            match event.await {
                Event::Closed => return,
                Event::Flooded => return self.close_flooded(&peer),
                Event::Leave => {
                    left = Some(Instant::now());
                    connection.as_mut().graceful_shutdown();
                }
                Event::Look => match self.look(activity, left) {
                    Advice::Keep(until) => look.as_mut().reset(until),
                    Advice::Slow => return self.close_slow(&peer),
                    Advice::Stalled => return self.close_stalled(&peer),
                    Advice::Idle if left.is_some() => return,
                    Advice::Idle => {
                        left = Some(Instant::now());
                        connection.as_mut().graceful_shutdown();
                        look.as_mut().reset(Instant::now() + self.limits.header_time);
                    }
                },
            }
        }
    }

    /// What to do about a connection; one that was asked to leave has as long as a head for its goodbye.
    fn look(&self, activity: &Activity, left: Option<Instant>) -> Advice {
        match left {
            Some(_) if activity.busy() => activity.advice(&self.limits),
            Some(left) => {
                let end = left.max(activity.quiet_since()) + self.limits.header_time;
                if Instant::now() < end { Advice::Keep(end) } else { Advice::Idle }
            }
            None => activity.advice(&self.limits),
        }
    }

    fn close_slow(&self, peer: &Peer) {
        self.counts.slow.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(peer = %peer.address, "a request head did not come in time");
    }

    fn close_stalled(&self, peer: &Peer) {
        self.counts.stalled.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(peer = %peer.address, "a client does not take its reply");
    }

    fn close_flooded(&self, peer: &Peer) {
        self.counts.flooded.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(peer = %peer.address, "a client opened streams only to reset them; its connection is closed");
    }
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // A client that has sent its request may shut its side and still gets its answer.
        .half_close(true)
        // hyper's own limit would also end connections that only idle; `Activity` tells the two apart.
        .header_read_timeout(None)
        .max_buf_size(limits.header_bytes.max(8192));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(limits.h2_streams)
        .max_pending_accept_reset_streams(limits.h2_resets)
        .max_local_error_reset_streams(limits.h2_resets)
        .max_send_buf_size(SEND_BUFFER);
    builder
}
