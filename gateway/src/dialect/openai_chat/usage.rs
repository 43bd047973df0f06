//! Token counts of a stream that its client did not ask for: asking for them inside the bytes of a request, and telling
//! the chunk by which they then come from what the client did ask for.

use std::ops::Range;

use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::dialect::place;
use crate::stream::splice;

/// What asks for them.
const ASKS: &str = r#"{"include_usage":true}"#;

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default, deserialize_with = "given")]
    stream_options: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Options<'a> {
    #[serde(borrow, default, deserialize_with = "given")]
    include_usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    choices: Vec<&'a RawValue>,
    usage: Option<serde::de::IgnoredAny>,
}

/// A member that is there, `null` included.
fn given<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// A streamed request's body that asks for usage, all else byte for byte; `None` where it asks already, or says what
/// nobody can add that to.
#[must_use]
pub fn ask(body: &[u8]) -> Option<Bytes> {
    let parsed: Body<'_> = serde_json::from_slice(body).ok()?;
    let edit: (Range<usize>, String) = match parsed.stream_options {
        None => member(body, 0, &format!(r#""stream_options":{ASKS}"#))?,
        Some(options) if options.get() == "null" => (place::of(options, body), ASKS.to_owned()),
        Some(options) => {
            let known: Options<'_> = serde_json::from_str(options.get()).ok()?;
            match known.include_usage {
                Some(said) if said.get() == "true" => return None,
                Some(said) => (place::of(said, body), "true".to_owned()),
                None => member(body, place::of(options, body).start, r#""include_usage":true"#)?,
            }
        }
    };
    Some(splice::replace(body, &[edit]).into())
}

/// Puts a member at the beginning of the object that opens at or after `from`.
fn member(body: &[u8], from: usize, text: &str) -> Option<(Range<usize>, String)> {
    let rest = body.get(from..)?;
    let open = from + rest.iter().position(|byte| *byte == b'{')? + 1;
    let next = body.get(open..)?.iter().find(|byte| !byte.is_ascii_whitespace());
    let comma = if next == Some(&b'}') { "" } else { "," };
    Some((open..open, format!("{text}{comma}")))
}

/// Whether an event holds usage and no choice: what asking for usage adds to a stream.
#[must_use]
pub fn is_alone(payload: &[u8]) -> bool {
    serde_json::from_slice::<Chunk<'_>>(payload).is_ok_and(|chunk| chunk.choices.is_empty() && chunk.usage.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_asked_for_inside_the_bytes() {
        for (given, expected) in [
            (r#" { "model":"m"}"#, Some(r#" {"stream_options":{"include_usage":true}, "model":"m"}"#)),
            ("{}", Some(r#"{"stream_options":{"include_usage":true}}"#)),
            (r#"{"stream_options": null,"a":1.0}"#, Some(r#"{"stream_options": {"include_usage":true},"a":1.0}"#)),
            (r#"{"stream_options": { }}"#, Some(r#"{"stream_options": {"include_usage":true }}"#)),
            (
                r#"{"stream_options":{"x":1,"include_usage":false}}"#,
                Some(r#"{"stream_options":{"x":1,"include_usage":true}}"#),
            ),
            (r#"{"stream_options":{"include_usage":null}}"#, Some(r#"{"stream_options":{"include_usage":true}}"#)),
            (r#"{"stream_options":{"x":1}}"#, Some(r#"{"stream_options":{"include_usage":true,"x":1}}"#)),
            (r#"{"stream_options":{"include_usage":true}}"#, None),
            (r#"{"stream_options":7}"#, None),
            (r#"{"stream_options":{},"stream_options":{}}"#, None),
            ("[]", None),
            ("{", None),
            ("", None),
        ] {
            let asked = ask(given.as_bytes());
            assert_eq!(asked.as_deref().map(String::from_utf8_lossy).as_deref(), expected, "{given}");
        }
    }

    #[test]
    fn only_usage_without_a_choice_is_what_was_asked_for_beside() {
        for (payload, alone) in [
            (r#"{"choices":[],"usage":{"prompt_tokens":1}}"#, true),
            (r#"{"choices":[{}],"usage":{"prompt_tokens":1}}"#, false),
            (r#"{"choices":[],"usage":null}"#, false),
            (r#"{"choices":[],"prompt_filter_results":[]}"#, false),
            (r#"{"usage":{}}"#, false),
            ("{", false),
        ] {
            assert_eq!(is_alone(payload.as_bytes()), alone, "{payload}");
        }
    }
}
