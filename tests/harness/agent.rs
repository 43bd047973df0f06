//! What the official clients of each dialect make of replies with tool calls, as strictly as the strictest of them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::dialects::{CHAT, MESSAGES, Spoken};

/// What a client does on hearing a reply: calls by id, name and arguments, and the text beside them.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Done {
    pub(crate) calls: Vec<(String, String, Value)>,
    pub(crate) text: String,
    /// Signatures of reasoning.
    pub(crate) signed: Vec<String>,
    pub(crate) reason: String,
}

/// A text; empty where there is none.
pub(crate) fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Arguments as JSON; what is none stays a text, so that a test shows it.
pub(crate) fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

/// The events of a stream.
pub(crate) fn events(text: &str) -> Vec<Value> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    lines.map(|data| serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}"))).collect()
}

/// As `openai` for Python and Node: pieces of calls are joined by their index.
fn chat_client(text: &str) -> Done {
    let (mut done, mut calls) = (Done::default(), Vec::<(String, String, String)>::new());
    for event in events(text) {
        let (choice, delta) = (&event["choices"][0], &event["choices"][0]["delta"]);
        done.text.push_str(delta["content"].as_str().unwrap_or_default());
        done.reason.push_str(choice["finish_reason"].as_str().unwrap_or_default());
        for detail in delta["reasoning_details"].as_array().into_iter().flatten() {
            done.signed.extend(detail["signature"].as_str().map(str::to_owned));
        }
        for piece in delta["tool_calls"].as_array().into_iter().flatten() {
            let index = usize::try_from(piece["index"].as_u64().expect("an index")).expect("a small one");
            calls.resize(calls.len().max(index + 1), Default::default());
            calls[index].0.push_str(piece["id"].as_str().unwrap_or_default());
            calls[index].1.push_str(piece["function"]["name"].as_str().unwrap_or_default());
            calls[index].2.push_str(piece["function"]["arguments"].as_str().unwrap_or_default());
        }
    }
    done.calls = calls.into_iter().map(|(id, name, arguments)| (id, name, parsed(&arguments))).collect();
    done
}

/// As `anthropic` for Python and Node: a block is whole when it is closed, and the next one begins then.
pub(crate) fn messages_client(text: &str) -> Done {
    let (mut done, mut open, mut input) = (Done::default(), Value::Null, String::new());
    for event in events(text) {
        let delta = &event["delta"];
        match event["type"].as_str().unwrap_or_default() {
            "content_block_start" => {
                assert!(open.is_null(), "a block within a block: {text}");
                (open, input) = (event.clone(), String::new());
            }
            "content_block_delta" => {
                assert_eq!(open["index"], event["index"], "a piece of no open block: {text}");
                done.text.push_str(delta["text"].as_str().unwrap_or_default());
                done.signed.extend(delta["signature"].as_str().map(str::to_owned));
                input.push_str(delta["partial_json"].as_str().unwrap_or_default());
            }
            "content_block_stop" => {
                let block = std::mem::take(&mut open)["content_block"].clone();
                if block["type"] == "tool_use" {
                    let input = if input.is_empty() { block["input"].clone() } else { parsed(&input) };
                    done.calls.push((text_of(&block["id"]), text_of(&block["name"]), input));
                }
            }
            "message_delta" => done.reason = text_of(&delta["stop_reason"]),
            _ => {}
        }
    }
    done
}

/// As agents on `openai`: items are taken when they are done; what came of them in pieces must say the same.
fn responses_client(text: &str) -> Done {
    let (mut done, mut pieces) = (Done::default(), BTreeMap::<u64, String>::new());
    for event in events(text) {
        let (item, index) = (&event["item"], event["output_index"].as_u64().unwrap_or(0));
        match event["type"].as_str().unwrap_or_default() {
            "response.output_text.delta" => done.text.push_str(event["delta"].as_str().unwrap_or_default()),
            "response.function_call_arguments.delta" => {
                pieces.entry(index).or_default().push_str(event["delta"].as_str().unwrap_or_default());
            }
            "response.output_item.done" if item["type"] == "function_call" => {
                let arguments = item["arguments"].as_str().expect("arguments");
                assert!(pieces.get(&index).is_none_or(|joined| joined == arguments), "{text}");
                done.calls.push((text_of(&item["call_id"]), text_of(&item["name"]), parsed(arguments)));
            }
            "response.output_item.done" => done.signed.extend(item["encrypted_content"].as_str().map(str::to_owned)),
            "response.completed" => done.reason = text_of(&event["response"]["status"]),
            _ => {}
        }
    }
    done
}

fn whole_client(spoken: Spoken, reply: &Value) -> Done {
    let mut done = Done::default();
    match spoken {
        CHAT => {
            let choice = &reply["choices"][0];
            done.text = text_of(&choice["message"]["content"]);
            done.reason = text_of(&choice["finish_reason"]);
            for call in choice["message"]["tool_calls"].as_array().into_iter().flatten() {
                let function = &call["function"];
                let arguments = parsed(function["arguments"].as_str().expect("arguments"));
                done.calls.push((text_of(&call["id"]), text_of(&function["name"]), arguments));
            }
        }
        MESSAGES => {
            done.reason = text_of(&reply["stop_reason"]);
            for block in reply["content"].as_array().into_iter().flatten() {
                done.text.push_str(block["text"].as_str().unwrap_or_default());
                if block["type"] == "tool_use" {
                    done.calls.push((text_of(&block["id"]), text_of(&block["name"]), block["input"].clone()));
                }
            }
        }
        _ => {
            done.reason = text_of(&reply["status"]);
            for item in reply["output"].as_array().into_iter().flatten() {
                done.text.push_str(item["content"][0]["text"].as_str().unwrap_or_default());
                if item["type"] == "function_call" {
                    let arguments = parsed(item["arguments"].as_str().expect("arguments"));
                    done.calls.push((text_of(&item["call_id"]), text_of(&item["name"]), arguments));
                }
            }
        }
    }
    done
}

impl Spoken {
    /// What its official client does on hearing a reply.
    pub(crate) fn does(self, text: &str, stream: bool) -> Done {
        match self {
            _ if !stream => whole_client(self, &serde_json::from_str(text).expect("JSON")),
            CHAT => chat_client(text),
            MESSAGES => messages_client(text),
            _ => responses_client(text),
        }
    }
}
