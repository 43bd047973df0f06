//! What scenarios are made of: an upstream, a gateway, a client, a database. A scenario reads as one sentence.

pub(crate) mod gateway;

pub(crate) mod dialects;
pub(crate) mod script;
pub(crate) mod upstream;
pub(crate) mod vendors;

pub(crate) mod agent;
pub(crate) mod client;
pub(crate) mod raw;
pub(crate) mod sse;

pub(crate) mod certificates;
pub(crate) mod database;
pub(crate) mod model;
pub(crate) mod pack;

pub(crate) mod scratch;
pub(crate) mod wait;
