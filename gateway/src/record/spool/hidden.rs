//! Frames under a key of the operator's: the key's name before the hidden bytes, bound to the stream and the number. It
//! reads no payload.

use std::io;

use bytes::Bytes;
use uuid::Uuid;

use crate::cipher::{Keys, Place};

/// A payload hidden under the current key: length of the key's name 1, name, hidden bytes. `None` where it cannot be.
pub(super) fn hide(keys: &Keys, stream: Uuid, sequence: u64, payload: &[u8]) -> Option<Vec<u8>> {
    let part = part(sequence);
    let (id, sealed) = keys.seal(Place { exchange: stream, part: &part }, payload)?;
    let length = u8::try_from(id.len()).ok()?;
    Some([&[length], id.as_bytes(), &sealed].concat())
}

/// The payload that was hidden; `Ok(None)` where the bytes are not those that were hidden.
///
/// # Errors
/// [`io::ErrorKind::PermissionDenied`] where the key is not here: that is no damage, and must not become a loss.
pub(super) fn show(keys: &Keys, stream: Uuid, sequence: u64, hidden: &[u8]) -> io::Result<Option<Bytes>> {
    let Some((id, sealed)) = split(hidden) else { return Ok(None) };
    if !keys.knows(id) {
        let why = format!("frames are hidden under the key `{id}`, which is not among `payload_keys`");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    let part = part(sequence);
    Ok(keys.open(id, Place { exchange: stream, part: &part }, sealed.to_vec()).map(Bytes::from))
}

fn split(hidden: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = hidden.split_first()?;
    let (id, sealed) = rest.split_at_checked(usize::from(*length))?;
    Some((std::str::from_utf8(id).ok()?, sealed))
}

fn part(sequence: u64) -> String {
    format!("frame {sequence}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::PayloadKey;

    fn keys(ids: &[&str]) -> Keys {
        let key = |id: &&str| PayloadKey { id: (*id).to_owned(), bytes: [id.len() as u8; 32] };
        Keys::of(&ids.iter().map(key).collect::<Vec<PayloadKey>>())
    }

    #[test]
    fn a_frame_shows_in_its_place_under_its_key_only() {
        let (stream, both) = (Uuid::from_u128(7), keys(&["new", "older"]));
        let hidden = hide(&both, stream, 3, b"a secret").expect("hidden");
        assert!(!hidden.windows(6).any(|window| window == b"secret"));
        assert_eq!(show(&both, stream, 3, &hidden).unwrap().as_deref(), Some(b"a secret".as_slice()));
        assert_eq!(show(&both, stream, 4, &hidden).unwrap(), None);
        assert_eq!(show(&both, Uuid::from_u128(8), 3, &hidden).unwrap(), None);
        let error = show(&keys(&["older"]), stream, 3, &hidden).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert!(error.to_string().contains("`new`"), "{error}");
    }

    proptest! {
        #[test]
        fn foreign_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = show(&keys(&["new"]), Uuid::nil(), 1, &bytes);
        }
    }
}
