//! What settings do not show: secrets, and files that are named by their paths. It can be compared and nothing else.

use std::fmt;
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256};

use super::Secret;

/// A digest over secrets and files. It stays in memory: whoever has the digest of a weak secret can guess it.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden([u8; 32]);

impl Hidden {
    /// What some secrets and files are now; a file that cannot be read is as an empty one.
    pub(super) fn of<'a>(secrets: &[Secret], files: impl Iterator<Item = &'a Path>) -> Self {
        let mut context = Context::new(&SHA256);
        let mut add = |bytes: &[u8]| {
            context.update(&(bytes.len() as u64).to_be_bytes());
            context.update(bytes);
        };
        secrets.iter().for_each(|secret| add(secret.reveal().as_bytes()));
        files.for_each(|file| add(&std::fs::read(file).unwrap_or_default()));
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        Self(digest)
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}
