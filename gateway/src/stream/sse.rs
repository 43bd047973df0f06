//! Server-sent events: bytes in any split to frames, each exactly as it was sent. It reads no payload.
//!
//! Format: WHATWG HTML, "Server-sent events", section "Parsing an event stream". A frame here is everything up to and
//! including the blank line that ends an event, so that all frames joined are the stream again, byte for byte.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// One event, comment or run of blank lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The bytes as sent, terminator included.
    pub bytes: Bytes,
    /// What they are.
    pub kind: Kind,
}

impl Frame {
    /// Whether it holds a line that is neither a comment nor a field of an event: readers skip such lines.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        let known = |line: &[u8]| {
            let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
            matches!(name, b"" | b"data" | b"event" | b"id" | b"retry")
        };
        self.kind == Kind::Other && !self.bytes.split(|byte| matches!(byte, b'\n' | b'\r')).all(known)
    }

    /// Its data, lines joined by line feeds; empty where it has none.
    #[must_use]
    pub fn payload(&self) -> Bytes {
        match &self.kind {
            Kind::Data(span) => self.bytes.get(span.clone()).map(|data| self.bytes.slice_ref(data)).unwrap_or_default(),
            Kind::Lines(spans) => {
                let lines: Vec<&[u8]> = spans.iter().filter_map(|span| self.bytes.get(span.clone())).collect();
                lines.join(&b'\n').into()
            }
            Kind::Done | Kind::Other => Bytes::new(),
        }
    }
}

/// What a frame is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// An event with data on one line: where the payload stands in the frame's bytes.
    Data(Range<usize>),
    /// An event whose data stands on several lines, which is joined by line feeds to be read.
    Lines(Vec<Range<usize>>),
    /// The event `[DONE]`.
    Done,
    /// Comments, blank lines, events without data.
    Other,
}

/// Why bytes are no event stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// An event is longer than is taken.
    TooLong {
        /// The bound, in bytes.
        limit: usize,
    },
}

impl std::fmt::Display for Error {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLong { limit } => write!(formatter, "an event of the stream is longer than {limit} bytes"),
        }
    }
}

/// Cuts a stream of bytes into frames.
#[derive(Debug)]
pub struct Frames {
    limit: usize,
    /// Bytes not yet given out: the frame being read, and what follows it.
    pending: Bytes,
    /// Bytes of `pending` known to hold no frame's end.
    searched: usize,
    /// Whether a byte order mark may still come.
    begins: bool,
}

impl Frames {
    /// Frames of at most `limit` bytes each.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, pending: Bytes::new(), searched: 0, begins: true }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, chunk: Bytes) {
        if self.pending.is_empty() {
            self.pending = chunk;
            return;
        }
        // A frame over several chunks is joined; geometric growth keeps that linear.
        let mut joined = match std::mem::take(&mut self.pending).try_into_mut() {
            Ok(pending) => pending,
            Err(pending) => BytesMut::from(&pending[..]),
        };
        joined.extend_from_slice(&chunk);
        self.pending = joined.freeze();
    }

    /// The next whole frame.
    #[expect(clippy::should_implement_trait, reason = "more may come after `None`, so this is no iterator")]
    pub fn next(&mut self) -> Option<Result<Frame, Error>> {
        match self.frame_end(false) {
            Some(end) if end <= self.limit => Some(Ok(self.cut(end))),
            Some(_) => Some(Err(Error::TooLong { limit: self.limit })),
            None if self.pending.len() > self.limit => Some(Err(Error::TooLong { limit: self.limit })),
            None => None,
        }
    }

    /// What is left at the end of the stream: an event that was not terminated. To be called until it gives `None`.
    pub fn finish(&mut self) -> Option<Frame> {
        if self.pending.is_empty() {
            return None;
        }
        let end = self.frame_end(true).unwrap_or(self.pending.len());
        Some(self.cut(end))
    }

    fn cut(&mut self, end: usize) -> Frame {
        let bytes = self.pending.split_to(end);
        self.searched = 0;
        let skip = if std::mem::take(&mut self.begins) && bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let kind = classify(&bytes, skip);
        Frame { bytes, kind }
    }

    /// Where the first frame ends: behind the first blank line that follows a line with something on it, or behind
    /// a run of blank lines.
    fn frame_end(&mut self, at_end: bool) -> Option<usize> {
        let bytes = &self.pending[..];
        let mut from = self.searched;
        loop {
            let line_end = from + memchr::memchr2(b'\n', b'\r', bytes.get(from..)?)?;
            let Some(next) = behind_line_end(bytes, line_end, at_end) else {
                self.searched = line_end;
                return None;
            };
            // An empty first line ends a frame of its own.
            if line_end == 0 {
                return Some(next);
            }
            match bytes.get(next) {
                None => {
                    // The line is whole; whether a blank one follows is not known yet.
                    self.searched = line_end;
                    return None;
                }
                Some(b'\n' | b'\r') => match behind_line_end(bytes, next, at_end) {
                    Some(end) => return Some(end),
                    None => {
                        self.searched = line_end;
                        return None;
                    }
                },
                Some(_) => from = next,
            }
        }
    }
}

