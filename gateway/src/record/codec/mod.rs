//! Frames as bytes: a fixed header, a JSON part for small structured things, and raw parts for everything large.
//! It reads no file and keeps no state but the names it has met.
//!
//! | file | what |
//! |---|---|
//! | `header` | the 56 bytes that open every frame, and its checksums |
//! | `payload` | an entry to and from the bytes behind the header |
//! | `meta` | the JSON part |
//! | `bill` | of it, what an exchange cost and how its model thought |
//! | `names` | names that the records hold as `&'static str` |

mod bill;
mod header;
mod meta;
mod names;
mod payload;
#[cfg(test)]
pub(super) mod tests;

pub(super) use header::{HEADER, Header, Kind, MAGIC, MAX_PAYLOAD, seed};
pub(super) use names::Names;
pub(super) use payload::{read, write};

/// Why bytes are not a frame, or a frame cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub(super) enum Error {
    /// The header's magic is missing.
    Magic,
    /// The version is not one that this build reads.
    Version(u8),
    /// The kind is not one that this build reads.
    Kind(u8),
    /// It has flags that this build does not know.
    Flags(u8),
    /// The length is beyond the limit.
    Length,
    /// The checksum does not match.
    Checksum,
    /// The payload was not hidden under the key that it names.
    Key,
    /// The payload ends early or goes on too long.
    Truncated,
    /// The JSON part is not what it must be.
    Meta,
    /// A name is not one that records use.
    Name,
}

impl std::fmt::Display for Error {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Magic => formatter.write_str("no frame begins here"),
            Self::Version(version) => write!(formatter, "frame version {version} is unknown"),
            Self::Kind(kind) => write!(formatter, "frame kind {kind} is unknown"),
            Self::Flags(flags) => write!(formatter, "frame flags {flags} are unknown"),
            Self::Length => formatter.write_str("the frame is longer than a frame may be"),
            Self::Checksum => formatter.write_str("the checksum does not match"),
            Self::Key => formatter.write_str("the payload was not hidden under the key that it names"),
            Self::Truncated => formatter.write_str("the payload's parts do not fill it"),
            Self::Meta => formatter.write_str("the payload's JSON part is malformed"),
            Self::Name => formatter.write_str("a name in the payload is unknown"),
        }
    }
}

impl std::error::Error for Error {}
