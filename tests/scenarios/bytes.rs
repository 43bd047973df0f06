//! Bytes pass: the client gets what the upstream sent and the upstream what the client sent, byte for byte.

use bytes::Bytes;
use serde_json::json;

use crate::harness::certificates::Authority;
use crate::harness::gateway::{Gateway, Setup, UPSTREAM_KEY, remote};
use crate::harness::pack::{REDACTS, STOPS, pack};
use crate::harness::script::Reply;
use crate::harness::upstream::Upstream;

/// A stream with everything that re-serialising would lose: order, spaces, escapes, comments, mixed line ends, fields
/// of several vendors, tool calls, log probabilities, multi-line data.
const STREAM: &str = concat!(
    ": connected\n\n",
    "data: {\"id\":\"c-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,",
    "\"delta\":{\"role\":\"assistant\",\"content\":null,\"reasoning_content\":\"\"},\"logprobs\":null,",
    "\"finish_reason\":null}],\"x_vendor\":{\"deep\":[1,2.50,1e3]}}\n\n",
    "data:{\"choices\" : [ {\"delta\":{\"reasoning_content\":\"Let me th\\u0069nk \\ud83e\\udd14\"}, \"index\":0} ]}\r\n\r\n",
    ": keep-alive\r\n\r\n",
    "event: message\nid: 7\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"reasoning\":\" in two fields\"}}]}\nretry: 10\n\n",
    "data:   {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"naïve 日本語 \\\"quoted\\\" \\/ slash\"},",
    "\"logprobs\":{\"content\":[{\"token\":\"na\",\"logprob\":-0.10000,\"bytes\":[110,97],\"top_logprobs\":[]}]}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"call_1\",\"type\":\"function\",",
    "\"function\":{\"name\":\"find\",\"arguments\":\"\"}}]}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"q\\\":\"}}]}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\" 1}\"}}]}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":\ndata: {\"content\":\"over two lines\"}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}],\"usage\":null}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":9,\"total_tokens\":14,",
    "\"completion_tokens_details\":{\"reasoning_tokens\":4},\"prompt_cache_hit_tokens\":2}}\n\n",
    ": bye\n\n",
    "data: [DONE]\n\n",
);

/// A whole reply with the same troubles.
const WHOLE: &str = concat!(
    "{ \"choices\":[ {\"message\":{\"role\":\"assistant\",\n\t\"reasoning_content\":\"first \\u00e9\",",
    "\"content\":\"then 日本語 \\/\",\"tool_calls\":[{\"id\":\"call_1\",\"type\":\"function\",\"function\":",
    "{\"name\":\"f\",\"arguments\":\"{\\\"a\\\": 1.0}\"}}]},\"finish_reason\":\"stop\",\"index\":0,",
    "\"logprobs\":{\"content\":[{\"token\":\"t\",\"logprob\":-1.50e-2}]}} ],\r\n",
    "\"x_vendor\":{\"z\":1,\"a\":[ ]},\"usage\":{\"total_tokens\":18,\"prompt_tokens\":11,\"completion_tokens\":7},",
    "\"id\":\"c-1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\"}\n",
);

#[tokio::test]
async fn a_stream_reaches_the_client_byte_for_byte_however_it_is_cut() {
    let cuts = [1, 7, 64, STREAM.len()];
    let upstream = Upstream::in_turn(cuts.map(|size| Reply::bytes_by(size, STREAM.as_bytes())).to_vec()).await;
    let gateway = Setup::before(&upstream).pack(&pack(&[REDACTS, STOPS])).start().await;
    for size in cuts {
        let answer = gateway.client().chat(&streamed()).await;
        assert_eq!(answer.status, 200);
        assert!(answer.header("content-type").starts_with("text/event-stream"), "{:?}", answer.headers);
        assert_eq!(answer.text().await, STREAM, "in writes of {size} bytes");
    }
}

#[tokio::test]
async fn a_whole_reply_reaches_the_client_byte_for_byte() {
    let upstream = Upstream::always(Reply::json(200, WHOLE).header("x-ratelimit-remaining-requests", "9")).await;
    let gateway = Setup::before(&upstream).pack(&pack(&[REDACTS, STOPS])).start().await;
    for client in [gateway.client(), gateway.client().http2()] {
        let answer = client.chat(&json!({"model": "m", "messages": hello()})).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
        assert_eq!(answer.header("x-ratelimit-remaining-requests"), "9");
        assert_eq!(answer.text().await, WHOLE);
    }
}

#[tokio::test]
async fn a_stream_over_http2_and_tls_on_both_sides_is_the_same_bytes() {
    let authority = Authority::new("upstream authority");
    let upstream = Upstream::over_tls(&authority, Reply::bytes_by(50, STREAM.as_bytes())).await;
    let mut entry = remote("up", &upstream.base_url());
    entry["roots"] = json!("roots.pem");
    let setup = Setup::new().file("roots.pem", authority.pem()).with(json!({"upstreams": [entry]}));
    let gateway = setup.start().await;
    let answer = gateway.client().http2().chat(&streamed()).await;
    assert_eq!(answer.text().await, STREAM);
    assert_eq!(upstream.only().version, http::Version::HTTP_2);
}

#[tokio::test]
async fn a_request_reaches_the_upstream_byte_for_byte() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let gateway = Gateway::before(&upstream).await;
    let body = " {\n \"x_unknown\":{\"b\":1.0,\"a\":[1e2,\"\\u0041\"]}, \"model\" : \"any-name\",\t\"messages\":\
                [{\"content\":\"h\\u00e9llo\\/\",\"role\":\"user\",\"x\":null}],\"temperature\":0.70} \r\n";
    assert_eq!(gateway.client().post(body).await.status, 200);
    assert_eq!(upstream.only().body, Bytes::from(body));
}

#[tokio::test]
async fn only_the_models_name_changes_where_a_route_renames_it() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let candidate = json!([{"upstream": "up", "model": "vendor/model-\"1\""}]);
    let models = json!({"models": [{"name": "r1", "candidates": candidate}]});
    let gateway = Setup::before(&upstream).with(models).start().await;
    let body = "{\"messages\":[{\"role\":\"user\",\"content\":\"r1\"}], \"model\":\t\"r1\" ,\"user\":\"r1\"}";
    assert_eq!(gateway.client().post(body).await.status, 200);
    let expected = body.replace("\t\"r1\"", "\t\"vendor/model-\\\"1\\\"\"");
    assert_eq!(upstream.only().body, Bytes::from(expected));
}

#[tokio::test]
async fn the_upstream_sees_the_gateways_key_and_none_of_the_clients_secrets() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let gateway = Gateway::before(&upstream).await;
    let client = gateway.client().header("cookie", "session=secret").header("openai-beta", "assistants=v2");
    assert_eq!(client.chat(&json!({"model": "m", "messages": hello()})).await.status, 200);
    let received = upstream.only();
    assert_eq!(received.header("authorization"), format!("Bearer {UPSTREAM_KEY}"));
    assert_eq!(received.header("openai-beta"), "assistants=v2");
    assert_eq!(received.header("cookie"), "");
    assert_eq!((received.method.as_str(), received.path.as_str()), ("POST", "/v1/chat/completions"));
}

fn streamed() -> serde_json::Value {
    json!({"model": "m", "stream": true, "stream_options": {"include_usage": true}, "messages": hello()})
}

fn hello() -> serde_json::Value {
    json!([{"role": "user", "content": "Hello"}])
}
