//! The local engine answers over the same API as any other upstream.

use serde_json::{Value, json};

use crate::harness::dialects::{CHAT, MESSAGES, RESPONSES, Spoken};
use crate::harness::gateway::{Gateway, Setup, candor};
use crate::harness::model;
use crate::harness::sse::Events;

async fn gateway() -> Gateway {
    let setup = Setup::new();
    model::write(&setup.path().join("model"));
    let local = json!({"path": "model", "context": 256, "threads": 1});
    setup.with(json!({"upstreams": [{"name": "own", "local": local}]})).start().await
}

fn ask(stream: bool) -> Value {
    json!({
        "model": "tiny", "stream": stream, "stream_options": {"include_usage": true}, "max_tokens": 16, "seed": 7,
        "temperature": 0, "messages": [{"role": "user", "content": "Hello"}],
    })
}

#[tokio::test]
async fn a_local_model_streams_with_usage() {
    let gateway = gateway().await;
    let answer = gateway.client().chat(&ask(true)).await;
    let id = answer.id();
    assert_eq!(answer.status, 200);
    let bytes = answer.bytes().await;
    let events = Events::read(&bytes);
    assert!(events.done && events.error().is_none(), "{}", String::from_utf8_lossy(&bytes));
    assert!(matches!(events.finish(0), Some("length" | "stop")));
    let usage = events.payloads.iter().find_map(|one| one["usage"].as_object()).expect("usage");
    let completion = usage["completion_tokens"].as_u64().expect("a count");
    assert!((1..=16).contains(&completion) && usage["prompt_tokens"].as_u64() > Some(5), "{usage:?}");
    let record = gateway.record(&id).await;
    assert_eq!((&record["ending"], &record["upstream"]), (&json!("complete"), &json!("own")));
    assert_eq!(record["completion_tokens"], completion);

    // Who does not ask for usage is not shown it, and it is counted all the same.
    let mut quiet = ask(true);
    quiet.as_object_mut().expect("an object").remove("stream_options");
    let answer = gateway.client().chat(&quiet).await;
    let id = answer.id();
    let events = Events::read(&answer.bytes().await);
    assert!(events.done && events.payloads.iter().all(|one| one["usage"].is_null()), "{:?}", events.payloads);
    assert_eq!(gateway.record(&id).await["completion_tokens"], completion);
}

#[tokio::test]
async fn a_local_model_says_the_same_whole_and_streamed() {
    let gateway = gateway().await;
    let whole = gateway.client().chat(&ask(false)).await.json().await;
    let streamed = Events::read(&gateway.client().http2().chat(&ask(true)).await.bytes().await);
    assert_eq!(whole["choices"][0]["message"]["content"].as_str(), Some(&*streamed.text(0, "content")), "{whole}");
    assert_eq!(whole["object"], "chat.completion");
}

/// The same question in a dialect: short, with a tool, and with a call of it in the history.
fn ask_in(spoken: Spoken, stream: bool) -> Value {
    let mut body = spoken.ask(stream);
    let history = match spoken {
        RESPONSES => {
            body["max_output_tokens"] = 16.into();
            json!([
                {"role": "user", "content": "Hello"},
                {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{\"city\":\"Porto\"}"},
                {"type": "function_call_output", "call_id": "call_1", "output": "7"},
            ])
        }
        MESSAGES => json!([
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Porto"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "7"}]},
        ]),
        _ => json!([
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Porto\"}"}}]},
            {"role": "tool", "tool_call_id": "call_1", "content": "7"},
        ]),
    };
    if spoken != RESPONSES {
        body["max_tokens"] = 16.into();
    }
    body[if spoken == RESPONSES { "input" } else { "messages" }] = history;
    body["temperature"] = 0.into();
    body
}

