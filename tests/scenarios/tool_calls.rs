//! Tool calls, and what makes other gateways lose, merge or mangle them. A client of the upstream's own dialect gets the
//! bytes as they came, whatever they are: how to read an odd stream is its own business, and official clients differ. A
//! client of another dialect gets calls that its official client reads as the ones that were made.

use serde_json::{Value, json};

use crate::harness::agent::{events, messages_client, parsed, text_of};
use crate::harness::dialects::{ALL, CHAT, MESSAGES, RESPONSES, Spoken};
use crate::harness::gateway::{Gateway, Setup, remote};
use crate::harness::script::{DONE, Reply, Step, delta, finish, say, whole};
use crate::harness::upstream::Upstream;

/// A reply, and what clients of other dialects do on hearing it.
struct Case {
    name: &'static str,
    of: Spoken,
    reply: Reply,
    stream: bool,
    calls: Vec<(&'static str, &'static str, Value)>,
    text: &'static str,
}

fn piece(call: Value) -> String {
    delta(0, &json!({"tool_calls": [call]}))
}

fn begins(index: u32, id: &str, name: &str, arguments: &str) -> String {
    let function = json!({"name": name, "arguments": arguments});
    piece(json!({"index": index, "id": id, "type": "function", "function": function}))
}

fn goes_on(index: u32, arguments: &str) -> String {
    piece(json!({"index": index, "function": {"arguments": arguments}}))
}

fn chat(name: &'static str, frames: Vec<String>, calls: Vec<(&'static str, &'static str, Value)>) -> Case {
    let frames = frames.into_iter().chain([finish(0, "tool_calls"), DONE.to_owned()]);
    Case { name, of: CHAT, reply: Reply::frames(frames), stream: true, calls, text: "" }
}

fn sse(events: &[Value]) -> Reply {
    Reply::frames(events.iter().map(|event| format!("event: {}\ndata: {event}\n\n", text_of(&event["type"]))))
}

fn three() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("call_a", "weather", json!({"city": "Porto"})),
        ("call_b", "weather", json!({"city": "Faro"})),
        ("call_c", "time", json!({"zone": "UTC", "as": "{\"}"})),
    ]
}

/// Streams of Chat Completions.
fn chat_cases() -> Vec<Case> {
    // As Ollama and Gemini number them.
    let alike = vec![
        begins(0, "call_a", "weather", ""),
        goes_on(0, "{\"city\":"),
        goes_on(0, "\"Porto\"}"),
        begins(0, "call_b", "weather", "{\"city\":\"Faro\"}"),
        begins(0, "call_c", "time", "{\"zone\":\"UTC\","),
        goes_on(0, "\"as\":\"{\\\"}\"}"),
    ];
    // As the format allows: pieces of several calls in turns.
    let in_turns = vec![
        begins(0, "call_a", "weather", "{\"ci"),
        begins(1, "call_b", "weather", ""),
        goes_on(0, "ty\":"),
        goes_on(1, "{\"city\":\"Fa"),
        begins(2, "call_c", "time", "{\"zone\":\"UTC\","),
        goes_on(0, "\"Porto\"}"),
        goes_on(2, "\"as\":\"{\\\"}\"}"),
        goes_on(1, "ro\"}"),
    ];
    let at_once = vec![delta(
        0,
        &json!({"tool_calls": [
            {"index": 0, "id": "call_a", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Porto\"}"}},
            {"index": 1, "id": "call_b", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Faro\"}"}},
            {"index": 2, "id": "call_c", "type": "function", "function": {"name": "time", "arguments": "{\"zone\":\"UTC\",\"as\":\"{\\\"}\"}"}},
        ]}),
    )];
    let spoiled = vec![begins(0, "call_a", "weather", "{}"), goes_on(0, "{\"city\":"), goes_on(0, "\"Porto\"}")];
    // Nothing, or an object of nothing, is what a tool without parameters is called with.
    let empty = vec![begins(0, "call_a", "now", "{}"), begins(1, "call_b", "now", ""), goes_on(1, "")];
    // As old servers do that make up an id for every piece.
    let renamed = vec![
        begins(0, "call_a", "weather", "{\"city\":"),
        piece(json!({"index": 0, "id": "call_z", "function": {"arguments": "\"Porto\"}"}})),
    ];
    let nameless = vec![
        piece(json!({"index": 0, "id": "", "function": {"name": "weather", "arguments": "{\"city\":\"Porto\"}"}})),
        piece(json!({"index": 0, "id": "", "function": {"name": "weather", "arguments": "{\"city\":\"Faro\"}"}})),
    ];
    let porto = json!({"city": "Porto"});
    vec![
        chat("one number for all calls", alike, three()),
        chat("calls in turns", in_turns, three()),
        chat("calls at once", at_once, three()),
        chat("an empty object before the arguments", spoiled, vec![("call_a", "weather", porto.clone())]),
        chat("no arguments", empty, vec![("call_a", "now", json!({})), ("call_b", "now", json!({}))]),
        chat("a new id for every piece", renamed, vec![("call_a", "weather", porto.clone())]),
        chat("no ids", nameless, vec![("call_0", "weather", porto), ("call_1", "weather", json!({"city": "Faro"}))]),
    ]
}

