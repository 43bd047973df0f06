//! The fixed header that opens every frame, and the checksums over header and payload. It knows nothing of payloads.
//!
//! Little-endian: magic 4, version 1, kind 1, flags 1 (1: the payload is hidden under a key), reserved 1, payload length 4, group 4, sequence 8, time 8 (Unix
//! nanoseconds), exchange 16, CRC32C of the payload 4, CRC32C of the header 4. Both start from the stream's id, so that
//! a frame which stands inside somebody's prompt, or in a segment of another stream, is never taken for one of this
//! stream; and a header that is none is known without reading what it says of a payload.

use time::OffsetDateTime;
use uuid::Uuid;

use super::Error;

/// Bytes of a header.
pub(in crate::record) const HEADER: usize = 56;

/// What a frame begins with.
pub(in crate::record) const MAGIC: [u8; 4] = *b"CSPL";

/// The longest payload that is written or read.
pub(in crate::record) const MAX_PAYLOAD: usize = 1 << 30;

const VERSION: u8 = 1;

/// The flag of a payload that is hidden under a key.
const HIDDEN: u8 = 1;

/// What kind of frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::record) enum Kind {
    /// Opens a segment; has no number of its own, and lists the exchanges that are open there.
    Open,
    Begin,
    End,
    Closed,
    Loss,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Open, Self::Begin, Self::End, Self::Closed, Self::Loss];

    fn code(self) -> u8 {
        match self {
            Self::Open => 0,
            Self::Begin => 1,
            Self::End => 2,
            Self::Closed => 3,
            Self::Loss => 4,
        }
    }
}

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::record) struct Header {
    pub(in crate::record) kind: Kind,
    /// Bytes of payload.
    pub(in crate::record) length: u32,
    /// The frame's number less that of the first frame synced together with it: whatever lies before that one was
    /// durable when this one was written.
    pub(in crate::record) group: u32,
    pub(in crate::record) sequence: u64,
    /// Unix nanoseconds.
    pub(in crate::record) time: i64,
    /// Nil where the frame is about no exchange.
    pub(in crate::record) exchange: Uuid,
    /// Whether the payload is hidden under a key.
    pub(in crate::record) hidden: bool,
}

impl Header {
    /// The first sequence number of the group that the frame was synced with.
    pub(in crate::record) fn group_first(&self) -> u64 {
        self.sequence.saturating_sub(u64::from(self.group))
    }

    /// When what the frame tells of happened.
    pub(in crate::record) fn at(&self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.time)).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// The header's bytes, for a payload that is already known.
    pub(in crate::record) fn seal(&self, seed: u32, payload: &[u8]) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let fields: [&[u8]; 8] = [
            &MAGIC,
            &[VERSION, self.kind.code(), u8::from(self.hidden), 0],
            &self.length.to_le_bytes(),
            &self.group.to_le_bytes(),
            &self.sequence.to_le_bytes(),
            &self.time.to_le_bytes(),
            self.exchange.as_bytes(),
            &crc32c::crc32c_append(seed, payload).to_le_bytes(),
        ];
        let mut rest = bytes.as_mut_slice();
        for field in fields {
            if let Some((here, beyond)) = std::mem::take(&mut rest).split_at_mut_checked(field.len()) {
                here.copy_from_slice(field);
                rest = beyond;
            }
        }
        let (covered, _) = bytes.split_at(HEADER - 4);
        let checksum = crc32c::crc32c_append(seed, covered).to_le_bytes();
        if let Some(last) = bytes.last_chunk_mut::<4>() {
            *last = checksum;
        }
        bytes
    }

    /// Reads a header of a stream; the payload's checksum is [`Self::verify`]'s.
    pub(in crate::record) fn read(bytes: &[u8; HEADER], seed: u32) -> Result<Self, Error> {
        let (covered, checksum) = bytes.split_at(HEADER - 4);
        let mut rest = bytes.as_slice();
        if take::<4>(&mut rest)? != MAGIC {
            return Err(Error::Magic);
        }
        if crc32c::crc32c_append(seed, covered).to_le_bytes() != checksum {
            return Err(Error::Checksum);
        }
        let [version, kind, flags, _] = take::<4>(&mut rest)?;
        if version != VERSION {
            return Err(Error::Version(version));
        }
        let kind = Kind::ALL.into_iter().find(|known| known.code() == kind).ok_or(Error::Kind(kind))?;
        let length = u32::from_le_bytes(take(&mut rest)?);
        if length as usize > MAX_PAYLOAD {
            return Err(Error::Length);
        }
        if flags > HIDDEN {
            return Err(Error::Flags(flags));
        }
        Ok(Self {
            kind,
            length,
            group: u32::from_le_bytes(take(&mut rest)?),
            sequence: u64::from_le_bytes(take(&mut rest)?),
            time: i64::from_le_bytes(take(&mut rest)?),
            exchange: Uuid::from_bytes(take(&mut rest)?),
            hidden: flags == HIDDEN,
        })
    }

    /// Whether a payload is the one that was written behind a header.
    pub(in crate::record) fn verify(bytes: &[u8; HEADER], seed: u32, payload: &[u8]) -> Result<(), Error> {
        let (_, checksums) = bytes.split_at(HEADER - 8);
        let computed = crc32c::crc32c_append(seed, payload).to_le_bytes();
        if checksums.starts_with(&computed) { Ok(()) } else { Err(Error::Checksum) }
    }
}

/// What a stream's checksums start from.
pub(in crate::record) fn seed(stream: Uuid) -> u32 {
    crc32c::crc32c(stream.as_bytes())
}

/// Takes a fixed number of bytes from the front.
pub(super) fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Error> {
    let (taken, beyond) = rest.split_first_chunk::<N>().ok_or(Error::Truncated)?;
    *rest = beyond;
    Ok(*taken)
}
