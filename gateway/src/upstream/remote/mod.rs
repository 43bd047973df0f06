//! Remote backends over HTTP/1.1 and HTTP/2: the only user of hyper's client. It tries once and judges nothing.

mod connect;
mod incoming;
mod list;
mod send;
mod target;

pub(crate) use connect::{Connector, failure};
pub(crate) use incoming::Incoming;
pub(crate) use list::list;
pub(crate) use send::{Call, Connections};
pub(crate) use target::Target;
