//! A whole reply that was asked for as a stream, because its upstream gives it in no other way: read to its end and put
//! together. What it says is screened by [`super::whole`], as of any whole reply.

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use tokio::time::Instant;

use super::account::Account;
use super::whole::Unread;
use crate::admit::Phase;
use crate::dialect::{self, Gathered};
use crate::exchange::Dialect;
use crate::stream::sse::{Frame, Frames, Kind};
use crate::upstream::Reply;

/// What has come of a stream so far.
struct Stream {
    frames: Frames,
    gathered: Gathered,
    /// When something last came that carries meaning.
    semantic: Option<Instant>,
    /// Whether its last word was read.
    done: bool,
}

/// Reads a stream to its end; gives the whole reply. An error in it becomes the reply, with a status that says so.
pub(super) async fn read(account: &mut Account, reply: &mut Reply) -> Result<Bytes, Unread> {
    let limit = account.reply_limit();
    let mut stream = Stream::new(account.admission.snapshot.config.limits.event_bytes);
    while !stream.done {
        let timeouts = &reply.timeouts;
        let near = stream.semantic.map_or(reply.started + timeouts.first_event, |last| last + timeouts.gap);
        let chunk = tokio::select! {
            biased;
            chunk = reply.body.chunk() => chunk,
            () = tokio::time::sleep_until(near.min(reply.started + timeouts.total)) => return Err(Unread::TimedOut),
            _ = account.admission.closing.wait_for(|phase| *phase == Phase::Ending) => return Err(Unread::Ending),
        };
        match chunk {
            None => break,
            Some(Err(error)) => return Err(Unread::Failed(error.to_string())),
            Some(Ok(bytes)) => {
                account.received.push(&bytes, limit);
                if account.received.unkept > 0 {
                    return Err(Unread::TooLong);
                }
                stream.take(bytes)?;
            }
        }
    }
    if let Some(tail) = stream.frames.finish() {
        stream.frame(&tail)?;
    }
    if let Some(error) = stream.gathered.error() {
        reply.status = StatusCode::BAD_GATEWAY;
        reply.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        return Ok(error);
    }
    if !stream.done && !stream.gathered.is_finished() {
        return Err(Unread::Failed("the stream ended before its last event".to_owned()));
    }
    reply.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(stream.gathered.finish())
}

/// Puts together a stream that was read to its end.
pub(super) fn whole(received: &[u8], limit: usize) -> Result<Bytes, String> {
    let mut stream = Stream::new(limit);
    stream.take(Bytes::copy_from_slice(received)).map_err(|unread| unread.explain().1)?;
    match (stream.gathered.error(), stream.done || stream.gathered.is_finished()) {
        (None, true) => Ok(stream.gathered.finish()),
        (Some(_), _) => Err("an error came in the stream".to_owned()),
        (None, false) => Err("the stream ended before its last event".to_owned()),
    }
}

impl Stream {
    fn new(limit: usize) -> Self {
        Self { frames: Frames::new(limit), gathered: Gathered::default(), semantic: None, done: false }
    }

    fn take(&mut self, bytes: Bytes) -> Result<(), Unread> {
        self.frames.push(bytes);
        while let Some(frame) = self.frames.next() {
            self.frame(&frame.map_err(|error| Unread::Failed(error.to_string()))?)?;
        }
        Ok(())
    }

    fn frame(&mut self, frame: &Frame) -> Result<(), Unread> {
        if frame.kind == Kind::Done {
            self.done = true;
            return Ok(());
        }
        let observed = dialect::read_chunk(Dialect::OpenaiChat, frame);
        let observed = observed.map_err(|error| Unread::Failed(error.to_string()))?;
        if observed.semantic {
            self.semantic = Some(Instant::now());
        }
        self.gathered.take(&frame.payload()).map_err(|error| Unread::Failed(error.to_string()))
    }
}
