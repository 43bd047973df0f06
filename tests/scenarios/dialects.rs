//! Every dialect to every kind of upstream: untouched where both speak the same, meaning the same where they do not, with
//! rules enforced on every channel either way.

use serde_json::{Value, json};

use crate::harness::dialects::{ALL, CHAT, MESSAGES, RESPONSES, Said, Spoken};
use crate::harness::gateway::{Gateway, Setup, UPSTREAM_KEY};
use crate::harness::pack::{REDACTS, STOPS, pack};
use crate::harness::script::Reply;
use crate::harness::upstream::Upstream;

/// A gateway before an upstream that speaks one dialect.
async fn before(upstream: &Upstream, spoken: Spoken) -> Gateway {
    let entry = json!({"name": "up", "base_url": upstream.base_url(), "key": UPSTREAM_KEY, "dialects": [spoken.name]});
    Setup::new().with(json!({"upstreams": [entry]})).pack(&pack(&[REDACTS, STOPS])).start().await
}

/// An upstream that speaks one dialect and nothing else.
async fn saying(spoken: Spoken, said: Said) -> Upstream {
    Upstream::answering(move |request| {
        assert_eq!(request.path, spoken.path);
        spoken.reply(&said, String::from_utf8_lossy(&request.body).contains("\"stream\":true"))
    })
    .await
}

