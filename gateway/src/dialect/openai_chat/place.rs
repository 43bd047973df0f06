//! Where a borrowed piece of JSON stands in the bytes that it was read from.

use std::ops::Range;

use serde_json::value::RawValue;

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
