//! Where a borrowed piece of JSON stands in the bytes that it was read from, also where an event spreads it over lines.

use std::ops::Range;

use serde::de::Error as _;
use serde_json::value::RawValue;

use super::Error;
use crate::exchange::{Observed, Written};
use crate::stream::sse::{Frame, Kind};

/// The range of a value borrowed from `whole`.
pub(super) fn of(value: &RawValue, whole: &[u8]) -> Range<usize> {
    let text = value.get();
    let start = text.as_ptr().addr().saturating_sub(whole.as_ptr().addr());
    start..start + text.len()
}

/// The text of a JSON string; `None` for any other value.
pub(super) fn text(value: &RawValue) -> Option<Result<String, serde_json::Error>> {
    value.get().starts_with('"').then(|| {
        let inside = value.get().get(1..value.get().len() - 1).unwrap_or_default();
        if inside.contains('\\') { serde_json::from_str(value.get()) } else { Ok(inside.to_owned()) }
    })
}

/// Reads one event of a stream with a reader of (all bytes, the JSON among them); places are in the frame's bytes.
pub(super) fn read_frame(
    frame: &Frame,
    read: impl Fn(&[u8], &[u8]) -> Result<Observed, Error>,
) -> Result<Observed, Error> {
    match &frame.kind {
        Kind::Data(span) => read(&frame.bytes, frame.bytes.get(span.clone()).unwrap_or_default()),
        Kind::Lines(spans) => {
            let lines: Vec<&[u8]> = spans.iter().filter_map(|span| frame.bytes.get(span.clone())).collect();
            let joined = lines.join(&b'\n');
            let mut observed = read(&joined, &joined)?;
            let broken = |range: &Range<usize>| joined.get(range.clone()).is_some_and(|bytes| bytes.contains(&b'\n'));
            if observed.deltas.iter().any(|delta| delta.written == Written::Bare && broken(&delta.at)) {
                let why = "a tool's input stands on several lines of an event";
                return Err(Error::Malformed(serde_json::Error::custom(why)));
            }
            for at in observed.deltas.iter_mut().map(|delta| &mut delta.at).chain(&mut observed.echoes) {
                *at = in_frame(at, spans);
            }
            Ok(observed)
        }
        Kind::Done => Ok(Observed { last: true, ..Observed::default() }),
        Kind::Other => Ok(Observed::default()),
    }
}

/// Moves a place in joined lines to the frame. A JSON string holds no line feed, so it stands on one line; another
/// value may stand on several, with the `data:` of the lines between inside its range.
fn in_frame(at: &Range<usize>, lines: &[Range<usize>]) -> Range<usize> {
    let moved = |place: usize| {
        let mut before = 0;
        for line in lines {
            if place <= before + line.len() {
                return place - before + line.start;
            }
            before += line.len() + 1;
        }
        0
    };
    moved(at.start)..moved(at.end)
}
