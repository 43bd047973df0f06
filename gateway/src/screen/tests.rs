//! Replies through the gate: what leaves, what is held, what is changed, and that borders change nothing.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::prompt::Outcome;
use super::{Found, Gate, Rules};
use crate::dialect;
use crate::exchange::{Action, Caller, Channel, Dialect, Enforced};
use crate::stream::sse::Frames;

const PACK: &str = r#"
version: 1
name: house
detectors:
  - {id: hidden, kind: terms, terms: [tulip, "blue tulip", 郁金香]}
  - {id: banned, kind: terms, terms: [belladonna]}
  - {id: number, kind: patterns, patterns: ["no-[0-9]{4}"]}
rules:
  - {id: hide, detect: [hidden, number], action: redact, replacement: "<r>"}
  - {id: ban, detect: [banned], action: stop, message: "Not here."}
"#;

/// A gate under the test's pack.
fn gate(inline: Option<Channel>) -> Gate {
    let ruleset = candor_policies::compile(&[candor_policies::Pack { name: "house.yaml".into(), text: PACK.into() }]);
    let rules = Rules::of(ruleset.expect("a valid pack"));
    let caller = Caller { name: "a".into(), team: None, role: None, key_id: None };
    Gate::new(rules.watch(&caller, "m", time::OffsetDateTime::UNIX_EPOCH), 1 << 20, inline)
}

/// What came out of a gate.
#[derive(Debug, Default)]
struct Came {
    frames: Vec<Bytes>,
    /// How many frames had left after each frame that came.
    after: Vec<usize>,
    found: Found,
    stopped: bool,
    changed: bool,
}

fn frame(delta: &Value) -> String {
    format!("data: {}\n\n", json!({"id": "x", "choices": [{"index": 0, "delta": delta, "logprobs": {"content": [7]}}]}))
}

fn run(mut gate: Gate, frames: &[String]) -> Came {
    let mut came = Came::default();
    let mut cut = Frames::new(1 << 20);
    for text in frames {
        cut.push(Bytes::from(text.clone()));
        while let Some(frame) = cut.next() {
            let frame = frame.expect("a short frame");
            let observed = dialect::read_chunk(Dialect::OpenaiChat, &frame).expect("a good frame");
            gate.push(frame.bytes, &observed, &mut came.frames);
            came.after.push(came.frames.len());
        }
    }
    gate.finish(&mut came.frames);
    came.stopped = gate.stopped().is_some();
    came.changed = gate.changed();
    (_, came.found) = gate.take_parts();
    came
}

/// All text of a field that left.
fn text(came: &Came, field: &str) -> String {
    let read = |bytes: &Bytes| -> Value {
        serde_json::from_slice(bytes.strip_prefix(b"data: ").expect("a data frame")).expect("valid JSON")
    };
    let texts = came.frames.iter().map(|frame| {
        read(frame).pointer(&format!("/choices/0/delta{field}")).and_then(Value::as_str).unwrap_or_default().to_owned()
    });
    texts.collect()
}

fn contents(pieces: &[&str]) -> Vec<String> {
    pieces.iter().map(|piece| frame(&json!({"content": piece}))).collect()
}

#[test]
fn frames_that_no_rule_concerns_leave_at_once_and_as_they_came() {
    let frames = contents(&["The ", "rose ", "is red", ", said A."]);
    let came = run(gate(None), &frames);
    assert_eq!(came.after, [1, 2, 3, 4]);
    assert_eq!(came.frames, frames);
    assert!(!came.changed && came.found.kept.is_empty());
}

#[test]
fn a_match_over_frames_is_replaced_once_and_only_its_frames_change() {
    let frames = contents(&["A ", "tu", "li", "p bed", " here"]);
    let came = run(gate(None), &frames);
    assert_eq!(text(&came, "/content"), "A <r> bed here");
    assert_eq!(came.frames[0], frames[0]);
    assert_eq!(came.frames[4], frames[4]);
    let found: Vec<_> = came.found.kept.iter().map(|finding| (finding.span.clone(), finding.enforced)).collect();
    assert_eq!(found, [(2..7, Enforced::Applied)]);
}

