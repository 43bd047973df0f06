//! The codec's laws: what is written is read back, and nothing that is read can do harm.

use bytes::Bytes;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::record::Entry;
use crate::record::tests::samples::any_entry;

const SEED: u32 = 7;

fn frame(entry: &Entry, at: time::OffsetDateTime) -> ([u8; HEADER], Vec<u8>) {
    let mut payload = Vec::new();
    let (kind, exchange) = write(entry, &mut payload).unwrap();
    let time = i64::try_from(at.unix_timestamp_nanos()).unwrap();
    let length = u32::try_from(payload.len()).unwrap();
    let header = Header { kind, length, group: 3, sequence: 9, time, exchange, hidden: false };
    (header.seal(SEED, &payload), payload)
}

/// The pieces of a reply come back as one: that is all that may change.
fn joined(mut entry: Entry) -> Entry {
    if let Entry::End(end) = &mut entry {
        for pieces in std::iter::once(&mut end.received).chain(&mut end.delivered) {
            let whole = Bytes::from(pieces.concat());
            *pieces = if whole.is_empty() { Vec::new() } else { vec![whole] };
        }
    }
    entry
}

proptest! {
    #[test]
    fn an_entry_is_read_back_as_it_was_written((entry, at) in any_entry()) {
        let (bytes, payload) = frame(&entry, at);
        let header = Header::read(&bytes, SEED).unwrap();
        prop_assert_eq!(Header::verify(&bytes, SEED, &payload), Ok(()));
        prop_assert_eq!((header.at(), header.sequence, header.group_first()), (at, 9, 6));
        let back = read(&header, Bytes::from(payload), &mut Names::default()).unwrap();
        prop_assert_eq!(format!("{back:?}"), format!("{:?}", joined(entry)));
    }

    #[test]
    fn a_changed_byte_is_noticed((entry, at) in any_entry(), place in any::<prop::sample::Index>(), by in 1..=255u8) {
        let (bytes, payload) = frame(&entry, at);
        let mut all = [bytes.as_slice(), &payload].concat();
        *place.get_mut(&mut all) ^= by;
        let (bytes, payload) = all.split_first_chunk::<HEADER>().unwrap();
        prop_assert!(Header::read(bytes, SEED).is_err() || Header::verify(bytes, SEED, payload).is_err());
    }

    #[test]
    fn damaged_payloads_are_errors(
        (entry, at) in any_entry(),
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let (bytes, mut payload) = frame(&entry, at);
        let header = Header::read(&bytes, SEED).unwrap();
        for (place, byte) in places {
            *place.get_mut(&mut payload) = byte;
        }
        payload.truncate(cut.index(payload.len() + 1));
        // Whatever comes of it, it is an answer.
        let _ = read(&header, Bytes::from(payload), &mut Names::default());
    }

    #[test]
    fn any_bytes_are_a_header_or_an_error(bytes in any::<[u8; 28]>(), rest in any::<[u8; 28]>(), magic in any::<bool>()) {
        let mut all = [0; HEADER];
        all[..28].copy_from_slice(&bytes);
        all[28..].copy_from_slice(&rest);
        if magic {
            // All but what the fields say is as it must be.
            all[..5].copy_from_slice(b"CSPL\x01");
            let checksum = crc32c::crc32c_append(SEED, &all[..HEADER - 4]);
            all[HEADER - 4..].copy_from_slice(&checksum.to_le_bytes());
        }
        if let Ok(header) = Header::read(&all, SEED) {
            prop_assert!(header.length as usize <= MAX_PAYLOAD);
        }
    }
}

#[test]
fn checksums_start_from_the_stream() {
    assert_ne!(seed(Uuid::from_u128(1)), seed(Uuid::from_u128(2)));
}

#[test]
fn names_are_kept_once_and_in_bounds() {
    let mut names = Names::default();
    let first = names.intern("refused").unwrap();
    assert!(std::ptr::eq(first, names.intern(&["ref", "used"].concat()).unwrap()));
    assert_eq!(names.intern(&"x".repeat(100)), Err(Error::Name));
    let full = (0..2000).map(|number| names.intern(&number.to_string())).filter(Result::is_err).count();
    assert!(full > 0);
}
