//! A request's body as its answerer gets it. One that is left before its end is read on, so that the client, which sends all
//! of it before it listens, hears the answer: by HTTP/1 its connection would be closed under it, by HTTP/2 the stream reset,
//! at which curl forgets the answer too.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::EXPECT;
use http::{Request, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::activity::Activity;
use crate::config::Limits;

/// Bytes of a body that are read in vain at most, as a multiple of what a request may have. Some clients that still send when
/// the answer comes hear nothing until they are done (httpx by HTTP/2).
const IN_VAIN: usize = 4;

/// A request's body.
#[derive(Debug)]
pub struct Upload {
    /// `None` once its end has come.
    incoming: Option<Incoming>,
    left: Left,
}

/// What is done about a body whose answerer left it before its end.
#[derive(Debug, Clone)]
struct Left {
    activity: Arc<Activity>,
    /// Bytes that are read in vain at most, and for how long.
    most: usize,
    patience: Duration,
    /// Whether nothing can follow it on its connection before its end, as in HTTP/1.
    blocks: bool,
    /// Whether the client waits to be told that it may send.
    waits: bool,
    last: Last,
}

/// Whether a connection can serve no further request, because what was sent is not read to its end.
#[derive(Debug, Clone, Default)]
pub(super) struct Last(Arc<AtomicBool>);

impl Last {
    /// Whether it is so.
    pub(super) fn is_told(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Upload {
    /// The body of a request on a connection.
    pub(super) fn of(request: Request<Incoming>, activity: &Arc<Activity>, limits: &Limits) -> (Request<Self>, Last) {
        let last = Last::default();
        let left = Left {
            activity: activity.clone(),
            most: limits.body_bytes.saturating_mul(IN_VAIN),
            patience: limits.header_time,
            blocks: request.version() <= Version::HTTP_11,
            waits: request.headers().contains_key(EXPECT),
            last: last.clone(),
        };
        (request.map(|incoming| Self { incoming: Some(incoming), left }), last)
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        // Whoever waits to be told is told by the first poll.
        self.left.waits = false;
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        let polled = Pin::new(incoming).poll_frame(context);
        if let Poll::Ready(None | Some(Err(_))) = polled {
            self.incoming = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Some(mut incoming) = self.incoming.take().filter(|incoming| !incoming.is_end_stream()) else { return };
        let Left { activity, most, patience, blocks, waits, last } = self.left.clone();
        let told = usize::try_from(incoming.size_hint().lower()).unwrap_or(usize::MAX);
        if blocks && (waits || told > most) {
            last.0.store(true, Ordering::Relaxed);
        }
        let Some(runtime) = Handle::try_current().ok().filter(|_| !waits) else { return };
        let busy = activity.hold();
        runtime.spawn(async move {
            let mut read = 0_usize;
            let rest = async {
                while let Some(Ok(frame)) = incoming.frame().await {
                    read = read.saturating_add(frame.data_ref().map_or(0, Bytes::len));
                    if read > most {
                        break;
                    }
                }
            };
            let _ = timeout(patience, rest).await;
            drop(incoming);
            drop(busy);
        });
    }
}
