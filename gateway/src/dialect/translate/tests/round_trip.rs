//! What two dialects both can say survives there and back, whatever it is.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::dialect::read_request;
use crate::dialect::write::Head;
use crate::dialect::{Translation, translate};
use crate::exchange::Dialect::{self, Anthropic, OpenaiChat as Chat, OpenaiResponses as Responses};

const HEAD: Head<'_> = Head { id: "id_0", model: "asked", created: 7 };

fn put(from: Dialect, to: Dialect, body: &Value) -> Value {
    let request = read_request(from, body.to_string().into()).unwrap_or_else(|error| panic!("{error}: {body}"));
    let translated = translate(&request, to).unwrap_or_else(|error| panic!("{error}: {body}"));
    serde_json::from_slice(&translated.request.raw).expect("JSON")
}

fn whole(from: Dialect, to: Dialect, reply: &Value) -> Value {
    let translation = Translation::new((from, to), &HEAD, true, None);
    serde_json::from_slice(&translation.whole(reply.to_string().as_bytes()).0).expect("JSON")
}

fn words() -> impl Strategy<Value = String> {
    "[a-zé\u{1f980}\u{4f60} \\n\t\"\\\\<>&/{}\u{7f}\u{2028}]{1,12}"
}

/// Arguments of a call, as compact JSON.
fn arguments() -> impl Strategy<Value = String> {
    (words(), any::<i64>(), any::<bool>())
        .prop_map(|(text, number, flag)| json!({"k": text, "n": [number, {"deep": flag}], "": null}).to_string())
}

fn picture() -> impl Strategy<Value = Value> {
    let url = prop_oneof![
        "[a-z]{1,8}".prop_map(|name| format!("https://example.org/{name}.png")),
        "[A-Za-z0-9+/]{4,8}==".prop_map(|data| format!("data:image/png;base64,{data}")),
    ];
    url.prop_map(|url| json!({"type": "image_url", "image_url": {"url": url}}))
}

/// A turn of the user and one of the model with what it called, all in the words of Chat Completions.
fn turns() -> impl Strategy<Value = Vec<Value>> {
    let asked = prop_oneof![
        words().prop_map(|text| json!({"role": "user", "content": text})),
        (words(), picture())
            .prop_map(|(text, picture)| json!({"role": "user", "content": [{"type": "text", "text": text}, picture]})),
    ];
    let calls = proptest::collection::vec((arguments(), words()), 0..3);
    (asked, proptest::option::of(words()), calls, 0_u32..1000).prop_map(|(asked, said, calls, number)| {
        let mut turns = vec![asked];
        if said.is_none() && calls.is_empty() {
            return turns;
        }
        let mut answer = json!({"role": "assistant", "content": said});
        let id = |place: usize| format!("call_{number}_{place}");
        if !calls.is_empty() {
            let made = calls.iter().enumerate().map(|(place, (arguments, _))| {
                json!({"id": id(place), "type": "function", "function": {"name": "look", "arguments": arguments}})
            });
            answer["tool_calls"] = made.collect();
        }
        turns.push(answer);
        let results = calls.into_iter().enumerate();
        turns.extend(
            results.map(|(place, (_, result))| json!({"role": "tool", "tool_call_id": id(place), "content": result})),
        );
        turns
    })
}

