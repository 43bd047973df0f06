//! Checks of a reply's text: channels, stop strings, characters.

use proptest::prelude::*;

use super::*;

/// A vocabulary of single bytes, and of think marks as tokens where wanted.
fn vocabulary(marks: bool) -> Vocabulary {
    Vocabulary::parse(crate::tests::tokenizer(marks).to_string().as_bytes()).unwrap()
}

fn run(vocabulary: &Vocabulary, opens: Channel, stops: &[&str], tokens: &[u32]) -> (String, bool, usize) {
    let mut speech = Speech::new(opens, stops.iter().map(|stop| (*stop).to_owned()).collect());
    let mut spoken = Vec::new();
    let mut stopped = tokens.iter().any(|token| speech.push(vocabulary, (*token, None), &mut spoken));
    stopped |= speech.end(vocabulary, &mut spoken);
    assert!(spoken.iter().all(|part| !part.text.is_empty()));
    let (mut text, mut channel) = (String::new(), None);
    for part in spoken {
        if channel != Some(part.channel) {
            text.push_str(if part.channel == Channel::Reasoning { "R:" } else { "A:" });
            channel = Some(part.channel);
        }
        text.push_str(&part.text);
    }
    (text, stopped, speech.reasoning_tokens())
}

fn bytes(text: &str) -> Vec<u32> {
    text.bytes().map(u32::from).collect()
}

fn check(opens: Channel, stops: &[&str], text: &str, expected: (&str, bool)) {
    let (spoken, stopped, _) = run(&vocabulary(false), opens, stops, &bytes(text));
    assert_eq!((spoken.as_str(), stopped), expected, "{text:?} with {stops:?}");
}

#[test]
fn think_marks_in_text_change_the_channel() {
    use Channel::{Answer, Reasoning};
    check(Reasoning, &[], "why\n</think>\n\nbecause", ("R:why\nA:\n\nbecause", false));
    check(Answer, &[], "<think>\nwhy</think>so", ("R:\nwhyA:so", false));
    check(Answer, &[], " \n<think>why", ("A: \nR:why", false));
    check(Answer, &[], "the tag <think> opens", ("A:the tag <think> opens", false));
    check(Answer, &[], "no </think> here", ("A:no </think> here", false));
    check(Reasoning, &[], "cut </thi", ("R:cut </thi", false));
}

#[test]
fn stop_strings_end_the_answer_across_tokens_and_never_show() {
    use Channel::{Answer, Reasoning};
    check(Answer, &["END"], "one ENDtwo", ("A:one ", true));
    check(Answer, &["END"], "one EN", ("A:one EN", false));
    check(Answer, &["é!"], "caf\u{e9}!x", ("A:caf", true));
    check(Answer, &["ab", "abc"], "xabc", ("A:x", true));
    check(Reasoning, &["END"], "ENDLESS</think>xEND", ("R:ENDLESSA:x", true));
}

#[test]
fn think_marks_as_tokens_are_no_text_and_text_is_no_mark() {
    let vocabulary = vocabulary(true);
    let [open, close] = vocabulary.think().unwrap();
    let tokens = [vec![open], bytes("a</think>"), vec![close], bytes("b")].concat();
    assert_eq!(run(&vocabulary, Channel::Answer, &[], &tokens), ("R:a</think>A:b".to_owned(), false, 11));
    assert_eq!(run(&vocabulary, Channel::Reasoning, &[], &[close]), (String::new(), false, 1));
}

#[test]
fn bytes_that_never_become_a_character_do_not_stop_the_text() {
    let vocabulary = vocabulary(false);
    let tokens: Vec<u32> = [vec![0xff; 100], bytes("x")].concat();
    let (text, _, _) = run(&vocabulary, Channel::Answer, &[], &tokens);
    assert!(text.ends_with('x') && text.matches(char::REPLACEMENT_CHARACTER).count() > 50, "{text}");
}

proptest! {
    #[test]
    fn any_text_arrives_whole(text in "\\PC{0,60}") {
        prop_assume!(!text.trim_start().starts_with("<think>") && !text.contains(char::REPLACEMENT_CHARACTER));
        let vocabulary = vocabulary(false);
        let mut speech = Speech::new(Channel::Answer, vec!["\u{0}".to_owned()]);
        let mut spoken = Vec::new();
        for token in bytes(&text) {
            speech.push(&vocabulary, (token, None), &mut spoken);
            prop_assert!(spoken.iter().all(|part| !part.text.contains(char::REPLACEMENT_CHARACTER)));
        }
        speech.end(&vocabulary, &mut spoken);
        let arrived: String = spoken.iter().map(|part| part.text.as_str()).collect();
        let tokens: usize = spoken.iter().map(|part| part.tokens).sum();
        prop_assert_eq!(tokens, if text.is_empty() { 0 } else { text.len() });
        prop_assert_eq!(arrived, text);
    }
}
