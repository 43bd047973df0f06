//! The loops that cost time: products, attention, normalisation. They know shapes, not models.
//!
//! Every result is the same whatever else is computed beside it: a sum runs over its terms in one fixed order, in the
//! sixteen lanes of [`dot`], on every instruction set and for every number of rows. Replies can therefore be replayed
//! bit for bit, alone or in a batch.

pub(crate) mod attention;
pub(crate) mod dot;
pub(crate) mod linear;
pub(crate) mod pointwise;
pub(crate) mod pool;
mod products;
mod rooms;
mod scores;
pub(crate) mod tiles;

pub(crate) use pool::{Band, Pool};
pub(crate) use rooms::Room;