fn plain() -> Said {
    Said::new("Thinking it over.", "Olá, \"mundo\"", r#"{"city":"Porto"}"#)
}

#[tokio::test]
async fn bytes_pass_untouched_where_both_speak_the_same() {
    for spoken in [RESPONSES, MESSAGES] {
        let upstream = saying(spoken, plain()).await;
        let gateway = before(&upstream, spoken).await;
        for stream in [false, true] {
            let mut body = spoken.ask(stream);
            body["vendor_field"] = json!({"deep": [1]});
            let answer = gateway.client().post_to(spoken.path, &body).await;
            let (status, id) = (answer.status, answer.id());
            let text = answer.text().await;
            assert_eq!(status, 200, "{text}");
            let direct: Vec<u8> = bytes_of(&spoken.reply(&plain(), stream));
            assert_eq!(text.as_bytes(), direct, "{} {stream}", spoken.name);
            let sent = upstream.received().last().expect("a request").body.clone();
            assert_eq!(sent, body.to_string().as_bytes());
            let record = gateway.record(&id).await;
            assert_eq!(record["dialect"], spoken.name);
            let texts = record["reply"].to_string();
            assert!(["Thinking it over.", "Olá, ", "Porto"].iter().all(|part| texts.contains(part)), "{record}");
            assert_eq!((&record["prompt_tokens"], &record["cached_tokens"]), (&json!(11), &json!(3)), "{record}");
            assert_eq!((&record["outcome"], &record["ending"]), (&json!("complied"), &json!("complete")), "{record}");
        }
    }
}

fn bytes_of(reply: &Reply) -> Vec<u8> {
    let bytes = reply.steps.iter().map(|step| match step {
        crate::harness::script::Step::Send(bytes) => bytes.to_vec(),
        other => panic!("a step that sends nothing: {other:?}"),
    });
    bytes.collect::<Vec<_>>().concat()
}

#[tokio::test]
async fn every_dialect_reaches_every_upstream_and_means_the_same() {
    for upstream_speaks in ALL {
        let upstream = saying(upstream_speaks, plain()).await;
        let gateway = before(&upstream, upstream_speaks).await;
        for client_speaks in ALL {
            for stream in [false, true] {
                let what = format!("{} to {}, stream: {stream}", client_speaks.name, upstream_speaks.name);
                let answer = gateway.client().post_to(client_speaks.path, &client_speaks.ask(stream)).await;
                let (status, id) = (answer.status, answer.id());
                let text = answer.text().await;
                assert_eq!(status, 200, "{what}: {text}");
                let heard = client_speaks.hear(&text, stream);
                assert_eq!(heard.said, plain(), "{what}: {text}");
                assert!(heard.over, "{what}: {text}");
                assert_eq!(heard.prompt, 11, "{what}: {text}");
                assert!(!heard.call.is_empty(), "{what}: {text}");
                let reason = match client_speaks {
                    CHAT => "tool_calls",
                    RESPONSES => "completed",
                    _ => "tool_use",
                };
                assert_eq!(heard.reason, reason, "{what}: {text}");
                let sent = upstream.received().last().expect("a request").clone();
                let asked: Value = serde_json::from_slice(&sent.body).expect("JSON");
                assert!(asked.to_string().contains("Be brief."), "{what}: {asked}");
                assert_eq!(sent.header("anthropic-version").is_empty(), upstream_speaks != MESSAGES, "{what}");
                if client_speaks != upstream_speaks {
                    let record = gateway.record(&id).await;
                    assert_eq!(record["dialect"], client_speaks.name, "{what}");
                    assert!(record["reply"].to_string().contains("Thinking it over."), "{what}: {record}");
                }
            }
        }
    }
}

#[tokio::test]
async fn redactions_hold_on_every_channel_in_every_dialect() {
    let said = Said::new("It is ACME-1111.", "Yours is ACME-2222, good.", r#"{"n":"ACME-3333"}"#);
    let left = Said::new("It is [redacted].", "Yours is [redacted], good.", r#"{"n":"[redacted]"}"#);
    for upstream_speaks in ALL {
        let upstream = saying(upstream_speaks, said.clone()).await;
        let gateway = before(&upstream, upstream_speaks).await;
        for client_speaks in ALL {
            for stream in [false, true] {
                let what = format!("{} to {}, stream: {stream}", client_speaks.name, upstream_speaks.name);
                let answer = gateway.client().post_to(client_speaks.path, &client_speaks.ask(stream)).await;
                let id = answer.id();
                let text = answer.text().await;
                assert!(!text.contains("ACME"), "{what}: {text}");
                assert_eq!(client_speaks.hear(&text, stream).said, left, "{what}: {text}");
                let record = gateway.record(&id).await;
                let mut channels: Vec<&str> = record["findings"]
                    .as_array()
                    .expect("findings")
                    .iter()
                    .filter_map(|one| one["channel"].as_str())
                    .collect();
                channels.sort_unstable();
                assert_eq!(channels, ["answer", "reasoning", "tool"], "{what}: {record}");
            }
        }
    }
}

#[tokio::test]
async fn a_stop_ends_a_reply_properly_in_every_dialect() {
    let said = Said::new("Hm.", "We call it project bluebird, and more", "");
    for upstream_speaks in ALL {
        let upstream = saying(upstream_speaks, said.clone()).await;
        let gateway = before(&upstream, upstream_speaks).await;
        for client_speaks in ALL {
            for stream in [false, true] {
                let what = format!("{} to {}, stream: {stream}", client_speaks.name, upstream_speaks.name);
                let answer = gateway.client().post_to(client_speaks.path, &client_speaks.ask(stream)).await;
                let (status, id) = (answer.status, answer.id());
                let text = answer.text().await;
                assert_eq!(status, 200, "{what}: {text}");
                assert!(!text.contains("bluebird") && !text.contains("more"), "{what}: {text}");
                let heard = client_speaks.hear(&text, stream);
                let reason = if client_speaks == MESSAGES { "refusal" } else { "content_filter" };
                assert_eq!((heard.reason.as_str(), heard.over), (reason, true), "{what}: {text}");
                assert_eq!(gateway.record(&id).await["ending"], "stopped", "{what}");
            }
        }
    }
}

#[tokio::test]
async fn prompts_are_screened_in_every_dialect() {
    let upstream = saying(MESSAGES, plain()).await;
    let gateway = before(&upstream, MESSAGES).await;
    for spoken in ALL {
        let text = spoken.ask(false).to_string().replace("Be brief.", "Pay ACME-4444 now.");
        let body: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(gateway.client().post_to(spoken.path, &body).await.status, 200);
        let sent = String::from_utf8_lossy(&upstream.received().last().expect("a request").body).into_owned();
        assert!(sent.contains("Pay [redacted] now.") && !sent.contains("ACME"), "{sent}");
        let body: Value = serde_json::from_str(&text.replace("Hello", "project bluebird")).expect("JSON");
        let answer = gateway.client().post_to(spoken.path, &body).await;
        assert_eq!(answer.status, 400);
        let told = answer.json().await;
        assert_eq!(told["type"] == "error", spoken == MESSAGES, "{told}");
        assert!(told["error"]["message"].is_string(), "{told}");
    }
    // What a tool is called with is an object in Messages; its strings are read, and it stays JSON.
    let called = json!({"type": "tool_use", "id": "t", "name": "weather", "input": {"n": "ACME-5555", "d": 4}});
    let body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "assistant", "content": [called]}]});
    assert_eq!(gateway.client().post_to(MESSAGES.path, &body).await.status, 200);
    let sent = String::from_utf8_lossy(&upstream.received().last().expect("a request").body).into_owned();
    assert_eq!(sent, body.to_string().replace("ACME-5555", "[redacted]"));
}