/// Streams of the other two.
fn other_cases() -> Vec<Case> {
    let start = json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant",
        "model": "c", "content": [], "stop_reason": null, "usage": {"input_tokens": 1, "output_tokens": 1}}});
    let ends = [
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null}, "usage": {"output_tokens": 9}}),
        json!({"type": "message_stop"}),
    ];
    let block = |index: u32, id: &str, input: Value, pieces: &[&str]| {
        let opened = json!({"type": "tool_use", "id": id, "name": "weather", "input": input});
        let mut events = vec![json!({"type": "content_block_start", "index": index, "content_block": opened})];
        events.extend(pieces.iter().map(|piece| {
            json!({"type": "content_block_delta", "index": index, "delta": {"type": "input_json_delta", "partial_json": piece}})
        }));
        events.push(json!({"type": "content_block_stop", "index": index}));
        events
    };
    // The second as servers do that give what a call is made with at once, the third as one that does both.
    let messages = [
        vec![start],
        block(0, "toolu_a", json!({}), &["", "{\"city\": ", "\"Porto\"}"]),
        block(1, "toolu_b", json!({"city": "Faro"}), &[]),
        block(2, "toolu_c", json!({"city": "Beja"}), &["{\"city\":", "\"Beja\"}"]),
        ends.to_vec(),
    ]
    .concat();
    let reply = |status: &str, output: Value| json!({"id": "resp_1", "object": "response", "model": "o", "status": status, "error": null, "output": output});
    let item = |id: &str, city: &str| {
        json!({"id": format!("fc_{id}"), "type": "function_call", "status": "completed", "call_id": format!("call_{id}"),
            "name": "weather", "arguments": format!("{{\"city\":\"{city}\"}}")})
    };
    let opened = |index: u32, id: &str| {
        let mut item = item(id, "");
        (item["arguments"], item["status"]) = ("".into(), "in_progress".into());
        json!({"type": "response.output_item.added", "output_index": index, "item": item})
    };
    let more = |index: u32, text: &str| json!({"type": "response.function_call_arguments.delta", "output_index": index, "item_id": "fc", "delta": text});
    let closed =
        |index: u32, item: Value| json!({"type": "response.output_item.done", "output_index": index, "item": item});
    let items = [item("a", "Porto"), item("b", "Faro"), item("c", "Beja")];
    // In turns, and the last one told only when it is done.
    let responses = vec![
        json!({"type": "response.created", "response": reply("in_progress", json!([]))}),
        opened(0, "a"),
        opened(1, "b"),
        more(1, "{\"city\":"),
        more(0, "{\"city\":\"Porto\"}"),
        closed(0, items[0].clone()),
        more(1, "\"Faro\"}"),
        closed(1, items[1].clone()),
        opened(2, "c"),
        closed(2, items[2].clone()),
        json!({"type": "response.completed", "response": reply("completed", json!(items))}),
    ];
    let cities = |a, b, c| {
        vec![
            (a, "weather", json!({"city": "Porto"})),
            (b, "weather", json!({"city": "Faro"})),
            (c, "weather", json!({"city": "Beja"})),
        ]
    };
    let case = |name, of, reply, calls| Case { name, of, reply, stream: true, calls, text: "" };
    vec![
        case("blocks", MESSAGES, sse(&messages), cities("toolu_a", "toolu_b", "toolu_c")),
        case("items", RESPONSES, sse(&responses), cities("call_a", "call_b", "call_c")),
    ]
}

