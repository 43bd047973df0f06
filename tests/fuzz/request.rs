//! Requests of any form: what is read stands where it is said to stand, and the bytes are kept.

use bytes::Bytes;
use candor_gateway::dialect;
use candor_gateway::exchange::Dialect;
use proptest::prelude::*;
use serde_json::Value;

/// Every place that a decoded request names holds the JSON string of the text that was read from it.
fn places_are_true(raw: &[u8]) {
    let Ok(request) = dialect::read_request(Dialect::OpenaiChat, Bytes::copy_from_slice(raw)) else { return };
    assert_eq!(request.raw, raw);
    let text_at = |at: std::ops::Range<usize>| serde_json::from_slice::<String>(&raw[at]).expect("a JSON string");
    assert_eq!(text_at(request.model_at.clone()), request.model);
    for passage in request.messages.iter().flat_map(|message| &message.passages) {
        assert_eq!(text_at(passage.at.clone()), passage.text);
    }
    let whole: Value = serde_json::from_slice(raw).expect("what was read is JSON");
    assert_eq!(whole["model"], request.model);
    assert_eq!(whole["messages"].as_array().map(Vec::len), Some(request.messages.len()));
}

/// JSON that often is a request.
fn requests() -> impl Strategy<Value = String> {
    let text = "\\PC{0,12}|[\\\\\"{}\\[\\],: a-z]{0,12}".prop_map(|text: String| Value::from(text).to_string());
    let odd = prop_oneof![
        Just("null".to_owned()),
        Just("7".to_owned()),
        Just("[]".to_owned()),
        Just("\"\\u0041\"".to_owned())
    ];
    let value = prop_oneof![4 => text.clone(), 1 => odd];
    let message = (value.clone(), value.clone(), any::<bool>()).prop_map(|(role, content, parts)| match parts {
        true => format!("{{\"role\":{role}, \"content\":[{{\"type\":\"text\",\"text\":{content}}}]}}"),
        false => format!("{{ \"content\" :{content},\"role\":{role}}}"),
    });
    let messages = proptest::collection::vec(message, 0..4).prop_map(|messages| messages.join(" , "));
    (value, messages, any::<bool>()).prop_map(|(model, messages, first)| match first {
        true => format!("{{\"model\":{model},\"messages\":[{messages}]}}"),
        false => format!(" {{\"x\":1,\"messages\" : [{messages}], \"model\" :{model} }}\n"),
    })
}

proptest! {
    #[test]
    fn what_is_read_of_a_request_stands_where_it_is_said_to(request in requests()) {
        places_are_true(request.as_bytes());
    }

    #[test]
    fn a_damaged_request_is_read_truly_or_not_at_all(
        request in requests(), at in any::<proptest::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = request.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        places_are_true(&bytes);
    }
}
