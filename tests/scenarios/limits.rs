//! Limits on what clients may hold at once: each says so, and each gives back what it held.

use serde_json::{Value, json};

use super::errors::envelope;
use crate::harness::gateway::{KEY, Setup};
use crate::harness::script::{DONE, Reply, Signal, Step, finish, say, send};
use crate::harness::upstream::Upstream;
use crate::harness::wait::{until, within};

fn ask(stream: bool) -> Value {
    json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "Hello"}]})
}

fn held(signal: &Signal) -> Reply {
    let end = [send(finish(0, "stop")), send(DONE)];
    Reply::stream([send(say("on")), Step::Hold(signal.clone())].into_iter().chain(end))
}

#[tokio::test]
async fn exchanges_beyond_the_limit_are_told_to_come_back() {
    let signal = Signal::new();
    let upstream = Upstream::always(held(&signal)).await;
    let gateway = Setup::before(&upstream).with(json!({"limits": {"exchanges": 2}})).start().await;
    let first = gateway.client().chat(&ask(true)).await;
    let second = gateway.client().chat(&ask(true)).await;
    let third = gateway.client().chat(&ask(true)).await;
    assert!(!third.header("retry-after").is_empty());
    let (status, _, code) = envelope(third).await;
    assert_eq!((status, code.as_str()), (503, "gateway_busy"));
    signal.give();
    first.bytes().await;
    second.bytes().await;
    until("room", async || (gateway.client().chat(&ask(true)).await.status == 200).then_some(())).await;
}

#[tokio::test]
async fn a_connection_beyond_the_limit_waits_for_one_to_leave() {
    let signal = Signal::new();
    let upstream = Upstream::always(held(&signal)).await;
    let gateway = Setup::before(&upstream).with(json!({"limits": {"connections": 2}, "workers": 1})).start().await;
    let mut holders = Vec::new();
    for _ in 0..2 {
        let mut answer = gateway.client().chat(&ask(true)).await;
        answer.read_until("on").await;
        holders.push(answer);
    }
    let client = gateway.client();
    let third = tokio::spawn(async move { client.chat(&ask(true)).await.status });
    upstream.asked(2).await;
    assert!(!third.is_finished());
    signal.give();
    drop(holders);
    assert_eq!(within("the third", third).await.expect("a client"), 200);
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let gateway = Setup::before(&upstream).plain().with(json!({"limits": {"idle": "300ms"}})).start().await;
    let body = ask(false).to_string();
    let mut raw = gateway.raw().await;
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    for _ in 0..2 {
        // The connection serves again before it has been idle for long.
        raw.send(format!("{head}{body}").as_bytes()).await;
        assert!(raw.read_until("chat.completion").await.starts_with("HTTP/1.1 200"));
    }
    raw.rest().await;
}

#[tokio::test]
async fn a_stream_is_no_idle_connection() {
    let pause = Step::Pause(std::time::Duration::from_millis(900));
    let steps = [send(say("on")), pause, send(finish(0, "stop")), send(DONE)];
    let upstream = Upstream::always(Reply::stream(steps)).await;
    let limits = json!({"limits": {"idle": "300ms", "header_time": "300ms", "body_time": "300ms", "handshake": "3s"}});
    let gateway = Setup::before(&upstream).with(limits).start().await;
    for client in [gateway.client(), gateway.client().http2()] {
        assert!(client.chat(&ask(true)).await.text().await.ends_with(DONE));
    }
}
