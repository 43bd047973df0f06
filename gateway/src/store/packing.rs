//! Payloads of a batch on their way into rows: salted, hashed, compressed, hidden. It is done on another thread while the
//! server stores the rows that need none of it: packing takes about as long as they do.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::{JoinHandle, spawn_blocking};

use super::leaves::salt;
use super::payload::Packer;
use super::rows::{Key, PayloadRow, signed};
use crate::cipher::{Keys, Place};
use crate::ledger::hash::Hash;
use crate::ledger::leaf::Part;

/// A payload as the frames have it.
#[derive(Debug)]
pub(super) struct Loose {
    /// Which of the batch's leaves commits to it.
    pub(super) leaf: usize,
    pub(super) key: Key,
    pub(super) part: &'static str,
    /// Its bytes, one after the other; not none of them.
    pub(super) pieces: Vec<Bytes>,
}

/// A payload as it is stored, and what the ledger says of it.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) leaf: usize,
    pub(super) row: PayloadRow,
    pub(super) commitment: Part,
}

/// Payloads that are being packed.
pub(super) struct Packing(JoinHandle<io::Result<Vec<Packed>>>);

impl Packing {
    /// Begins to pack, on a thread that may be kept busy.
    pub(super) fn start(loose: Vec<Loose>, keys: Arc<Keys>) -> Self {
        Self(spawn_blocking(move || {
            let mut packer = Packer::default();
            loose.into_iter().map(|payload| pack_one(&mut packer, payload, &keys)).collect()
        }))
    }

    /// Waits for them, in the order they were given.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub(super) async fn finish(self) -> io::Result<Vec<Packed>> {
        self.0.await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

fn pack_one(packer: &mut Packer, payload: Loose, keys: &Keys) -> io::Result<Packed> {
    let Loose { leaf, key, part, pieces } = payload;
    let size: usize = pieces.iter().map(Bytes::len).sum();
    let salt = salt()?;
    let commitment = Part { name: part.to_owned(), size: size as u64, hash: Hash::payload(&salt, &pieces) };
    let (codec, packed) = packer.pack(&pieces);
    let (key_id, bytes) = match keys.seal(Place { exchange: key.exchange, part }, &packed) {
        Some((id, bytes)) => (Some(id), bytes.into()),
        None if keys.is_empty() => (None, packed),
        None => return Err(io::Error::other("a payload cannot be hidden under the payload key")),
    };
    let row = PayloadRow { key, part, codec, size: signed(size), bytes, salt, key_id };
    Ok(Packed { leaf, row, commitment })
}
