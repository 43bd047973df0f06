//! Changes text inside JSON strings and leaves every other byte as it was. It parses no document.

use std::ops::Range;
use std::sync::Arc;

/// Puts texts in place of byte ranges, which are in order and do not overlap.
#[must_use]
pub fn replace(raw: &[u8], edits: &[(Range<usize>, String)]) -> Vec<u8> {
    let grown: usize = edits.iter().map(|(_, text)| text.len()).sum();
    let mut out = Vec::with_capacity(raw.len() + grown);
    let mut from = 0;
    for (at, text) in edits {
        out.extend_from_slice(raw.get(from..at.start).unwrap_or_default());
        out.extend_from_slice(text.as_bytes());
        from = at.end;
    }
    out.extend_from_slice(raw.get(from..).unwrap_or_default());
    out
}

/// Puts texts in place of spans of a text; spans are in order and do not overlap.
#[must_use]
pub fn redact_text(text: &str, changes: &[(Range<usize>, Arc<str>)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for (span, replacement) in changes {
        out.push_str(text.get(from..span.start).unwrap_or_default());
        out.push_str(replacement);
        from = span.end;
    }
    out.push_str(text.get(from..).unwrap_or_default());
    out
}

/// Puts texts in place of spans of the text that a JSON string stands for. `token` is the string with its quotes;
/// spans count bytes of the unescaped text. Escapes outside the spans stay as they were written.
#[must_use]
pub fn redact_json_string(token: &str, changes: &[(Range<usize>, Arc<str>)]) -> String {
    let mut out = String::with_capacity(token.len() + 16);
    let mut changes = changes.iter().peekable();
    // Bytes of the unescaped text that have been passed.
    let mut at = 0;
    out.push('"');
    for unit in Units::of(token) {
        let end = at + unit.length;
        while changes.next_if(|(span, _)| span.end <= at && !span.is_empty()).is_some() {}
        let mut covered = false;
        for (span, replacement) in changes.clone() {
            if span.start >= end {
                break;
            }
            covered = true;
            if span.start >= at {
                escape(replacement, &mut out);
            }
        }
        if !covered {
            out.push_str(unit.text);
        }
        at = end;
    }
    out.push('"');
    out
}

/// Writes text as the inside of a JSON string.
fn escape(text: &str, out: &mut String) {
    let quoted = serde_json::to_string(text).unwrap_or_default();
    out.push_str(quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default());
}

/// One character of a JSON string as it is written.
struct Unit<'a> {
    text: &'a str,
    /// Bytes of the character in UTF-8.
    length: usize,
}

/// The characters of a JSON string.
struct Units<'a> {
    rest: &'a str,
}

impl<'a> Units<'a> {
    fn of(token: &'a str) -> Self {
        let inside = token.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        Self { rest: inside.unwrap_or_default() }
    }

    fn take(&mut self, bytes: usize, length: usize) -> Option<Unit<'a>> {
        let (text, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        Some(Unit { text, length })
    }

    /// The code unit of a `\uXXXX` escape at an offset.
    fn code_unit(&self, at: usize) -> Option<u16> {
        let digits = self.rest.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    }
}

impl<'a> Iterator for Units<'a> {
    type Item = Unit<'a>;

    fn next(&mut self) -> Option<Unit<'a>> {
        let first = self.rest.chars().next()?;
        if first != '\\' {
            return self.take(first.len_utf8(), first.len_utf8());
        }
        if !self.rest.starts_with("\\u") {
            return self.take(2, 1);
        }
        let high = self.code_unit(0)?;
        let low = self.code_unit(6);
        match (high, low) {
            (0xd800..=0xdbff, Some(0xdc00..=0xdfff)) => self.take(12, 4),
            // A lone surrogate is not a character; parsers that take it write U+FFFD, of three bytes.
            _ => self.take(6, char::from_u32(u32::from(high)).map_or(3, char::len_utf8)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(token: &str, changes: &[(Range<usize>, &str)], expected: &str) {
        let changes: Vec<(Range<usize>, Arc<str>)> =
            changes.iter().map(|(span, text)| (span.clone(), Arc::from(*text))).collect();
        assert_eq!(redact_json_string(token, &changes), expected);
    }

    #[test]
    fn only_the_spans_change() {
        check(r#""hello world""#, &[(6..11, "***")], r#""hello ***""#);
        check(r#""a\nb\u00e9c\ud83d\ude00d""#, &[(3..5, "X")], r#""a\nbXc\ud83d\ude00d""#);
        check(r#""a\nb\u00e9c\ud83d\ude00d""#, &[(6..10, "\"")], r#""a\nb\u00e9c\"d""#);
        check(r#""abc""#, &[(0..1, "x"), (2..3, "")], r#""xb""#);
        check(r#""""#, &[], r#""""#);
    }

    proptest! {
        #[test]
        fn the_changed_string_reads_as_the_changed_text(text in "\\PC*|[\\n\"\\\\ü😀a]{0,20}", from in any::<proptest::sample::Index>(), to in any::<proptest::sample::Index>()) {
            let border = |index: &proptest::sample::Index| text.floor_char_boundary(index.index(text.len() + 1));
            let (a, b) = (border(&from), border(&to));
            let span = a.min(b)..a.max(b);
            prop_assume!(!span.is_empty());
            let changes = [(span, Arc::from("[re\"dacted]"))];
            let token = serde_json::to_string(&text).expect("a string");
            let changed: String = serde_json::from_str(&redact_json_string(&token, &changes)).expect("valid");
            prop_assert_eq!(changed, redact_text(&text, &changes));
        }
    }
}