#[tokio::test]
async fn a_local_model_speaks_every_dialect_and_says_the_same() {
    let gateway = gateway().await;
    let first = gateway.client().post_to(CHAT.path, &ask_in(CHAT, false)).await;
    let (status, text) = (first.status, first.text().await);
    assert_eq!(status, 200, "{text}");
    let first = CHAT.hear(&text, false);
    assert!(!first.said.answer.is_empty() && first.prompt > 5, "{text}");
    for spoken in [RESPONSES, MESSAGES] {
        for stream in [false, true] {
            let what = format!("{}, stream: {stream}", spoken.name);
            let answer = gateway.client().post_to(spoken.path, &ask_in(spoken, stream)).await;
            let (status, id, dropped) = (answer.status, answer.id(), answer.header("x-candor-dropped").to_owned());
            let text = answer.text().await;
            assert_eq!((status, dropped.as_str()), (200, ""), "{what}: {text}");
            let heard = spoken.hear(&text, stream);
            assert_eq!((&heard.said, heard.prompt, heard.over), (&first.said, first.prompt, true), "{what}: {text}");
            // The model never ends by itself: the bound does.
            let reason = if spoken == RESPONSES { "max_output_tokens" } else { "max_tokens" };
            assert_eq!((first.reason.as_str(), heard.reason.as_str()), ("length", reason), "{what}: {text}");
            let record = gateway.record(&id).await;
            assert_eq!((&record["ending"], &record["dialect"]), (&json!("complete"), &json!(spoken.name)), "{what}");
            assert_eq!(record["completion_tokens"], 16, "{what}: {record}");
        }
    }
}

#[tokio::test]
async fn what_the_engine_cannot_do_is_refused_in_every_dialect() {
    let gateway = gateway().await;
    let mut forced = ask_in(RESPONSES, false);
    forced["tool_choice"] = "required".into();
    let answer = gateway.client().post_to(RESPONSES.path, &forced).await;
    let (status, told) = (answer.status, answer.json().await);
    assert_eq!((status, &told["error"]["param"]), (400, &json!("tool_choice")), "{told}");
    let mut forced = ask_in(MESSAGES, true);
    forced["tool_choice"] = json!({"type": "tool", "name": "weather"});
    let answer = gateway.client().post_to(MESSAGES.path, &forced).await;
    let (status, told) = (answer.status, answer.json().await);
    assert_eq!((status, &told["error"]["type"]), (400, &json!("invalid_request_error")), "{told}");
    assert!(told["error"]["message"].as_str().is_some_and(|text| text.contains("tool_choice")), "{told}");
    let mut long = ask_in(MESSAGES, false);
    long["messages"] = json!([{"role": "user", "content": "word ".repeat(200)}]);
    let answer = gateway.client().post_to(MESSAGES.path, &long).await;
    assert_eq!((answer.status, &answer.json().await["type"]), (400, &json!("error")));
}

#[tokio::test]
async fn several_clients_are_answered_at_once() {
    let gateway = gateway().await;
    let clients: Vec<_> = (0..6)
        .map(|_| {
            let client = gateway.client();
            tokio::spawn(async move { client.chat(&ask(false)).await.json().await })
        })
        .collect();
    let mut answers = Vec::new();
    for client in clients {
        answers.push(client.await.expect("a client")["choices"].clone());
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "the same question has the same answer: {answers:?}");
}

#[tokio::test]
async fn a_prompt_longer_than_the_context_is_the_callers_fault() {
    let gateway = gateway().await;
    let mut body = ask(false);
    body["messages"][0]["content"] = json!("word ".repeat(200));
    let answer = gateway.client().chat(&body).await;
    let (status, text) = (answer.status, answer.text().await);
    assert_eq!(status, 400, "{text}");
}

#[tokio::test]
async fn more_choices_than_a_model_ever_gives_are_the_callers_fault() {
    let gateway = gateway().await;
    let mut body = ask(false);
    body["n"] = json!(128);
    let answer = gateway.client().chat(&body).await;
    let (status, text) = (answer.status, answer.text().await);
    assert!(status == 400 && text.contains("gives at most") && text.contains("\"param\":\"n\""), "{status}: {text}");
}