/// A request of which all can say everything.
fn requests() -> impl Strategy<Value = Value> {
    let choice = prop_oneof![
        Just(Value::Null),
        Just(json!("auto")),
        Just(json!("required")),
        Just(json!("none")),
        Just(json!({"type": "function", "function": {"name": "look"}})),
    ];
    (words(), proptest::collection::vec(turns(), 1..4), choice, words(), 1_u64..9000, 0_u32..=10, any::<[bool; 3]>())
        .prop_map(|(system, turns, choice, description, tokens, heat, [stream, schema, strict])| {
            let mut messages = vec![json!({"role": "system", "content": system})];
            // Two of the user's in a row are one to whoever reads them in Messages.
            let mut last = Value::Null;
            for turn in turns.into_iter().flatten() {
                let twice = turn["role"] == "user" && (last == "user" || last == "tool");
                if twice {
                    messages.push(json!({"role": "assistant", "content": "Yes?"}));
                }
                last = turn["role"].clone();
                messages.push(turn);
            }
            let mut function = json!({"name": "look", "description": description,
                "parameters": {"type": "object", "properties": {"k": {"type": "string"}}}});
            if strict {
                function["strict"] = true.into();
            }
            let mut body = json!({"model": "m", "messages": messages, "max_tokens": tokens,
                "tools": [{"type": "function", "function": function}]});
            body["temperature"] = json!(f64::from(heat) / 10.0);
            if stream {
                (body["stream"], body["stream_options"]) = (true.into(), json!({"include_usage": true}));
            }
            if !choice.is_null() {
                body["tool_choice"] = choice;
            }
            if schema {
                let schema = json!({"name": "answer", "schema": {"type": "object"}, "strict": true});
                body["response_format"] = json!({"type": "json_schema", "json_schema": schema});
            }
            body
        })
}

/// A whole reply of Chat Completions.
fn replies() -> impl Strategy<Value = Value> {
    let calls = proptest::collection::vec(arguments(), 0..3);
    let counts = (0_u64..99, 0_u64..99, 0_u64..99, 0_u64..99, any::<bool>());
    let texts = (proptest::option::of(words()), proptest::option::of(words()), proptest::option::of(words()));
    (texts, calls, prop_oneof![Just("stop"), Just("length")], counts).prop_map(
        |((said, thought, refused), calls, finish, (fresh, cached, written, thinking, likely))| {
            let mut message = json!({"role": "assistant", "content": said, "refusal": null});
            if let Some(thought) = &thought {
                message["reasoning_content"] = thought.as_str().into();
            }
            if let Some(refused) = refused.filter(|_| said.is_none() && calls.is_empty()) {
                message["refusal"] = refused.into();
            }
            let finish = if calls.is_empty() { finish } else { "tool_calls" };
            if !calls.is_empty() {
                let made = calls.iter().enumerate().map(|(place, arguments)| {
                    json!({"id": format!("call_{place}"), "type": "function", "function": {"name": "look", "arguments": arguments}})
                });
                message["tool_calls"] = made.collect();
            }
            let likely = said.filter(|_| likely).map(|text| {
                let token = json!({"token": text, "logprob": -0.5, "bytes": text.as_bytes(), "top_logprobs": []});
                json!({"content": [token, {"token": "", "logprob": -9999.0, "bytes": [], "top_logprobs": []}], "refusal": null})
            });
            let (prompt, completion) = (fresh + cached + written, thinking + 5);
            json!({
                "id": "chatcmpl-9", "object": "chat.completion", "created": 7, "model": "g",
                "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": likely}],
                "usage": {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
                    "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
                    "completion_tokens_details": {"reasoning_tokens": thinking}},
            })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_request_there_and_back_is_the_same(request in requests()) {
        for through in [Responses, Anthropic] {
            let there = put(Chat, through, &request);
            let mut back = put(through, Chat, &there);
            // The dialect has no name for a schema.
            if through == Anthropic && back["response_format"].is_object() {
                back["response_format"]["json_schema"]["name"] = "answer".into();
            }
            prop_assert_eq!(back, request.clone(), "through {}: {}", through.name(), there);
        }
    }

    #[test]
    fn a_request_through_both_is_the_same(request in requests()) {
        let messages = put(Chat, Anthropic, &request);
        let through = put(Responses, Anthropic, &put(Chat, Responses, &request));
        prop_assert_eq!(through, messages);
    }

    #[test]
    fn a_reply_there_and_back_is_the_same(reply in replies()) {
        for through in [Responses, Anthropic] {
            // A refusal has no field of its own in Messages, and no other place than its reason.
            if through == Anthropic && reply["choices"][0]["message"]["refusal"].is_string() {
                continue;
            }
            let there = whole(Chat, through, &reply);
            let mut expected = reply.clone();
            if through == Anthropic {
                expected["choices"][0]["logprobs"] = Value::Null;
            }
            prop_assert_eq!(whole(through, Chat, &there), expected, "through {}: {}", through.name(), there);
        }
    }
}
