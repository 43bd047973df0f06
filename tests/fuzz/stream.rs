//! Streams of any form in every dialect: frames joined are the stream, what is read of one stands where it is said to
//! stand, and what it comes to in another dialect is a stream of that dialect, however the bytes came.

use bytes::Bytes;
use candor_gateway::dialect::write::Head;
use candor_gateway::dialect::{self, Translation};
use candor_gateway::exchange::{Channel, Dialect, Observed, Written};
use candor_gateway::stream::sse::{Frame, Frames};
use proptest::prelude::*;
use serde_json::{Value, json};

const CONVERSING: [Dialect; 3] = [Dialect::OpenaiChat, Dialect::OpenaiResponses, Dialect::Anthropic];

/// Every place that was read holds the text that was read from it. Data on several lines has no one place in the bytes.
fn places_are_true(observed: &Observed, bytes: &[u8]) {
    for delta in &observed.deltas {
        match (delta.written, serde_json::from_slice::<String>(&bytes[delta.at.clone()])) {
            (Written::Quoted, Ok(found)) => assert_eq!(found, delta.text),
            (Written::Quoted, Err(_)) => {}
            (Written::Bare, _) => assert!(delta.at.end <= bytes.len()),
        }
    }
}

/// Cuts a stream into frames that came in chunks of a size, reads each, and gives all text and all bytes.
fn read(of: Dialect, stream: &[u8], size: usize) -> (String, Vec<u8>) {
    let mut frames = Frames::new(1 << 20);
    let (mut text, mut bytes) = (String::new(), Vec::new());
    let mut take = |frame: Frame| {
        bytes.extend_from_slice(&frame.bytes);
        let Ok(observed) = dialect::read_chunk(of, &frame) else { return };
        places_are_true(&observed, &frame.bytes);
        for delta in observed.deltas {
            text.push_str(&format!("{:?}{}{}{}", delta.channel, delta.part, delta.repeats, delta.text));
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

/// What a stream that came in chunks of a size comes to in another dialect.
fn translated((from, to): (Dialect, Dialect), stream: &[u8], size: usize) -> Vec<u8> {
    let head = Head { id: "id_0", model: "asked", created: 7 };
    let mut translation = Translation::new((from, to), &head, true, Some(Channel::Answer));
    let mut out = Vec::new();
    // As in the gateway, what is no whole frame yet is not handed over.
    let mut frames = Frames::new(1 << 20);
    for chunk in stream.chunks(size) {
        frames.push(Bytes::copy_from_slice(chunk));
        while let Some(frame) = frames.next() {
            out.extend(translation.push(frame.expect("below the limit").bytes));
        }
    }
    while let Some(frame) = frames.finish() {
        out.extend(translation.push(frame.bytes));
    }
    let closing = translation.finish();
    out.extend(closing.body);
    out.extend(closing.last);
    out
}

fn texts() -> impl Strategy<Value = Value> {
    let odd = prop_oneof![Just(Value::Null), Just(json!(7)), Just(json!([])), Just(json!({}))];
    prop_oneof![12 => "\\PC{0,8}|[{}\"\\\\:a ]{0,8}".prop_map(Value::from), 1 => odd]
}

/// One event of Chat Completions.
fn chats() -> impl Strategy<Value = Value> {
    let field = prop_oneof![
        3 => Just("content"), 1 => Just("reasoning_content"), 1 => Just("reasoning"), 1 => Just("refusal"), 1 => Just("odd")
    ];
    let delta = (field, texts(), 0_u32..2)
        .prop_map(|(field, text, index)| json!({"choices": [{"index": index, "delta": {field: text}}]}));
    let call = (texts(), texts(), texts(), 0_u32..3).prop_map(|(id, name, arguments, index)| {
        let call = json!({"index": index, "id": id, "function": {"name": name, "arguments": arguments}});
        json!({"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"tool_calls": [call]}}]})
    });
    let detail = (texts(), texts()).prop_map(|(text, signature)| {
        let details = json!([{"text": text, "signature": signature}, {"id": text, "data": signature}]);
        json!({"choices": [{"index": 0, "delta": {"reasoning_details": details}}]})
    });
    let end = (texts(), 0_u64..99).prop_map(|(reason, tokens)| {
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}], "usage": {"prompt_tokens": tokens}})
    });
    let error = texts().prop_map(|text| json!({"error": {"message": text, "code": text}}));
    prop_oneof![6 => delta, 3 => call, 1 => detail, 1 => end, 1 => error]
}

/// One event of Responses.
fn responses() -> impl Strategy<Value = Value> {
    let kind = prop_oneof![
        Just("response.created"),
        Just("response.output_item.added"),
        Just("response.output_text.delta"),
        Just("response.output_text.done"),
        Just("response.refusal.delta"),
        Just("response.reasoning_text.delta"),
        Just("response.reasoning_summary_text.delta"),
        Just("response.reasoning_summary_part.added"),
        Just("response.function_call_arguments.delta"),
        Just("response.function_call_arguments.done"),
        Just("response.output_item.done"),
        Just("response.completed"),
        Just("response.incomplete"),
        Just("response.failed"),
        Just("error"),
        Just("odd"),
    ];
    let item = (prop_oneof![Just("message"), Just("function_call"), Just("reasoning"), Just("web_search_call")], texts())
        .prop_map(|(kind, text)| {
            json!({"type": kind, "id": text, "call_id": text, "name": text, "arguments": text, "encrypted_content": text,
                "summary": [{"type": "summary_text", "text": text}], "content": [{"type": "output_text", "text": text}]})
        });
    (kind, item, texts(), 0_u32..3).prop_map(|(kind, item, text, index)| {
        let mut event = json!({"type": kind, "output_index": index, "summary_index": index, "content_index": 0});
        match kind {
            "response.output_item.added" | "response.output_item.done" => event["item"] = item,
            _ if kind.ends_with(".delta") => event["delta"] = text,
            _ if kind.ends_with(".done") => (event["text"], event["arguments"]) = (text.clone(), text),
            "error" => (event["message"], event["code"]) = (text.clone(), text),
            "odd" => event["odd"] = text,
            _ => {
                event["response"] = json!({"id": "r", "model": "m", "status": "completed", "output": [item],
                    "usage": {"input_tokens": index, "output_tokens": 2}});
            }
        }
        event
    })
}

/// One event of Messages.
fn messages() -> impl Strategy<Value = Value> {
    let kind = prop_oneof![
        1 => Just("message_start"),
        3 => Just("content_block_start"),
        6 => Just("content_block_delta"),
        2 => Just("content_block_stop"),
        1 => Just("message_delta"),
        1 => Just("message_stop"),
        1 => Just("ping"),
        1 => Just("error"),
    ];
    let block = prop_oneof![Just("text"), Just("thinking"), Just("redacted_thinking"), Just("tool_use"), Just("odd")];
    let delta =
        prop_oneof![Just("text_delta"), Just("thinking_delta"), Just("signature_delta"), Just("input_json_delta")];
    (kind, block, delta, texts(), 0_u32..3).prop_map(|(kind, block, delta, text, index)| {
        let mut event = json!({"type": kind, "index": index});
        match kind {
            "content_block_start" => {
                event["content_block"] = json!({"type": block, "text": text, "thinking": text, "signature": text,
                    "data": text, "id": text, "name": text, "input": {"k": text}});
            }
            "content_block_delta" => {
                event["delta"] =
                    json!({"type": delta, "text": text, "thinking": text, "signature": text, "partial_json": text});
            }
            "message_start" => event["message"] = json!({"id": "m", "model": "c", "usage": {"input_tokens": index}}),
            "message_delta" => {
                event["delta"] = json!({"stop_reason": text, "stop_sequence": text});
                event["usage"] = json!({"output_tokens": index});
            }
            "error" => event["error"] = json!({"type": "overloaded_error", "message": text}),
            _ => {}
        }
        event
    })
}

/// A dialect and a stream of it, with what servers put around events.
fn streams() -> impl Strategy<Value = (Dialect, String)> {
    let of = |dialect: Dialect, event: BoxedStrategy<Value>| {
        let odd = prop_oneof![Just("[DONE]".to_owned()), Just("{".to_owned()), Just("null".to_owned())];
        let data = prop_oneof![12 => event.prop_map(|event| event.to_string()), 1 => odd];
        let end = prop_oneof![6 => Just("\n\n"), 1 => Just("\r\n\r\n"), 1 => Just("\n")];
        let field =
            prop_oneof![4 => Just("data: "), 1 => Just("data:"), 1 => Just(": "), 2 => Just("event: x\ndata: ")];
        let events = (field, data, end).prop_map(|(field, data, end)| format!("{field}{data}{end}"));
        proptest::collection::vec(events, 0..12).prop_map(move |events| (dialect, events.concat()))
    };
    prop_oneof![
        of(Dialect::OpenaiChat, chats().boxed()),
        of(Dialect::OpenaiResponses, responses().boxed()),
        of(Dialect::Anthropic, messages().boxed()),
    ]
}

/// Every frame of a translation is one of its dialect.
fn is_well_formed(of: Dialect, stream: &[u8]) {
    let mut frames = Frames::new(1 << 20);
    frames.push(Bytes::copy_from_slice(stream));
    while let Some(frame) = frames.next() {
        let frame = frame.expect("below the limit");
        let read = dialect::read_chunk(of, &frame);
        assert!(read.is_ok(), "{read:?} of {}", String::from_utf8_lossy(&frame.bytes));
    }
    assert!(frames.finish().is_none(), "a frame without an end: {}", String::from_utf8_lossy(stream));
}

#[test]
fn kept_streams_say_the_same_wherever_they_are_cut() {
    for from in CONVERSING {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/replies").join(from.name());
        let paths = std::fs::read_dir(folder).expect("golden files").flatten().map(|entry| entry.path());
        let kept =
            paths.filter(|path| path.to_string_lossy().ends_with(".sse") && !path.to_string_lossy().contains(".as-"));
        for path in kept {
            let stream = std::fs::read(&path).expect("a stream");
            let text = read(from, &stream, stream.len()).0;
            for size in [1, 2, 3, 61, 997] {
                assert_eq!(read(from, &stream, size).0, text, "{} by {size}", path.display());
            }
            for to in CONVERSING.into_iter().filter(|to| *to != from) {
                let at_once = translated((from, to), &stream, stream.len());
                is_well_formed(to, &at_once);
                for size in [1, 2, 3, 61, 997] {
                    assert!(translated((from, to), &stream, size) == at_once, "{} by {size}", path.display());
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn any_chunking_of_a_stream_reads_the_same_and_loses_no_byte((of, stream) in streams(), size in 1_usize..40) {
        let (text, bytes) = read(of, stream.as_bytes(), size);
        prop_assert_eq!(&bytes, stream.as_bytes());
        prop_assert_eq!(text, read(of, stream.as_bytes(), stream.len().max(1)).0);
    }

    #[test]
    fn bytes_that_are_no_stream_lose_none_either(
        stream in proptest::collection::vec(any::<u8>(), 0..200), size in 1_usize..40, of in 0_usize..3,
    ) {
        prop_assert_eq!(read(CONVERSING[of], &stream, size).1, stream);
    }

    #[test]
    fn any_chunking_of_a_stream_says_the_same_in_every_dialect((from, stream) in streams(), size in 1_usize..40) {
        for to in CONVERSING.into_iter().filter(|to| *to != from) {
            let at_once = translated((from, to), stream.as_bytes(), stream.len().max(1));
            prop_assert_eq!(translated((from, to), stream.as_bytes(), size), &at_once[..]);
            is_well_formed(to, &at_once);
        }
    }

    #[test]
    fn a_damaged_stream_is_said_as_a_stream(
        (from, stream) in streams(), at in any::<proptest::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut stream = stream.into_bytes();
        if let Some(hit) = (!stream.is_empty()).then(|| at.index(stream.len())) {
            stream[hit] = byte;
        }
        for to in CONVERSING.into_iter().filter(|to| *to != from) {
            is_well_formed(to, &translated((from, to), &stream, 7));
        }
    }

    #[test]
    fn whole_replies_are_read_truly_and_said_in_every_dialect(
        event in prop_oneof![chats(), responses(), messages()], from in 0_usize..4, at in any::<proptest::sample::Index>(),
        byte in any::<u8>(), damage in any::<bool>(),
    ) {
        // The message of an event is nearly a whole reply.
        let inner = ["response", "message"].iter().find_map(|name| event.get(name)).cloned().unwrap_or(event);
        let mut body = inner.to_string().replace("\"delta\"", "\"message\"").into_bytes();
        if damage {
            let at = at.index(body.len());
            body[at] = byte;
        }
        let from = Dialect::ALL[from];
        if let Ok(observed) = dialect::read_reply(from, &body) {
            places_are_true(&observed, &body);
        }
        let head = Head { id: "id_0", model: "asked", created: 7 };
        for to in CONVERSING.into_iter().filter(|to| *to != from && from.converses()) {
            let (said, _) = Translation::new((from, to), &head, true, None).whole(&body);
            if serde_json::from_slice::<Value>(&body).is_ok() {
                prop_assert!(dialect::read_reply(to, &said).is_ok(), "{}", String::from_utf8_lossy(&said));
            }
            let error = dialect::translate_error(to, 500, &body);
            prop_assert!(dialect::read_reply(to, &error).is_ok_and(|read| read.error.is_some()));
        }
    }
}