/// The position behind a line's end; `None` where a `\r` is last and a `\n` may still follow.
fn behind_line_end(bytes: &[u8], at: usize, at_end: bool) -> Option<usize> {
    match (bytes.get(at), bytes.get(at + 1)) {
        (Some(b'\r'), Some(b'\n')) => Some(at + 2),
        (Some(b'\r'), None) if !at_end => None,
        _ => Some(at + 1),
    }
}

fn classify(bytes: &[u8], skip: usize) -> Kind {
    let mut data: Option<Range<usize>> = None;
    let mut more: Vec<Range<usize>> = Vec::new();
    let mut start = skip;
    while let Some(rest) = bytes.get(start..).filter(|rest| !rest.is_empty()) {
        let length = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        if let Some(payload) = payload(rest.get(..length).unwrap_or_default()) {
            let span = start + payload..start + length;
            match (&data, more.is_empty()) {
                (None, _) => data = Some(span),
                (Some(first), true) => more.extend([first.clone(), span]),
                (Some(_), false) => more.push(span),
            }
        }
        start = behind_line_end(bytes, start + length, true).unwrap_or(bytes.len());
    }
    match data {
        None => Kind::Other,
        Some(_) if !more.is_empty() => Kind::Lines(more),
        // The format dispatches no event without data; some servers send such as a sign of life.
        Some(span) if bytes.get(span.clone()).is_some_and(|text| text.trim_ascii().is_empty()) => Kind::Other,
        Some(span) if bytes.get(span.clone()).is_some_and(|text| text.trim_ascii() == b"[DONE]") => Kind::Done,
        Some(span) => Kind::Data(span),
    }
}

/// Where the payload of a `data` line begins.
fn payload(line: &[u8]) -> Option<usize> {
    let rest = line.strip_prefix(b"data")?;
    match rest {
        [] => Some(4),
        [b':', b' ', ..] => Some(6),
        [b':', ..] => Some(5),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames(chunks: &[&[u8]]) -> Vec<Frame> {
        let mut frames = Frames::new(1 << 20);
        let mut all = Vec::new();
        for chunk in chunks {
            frames.push(Bytes::copy_from_slice(chunk));
            while let Some(frame) = frames.next() {
                all.push(frame.expect("within the limit"));
            }
        }
        while let Some(tail) = frames.finish() {
            all.push(tail);
        }
        all
    }

    fn payloads(frames: &[Frame]) -> Vec<String> {
        let text =
            |frame: &Frame, span: &Range<usize>| String::from_utf8_lossy(&frame.bytes[span.clone()]).into_owned();
        frames
            .iter()
            .map(|frame| match &frame.kind {
                Kind::Data(span) => text(frame, span),
                Kind::Lines(spans) => spans.iter().map(|span| text(frame, span)).collect::<Vec<_>>().join("\n"),
                Kind::Done => "DONE".to_owned(),
                Kind::Other => "-".to_owned(),
            })
            .collect()
    }

    #[test]
    fn streams_fall_into_the_frames_they_were_sent_as() {
        let cases: [(&str, &[&str]); 13] = [
            ("data: a\n\ndata: b\n\n", &["a", "b"]),
            ("data: a\r\n\r\ndata: b\r\n\r\n", &["a", "b"]),
            ("data: a\r\rdata: b\r\r", &["a", "b"]),
            ("data:a\n\ndata: [DONE]\n\n", &["a", "DONE"]),
            (": keep-alive\n\ndata: a\n\n", &["-", "a"]),
            (": c\ndata: a\n\n", &["a"]),
            ("event: x\ndata: a\nid: 1\n\n", &["a"]),
            ("data: a\ndata: b\n\n", &["a\nb"]),
            ("\u{feff}data: a\n\n", &["a"]),
            ("\n\ndata: a\n\n", &["-", "-", "a"]),
            ("data: a", &["a"]),
            ("data\n\ndata: a\n\n", &["-", "a"]),
            ("data: \n\ndata: a\n\n", &["-", "a"]),
        ];
        for (stream, expected) in cases {
            assert_eq!(payloads(&frames(&[stream.as_bytes()])), expected, "{stream:?}");
        }
    }

    #[test]
    fn an_event_without_an_end_is_bounded() {
        let mut frames = Frames::new(64);
        frames.push(Bytes::from(vec![b'x'; 65]));
        assert_eq!(frames.next(), Some(Err(Error::TooLong { limit: 64 })));
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_frames_and_all_the_bytes(
            parts in proptest::collection::vec(prop_oneof![
                Just("data: x".to_owned()), Just("\n".to_owned()), Just("\r".to_owned()), Just("\r\n".to_owned()),
                Just(":".to_owned()), Just("data:[DONE]".to_owned()), "[a-z é]{0,6}",
            ], 0..24),
            cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
        ) {
            let stream = parts.concat().into_bytes();
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            at.sort_unstable();
            let mut chunks = Vec::new();
            let mut from = 0;
            for cut in at.into_iter().chain([stream.len()]) {
                chunks.push(&stream[from..cut]);
                from = cut;
            }
            let split = frames(&chunks);
            prop_assert_eq!(&split, &frames(&[&stream]));
            let joined: Vec<u8> = split.iter().flat_map(|frame| frame.bytes.to_vec()).collect();
            prop_assert_eq!(joined, stream);
        }
    }
}
