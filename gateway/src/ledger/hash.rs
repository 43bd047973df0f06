//! The two hashes of the tree, and commitments to what leaves stand for. It knows no tree.
//!
//! RFC 6962, section 2.1: a leaf is SHA-256(0x00 ‖ leaf), a node is SHA-256(0x01 ‖ left ‖ right), the empty tree is
//! SHA-256 of nothing.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};

/// Bytes of a salt. It is as long as the hash: nobody can guess a text by trying.
pub const SALT: usize = 32;

const ROW: &[u8] = b"candor/row/v1\0";
const PAYLOAD: &[u8] = b"candor/payload/v1\0";

/// A SHA-256 hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// The root of the tree without leaves.
    #[must_use]
    pub fn empty() -> Self {
        of(&[])
    }

    /// The hash of a leaf's bytes.
    #[must_use]
    pub fn leaf(bytes: &[u8]) -> Self {
        of(&[&[0], bytes])
    }

    /// The hash of two subtrees.
    #[must_use]
    pub fn node(left: &Self, right: &Self) -> Self {
        of(&[&[1], &left.0, &right.0])
    }

    /// What a leaf says of a row: SHA-256("candor/row/v1\0" ‖ salt ‖ the row's text).
    #[must_use]
    pub fn row(salt: &[u8], text: &[u8]) -> Self {
        of(&[ROW, salt, text])
    }

    /// What a leaf says of a payload, which may come in pieces: SHA-256("candor/payload/v1\0" ‖ salt ‖ bytes).
    #[must_use]
    pub fn payload<B: AsRef<[u8]>>(salt: &[u8], pieces: &[B]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(PAYLOAD);
        context.update(salt);
        for piece in pieces {
            context.update(piece.as_ref());
        }
        finish(context)
    }

    /// A hash from as many bytes as it has; `None` for any other number.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        Some(Self(bytes.try_into().ok()?))
    }
}

impl AsRef<[u8]> for Hash {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

fn of(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    finish(context)
}

fn finish(context: Context) -> Hash {
    let mut hash = [0; 32];
    for (to, from) in hash.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    Hash(hash)
}
