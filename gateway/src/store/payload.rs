//! Bytes on their way into `payload` and out of it: compressed where that pays. It knows nothing of what they mean.

use std::fmt;

use bytes::Bytes;
use zstd::bulk::{Compressor, Decompressor};

use crate::cipher::{Keys, Place};

/// Shorter bytes are kept as they are: a zstd frame's head and the time are worth more than what is saved.
const WORTH_COMPRESSING: usize = 1024;

/// Fast, and for short JSON hardly worse than the higher levels.
const LEVEL: i32 = 1;

/// Largest payload that is taken out again; anything larger was not put in by a gateway.
const LARGEST: usize = 1 << 30;

/// Packs payloads one after the other. A compressor's tables cost more to make than a short payload to compress, so
/// one serves a whole batch.
#[derive(Default)]
pub(super) struct Packer(Option<Compressor<'static>>);

impl Packer {
    /// Packs bytes that stand one after the other; the codec's name comes with them.
    pub(super) fn pack(&mut self, parts: &[Bytes]) -> (&'static str, Bytes) {
        let joined = match parts {
            [one] => one.clone(),
            many => Bytes::from(many.concat()),
        };
        if joined.len() < WORTH_COMPRESSING {
            return ("none", joined);
        }
        match self.compress(&joined) {
            Some(packed) if packed.len() < joined.len() => ("zstd", packed.into()),
            _ => ("none", joined),
        }
    }

    fn compress(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        if self.0.is_none() {
            self.0 = Compressor::new(LEVEL).ok();
        }
        self.0.as_mut()?.compress(bytes).ok()
    }
}

impl fmt::Debug for Packer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Packer")
    }
}

/// How bytes lie in a row of `payload`.
pub(super) struct Lying<'a> {
    pub(super) place: Place<'a>,
    pub(super) codec: &'a str,
    pub(super) size: i64,
    pub(super) key_id: Option<&'a str>,
}

/// Takes payloads out one after the other; as with packing, one decompressor serves them all.
#[derive(Default)]
pub(super) struct Unpacker(Option<Decompressor<'static>>);

impl Unpacker {
    /// Takes the bytes of a row out again; `None` where they are damaged, of a codec that is not known, or hidden under a
    /// key that is not here.
    pub(super) fn take_out(&mut self, lying: &Lying<'_>, keys: &Keys, bytes: Vec<u8>) -> Option<Vec<u8>> {
        let packed = match lying.key_id {
            Some(id) => keys.open(id, lying.place, bytes)?,
            None => bytes,
        };
        self.unpack(lying.codec, lying.size, packed)
    }

    /// Takes packed bytes out again; `None` where they are damaged or of a codec that is not known.
    fn unpack(&mut self, codec: &str, size: i64, bytes: Vec<u8>) -> Option<Vec<u8>> {
        match codec {
            "none" => Some(bytes),
            "zstd" => {
                if self.0.is_none() {
                    self.0 = Decompressor::new().ok();
                }
                self.0.as_mut()?.decompress(&bytes, usize::try_from(size).ok()?.min(LARGEST)).ok()
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_packed_comes_out_again(parts in prop::collection::vec("[a-c]{0,900}", 0..5)) {
            let whole: Vec<u8> = parts.concat().into_bytes();
            let parts: Vec<Bytes> = parts.into_iter().map(Bytes::from).collect();
            let (codec, packed) = Packer::default().pack(&parts);
            prop_assert!(packed.len() <= whole.len());
            prop_assert_eq!(Unpacker::default().unpack(codec, whole.len() as i64, packed.into()), Some(whole));
        }
    }

    #[test]
    fn damaged_or_unknown_bytes_come_out_as_nothing() {
        let mut unpacker = Unpacker::default();
        assert_eq!(unpacker.unpack("zstd", 100, vec![1, 2, 3]), None);
        assert_eq!(unpacker.unpack("zstd", -1, vec![]), None);
        assert_eq!(unpacker.unpack("lz4", 3, vec![1, 2, 3]), None);
        // One that failed takes the next out all the same.
        let (codec, packed) = Packer::default().pack(&[Bytes::from("abc".repeat(1000))]);
        assert_eq!(unpacker.unpack(codec, 3000, packed.into()), Some("abc".repeat(1000).into_bytes()));
    }
}
