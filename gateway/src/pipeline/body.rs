//! Reply bodies: made as the client takes them, and finished without it where it left. They carry bytes and no meaning.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::account::ClientLeft;
use super::flow::Flow;

/// One step of a flow: the flow again, and bytes for the client; none at the end.
pub(super) type Step = Pin<Box<dyn Future<Output = (Box<Flow>, Option<Bytes>)> + Send>>;

/// The body of a response.
pub enum ReplyBody {
    /// All of it is here.
    Whole(Option<Bytes>),
    /// It is made as the client takes it.
    Flowing(Flowing),
}

/// A body that a flow makes. Dropped early, it goes on without the client, so that the record is whole.
pub struct Flowing {
    first: Option<Bytes>,
    step: Option<Step>,
    client_left: ClientLeft,
}

impl Flowing {
    /// A body that begins with bytes the flow has already given.
    pub fn new(first: Bytes, flow: Box<Flow>) -> Self {
        let client_left = flow.client_left();
        Self { first: Some(first), step: Some(Box::pin(flow.step())), client_left }
    }
}

impl Drop for Flowing {
    fn drop(&mut self) {
        let Some(step) = self.step.take() else { return };
        self.client_left.store(true, Ordering::Relaxed);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let (flow, _) = step.await;
                flow.drain().await;
            });
        }
    }
}

impl From<Bytes> for ReplyBody {
    fn from(bytes: Bytes) -> Self {
        Self::Whole((!bytes.is_empty()).then_some(bytes))
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let flowing = match self.get_mut() {
            Self::Whole(bytes) => return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Flowing(flowing) => flowing,
        };
        if let Some(first) = flowing.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let Some(step) = &mut flowing.step else { return Poll::Ready(None) };
        match step.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready((flow, Some(bytes))) => {
                flowing.step = Some(Box::pin(flow.step()));
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Poll::Ready((_, None)) => {
                flowing.step = None;
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Flowing(flowing) => flowing.first.is_none() && flowing.step.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Flowing(_) => SizeHint::default(),
        }
    }
}

/// A future that goes on by itself when whoever waits for it goes away.
pub(super) struct Attended<T: Send + 'static> {
    work: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    client_left: ClientLeft,
}

impl<T: Send + 'static> Attended<T> {
    /// Attends to some work; the flag is set when nobody waits any more.
    pub(super) fn new(work: impl Future<Output = T> + Send + 'static, client_left: ClientLeft) -> Self {
        Self { work: Some(Box::pin(work)), client_left }
    }
}

impl<T: Send + 'static> Future for Attended<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let Some(work) = &mut self.work else { return Poll::Pending };
        let done = work.as_mut().poll(context);
        if done.is_ready() {
            self.work = None;
        }
        done
    }
}

impl<T: Send + 'static> Drop for Attended<T> {
    fn drop(&mut self) {
        let Some(work) = self.work.take() else { return };
        self.client_left.store(true, Ordering::Relaxed);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(work);
        }
    }
}
