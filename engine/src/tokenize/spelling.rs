//! The bytes that a token stands for, which may be a part of a character. It joins no tokens.

use serde_json::Value;

/// How a vocabulary writes bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// A letter for each byte, as GPT-2 does.
    Letters,
    /// As text with this character for a space; single bytes as `<0x0A>`.
    Text(char),
}

impl Spelling {
    /// Reads the decoder of a `tokenizer.json`; `None` where it is of another kind.
    pub(crate) fn of(decoder: &Value) -> Option<Self> {
        let steps = match decoder["decoders"].as_array() {
            Some(steps) => steps.as_slice(),
            None => std::slice::from_ref(decoder),
        };
        let character = |value: &Value| value.as_str().and_then(|text| text.chars().next());
        let step = |step: &Value| match step["type"].as_str() {
            Some("ByteLevel") => Some(Self::Letters),
            Some("Metaspace") => Some(Self::Text(character(&step["replacement"]).unwrap_or(LOW_LINE))),
            Some("Replace") if step["content"] == " " => character(&step["pattern"]["String"]).map(Self::Text),
            _ => None,
        };
        let bytes = || steps.iter().any(|step| step["type"] == "ByteFallback").then_some(Self::Text(LOW_LINE));
        steps.iter().find_map(step).or_else(bytes)
    }

    /// The bytes of a token as the vocabulary writes it; `None` where it writes no bytes.
    pub(crate) fn bytes(self, token: &str) -> Option<Vec<u8>> {
        match self {
            Self::Letters => token.chars().map(byte).collect(),
            Self::Text(space) => {
                let single = token.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
                match single.filter(|digits| digits.len() == 2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
                    Some(byte) => Some(vec![byte]),
                    None => Some(token.replace(space, " ").into_bytes()),
                }
            }
        }
    }
}

/// The character that SentencePiece writes for a space.
const LOW_LINE: char = '\u{2581}';

/// The byte that a letter stands for: itself where it prints, else the letters from U+0100 stand for the others in order.
fn byte(letter: char) -> Option<u8> {
    let prints = |byte: &u8| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    match u32::from(letter) {
        code @ 0..=0xff => u8::try_from(code).ok().filter(prints),
        code => (0..=255).filter(|byte| !prints(byte)).nth(code as usize - 0x100),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tokens_are_spelled_in_bytes() {
        let letters = Spelling::of(&json!({"type": "ByteLevel"})).unwrap();
        assert_eq!(letters.bytes("\u{120}a\u{10a}").unwrap(), b" a\n");
        assert_eq!(letters.bytes("\u{c3}\u{142}").unwrap(), [0xc3, 0xa0]);
        assert_eq!(letters.bytes("\u{143}").unwrap(), [0xad]);
        assert_eq!((letters.bytes("\u{144}"), letters.bytes(" ")), (None, None));
        let steps =
            json!([{"type": "Replace", "pattern": {"String": "\u{2581}"}, "content": " "}, {"type": "ByteFallback"}]);
        let text = Spelling::of(&json!({"type": "Sequence", "decoders": steps})).unwrap();
        assert_eq!(text.bytes("\u{2581}caf\u{e9}").unwrap(), " caf\u{e9}".as_bytes());
        assert_eq!((text.bytes("<0x0A>").unwrap(), text.bytes("<0xZZ>").unwrap()), (vec![10], b"<0xZZ>".to_vec()));
        assert_eq!(Spelling::of(&json!({"type": "WordPiece"})), None);
    }
}