#[test]
fn a_changed_frame_loses_the_tokens_that_repeat_its_text() {
    let came = run(gate(None), &contents(&["a tulip."]));
    let frame = String::from_utf8_lossy(&came.frames[0]).into_owned();
    assert!(frame.contains(r#""logprobs":null"#) && !frame.contains("[7]"), "{frame}");
}

#[test]
fn every_channel_is_screened() {
    let deltas = [
        ("/reasoning_content", json!({"reasoning_content": "a tulip."})),
        ("/reasoning", json!({"reasoning": "a tulip."})),
        ("/refusal", json!({"refusal": "a tulip."})),
        (
            "/tool_calls/0/function/arguments",
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "a tulip."}}]}),
        ),
    ];
    for (field, delta) in deltas {
        assert_eq!(text(&run(gate(None), &[frame(&delta)]), field), "a <r>.", "{field}");
    }
}

#[test]
fn a_stop_cuts_at_the_byte_and_nothing_follows() {
    let came = run(gate(None), &contents(&["First. Then bella", "donna", " and more"]));
    assert!(came.stopped);
    assert_eq!(text(&came, "/content"), "First. Then ");
    assert_eq!(came.found.kept[0].action, Action::Stop);
    assert_eq!(came.found.kept[0].enforced, Enforced::Applied);
}

#[test]
fn text_held_at_the_end_of_a_channel_does_not_hold_up_the_next() {
    let frames = [frame(&json!({"reasoning_content": "so tul"})), frame(&json!({"content": "Hello"}))];
    let came = run(gate(None), &frames);
    assert_eq!(came.after, [0, 2]);
    assert_eq!(came.frames, frames);
}

#[test]
fn a_match_at_the_very_end_of_a_channel_is_replaced_before_the_next_begins() {
    let frames = [frame(&json!({"reasoning_content": "a tulip"})), frame(&json!({"content": "Hello"}))];
    let came = run(gate(None), &frames);
    assert_eq!(text(&came, "/reasoning_content"), "a <r>");
    assert_eq!(came.found.kept.len(), 1, "{:?}", came.found);
}

#[test]
fn inline_marks_part_channels_and_stay_in_the_bytes() {
    let frames = contents(&["<thi", "nk>a tulip</th", "ink>the ", "answer"]);
    let came = run(gate(Some(Channel::Answer)), &frames);
    assert_eq!(text(&came, "/content"), "<think>a <r></think>the answer");
    assert_eq!(came.found.kept[0].channel, Channel::Reasoning);
    assert_eq!(came.found.kept[0].span, 2..7);
}

#[test]
fn prompts_are_changed_inside_their_bytes_only() {
    let ruleset = candor_policies::compile(&[candor_policies::Pack { name: "house.yaml".into(), text: PACK.into() }]);
    let rules = Rules::of(ruleset.expect("a valid pack"));
    let caller = Caller { name: "a".into(), team: None, role: None, key_id: None };
    let raw = r#"{"messages":[{"role":"user","content":"one\ttulip é"},{"role":"user","content":[{"type":"text","text":"no-1234"}]}], "model" : "m","x":1}"#;
    let request = dialect::read_request(Dialect::OpenaiChat, Bytes::from_static(raw.as_bytes())).expect("valid");
    let mut found = Found::default();
    let Outcome::Pass(screened) =
        rules.watch(&caller, "m", time::OffsetDateTime::UNIX_EPOCH).prompt(request, &mut found)
    else {
        panic!("stopped")
    };
    let expected = raw.replace("tulip", "<r>").replace("no-1234", "<r>");
    assert_eq!(screened.get().raw, expected.as_bytes());
    assert_eq!(&expected[screened.get().model_at.clone()], r#""m""#);
    assert_eq!(found.kept.len(), 2);
}

/// A frame of the arguments of a choice's tool call.
fn arguments(choice: u32, piece: &str) -> String {
    let delta = json!({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]});
    format!("data: {}\n\n", json!({"id": "x", "choices": [{"index": choice, "delta": delta}]}))
}

/// What a choice's tool was called with.
fn called(came: &Came, choice: u32) -> String {
    let mut text = String::new();
    for frame in &came.frames {
        let read: Value = serde_json::from_slice(frame.strip_prefix(b"data: ").expect("data")).expect("valid JSON");
        for one in read["choices"].as_array().expect("choices").iter().filter(|one| one["index"] == choice) {
            text.push_str(one["delta"]["tool_calls"][0]["function"]["arguments"].as_str().unwrap_or_default());
        }
    }
    text
}

