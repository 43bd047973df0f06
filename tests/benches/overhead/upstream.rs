//! An upstream that costs little: fixed replies on a thread of its own. Scripted ones are the harness's.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::time::{Interval, interval};

/// Events of a stream that carry text.
const EVENTS: usize = 50;

/// All events of a stream, the end and its mark included.
pub(crate) const ALL: usize = EVENTS + 2;

/// Between two events of a paced stream, and of a slow one.
const PACE: Duration = Duration::from_millis(10);
const SLOW_PACE: Duration = Duration::from_millis(50);

/// Starts it; it ends with the process.
pub(crate) fn start() -> SocketAddr {
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let _ = tell.send(listener.local_addr().expect("an address"));
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let _ = stream.set_nodelay(true);
                tokio::spawn(async move {
                    let server = hyper::server::conn::http1::Builder::new();
                    let _ = server.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
                });
            }
        });
    });
    told.recv().expect("an address")
}

async fn answer(request: Request<Incoming>) -> Result<Response<Either<Full<Bytes>, Events>>, Infallible> {
    let asked = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let asks = |text: &str| asked.windows(text.len()).any(|window| window == text.as_bytes());
    let reply = Response::builder();
    let reply = if asks("\"model\":\"whole\"") {
        reply.header("content-type", "application/json").body(Either::Left(Full::from(whole())))
    } else {
        let pace = match () {
            () if asks("\"model\":\"paced\"") => Some(interval(PACE)),
            () if asks("\"model\":\"slow\"") => Some(interval(SLOW_PACE)),
            () => None,
        };
        reply.header("content-type", "text/event-stream").body(Either::Right(Events { sent: 0, pace }))
    };
    Ok(reply.expect("a reply"))
}

/// About 1 KiB, as long as a short answer.
fn whole() -> String {
    let text = "The quick answer is that it depends on what is asked, and of whom. ".repeat(11);
    format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"whole","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":200,"completion_tokens":150,"total_tokens":350}}}}"#
    )
}

/// The events of a stream, one each tick or all at once.
pub(crate) struct Events {
    sent: usize,
    pace: Option<Interval>,
}

impl Events {
    fn event(&self) -> Bytes {
        let delta = match self.sent {
            sent if sent > EVENTS => return Bytes::from_static(b"data: [DONE]\n\n"),
            EVENTS => r#"{"index":0,"delta":{},"finish_reason":"stop"}"#.to_owned(),
            sent if sent < EVENTS / 2 => {
                format!(r#"{{"index":0,"delta":{{"reasoning_content":"thought {sent} "}},"finish_reason":null}}"#)
            }
            sent => format!(r#"{{"index":0,"delta":{{"content":"word {sent} "}},"finish_reason":null}}"#),
        };
        let event = format!(
            "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"paced\",\"choices\":[{delta}]}}\n\n"
        );
        event.into()
    }
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.sent > EVENTS + 1 {
            return Poll::Ready(None);
        }
        if let Some(pace) = &mut self.pace
            && pace.poll_tick(context).is_pending()
        {
            return Poll::Pending;
        }
        let event = self.event();
        self.sent += 1;
        Poll::Ready(Some(Ok(Frame::data(event))))
    }
}
