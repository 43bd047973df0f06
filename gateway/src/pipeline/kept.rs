//! Bytes of a reply that are kept for its record, bounded. Nothing here is on its way to anybody.

use bytes::{Bytes, BytesMut};

/// Bytes kept up to a bound; what is beyond is counted.
///
/// Pieces are copied together: a piece of a stream is a few hundred bytes of a read buffer of many thousand, which would
/// be held as a whole.
#[derive(Debug, Default)]
pub(super) struct Kept {
    bytes: BytesMut,
    /// A reply that came in one piece, which owns its memory.
    whole: Option<Bytes>,
    /// Bytes that were not kept.
    pub(super) unkept: u64,
}

impl Kept {
    /// Keeps a piece if it fits.
    pub(super) fn push(&mut self, piece: &[u8], limit: usize) {
        if self.unkept == 0 && self.bytes.len() + piece.len() <= limit {
            self.bytes.extend_from_slice(piece);
        } else {
            self.unkept += piece.len() as u64;
        }
    }

    /// Keeps a whole reply, which the caller has bounded.
    pub(super) fn keep_whole(&mut self, reply: Bytes) {
        self.whole = Some(reply);
    }

    /// The first bytes, as many as there are of those asked for.
    fn first(&self, length: usize) -> &[u8] {
        self.bytes.get(..length).unwrap_or(&self.bytes)
    }

    /// All that is kept.
    pub(super) fn into_parts(self) -> Vec<Bytes> {
        let grown = (!self.bytes.is_empty()).then(|| self.bytes.freeze());
        self.whole.into_iter().chain(grown).collect()
    }
}

/// What went to the client. As long as that is what came, only its length is noted.
#[derive(Debug, Default)]
pub(super) struct Delivered {
    /// Bytes that went on as they came.
    same: usize,
    /// All bytes, once some were not those that came.
    own: Option<Kept>,
}

impl Delivered {
    /// Whether nothing went to the client yet.
    pub(super) fn is_empty(&self) -> bool {
        self.same == 0 && self.own.is_none()
    }

    /// Bytes went on as they came; `received` is what came.
    pub(super) fn pass(&mut self, bytes: &[u8], limit: usize) {
        match &mut self.own {
            Some(own) => own.push(bytes, limit),
            None => self.same += bytes.len(),
        }
    }

    /// Bytes went to the client that did not come so; from here on all of them are kept.
    pub(super) fn put(&mut self, bytes: &[u8], received: &Kept, limit: usize) {
        self.part_from(received);
        self.pass(bytes, limit);
    }

    /// What comes from here on is of another reply.
    pub(super) fn part_from(&mut self, received: &Kept) {
        if self.own.is_none() {
            let mut own = Kept::default();
            own.push(received.first(self.same), usize::MAX);
            self.own = Some(own);
        }
    }

    /// What went to the client so far, as much of it as was kept.
    pub(super) fn so_far<'a>(&'a self, received: &'a Kept) -> &'a [u8] {
        self.own.as_ref().map_or_else(|| received.first(self.same), |own| &own.bytes)
    }

    /// All that went to the client.
    pub(super) fn into_parts(mut self, received: &Kept) -> Vec<Bytes> {
        self.part_from(received);
        self.own.map(Kept::into_parts).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(parts: Vec<Bytes>) -> String {
        String::from_utf8(parts.concat()).expect("text")
    }

    #[test]
    fn what_went_on_as_it_came_is_cut_from_what_came() {
        let (mut received, mut delivered) = (Kept::default(), Delivered::default());
        received.push(b"abcdef", 100);
        delivered.pass(b"abc", 100);
        assert!(!delivered.is_empty());
        assert_eq!(text(delivered.into_parts(&received)), "abc");
    }

    #[test]
    fn what_did_not_come_so_follows_what_did() {
        let (mut received, mut delivered) = (Kept::default(), Delivered::default());
        received.push(b"abcdef", 100);
        delivered.pass(b"abc", 100);
        delivered.put(b"<r>", &received, 100);
        delivered.pass(b"f", 100);
        assert_eq!(text(delivered.into_parts(&received)), "abc<r>f");
    }

    #[test]
    fn another_reply_does_not_change_what_has_gone() {
        let (mut received, mut delivered) = (Kept::default(), Delivered::default());
        received.push(b": hi\n\nrest", 100);
        delivered.pass(b": hi\n\n", 100);
        delivered.part_from(&received);
        let received = Kept::default();
        delivered.pass(b"next", 100);
        assert_eq!(text(delivered.into_parts(&received)), ": hi\n\nnext");
    }

    #[test]
    fn what_is_beyond_the_bound_is_counted_and_nothing_after_it_kept() {
        let mut kept = Kept::default();
        kept.push(b"abc", 4);
        kept.push(b"de", 4);
        kept.push(b"f", 4);
        assert_eq!((kept.unkept, text(kept.into_parts())), (3, "abc".to_owned()));
    }
}
