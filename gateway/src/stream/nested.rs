//! JSON that stands inside a text, as in the arguments of a tool call: what its strings say, and which of its bytes may be
//! replaced so that it stays JSON. It keeps no text and builds no document.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// Tokens and escapes remembered; what is looked for is shorter than half of them.
const MOST: usize = 1 << 14;

/// Longest escape: two halves of a character.
const ESCAPE: usize = 12;

/// A text that may be JSON, as it grows. One that is none is read as it stands.
#[derive(Debug, Default)]
pub struct Nested {
    form: Form,
    place: Place,
    /// Bytes taken, and bytes of the reading.
    raw: usize,
    read: usize,
    /// An escape that is not whole yet.
    pending: String,
    /// Ends of escapes: in the reading, and in the text.
    escapes: Vec<(usize, usize)>,
    tokens: Vec<Token>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Form {
    /// Only white space has come.
    #[default]
    Unknown,
    Json,
    Text,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Between,
    String,
    Scalar,
}

/// What may be replaced: the inside of a string, or a number or word outside of any.
#[derive(Debug, Clone)]
struct Token {
    span: Range<usize>,
    string: bool,
    /// What stands outside of strings, as far as it is short.
    text: String,
}

/// Longest number or word outside of strings whose text is known.
const SCALAR: usize = 64;

impl Token {
    /// A part of a number with its digits hidden, which is a number still. The words of JSON have nothing to hide.
    fn hidden(&self, part: &Range<usize>) -> Arc<str> {
        let text = self.text.get(part.start - self.span.start..part.end - self.span.start);
        let Some(text) = text else { return Arc::from("1".repeat(part.len())) };
        if matches!(self.text.as_str(), "true" | "false" | "null") {
            return Arc::from(text);
        }
        text.chars()
            .map(|c| if c.is_alphanumeric() && !matches!(c, 'e' | 'E') { '1' } else { c })
            .collect::<String>()
            .into()
    }
}

impl Nested {
    /// Takes the next piece, and gives what it says.
    pub fn push<'a>(&mut self, piece: &'a str) -> Cow<'a, str> {
        if self.form == Form::Unknown {
            self.form = match piece.chars().find(|c| !c.is_whitespace()) {
                None => Form::Unknown,
                Some('{' | '[' | '"') => Form::Json,
                Some(_) => Form::Text,
            };
        }
        if self.form != Form::Json {
            self.raw += piece.len();
            self.read += piece.len();
            return Cow::Borrowed(piece);
        }
        let mut out = String::with_capacity(piece.len() + self.pending.len());
        for c in piece.chars() {
            self.take(c, &mut out);
        }
        Cow::Owned(out)
    }

    /// Takes the end of the text: an escape that never became whole stands as it is.
    pub fn finish(&mut self) -> String {
        let mut out = String::new();
        self.let_pending_through(&mut out);
        out
    }

    /// Where a place of the reading stands in the text.
    #[must_use]
    pub fn place(&self, read: usize) -> usize {
        let before = self.escapes.partition_point(|(end, _)| *end <= read);
        match before.checked_sub(1).and_then(|index| self.escapes.get(index)) {
            Some((end, raw)) => raw + (read - end),
            None => read,
        }
    }

    /// What must be put where, so that nothing of a span is left and JSON stays JSON: words go into strings, escaped; a
    /// whole number becomes a string; brackets, colons and commas stay.
    #[must_use]
    pub fn replacements(&self, span: Range<usize>, words: &Arc<str>) -> Vec<(Range<usize>, Arc<str>)> {
        if self.form != Form::Json {
            return vec![(span, words.clone())];
        }
        let mut all: Vec<(Range<usize>, Arc<str>)> = Vec::new();
        let first = self.tokens.partition_point(|token| token.span.end <= span.start);
        for token in self.tokens.iter().skip(first).take_while(|token| token.span.start < span.end) {
            let part = token.span.start.max(span.start)..token.span.end.min(span.end);
            if part.is_empty() {
                continue;
            }
            let quoted = serde_json::to_string(&**words).unwrap_or_default();
            let inside = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
            let put = match (token.string, part == token.span, all.is_empty()) {
                (true, _, true) => Arc::from(inside),
                (true, _, false) => Arc::from(""),
                (false, true, true) => Arc::from(quoted.as_str()),
                (false, true, false) => Arc::from("null"),
                (false, false, _) => token.hidden(&part),
            };
            all.push((part, put));
        }
        all
    }

    fn take(&mut self, c: char, out: &mut String) {
        if !self.pending.is_empty() {
            self.pending.push(c);
            self.raw += c.len_utf8();
            return self.resolve(out);
        }
        if self.place == Place::String && c == '\\' {
            self.pending.push(c);
            self.raw += 1;
            return;
        }
        self.step(c);
        self.raw += c.len_utf8();
        self.give(c, out);
        self.forget();
    }

    fn give(&mut self, c: char, out: &mut String) {
        out.push(c);
        self.read += c.len_utf8();
    }

    /// Moves between strings, scalars and what stands between, at a character that begins at `raw`.
    fn step(&mut self, c: char) {
        let at = self.raw;
        self.place = match (self.place, c) {
            (Place::String, '"') => self.close(at),
            (Place::String, _) => Place::String,
            (place, '"') => {
                self.end_scalar(place, at);
                self.tokens.push(Token { span: at + 1..usize::MAX, string: true, text: String::new() });
                Place::String
            }
            (place, '{' | '}' | '[' | ']' | ',' | ':') => self.end_scalar(place, at),
            (place, c) if c.is_whitespace() => self.end_scalar(place, at),
            (Place::Between, _) => {
                self.tokens.push(Token { span: at..usize::MAX, string: false, text: c.to_string() });
                Place::Scalar
            }
            (Place::Scalar, c) => {
                if let Some(token) = self.tokens.last_mut().filter(|token| token.text.len() < SCALAR) {
                    token.text.push(c);
                }
                Place::Scalar
            }
        };
    }

    fn end_scalar(&mut self, place: Place, at: usize) -> Place {
        if place == Place::Scalar { self.close(at) } else { Place::Between }
    }

    fn close(&mut self, at: usize) -> Place {
        if let Some(token) = self.tokens.last_mut() {
            token.span.end = at;
        }
        Place::Between
    }

    /// Reads the escape that is pending, if it is whole.
    fn resolve(&mut self, out: &mut String) {
        let read = match self.pending.as_bytes() {
            [b'\\', b'u', ..] if self.pending.len() < 6 => {
                let digits = self.pending.get(2..).unwrap_or_default();
                if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return;
                }
                None
            }
            [b'\\', b'u', ..] => {
                let unit = |at: usize| u16::from_str_radix(self.pending.get(at..at + 4)?, 16).ok();
                match (unit(2), self.pending.len()) {
                    // The second half of a character may follow.
                    (Some(0xd800..=0xdbff), 6..ESCAPE)
                        if r"\u".starts_with(self.pending.get(6..8.min(self.pending.len())).unwrap_or_default()) =>
                    {
                        return;
                    }
                    (Some(high @ 0xd800..=0xdbff), ESCAPE) => {
                        unit(8).and_then(|low| char::decode_utf16([high, low]).next()?.ok())
                    }
                    (Some(unit), 6) => char::from_u32(u32::from(unit)),
                    _ => None,
                }
            }
            [b'\\', byte] => match byte {
                b'n' => Some('\n'),
                b't' => Some('\t'),
                b'r' => Some('\r'),
                b'b' => Some('\u{8}'),
                b'f' => Some('\u{c}'),
                b'"' | b'\\' | b'/' => Some(char::from(*byte)),
                _ => None,
            },
            _ => None,
        };
        match read {
            Some(c) => {
                self.pending.clear();
                self.give(c, out);
                self.escapes.push((self.read, self.raw));
            }
            None => self.let_pending_through(out),
        }
    }

    /// What is no escape stands as it is written; whatever ends a string in it does.
    fn let_pending_through(&mut self, out: &mut String) {
        let pending = std::mem::take(&mut self.pending);
        self.raw -= pending.len();
        for (c, index) in pending.chars().zip(0..) {
            // The backslash and what it stands before are taken as they are.
            if index < 2 {
                self.raw += c.len_utf8();
                self.give(c, out);
            } else {
                self.take(c, out);
            }
        }
    }

    fn forget(&mut self) {
        if self.tokens.len() > 2 * MOST {
            self.tokens.drain(..MOST);
        }
        if self.escapes.len() > 2 * MOST {
            self.escapes.drain(..MOST);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn read(pieces: &[&str]) -> (String, Nested) {
        let mut nested = Nested::default();
        let mut out = String::new();
        for piece in pieces {
            out.push_str(&nested.push(piece));
        }
        out.push_str(&nested.finish());
        (out, nested)
    }

    #[test]
    fn strings_are_read_as_what_they_say() {
        for (text, expected) in [
            (r#"{"a":"x\ny","b":[1,"\"q\" \\ \/ \u00e9"]}"#, "{\"a\":\"x\ny\",\"b\":[1,\"\"q\" \\ / é\"]}"),
            (r#"["\ud83d\ude00 \ud83d \ud83dx"]"#, "[\"😀 \\ud83d \\ud83dx\"]"),
            (r#"["\x \u12 \uzz"]"#, r#"["\x \u12 \uzz"]"#),
            (r"no \n JSON", r"no \n JSON"),
            ("  ", "  "),
            (r#"{"open\"#, r#"{"open\"#),
        ] {
            assert_eq!(read(&[text]).0, expected);
        }
    }

    #[test]
    fn what_is_replaced_leaves_json() {
        let text = r#"{"a":"one two","n":4111,"m":[12.5,true]}"#;
        let replaced = |what: &str| {
            let nested = read(&[text]).1;
            let start = text.find(what).expect("it stands there");
            let changes = nested.replacements(start..start + what.len(), &Arc::from("<\"r\">"));
            crate::stream::splice::redact_text(text, &changes)
        };
        for (what, expected) in [
            ("two", r#"{"a":"one <\"r\">","n":4111,"m":[12.5,true]}"#),
            ("4111", r#"{"a":"one two","n":"<\"r\">","m":[12.5,true]}"#),
            ("11,", r#"{"a":"one two","n":4111,"m":[12.5,true]}"#),
            (r#"two","n":4111"#, r#"{"a":"one <\"r\">","":null,"m":[12.5,true]}"#),
            (r#""n":4111,"m":[12"#, r#"{"a":"one two","<\"r\">":null,"":[11.5,true]}"#),
        ] {
            let left = replaced(what);
            assert_eq!(left, expected, "{what}");
            assert!(serde_json::from_str::<Value>(&left).is_ok(), "{left}");
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            ".{0,12}".prop_map(Value::from),
            "[\"\\\\\n\té😀a]{0,8}".prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            Just(Value::Null),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((".{0,5}", inner), 0..4).prop_map(Value::from_iter),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_span_can_go_and_borders_change_nothing(
            value in value(),
            ascii in any::<bool>(),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
            ends in any::<[prop::sample::Index; 2]>(),
        ) {
            let text = written(&json!([value]), ascii);
            let mut at: Vec<usize> = cuts.iter().map(|cut| text.floor_char_boundary(cut.index(text.len() + 1))).collect();
            at.sort_unstable();
            at.push(text.len());
            let mut from = 0;
            let mut pieces = Vec::new();
            for cut in at {
                pieces.push(&text[from..cut]);
                from = cut;
            }
            let (whole, nested) = read(&[&text]);
            let (split, other) = read(&pieces);
            prop_assert_eq!(&whole, &split);
            for (place, _) in whole.char_indices().chain([(whole.len(), ' ')]) {
                prop_assert_eq!(nested.place(place), other.place(place));
            }
            // What is found in the reading may be taken out of the text.
            let [a, b] = ends.map(|end| whole.floor_char_boundary(end.index(whole.len() + 1)));
            let span = nested.place(a.min(b))..nested.place(a.max(b));
            let changes = nested.replacements(span, &Arc::from("[\"r\\"));
            let left = crate::stream::splice::redact_text(&text, &changes);
            prop_assert!(serde_json::from_str::<Value>(&left).is_ok(), "{} of {}", left, text);
        }
    }

    /// A value as JSON, with all that can be escaped escaped where asked.
    fn written(value: &Value, ascii: bool) -> String {
        let text = value.to_string();
        let escaped = |c: char| {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect::<String>()
        };
        if ascii { text.chars().map(|c| if c.is_ascii() { c.to_string() } else { escaped(c) }).collect() } else { text }
    }
}
