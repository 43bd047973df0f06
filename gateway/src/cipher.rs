//! Texts of records under keys of the operator's, in the database and in the spool: AES-256-GCM with a random nonce for
//! each, bound to the place that it belongs to. It compresses nothing.

use std::collections::HashMap;
use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use uuid::Uuid;

use crate::config::PayloadKey;

/// The keys of a gateway: one to write with, and all of them to read with.
#[derive(Default)]
pub struct Keys {
    current: Option<String>,
    all: HashMap<String, RandomizedNonceKey>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Keys").field("current", &self.current).finish_non_exhaustive()
    }
}

/// A payload's place: what its bytes are bound to.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The exchange, or the stream.
    pub exchange: Uuid,
    /// Which text of it.
    pub part: &'a str,
}

impl Place<'_> {
    fn bound(&self) -> Vec<u8> {
        [self.exchange.as_bytes(), self.part.as_bytes()].concat()
    }
}

impl Keys {
    /// Keys by name; the first one is written with.
    #[must_use]
    pub fn of(keys: &[PayloadKey]) -> Self {
        let read = |key: &PayloadKey| Some((key.id.clone(), RandomizedNonceKey::new(&AES_256_GCM, &key.bytes).ok()?));
        Self { current: keys.first().map(|key| key.id.clone()), all: keys.iter().filter_map(read).collect() }
    }

    /// Whether nothing is to be hidden.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.current.is_none()
    }

    /// Hides bytes under the current key, and names it. `None` where nothing is to be hidden.
    #[must_use]
    pub fn seal(&self, place: Place<'_>, bytes: &[u8]) -> Option<(String, Vec<u8>)> {
        let id = self.current.as_ref()?;
        let key = self.all.get(id)?;
        let mut sealed = bytes.to_vec();
        let nonce = key.seal_in_place_append_tag(Aad::from(place.bound()), &mut sealed).ok()?;
        let mut out = nonce.as_ref().to_vec();
        out.append(&mut sealed);
        Some((id.clone(), out))
    }

    /// Whether a key is here.
    #[must_use]
    pub fn knows(&self, id: &str) -> bool {
        self.all.contains_key(id)
    }

    /// Bytes that were hidden; `None` where the key is not here or the bytes are not those that were hidden.
    #[must_use]
    pub fn open(&self, id: &str, place: Place<'_>, mut bytes: Vec<u8>) -> Option<Vec<u8>> {
        let key = self.all.get(id)?;
        if bytes.len() < NONCE_LEN {
            return None;
        }
        let mut sealed = bytes.split_off(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(&bytes).ok()?;
        let length = key.open_in_place(nonce, Aad::from(place.bound()), &mut sealed).ok()?.len();
        sealed.truncate(length);
        Some(sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str, byte: u8) -> PayloadKey {
        PayloadKey { id: id.to_owned(), bytes: [byte; 32] }
    }

    #[test]
    fn what_is_hidden_opens_in_its_place_and_nowhere_else() {
        let keys = Keys::of(&[key("new", 1), key("old", 2)]);
        let exchange = Uuid::from_u128(5);
        let place = Place { exchange, part: "request" };
        let (id, sealed) = keys.seal(place, b"a secret").expect("hidden");
        assert_eq!(id, "new");
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        assert_eq!(keys.open("new", place, sealed.clone()).as_deref(), Some(b"a secret".as_slice()));
        assert_eq!(keys.open("new", Place { part: "received", ..place }, sealed.clone()), None);
        assert_eq!(keys.open("new", Place { exchange: Uuid::from_u128(6), ..place }, sealed.clone()), None);
        assert_eq!(keys.open("old", place, sealed.clone()), None);
        assert_eq!(keys.open("gone", place, sealed.clone()), None);
        assert_eq!(keys.open("new", place, sealed[..NONCE_LEN - 1].to_vec()), None);
        // After a rotation what was hidden before still opens.
        let rotated = Keys::of(&[key("newer", 3), key("new", 1)]);
        assert_eq!(rotated.open("new", place, sealed).as_deref(), Some(b"a secret".as_slice()));
        assert_eq!(rotated.seal(place, b"x").expect("hidden").0, "newer");
        assert!(Keys::default().seal(place, b"x").is_none());
    }
}
