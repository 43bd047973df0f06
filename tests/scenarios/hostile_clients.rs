//! Clients that send what no client should: each gets a clear answer or is shown out, is recorded where it was let in,
//! and takes nothing from the others.

use serde_json::{Value, json};

use super::errors::envelope;
use crate::harness::gateway::{Gateway, KEY, Setup};
use crate::harness::raw::Raw;
use crate::harness::script::Reply;
use crate::harness::upstream::Upstream;
use crate::harness::wait::until;

async fn gateway(upstream: &Upstream) -> Gateway {
    let limits = json!({"limits": {
        "body_bytes": "64KiB", "body_time": "400ms", "header_time": "400ms", "handshake": "400ms",
        "header_bytes": "16KiB", "h2_resets": 20,
    }});
    Setup::before(upstream).with(limits).with(json!({"listen": {"plain": true}})).start().await
}

fn hello() -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": "Hello"}]})
}

async fn still_serves(gateway: &Gateway) {
    let answer = gateway.client().chat(&hello()).await;
    assert_eq!(answer.status, 200);
    answer.bytes().await;
}

#[tokio::test]
async fn a_compressed_body_is_refused_as_what_it_is() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let gateway = gateway(&upstream).await;
    let ask = |coding: &'static str| gateway.client().header("content-encoding", coding);
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "x"}]});
    let answer = ask("gzip").chat(&body).await;
    let id = answer.id();
    let (status, _, code) = envelope(answer).await;
    assert_eq!((status, code.as_str()), (415, "unsupported_encoding"));
    assert_eq!(gateway.record(&id).await["status"], 415);
    assert_eq!(ask("identity").chat(&body).await.status, 200);
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused_and_recorded() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let gateway = gateway(&upstream).await;
    let deep = format!("{{\"model\":\"m\",\"messages\":{}{}}}", "[".repeat(20_000), "]".repeat(20_000));
    let cases: [(&str, Vec<u8>, u16); 16] = [
        ("nothing", b"".to_vec(), 400),
        ("no JSON", b"hello".to_vec(), 400),
        ("half of JSON", b"{\"model\":\"m\",\"messages\":[{\"role\":".to_vec(), 400),
        ("more than JSON", b"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]} {}".to_vec(), 400),
        ("a list", b"[]".to_vec(), 400),
        ("null", b"null".to_vec(), 400),
        ("a number for a model", b"{\"model\":7,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}".to_vec(), 400),
        ("text for messages", b"{\"model\":\"m\",\"messages\":\"x\"}".to_vec(), 400),
        (
            "text for a flag",
            b"{\"model\":\"m\",\"stream\":\"yes\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}".to_vec(),
            400,
        ),
        ("a number for content", b"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":7}]}".to_vec(), 400),
        (
            "a key twice",
            b"{\"model\":\"m\",\"model\":\"n\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}".to_vec(),
            400,
        ),
        (
            "bytes that are no text",
            b"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"\xff\xfe\"}]}".to_vec(),
            400,
        ),
        (
            "a lone surrogate",
            b"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"\\ud800\"}]}".to_vec(),
            400,
        ),
        ("a null byte", b"{\"model\":\"m\0\",\"messages\":[]}".to_vec(), 400),
        ("depth", deep.into_bytes(), 400),
        ("size", vec![b' '; 80 << 10], 413),
    ];
    for (what, body, expected) in cases {
        let answer = gateway.client().post(body).await;
        let id = answer.id();
        let (status, kind, _) = envelope(answer).await;
        assert_eq!((status, kind.as_str()), (expected, "invalid_request_error"), "{what}");
        let record = gateway.record(&id).await;
        assert_eq!((&record["ending"], &record["status"]), (&json!("rejected"), &json!(expected)), "{what}");
    }
    assert!(upstream.received().is_empty());
    still_serves(&gateway).await;
}

#[tokio::test]
async fn a_body_without_an_announced_end_is_cut_off_at_its_bound() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let gateway = gateway(&upstream).await;
    let mut raw = gateway.raw().await;
    raw.send(head("transfer-encoding: chunked").as_bytes()).await;
    let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
    for _ in 0..64 {
        if raw.try_send(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    let text = raw.read_until("request_too_large").await;
    assert!(text.starts_with("HTTP/1.1 413"), "{text}");
    still_serves(&gateway).await;
}

#[tokio::test]
async fn slow_headers_are_not_waited_for() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let gateway = gateway(&upstream).await;
    let mut raw = gateway.raw().await;
    raw.send(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n").await;
    let text = String::from_utf8_lossy(&raw.rest().await).into_owned();
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 408"), "{text}");
    still_serves(&gateway).await;
}

#[tokio::test]
async fn a_slow_body_is_not_waited_for() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let gateway = gateway(&upstream).await;
    let mut raw = gateway.raw().await;
    raw.send(head("content-length: 100").as_bytes()).await;
    raw.send(b"{\"model\":").await;
    let text = raw.read_until("body_timeout").await;
    assert!(text.starts_with("HTTP/1.1 408"), "{text}");
    let record = one_record(&gateway).await;
    assert_eq!((&record["ending"], &record["status"]), (&json!("rejected"), &json!(408)));
}