#[tokio::test]
async fn likelihoods_come_whole_and_streamed() {
    let gateway = gateway().await;
    let with = |stream: bool| {
        let mut body = ask(stream);
        body["logprobs"] = json!(true);
        body["top_logprobs"] = json!(2);
        body
    };
    let whole = gateway.client().chat(&with(false)).await.json().await;
    let listed = whole["choices"][0]["logprobs"]["content"].as_array().expect("a list").clone();
    let bytes: Vec<u8> = listed.iter().flat_map(|token| token["bytes"].as_array().expect("bytes")).map(byte).collect();
    let said = whole["choices"][0]["message"]["content"].as_str().expect("text");
    assert_eq!(String::from_utf8_lossy(&bytes), said, "{whole}");
    for token in &listed {
        let top = token["top_logprobs"].as_array().expect("a list");
        // At temperature zero the likeliest is chosen.
        assert_eq!((top.len(), &top[0]["logprob"]), (2, &token["logprob"]), "{token}");
        assert!(token["logprob"].as_f64().is_some_and(|logprob| logprob <= 0.0), "{token}");
    }
    let streamed = Events::read(&gateway.client().chat(&with(true)).await.bytes().await);
    let parts = streamed.payloads.iter().filter_map(|one| one["choices"][0]["logprobs"]["content"].as_array());
    assert_eq!(parts.flatten().cloned().collect::<Vec<_>>(), listed);
}

fn byte(value: &Value) -> u8 {
    u8::try_from(value.as_u64().expect("a number")).expect("a byte")
}

#[tokio::test]
async fn an_answer_has_the_form_that_was_asked_for() {
    let gateway = gateway().await;
    let with = |schema: Value| {
        let mut body = ask(false);
        body["max_tokens"] = json!(150);
        body["response_format"] = json!({"type": "json_schema", "json_schema": {"name": "reply", "schema": schema}});
        body
    };
    let kind = json!({"type": "object", "additionalProperties": false, "required": ["kind"],
                      "properties": {"kind": {"enum": ["big", "small"]}}, "x-guidance": {"whitespace_flexible": false}});
    let answer = gateway.client().chat(&with(kind)).await.json().await;
    let text = answer["choices"][0]["message"]["content"].as_str().expect("text");
    let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {answer}"));
    assert!(value == json!({"kind": "big"}) || value == json!({"kind": "small"}), "{answer}");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    let refused = gateway.client().chat(&with(json!({"type": "string", "not": {"const": "x"}}))).await;
    let (status, error) = (refused.status, refused.json().await);
    assert_eq!((status, &error["error"]["param"]), (400, &json!("response_format")), "{error}");
    assert!(error["error"]["message"].as_str().is_some_and(|text| text.contains("not")), "{error}");
}

#[tokio::test]
async fn the_engine_runs_from_the_command_line() {
    let setup = Setup::new();
    model::write(&setup.path().join("model"));
    let path = setup.path().join("model").display().to_string();
    let arguments = ["engine", "run", "--model", &path, "--prompt", "Hello", "--max-tokens", "4", "--json"];
    let ran = candor(&arguments, "").await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(!ran.lines().is_empty());
    let ran = candor(&["engine", "run", "--model", "/nowhere", "--prompt", "x"], "").await;
    assert!(ran.code == 2 || ran.code == 3, "{ran:?}");
}

#[tokio::test]
async fn the_engine_says_how_fast_it_is_and_what_a_model_costs() {
    let setup = Setup::new();
    model::write(&setup.path().join("model"));
    let path = setup.path().join("model").display().to_string();
    let bench = [
        "engine",
        "bench",
        "--model",
        &path,
        "--prompt-tokens",
        "8",
        "--gen-tokens",
        "4",
        "--streams",
        "1,2",
        "--json",
    ];
    let ran = candor(&bench, "").await;
    assert_eq!((ran.code, ran.lines().len()), (0, 2), "{ran:?}");
    for (measured, streams) in ran.lines().iter().zip([1, 2]) {
        assert_eq!(measured["streams"], streams);
        assert!(measured["reply_tokens_per_second"].as_f64().is_some_and(|speed| speed > 0.0), "{measured}");
    }
    let ran = candor(&["engine", "plan", "--config", &path, "--quant", "q4_k", "--json"], "").await;
    assert_eq!((ran.code, &ran.lines()[0]["fits"]), (0, &json!(true)), "{ran:?}");
    // There are no golden values beside it.
    assert_eq!(candor(&["engine", "verify", "--model", &path], "").await.code, 3);
    assert_eq!(candor(&["engine", "bench", "--model", "hf:no/such"], "").await.code, 2);
}
