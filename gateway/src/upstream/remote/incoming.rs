//! The bytes of a remote reply, at the reader's pace. Trailers are skipped.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body;

use super::connect::words;
use crate::upstream::failure::Error;

/// Bytes of an error's body that are read to tell what it is.
const PEEKED: usize = 64 << 10;

/// How long an error's body may take to show what it is.
const PEEK_TIME: Duration = Duration::from_secs(5);

/// A remote body.
#[derive(Debug)]
pub struct Incoming {
    /// What was read ahead.
    peeked: Option<Bytes>,
    /// What is still to come; `None` after the end or an error.
    rest: Option<body::Incoming>,
}

impl Incoming {
    /// A body of which nothing was read.
    pub fn new(body: body::Incoming) -> Self {
        Self { peeked: None, rest: Some(body) }
    }

    /// Reads the beginning of an error's body, bounded in size and time, and keeps it for the reader.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn peek(&mut self) -> Result<Bytes, Error> {
        let mut read = BytesMut::new();
        // A body that is slow to come is judged by what has come.
        let done = tokio::time::timeout(PEEK_TIME, self.fill(&mut read)).await;
        let peeked = read.freeze();
        self.peeked = (!peeked.is_empty()).then(|| peeked.clone());
        done.unwrap_or(Ok(())).map(|()| peeked)
    }

    async fn fill(&mut self, read: &mut BytesMut) -> Result<(), Error> {
        while read.len() < PEEKED
            && let Some(rest) = &mut self.rest
        {
            match rest.frame().await {
                None => self.rest = None,
                Some(Err(error)) => return Err(broken(&error)),
                Some(Ok(frame)) => read.extend_from_slice(frame.data_ref().map_or(&[], Bytes::as_ref)),
            }
        }
        Ok(())
    }

    /// The next bytes, never none of them.
    pub fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        if let Some(peeked) = self.peeked.take() {
            return Poll::Ready(Some(Ok(peeked)));
        }
        while let Some(rest) = &mut self.rest {
            match Pin::new(rest).poll_frame(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => self.rest = None,
                Poll::Ready(Some(Err(error))) => {
                    self.rest = None;
                    return Poll::Ready(Some(Err(broken(&error))));
                }
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data()
                        && !data.is_empty()
                    {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
            }
        }
        Poll::Ready(None)
    }
}

/// What a failure of a connection that had been made comes to.
pub(crate) fn broken(error: &hyper::Error) -> Error {
    if error.is_parse_too_large() {
        return Error::Malformed("its head is too large");
    }
    if error.is_parse() {
        return Error::Malformed("it is not HTTP");
    }
    if error.is_incomplete_message() {
        return Error::Broken("the connection closed before it was whole");
    }
    Error::Broken(words(error).unwrap_or("the connection or stream was reset"))
}
