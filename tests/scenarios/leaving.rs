//! Leaving: a client that goes, and a gateway that is asked to go. In both cases the record is whole.

use std::time::Duration;

use rustix::process::Signal as Kill;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::harness::gateway::{Gateway, Setup};
use crate::harness::script::{DONE, Reply, Signal, Step, finish, say, send};
use crate::harness::sse::Events;
use crate::harness::upstream::Upstream;
use crate::harness::wait::until;

fn ask() -> Value {
    json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "Hello"}]})
}

/// A stream that waits for a signal in its middle. Its end comes slowly: over HTTP/1.1 a client that left is noticed
/// when a write fails, which is the second one after it left.
fn held(signal: &Signal) -> Reply {
    let pause = || Step::Pause(Duration::from_millis(40));
    let end = [send(say(" se")), pause(), send(say("cond")), pause(), send(finish(0, "stop")), pause(), send(DONE)];
    Reply::stream([send(say("first")), Step::Hold(signal.clone())].into_iter().chain(end))
}

#[tokio::test]
async fn a_client_that_leaves_does_not_stop_the_record() {
    for http2 in [false, true] {
        let signal = Signal::new();
        let upstream = Upstream::always(held(&signal)).await;
        let gateway = Gateway::before(&upstream).await;
        let client = if http2 { gateway.client().http2() } else { gateway.client() };
        let mut answer = client.chat(&ask()).await;
        let id = answer.id();
        answer.read_until("first").await;
        drop(answer);
        signal.give();
        let record = gateway.record(&id).await;
        assert_eq!(record["ending"], "client_left", "{record}");
        assert!(record["reply"].to_string().contains("first second"), "the upstream was drained: {record}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_is_recorded_too() {
    let signal = Signal::new();
    let upstream = Upstream::always(Reply::stream([Step::Hold(signal.clone()), send(say("x")), send(DONE)])).await;
    let gateway = Gateway::before(&upstream).await;
    let client = gateway.client();
    let asking = tokio::spawn(async move { client.chat(&ask()).await });
    upstream.asked(1).await;
    asking.abort();
    signal.give();
    let record = until("the record", async || gateway.records().await.into_iter().next()).await;
    let id = record["exchange"].as_str().expect("an id").to_owned();
    let ending = gateway.record(&id).await["ending"].clone();
    assert!(ending == "client_left" || ending == "complete", "{ending}");
}

#[tokio::test]
async fn streams_in_flight_finish_while_the_gateway_drains() {
    let signal = Signal::new();
    let upstream = Upstream::always(held(&signal)).await;
    let mut gateway = Setup::before(&upstream).with(json!({"drain": "30s"})).start().await;
    let mut answer = gateway.client().chat(&ask()).await;
    let id = answer.id();
    answer.read_until("first").await;
    gateway.signal(Kill::TERM);
    let address = gateway.address();
    until("the door to close", async || TcpStream::connect(address).await.is_err().then_some(())).await;
    signal.give();
    let events = Events::read(&answer.bytes().await);
    assert_eq!((events.text(0, "content").as_str(), events.done), ("first second", true));
    assert_eq!(gateway.exit().await, Some(0), "{}", gateway.log());
    assert_eq!(gateway.record(&id).await["ending"], "complete");
}

#[tokio::test]
async fn streams_past_the_deadline_end_cleanly_in_their_dialect() {
    for (http2, kill) in [(false, Kill::TERM), (true, Kill::INT)] {
        let upstream = Upstream::always(held(&Signal::new())).await;
        let mut gateway = Setup::before(&upstream).with(json!({"drain": "300ms"})).start().await;
        let client = if http2 { gateway.client().http2() } else { gateway.client() };
        let mut answer = client.chat(&ask()).await;
        let id = answer.id();
        answer.read_until("first").await;
        gateway.signal(kill);
        let events = Events::read(&answer.bytes().await);
        assert_eq!(events.error().expect("an error")["code"], "gateway_draining");
        assert_eq!(gateway.exit().await, Some(0), "{}", gateway.log());
        assert_eq!(gateway.record(&id).await["ending"], "drained");
    }
}

#[tokio::test]
async fn an_idle_gateway_leaves_at_once() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let mut gateway = Setup::before(&upstream).with(json!({"drain": "10m"})).start().await;
    assert_eq!(
        gateway.client().chat(&json!({"model": "m", "messages": [{"role": "user", "content": "x"}]})).await.status,
        200
    );
    gateway.stop().await;
}