#[tokio::test]
async fn a_client_that_closes_in_the_middle_of_its_request_leaves_a_record() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let gateway = gateway(&upstream).await;
    let mut raw = gateway.raw().await;
    raw.send(head("content-length: 100").as_bytes()).await;
    raw.send(b"{\"model\":").await;
    raw.half_close().await;
    raw.rest().await;
    let record = one_record(&gateway).await;
    assert!(record["ending"] == "rejected" || record["ending"] == "client_left", "{record}");
    assert!(upstream.received().is_empty());
    still_serves(&gateway).await;
}

#[tokio::test]
async fn a_half_closed_connection_neither_hangs_nor_goes_unrecorded() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let gateway = gateway(&upstream).await;
    let body = hello().to_string();
    let mut raw = gateway.raw().await;
    raw.send(format!("{}{body}", head(&format!("content-length: {}", body.len()))).as_bytes()).await;
    raw.half_close().await;
    let text = String::from_utf8_lossy(&raw.rest().await).into_owned();
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 200"), "{text}");
    let record = one_record(&gateway).await;
    assert!(record["ending"] == "complete" || record["ending"] == "client_left", "{record}");
}

#[tokio::test]
async fn what_is_no_http_is_shown_out() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let gateway = gateway(&upstream).await;
    let long = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "a".repeat(100 << 10));
    let cases: [&[u8]; 6] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"HELO there\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        long.as_bytes(),
    ];
    for bytes in cases {
        let mut raw = gateway.raw().await;
        let _ = raw.try_send(bytes).await;
        let text = String::from_utf8_lossy(&raw.rest().await).into_owned();
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 4"), "{text}");
    }
    still_serves(&gateway).await;
}

#[tokio::test]
async fn a_handshake_that_is_not_finished_is_not_waited_for() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let gateway = Setup::before(&upstream).with(json!({"limits": {"handshake": "300ms"}})).start().await;
    for bytes in [&b""[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"] {
        let mut raw = gateway.raw().await;
        raw.send(bytes).await;
        raw.rest().await;
    }
    still_serves(&gateway).await;
}

#[tokio::test]
async fn a_flood_of_http2_resets_ends_the_connection_and_harms_nobody() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let gateway = gateway(&upstream).await;
    let mut raw = gateway.raw().await;
    flood(&mut raw).await;
    raw.rest().await;
    still_serves(&gateway).await;
    // What was let in before the connection ended is accounted for, and nothing stays in flight.
    until("all records to be closed", async || {
        gateway.records().await.iter().all(|one| one["ending"].is_string()).then_some(())
    })
    .await;
}

/// Opens streams over HTTP/2 and resets each at once (CVE-2023-44487), until the other side has had enough.
async fn flood(raw: &mut Raw) {
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend_from_slice(&settings);
    // :method POST, :scheme http, :path by literal, :authority by literal; all without the dynamic table.
    let mut block = vec![0x83, 0x86];
    literal(&mut block, 4, "/v1/chat/completions");
    literal(&mut block, 1, "localhost");
    block.push(0);
    for text in ["authorization", &format!("Bearer {KEY}")] {
        block.push(u8::try_from(text.len()).expect("short"));
        block.extend_from_slice(text.as_bytes());
    }
    if raw.try_send(&bytes).await.is_err() {
        return;
    }
    for stream in (1_u32..40_000).step_by(2) {
        let mut frames = vec![0, 0, u8::try_from(block.len()).expect("short"), 1, 4];
        frames.extend_from_slice(&stream.to_be_bytes());
        frames.extend_from_slice(&block);
        frames.extend_from_slice(&[0, 0, 4, 3, 0]);
        frames.extend_from_slice(&stream.to_be_bytes());
        frames.extend_from_slice(&8_u32.to_be_bytes());
        if raw.try_send(&frames).await.is_err() {
            return;
        }
    }
    panic!("20,000 resets were taken without a word");
}

/// A header whose name stands in the static table, not indexed.
fn literal(block: &mut Vec<u8>, name: u8, value: &str) {
    block.push(name);
    block.push(u8::try_from(value.len()).expect("short"));
    block.extend_from_slice(value.as_bytes());
}

fn head(length: &str) -> String {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\n\
         content-type: application/json\r\n{length}\r\n\r\n"
    )
}

/// The one exchange's record, once it is closed.
async fn one_record(gateway: &Gateway) -> Value {
    let listed = until("a record", async || {
        let records = gateway.records().await;
        records.into_iter().find(|one| one["ending"].is_string())
    })
    .await;
    gateway.record(listed["exchange"].as_str().expect("an id")).await
}