#[tokio::test]
async fn what_another_dialect_cannot_say_is_refused_or_named() {
    let upstream = saying(MESSAGES, plain()).await;
    let gateway = before(&upstream, MESSAGES).await;
    let mut body = CHAT.ask(false);
    body["seed"] = 7.into();
    let answer = gateway.client().post_to(CHAT.path, &body).await;
    assert_eq!((answer.status, answer.header("x-candor-dropped")), (200, "seed"));
    body["n"] = 2.into();
    let answer = gateway.client().post_to(CHAT.path, &body).await;
    assert_eq!(answer.status, 400);
    let told = answer.json().await;
    assert_eq!(
        (&told["error"]["param"], &told["error"]["code"]),
        (&json!("n"), &json!("unsupported_parameter")),
        "{told}"
    );
    let mut body = RESPONSES.ask(false);
    body["previous_response_id"] = "resp_1".into();
    let told = gateway.client().post_to(RESPONSES.path, &body).await.json().await;
    assert_eq!(told["error"]["param"], "previous_response_id", "{told}");
    assert_eq!(upstream.received().len(), 1);
}

#[tokio::test]
async fn an_upstreams_error_comes_in_the_clients_envelope() {
    let error = r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}"#;
    let upstream = Upstream::always(Reply::json(429, error).header("retry-after", "0")).await;
    let entry = json!({"name": "up", "base_url": upstream.base_url(), "dialects": ["anthropic"]});
    let models = json!([{"name": "m", "attempts": 1, "candidates": [{"upstream": "up"}]}]);
    let gateway = Setup::new().with(json!({"upstreams": [entry], "models": models})).start().await;
    let answer = gateway.client().post_to(MESSAGES.path, &MESSAGES.ask(false)).await;
    assert_eq!((answer.status, answer.text().await.as_str()), (429, error));
    let answer = gateway.client().post_to(CHAT.path, &CHAT.ask(false)).await;
    assert_eq!(answer.status, 429);
    let told = answer.json().await;
    assert_eq!((&told["error"]["message"], &told["error"]["type"]), (&json!("slow down"), &json!("rate_limit_error")));
    let client = gateway.client().header("anthropic-version", "2023-06-01");
    let listed = client.get("/v1/models").await.json().await;
    assert_eq!((&listed["data"][0]["type"], &listed["has_more"]), (&json!("model"), &json!(false)), "{listed}");
    let stranger = gateway.client().header("authorization", "Bearer nobody").post_to(MESSAGES.path, &json!({})).await;
    assert_eq!((stranger.status, &stranger.json().await["error"]["type"]), (401, &json!("authentication_error")));
}

#[tokio::test]
async fn a_broken_stream_ends_with_an_error_of_the_clients_dialect() {
    for spoken in [RESPONSES, MESSAGES] {
        let mut reply = spoken.reply(&plain(), true);
        reply.steps.truncate(8);
        let upstream = Upstream::always(reply).await;
        let gateway = before(&upstream, spoken).await;
        for client_speaks in [spoken, CHAT] {
            let answer = gateway.client().post_to(client_speaks.path, &client_speaks.ask(true)).await;
            let id = answer.id();
            let text = answer.text().await;
            let sign = match client_speaks {
                CHAT => "\"error\"",
                RESPONSES => "event: response.failed",
                _ => "event: error",
            };
            assert!(text.contains(sign), "{}: {text}", client_speaks.name);
            assert_eq!(gateway.record(&id).await["ending"], "upstream_failed");
        }
    }
}

#[tokio::test]
async fn embeddings_pass_with_their_texts_screened() {
    let reply = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.1]}],"model":"e","usage":{"prompt_tokens":3,"total_tokens":3}}"#;
    let upstream = Upstream::always(Reply::json(200, reply)).await;
    let gateway = Setup::before(&upstream).pack(&pack(&[REDACTS])).start().await;
    let body = json!({"model": "e", "input": ["one", "ACME-1234"]});
    let answer = gateway.client().post_to("/v1/embeddings", &body).await;
    let id = answer.id();
    assert_eq!(answer.text().await, reply);
    assert_eq!(upstream.only().path, "/v1/embeddings");
    assert_eq!(upstream.only().body, body.to_string().replace("ACME-1234", "[redacted]").as_bytes());
    let record = gateway.record(&id).await;
    assert_eq!((&record["dialect"], &record["prompt_tokens"]), (&json!("openai-embeddings"), &json!(3)), "{record}");
    assert_eq!(
        (&record["outcome"], &record["ending"]),
        (&Value::Null, &json!("complete")),
        "there was nothing to judge"
    );
    let tokens = gateway.client().post_to("/v1/embeddings", &json!({"model": "e", "input": [[1, 2]]})).await;
    assert_eq!(tokens.status, 400);
    assert_eq!(tokens.json().await["error"]["code"], "unscannable_input");
}
