//! Streams of any form: frames joined are the stream, and what is read of one stands where it is said to stand.

use bytes::Bytes;
use candor_gateway::dialect;
use candor_gateway::exchange::Dialect;
use candor_gateway::stream::sse::Frames;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Cuts a stream into frames that came in chunks of a size, reads each, and gives all text and all bytes.
fn read(stream: &[u8], size: usize) -> (String, Vec<u8>) {
    let mut frames = Frames::new(1 << 20);
    let (mut text, mut bytes) = (String::new(), Vec::new());
    let mut take = |frame: candor_gateway::stream::sse::Frame| {
        bytes.extend_from_slice(&frame.bytes);
        let Ok(observed) = dialect::read_chunk(Dialect::OpenaiChat, &frame) else { return };
        for delta in observed.deltas {
            // Data on several lines has no one place in the bytes.
            if let Ok(found) = serde_json::from_slice::<String>(&frame.bytes[delta.at.clone()]) {
                assert_eq!(found, delta.text);
            }
            text.push_str(&delta.text);
        }
    };
    for chunk in stream.chunks(size) {
        frames.push(Bytes::copy_from_slice(chunk));
        while let Some(frame) = frames.next() {
            take(frame.expect("below the limit"));
        }
    }
    while let Some(frame) = frames.finish() {
        take(frame);
    }
    (text, bytes)
}

fn events() -> impl Strategy<Value = String> {
    let delta =
        ("\\PC{0,8}", prop_oneof![Just("content"), Just("reasoning_content"), Just("reasoning"), Just("refusal")])
            .prop_map(|(text, field)| json!({"choices": [{"index": 0, "delta": {field: text}}]}).to_string());
    let odd = prop_oneof![
        Just("[DONE]".to_owned()),
        Just("{".to_owned()),
        Just(Value::Null.to_string()),
        Just("{\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"arguments\":\"{\"}}]}}]}".to_owned()),
    ];
    let data = prop_oneof![5 => delta, 1 => odd];
    let end = prop_oneof![3 => Just("\n\n"), 1 => Just("\r\n\r\n"), 1 => Just("\n")];
    let event = (prop_oneof![Just("data: "), Just("data:"), Just(": "), Just("event: x\ndata: ")], data, end);
    proptest::collection::vec(event.prop_map(|(field, data, end)| format!("{field}{data}{end}")), 0..8)
        .prop_map(|events| events.concat())
}

proptest! {
    #[test]
    fn any_chunking_of_a_stream_reads_the_same_and_loses_no_byte(stream in events(), size in 1_usize..40) {
        let (text, bytes) = read(stream.as_bytes(), size);
        prop_assert_eq!(&bytes, stream.as_bytes());
        prop_assert_eq!(text, read(stream.as_bytes(), stream.len().max(1)).0);
    }

    #[test]
    fn bytes_that_are_no_stream_lose_none_either(stream in proptest::collection::vec(any::<u8>(), 0..200), size in 1_usize..40) {
        prop_assert_eq!(read(&stream, size).1, stream);
    }
}