/// Whole replies, and texts that look like calls.
fn plain_cases() -> Vec<Case> {
    let call = |id: &str, name: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
    let calls = [
        call("call_a", "weather", "{\"city\":\"Porto\"}"),
        call("call_b", "weather", "{ \"city\": \"Faro\" }"),
        call("call_c", "time", "{\"zone\":\"UTC\",\"as\":\"{\\\"}\"}"),
    ];
    let message = json!({"role": "assistant", "content": null, "tool_calls": calls});
    // A model that was told of tools in words its server does not know answers so. Whether it is a call is not the
    // gateway's to say: no official client takes it for one.
    const WORDS: &str = "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Porto\"}}\n</tool_call>";
    let in_words = json!({"role": "assistant", "content": WORDS});
    let spoken = ["<tool", "_call>\n{\"name\": \"weather\", ", "\"arguments\": {\"city\": \"Porto\"}}\n</tool_call>"];
    let frames = spoken.iter().map(|text| say(text)).chain([finish(0, "stop"), DONE.to_owned()]);
    vec![
        Case {
            name: "whole",
            of: CHAT,
            // As a vendor does that was told which tool to call.
            reply: Reply::json(200, whole(&message, "stop")),
            stream: false,
            calls: three(),
            text: "",
        },
        Case {
            name: "a call in words",
            of: CHAT,
            reply: Reply::json(200, whole(&in_words, "stop")),
            stream: false,
            calls: Vec::new(),
            text: WORDS,
        },
        Case {
            name: "a call in words, streamed",
            of: CHAT,
            reply: Reply::frames(frames),
            stream: true,
            calls: Vec::new(),
            text: WORDS,
        },
    ]
}

/// A gateway before an upstream for each case, a model each.
async fn before(cases: &[Case]) -> (Gateway, Vec<Upstream>) {
    let (mut entries, mut upstreams) = (Vec::new(), Vec::new());
    for case in cases {
        let upstream = Upstream::always(case.reply.clone()).await;
        let mut entry = remote(case.name, &upstream.base_url());
        entry["dialects"] = json!([case.of.name]);
        entries.push(entry);
        upstreams.push(upstream);
    }
    let models: Vec<Value> =
        cases.iter().map(|case| json!({"name": case.name, "candidates": [{"upstream": case.name}]})).collect();
    (Setup::new().with(json!({"upstreams": entries, "models": models})).start().await, upstreams)
}

fn bytes_of(reply: &Reply) -> Vec<u8> {
    let sent = reply.steps.iter().map(|step| match step {
        Step::Send(bytes) => bytes.to_vec(),
        other => panic!("a step that sends nothing: {other:?}"),
    });
    sent.collect::<Vec<_>>().concat()
}

/// The record has each call for itself, as it came.
fn assert_recorded(record: &Value, case: &Case) {
    let texts = record["reply"].as_array().into_iter().flatten().filter(|text| text["channel"] == "tool");
    // Some servers put an empty object before the arguments.
    let read = |text: &Value| {
        let text = text["text"].as_str().unwrap_or_default();
        parsed(text.strip_prefix("{}").filter(|rest| !rest.is_empty()).unwrap_or(text))
    };
    let found: Vec<Value> = texts.map(read).collect();
    // What is called with nothing has no text.
    let empty = |input: &Value| input.as_object().is_some_and(serde_json::Map::is_empty);
    let said = |inputs: Vec<Value>| inputs.into_iter().filter(|input| !empty(input)).collect::<Vec<_>>();
    let made = case.calls.iter().map(|(_, _, input)| input.clone()).collect();
    assert_eq!(said(found), said(made), "{}: {record}", case.name);
}

#[tokio::test]
async fn calls_are_neither_lost_nor_merged_nor_mangled() {
    let cases: Vec<Case> = [chat_cases(), other_cases(), plain_cases()].into_iter().flatten().collect();
    let (gateway, _upstreams) = before(&cases).await;
    for case in &cases {
        for client in ALL {
            let what = format!("{} of {} to {}", case.name, case.of.name, client.name);
            let mut body = client.ask(case.stream);
            body["model"] = case.name.into();
            let answer = gateway.client().post_to(client.path, &body).await;
            let (status, id, text) = (answer.status, answer.id(), answer.text().await);
            assert_eq!(status, 200, "{what}: {text}");
            if client == case.of {
                assert_eq!(text.as_bytes(), bytes_of(&case.reply), "{what}");
                // Where arguments come twice, as in one of Messages' cases, they are recorded twice, too.
                if client == CHAT {
                    assert_recorded(&gateway.record(&id).await, case);
                }
                continue;
            }
            let done = client.does(&text, case.stream);
            let made = case.calls.iter().map(|(id, name, input)| ((*id).to_owned(), (*name).to_owned(), input.clone()));
            assert_eq!(done.calls, made.collect::<Vec<_>>(), "{what}: {text}");
            assert_eq!(done.text, case.text, "{what}: {text}");
            let reason = match (client, case.calls.is_empty()) {
                (CHAT, false) => "tool_calls",
                (MESSAGES, false) => "tool_use",
                (CHAT, true) => "stop",
                (MESSAGES, true) => "end_turn",
                _ => "completed",
            };
            assert_eq!(done.reason, reason, "{what}: {text}");
        }
    }
}

