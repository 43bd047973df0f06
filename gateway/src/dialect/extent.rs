//! How far a JSON object has come whose text comes in pieces: where its last bracket is. It reads no value.

/// The extent of an object, so far.
#[derive(Debug, Default)]
pub(super) struct Extent {
    begun: bool,
    depth: usize,
    within_string: bool,
    escaped: bool,
}

impl Extent {
    /// Takes the next piece, and gives it back.
    pub(super) fn push<'a>(&mut self, piece: &'a str) -> &'a str {
        // All that matters here is ASCII, which stands for itself in UTF-8.
        for byte in piece.bytes() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.within_string => self.escaped = true,
                b'"' => self.within_string = !self.within_string,
                b'{' | b'[' if !self.within_string => self.depth = self.depth.saturating_add(1),
                b'}' | b']' if !self.within_string => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            self.begun |= !byte.is_ascii_whitespace();
        }
        piece
    }

    /// Whether anything of it has come.
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether its last bracket has come.
    pub(super) fn is_whole(&self) -> bool {
        self.begun && self.depth == 0 && !self.within_string
    }
}
