//! The harness proves itself, without a gateway: what is scripted happens, and what is read was sent.

use std::time::Duration;

use serde_json::json;
use sqlx::{Connection, PgConnection};

use crate::harness::certificates::Authority;
use crate::harness::client::Client;
use crate::harness::database::{Cluster, fresh};
use crate::harness::script::{DONE, Reply, Signal, Step, finish, say, send, think};
use crate::harness::sse::Events;
use crate::harness::upstream::Upstream;

fn to(upstream: &Upstream) -> Client {
    let port = upstream.base_url().rsplit(':').next().and_then(|rest| rest.split('/').next()?.parse().ok());
    Client::new(([127, 0, 0, 1], port.expect("a port")).into(), None)
}

#[tokio::test]
async fn a_script_is_played_as_it_is_written() {
    let signal = Signal::new();
    let steps = [send(say("one")), Step::Pause(Duration::from_millis(1)), Step::Hold(signal.clone())];
    let end = [send(think("two")), send(finish(0, "stop")), send(DONE)];
    let upstream = Upstream::always(Reply::stream(steps.into_iter().chain(end))).await;
    let mut answer = to(&upstream).key("k").post("{\"model\": 1}").await;
    answer.read_until("one").await;
    signal.give();
    let bytes = answer.bytes().await;
    assert_eq!(bytes, [say("one"), think("two"), finish(0, "stop"), DONE.to_owned()].concat().as_bytes());
    let events = Events::read(&bytes);
    assert_eq!((events.text(0, "content").as_str(), events.text(0, "reasoning_content").as_str()), ("one", "two"));
    assert_eq!((events.finish(0), events.done, events.error()), (Some("stop"), true, None));
    let received = upstream.only();
    assert_eq!((received.header("authorization"), &received.body[..]), ("Bearer k", &b"{\"model\": 1}"[..]));
}

#[tokio::test]
async fn troubles_are_seen_as_troubles() {
    let upstream = Upstream::in_turn(vec![
        Reply::stream([send(say("half")), Step::Reset]),
        Reply::nothing(),
        Reply::stream([send(say("x")), Step::Hold(Signal::new()), send(DONE)]),
    ])
    .await;
    let client = to(&upstream);
    let mut answer = client.post("{}").await;
    while answer.read_more().await {}
    assert!(answer.broken);
    let request = client.request(http::Method::POST, "/").body(Default::default()).expect("a request");
    assert!(client.try_send(request).await.is_err());
    let mut answer = client.post("{}").await;
    answer.read_until("x").await;
    drop(answer);
    upstream.abandoned().await;
}

#[tokio::test]
async fn an_authority_vouches_for_its_server_only() {
    let authority = Authority::new("one");
    let upstream = Upstream::over_tls(&authority, Reply::saying("yes")).await;
    let address = (
        [127, 0, 0, 1],
        upstream.base_url().rsplit(':').next().unwrap_or_default()[..].trim_end_matches("/v1").parse().expect("a port"),
    )
        .into();
    let answer = Client::new(address, Some(authority.pem())).http2().chat(&json!({})).await;
    assert!(answer.text().await.contains("yes"));
    let stranger = Client::new(address, Some(Authority::new("other").pem()));
    let request = stranger.request(http::Method::GET, "/").body(Default::default()).expect("a request");
    assert!(stranger.try_send(request).await.is_err());
}

#[tokio::test]
async fn a_cluster_stops_dies_and_comes_back() {
    let mut cluster = Cluster::start();
    let url = cluster.url("postgres");
    for end in [Cluster::stop, Cluster::kill] {
        assert!(PgConnection::connect(&url).await.is_ok());
        end(&mut cluster);
        assert!(PgConnection::connect(&url).await.is_err());
        cluster.start_again();
    }
    assert!(PgConnection::connect(&url).await.is_ok());
    assert_ne!(fresh().await, fresh().await);
}
