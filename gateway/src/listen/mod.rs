//! The front door: sockets in, requests to whoever answers them, responses out. It knows nothing of what they say.
//!
//! - `front`: an address, its acceptor and its workers as one thing
//! - `accept`: binds an address and takes connections, never more than there is room for
//! - `worker`: threads with a runtime each, which serve the connections that they are handed
//! - `connection`: one connection from handshake to close
//! - `activity`: what a connection is doing, so that it can be told from one that only holds a place
//! - `wire`: a socket with or without TLS
//! - `upload`: a request's body, which is read to its end though nobody wants it
//! - `drain`: the way out

mod front;

mod accept;
mod worker;

mod connection;

mod activity;
mod upload;
mod wire;

mod drain;

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Body;

pub use accept::{Error, bind};
pub use drain::{Drained, Patience, drain};
pub use front::{Counts, Front, Settings};
pub use upload::Upload;

use crate::exchange::Peer;

/// Answers requests; every worker has one of its own.
pub trait Answer: Send + Sync + 'static {
    /// What responses carry.
    type Body: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static;

    /// Answers one request.
    fn answer(
        self: Arc<Self>,
        request: Request<Upload>,
        peer: Peer,
    ) -> impl Future<Output = Response<Self::Body>> + Send + 'static;
}

impl Answer for crate::pipeline::Gateway {
    type Body = crate::pipeline::ReplyBody;

    fn answer(
        self: Arc<Self>,
        request: Request<Upload>,
        peer: Peer,
    ) -> impl Future<Output = Response<Self::Body>> + Send + 'static {
        Self::answer(self, request, peer)
    }
}

#[cfg(test)]
mod tests;