#[tokio::test]
async fn what_a_call_came_as_is_what_goes_back() {
    // A client sends back what it was told; the upstream must see the ids and arguments that it gave, and in one turn.
    let cases = chat_cases();
    let (gateway, upstreams) = before(&cases[..2]).await;
    for (case, upstream) in cases.iter().zip(&upstreams) {
        let mut body = MESSAGES.ask(true);
        body["model"] = case.name.into();
        let told = gateway.client().post_to(MESSAGES.path, &body).await.text().await;
        let calls = messages_client(&told).calls;
        let uses =
            calls.iter().map(|(id, name, input)| json!({"type": "tool_use", "id": id, "name": name, "input": input}));
        let results = calls.iter().map(|(id, ..)| json!({"type": "tool_result", "tool_use_id": id, "content": "7"}));
        body["messages"] = json!([
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": uses.collect::<Vec<_>>()},
            {"role": "user", "content": results.collect::<Vec<_>>()},
        ]);
        assert_eq!(gateway.client().post_to(MESSAGES.path, &body).await.status, 200);
        let sent: Value = serde_json::from_slice(&upstream.received().last().expect("a request").body).expect("JSON");
        let messages = sent["messages"].as_array().expect("messages");
        let made = messages.iter().find_map(|message| message["tool_calls"].as_array()).expect("calls");
        let made: Vec<_> = made
            .iter()
            .map(|call| (text_of(&call["id"]), parsed(call["function"]["arguments"].as_str().expect("arguments"))))
            .collect();
        let given: Vec<_> = case.calls.iter().map(|(id, _, input)| ((*id).to_owned(), input.clone())).collect();
        assert_eq!(made, given, "{}: {sent}", case.name);
        let answered = messages.iter().filter(|message| message["role"] == "tool");
        assert_eq!(answered.count(), case.calls.len(), "{}: {sent}", case.name);
    }
}

#[tokio::test]
async fn signatures_come_to_the_client_and_back_as_they_were() {
    // Longer than a frame of any buffer, with all that base64 may hold.
    let signature = format!("{}+/Ab0==", "EqQBCgIYAhIM/+9".repeat(600));
    let thinking = |delta: Value| json!({"type": "content_block_delta", "index": 0, "delta": delta});
    let usage = json!({"input_tokens": 1, "output_tokens": 1});
    let stream = sse(&[
        json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "c",
            "content": [], "stop_reason": null, "usage": usage}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}),
        thinking(json!({"type": "thinking_delta", "thinking": "Hm."})),
        thinking(json!({"type": "signature_delta", "signature": signature})),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hi."}}),
        json!({"type": "content_block_stop", "index": 1}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": usage}),
        json!({"type": "message_stop"}),
    ]);
    let case = Case { name: "signed", of: MESSAGES, reply: stream, stream: true, calls: Vec::new(), text: "Hi." };
    let (gateway, upstreams) = before(std::slice::from_ref(&case)).await;
    let known = json!({"type": "thinking", "thinking": "Hm.", "signature": signature});
    for client in ALL {
        let mut body = client.ask(true);
        body["model"] = case.name.into();
        let text = gateway.client().post_to(client.path, &body).await.text().await;
        let said = client.does(&text, true);
        assert_eq!(said.signed.len(), 1, "{}: {text}", client.name);
        let signed = &said.signed[0];
        let user = json!({"role": "user", "content": "And?"});
        match client {
            CHAT => {
                assert_eq!(signed, &signature);
                let detail = json!({"type": "reasoning.text", "text": "Hm.", "signature": signed});
                let turn = json!({"role": "assistant", "content": "Hi.", "reasoning_details": [detail]});
                body["messages"] = json!([user, turn, user]);
            }
            MESSAGES => {
                assert_eq!(signed, &signature);
                let block = json!({"type": "thinking", "thinking": "Hm.", "signature": signed});
                let turn = json!({"role": "assistant", "content": [block, {"type": "text", "text": "Hi."}]});
                body["messages"] = json!([user, turn, user]);
            }
            _ => {
                let item = events(&text)
                    .into_iter()
                    .find(|event| event["type"] == "response.output_item.done" && event["item"]["type"] == "reasoning");
                body["input"] =
                    json!([user, item.expect("an item")["item"], {"role": "assistant", "content": "Hi."}, user]);
            }
        }
        assert_eq!(gateway.client().post_to(client.path, &body).await.status, 200, "{}", client.name);
        let sent: Value =
            serde_json::from_slice(&upstreams[0].received().last().expect("a request").body).expect("JSON");
        assert_eq!(sent["messages"][1]["content"][0], known, "{}: {sent}", client.name);
    }
}