#[test]
fn arguments_are_read_as_what_their_strings_say_and_stay_json() {
    for (text, expected) in [
        (r#"{"a":"a tulip."}"#, r#"{"a":"a <r>."}"#),
        // An escape is one character, not the letter behind the backslash.
        (r#"{"a":"x\ntulip\tno-1234"}"#, r#"{"a":"x\n<r>\t<r>"}"#),
        (r#"{"a":"\tulip"}"#, r#"{"a":"\tulip"}"#),
        (r#"{"a":"t\u0075lip \u90c1\u91d1\u9999"}"#, r#"{"a":"<r> <r>"}"#),
        (r#"{"a":"\"tulip\" \\tulip \ud83d\ude00"}"#, r#"{"a":"\"<r>\" \\<r> \ud83d\ude00"}"#),
        (r#"{"tulip":{"blue":"tulip"}}"#, r#"{"<r>":{"<r>":""}}"#),
    ] {
        let one: Vec<String> = text.chars().map(|c| arguments(0, &c.to_string())).collect();
        for frames in [vec![arguments(0, text)], one] {
            assert_eq!(called(&run(gate(None), &frames), 0), expected, "{text}");
        }
    }
}

#[test]
fn arguments_of_choices_go_on_apart() {
    let pieces = [(0, "{\"a\":\"tu"), (1, "[\"no-"), (0, "lip\\"), (1, "12"), (0, "n!\"}"), (1, "34\",4]")];
    let frames: Vec<String> = pieces.iter().map(|(choice, piece)| arguments(*choice, piece)).collect();
    let came = run(gate(None), &frames);
    assert_eq!(called(&came, 0), "{\"a\":\"<r>\\n!\"}");
    assert_eq!(called(&came, 1), "[\"<r>\",4]");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn arguments_stay_json_and_no_match_is_left_in_them(
        texts in proptest::collection::vec(proptest::collection::vec(prop_oneof![
            Just("tulip"), Just("blue "), Just(" "), Just("no-1234"), Just("郁金香"), Just("\""), Just("\\"), Just("\n"),
            Just("é"), Just("😀"), Just("t")], 0..6), 1..4),
        ascii in any::<bool>(),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..8),
    ) {
        let texts: Vec<String> = texts.iter().map(|parts| parts.concat()).collect();
        // Something stands between them: what is found over two strings has no place in either.
        let apart: Vec<Value> = texts.iter().flat_map(|text| [json!(text), json!(7)]).collect();
        let mut whole = json!({"texts": apart, "n": 12}).to_string();
        if ascii {
            let escaped = |c: char| {
                let mut units = [0; 2];
                c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect::<String>()
            };
            whole = whole.chars().map(|c| if c.is_ascii() { c.to_string() } else { escaped(c) }).collect();
        }
        let mut at: Vec<usize> = cuts.iter().map(|cut| whole.floor_char_boundary(cut.index(whole.len() + 1))).collect();
        at.sort_unstable();
        at.push(whole.len());
        let mut from = 0;
        let mut frames = Vec::new();
        for cut in at {
            frames.push(arguments(0, &whole[from..cut]));
            from = cut;
        }
        let left: Value = serde_json::from_str(&called(&run(gate(None), &frames), 0)).expect("JSON");
        prop_assert_eq!(&left["n"], 12);
        // Each string left is what the same text would be elsewhere.
        for (before, after) in texts.iter().zip(left["texts"].as_array().expect("a list").iter().step_by(2)) {
            let elsewhere = run(gate(None), &[frame(&json!({"content": before}))]);
            prop_assert_eq!(after.as_str().expect("text"), text(&elsewhere, "/content"));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn any_split_into_frames_leaves_the_same_text_and_finds_the_same(
        parts in proptest::collection::vec(prop_oneof![
            Just("tulip"), Just("blue "), Just("tu"), Just("lip"), Just(" "), Just("."), Just("no-12"), Just("34"),
            Just("郁金"), Just("香"), Just("é"), Just("\""), Just("\n"), Just("ＴＵＬＩＰ"), Just("belladonn"), Just("a")], 0..12),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..8),
    ) {
        let whole = parts.concat();
        let mut at: Vec<usize> = cuts.iter().map(|cut| whole.floor_char_boundary(cut.index(whole.len() + 1))).collect();
        at.sort_unstable();
        at.push(whole.len());
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in at {
            pieces.push(&whole[from..cut]);
            from = cut;
        }
        let split = run(gate(None), &contents(&pieces));
        let once = run(gate(None), &contents(&[&whole]));
        prop_assert_eq!(text(&split, "/content"), text(&once, "/content"));
        prop_assert_eq!(split.stopped, once.stopped);
        let spans = |came: &Came| {
            let mut spans: Vec<_> = came.found.kept.iter().map(|f| (f.span.start, f.span.end, f.rule.clone())).collect();
            spans.sort();
            spans
        };
        if !once.stopped {
            prop_assert_eq!(spans(&split), spans(&once));
        }
    }
}
