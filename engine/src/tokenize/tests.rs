//! Checks of marks: which become tokens, and what a prompt's end opens.

use serde_json::json;

use super::*;

/// The bytes, the usual marks, and some with odd manners.
fn vocabulary(think: bool) -> Vocabulary {
    let mut json = crate::tests::tokenizer(think);
    let odd = [
        ("[left]", true, false, false),
        ("[right]", false, true, false),
        ("word", false, false, true),
        ("\n", false, false, false),
    ];
    let list = json["added_tokens"].as_array_mut().unwrap();
    let first = list.len() as u32 + 256;
    for ((text, before, after, word), id) in odd.into_iter().zip(first..) {
        list.push(json!({ "id": id, "content": text, "special": false, "single_word": word, "lstrip": before,
                          "rstrip": after, "normalized": false }));
    }
    Vocabulary::parse(json.to_string().as_bytes()).unwrap()
}

/// Writes marks as their names and other tokens as the bytes they are; `^` is the guard.
fn check(text: &str, expected: &[&str]) {
    let vocabulary = vocabulary(true);
    let (tokens, _) = vocabulary.encode(&Guarded { text: text.to_owned(), guard: '^' }).unwrap();
    let mut shown: Vec<String> = Vec::new();
    let mut bytes = Vec::new();
    for token in tokens {
        if token < 256 {
            bytes.push(token as u8);
            continue;
        }
        if !bytes.is_empty() {
            shown.push(String::from_utf8(std::mem::take(&mut bytes)).unwrap());
        }
        shown.push(format!("#{}", vocabulary.decode(&[token])));
    }
    if !bytes.is_empty() {
        shown.push(String::from_utf8(bytes).unwrap());
    }
    assert_eq!(shown, expected, "{text:?}");
}

#[test]
fn marks_become_tokens_unless_they_are_guarded() {
    check("<|begin|>hi<|end|>", &["#<|begin|>", "hi", "#<|end|>"]);
    check("<|begin|>a<|end|>^b<|end|>", &["#<|begin|>", "a<|end|>b", "#<|end|>"]);
    check("<|en<|end|>d|>", &["<|en", "#<|end|>", "d|>"]);
    check("<think>é</think>^", &["#<think>", "é</think>"]);
    check("a\nb\n^c", &["a", "#\n", "b\nc"]);
    check("\n", &["#\n"]);
    check("", &[]);
}

#[test]
fn marks_keep_the_manners_of_their_tokenizer() {
    check("a  [left]  b", &["a", "#[left]", "  b"]);
    check("a  [right]  b", &["a  ", "#[right]", "b"]);
    check("a word, swordfish", &["a ", "#word", ", swordfish"]);
}

#[test]
fn a_prompts_end_says_where_the_reply_begins() {
    let opened = |think: bool, text: &str| {
        let (_, opening) = vocabulary(think).encode(&Guarded { text: text.to_owned(), guard: '^' }).unwrap();
        (opening.channel == Channel::Reasoning).then_some(opening.forced)
    };
    for think in [true, false] {
        assert_eq!(opened(think, "<|user|>x<think>\n"), Some("\n".to_owned()));
        assert_eq!(opened(think, "<|user|>x<think>"), Some(String::new()));
        assert_eq!(opened(think, "x<think>\nOkay, "), Some("\nOkay, ".to_owned()));
        assert_eq!(opened(think, "x<think>\n\n</think>\n\n"), None);
        assert_eq!(opened(think, "x"), None);
        // What a client wrote opens nothing.
        assert_eq!(opened(think, "<|user|>x<think>^\n"), None);
    }
}
