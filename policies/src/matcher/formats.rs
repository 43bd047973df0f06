//! What the shipped formats of secrets and personal data consist of. The formats themselves stand beside it.

use std::ops::Range;

/// Looks at a match once more and says which part of it counts; `None` where none does.
pub(crate) type Check = fn(&str) -> Option<Range<usize>>;

/// What must not stand beside a match, besides a letter or digit.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Border {
    /// Bytes that must not stand before it.
    pub(crate) before: &'static str,
    /// Bytes that must not stand after it.
    pub(crate) after: &'static str,
}

/// One shipped format.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Format {
    /// Which kind it belongs to, as packs name it.
    pub(crate) kind: &'static str,
    /// Its own name, shown with findings.
    pub(crate) name: &'static str,
    /// What it looks like.
    pub(crate) pattern: &'static str,
    /// What must not stand beside it.
    pub(crate) border: Border,
    /// What else must be true of it.
    pub(crate) check: Option<Check>,
}

/// The whole of a match.
#[expect(clippy::unnecessary_wraps, reason = "it has the shape of a check")]
pub(crate) fn whole(text: &str) -> Option<Range<usize>> {
    Some(0..text.len())
}
