//! The front door over real sockets: what clients may hold, how long, and how they are told to go.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::*;
use crate::admit::Phase;
use crate::config::Limits;

/// Answers with what it was sent; `/held` answers in parts that the test hands it.
struct Echo {
    held: std::sync::Mutex<Option<mpsc::Receiver<Bytes>>>,
}

/// A body of parts that somebody hands over.
struct Parts(mpsc::Receiver<Bytes>);

impl Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|part| part.map(|part| Ok(Frame::data(part))))
    }
}

impl Answer for Echo {
    type Body = Parts;

    async fn answer(self: Arc<Self>, request: Request<Upload>, peer: Peer) -> Response<Parts> {
        match request.uri().path() {
            "/held" => Response::new(Parts(self.held.lock().unwrap().take().unwrap())),
            "/never" => std::future::pending().await,
            "/unread" => Response::new(Parts(mpsc::channel(1).1)),
            _ => {
                let (sender, parts) = mpsc::channel(1);
                let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                let who = peer.certificate.as_deref().unwrap_or("nobody").to_owned();
                sender.try_send(Bytes::from([who.as_bytes(), b":", &body[..]].concat())).unwrap();
                Response::new(Parts(parts))
            }
        }
    }
}

struct Door {
    front: Front,
    phase: watch::Sender<Phase>,
    held: mpsc::Sender<Bytes>,
}

fn limits() -> Limits {
    let text = "limits: {connections: 8, handshake: 80ms, header_bytes: 8KiB, header_time: 80ms, idle: 80ms}";
    let loaded = crate::config::read("test", text, None, &crate::config::Environment::default()).unwrap();
    loaded.config.limits
}

fn patient() -> Limits {
    Limits { header_time: Duration::from_secs(60), idle: Duration::from_secs(60), ..limits() }
}

fn open(limits: Limits, tls: Option<Arc<crate::tls::Server>>) -> Door {
    open_with(2, limits, tls)
}

/// A front with one worker, which has the one answer that is held.
fn open_single(limits: Limits) -> Door {
    open_with(1, limits, None)
}

fn open_with(workers: usize, limits: Limits, tls: Option<Arc<crate::tls::Server>>) -> Door {
    let (phase, closing) = watch::channel(Phase::Serving);
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let settings = Settings { name: "test", workers, limits, tls, closing };
    let (held, parts) = mpsc::channel(8);
    let parts = Arc::new(std::sync::Mutex::new(Some(parts)));
    let answer = move || Arc::new(Echo { held: std::sync::Mutex::new(parts.lock().unwrap().take()) });
    Door { front: Front::open(listener, &settings, answer).unwrap(), phase, held }
}

impl Door {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.front.address()).await.unwrap()
    }
}

/// Everything that comes until the other side closes; a reset counts as a close.
async fn read_all(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    let read = async {
        while let Ok(count) = stream.read(&mut buffer).await {
            if count == 0 {
                break;
            }
            all.extend_from_slice(&buffer[..count]);
        }
    };
    timeout(Duration::from_secs(10), read).await.expect("the connection stays open");
    String::from_utf8_lossy(&all).into_owned()
}

/// What comes up to and including some text.
async fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut all = String::new();
    let mut buffer = [0; 4096];
    while !all.contains(text) {
        let count = timeout(Duration::from_secs(10), stream.read(&mut buffer)).await.unwrap().unwrap();
        assert!(count > 0, "closed after {all:?}");
        all.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    all
}

#[tokio::test]
async fn bad_and_good_heads_get_their_status_or_a_close() {
    let door = open(limits(), None);
    let long = format!("GET / HTTP/1.1\r\nhost: a\r\nlong: {}\r\n\r\n", "x".repeat(20_000));
    let many = format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "a: b\r\n".repeat(200));
    let good = "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi";
    let cases = [
        (good, "HTTP/1.1 200 OK"),
        (&long, "HTTP/1.1 431 "),
        (&many, "HTTP/1.1 431 "),
        ("nonsense\r\n\r\n", "HTTP/1.1 400 "),
        // Heads that never end: closed without a word.
        ("", ""),
        ("GET / HT", ""),
        ("GET / HTTP/1.1\r\nhost: a\r\nslow: ", ""),
        ("PRI * HTTP/2.0\r\n\r\nSM\r", ""),
    ];
    for (sent, expected) in cases {
        let mut stream = door.connect().await;
        stream.write_all(sent.as_bytes()).await.unwrap();
        let answer = read_all(&mut stream).await;
        assert!(answer.starts_with(expected) && answer.is_empty() == expected.is_empty(), "{sent:.40?}: {answer}");
    }
    assert!(door.front.counts().slow.load(std::sync::atomic::Ordering::Relaxed) >= 2);
}

#[tokio::test]
async fn dribbled_head_is_cut_at_its_time_however_alive_it_looks() {
    let door = open(limits(), None);
    let mut stream = door.connect().await;
    let dribble = async {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nslow: ").await.unwrap();
        let mut beat = tokio::time::interval(Duration::from_millis(10));
        loop {
            beat.tick().await;
            if stream.write_all(b"x").await.is_err() || stream.try_read(&mut [0; 1]).is_ok() {
                break;
            }
        }
    };
    timeout(Duration::from_secs(10), dribble).await.expect("a dribbling client keeps its connection");
}

#[tokio::test]
async fn idle_connection_closes_and_a_busy_one_does_not() {
    let door = open_single(limits());
    let mut idle = door.connect().await;
    idle.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx").await.unwrap();
    let mut busy = door.connect().await;
    busy.write_all(b"GET /held HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    // The answer comes, then the close.
    assert!(read_all(&mut idle).await.contains("nobody:x"));
    // By now the busy one has been silent for as long.
    door.held.send(Bytes::from_static(b"late")).await.unwrap();
    read_until(&mut busy, "late").await;
}

/// Hands over parts until nobody takes them any more, which is when the connection has been closed.
async fn feed(held: &mpsc::Sender<Bytes>) {
    let part = Bytes::from_static(&[b'x'; 1 << 14]);
    let fed = async { while held.send(part.clone()).await.is_ok() {} };
    timeout(Duration::from_secs(10), fed).await.expect("a client that takes nothing keeps its reply");
}

#[tokio::test]
async fn reply_that_is_not_taken_closes_its_connection() {
    let door = open_single(limits());
    let mut stream = door.connect().await;
    stream.write_all(b"GET /held HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    feed(&door.held).await;
    assert_eq!(door.front.counts().stalled.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[tokio::test]
async fn half_closed_client_still_gets_its_answer() {
    let door = open_single(patient());
    let mut stream = door.connect().await;
    stream.write_all(b"GET /held HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    stream.shutdown().await.unwrap();
    read_until(&mut stream, "200 OK").await;
    door.held.send(Bytes::from_static(b"after all")).await.unwrap();
    drop(door.held);
    assert!(read_all(&mut stream).await.contains("after all"));
}

/// Sends requests whose bodies nobody reads: their heads, and the bodies once the answers are here.
#[tokio::test]
async fn a_body_that_nobody_wants_costs_no_connection() {
    let door = open(Limits { body_bytes: 1 << 20, ..patient() }, None);
    let mut stream = door.connect().await;
    for (framing, body) in [
        ("content-length: 5", b"hello".to_vec()),
        ("content-length: 1000000", vec![b'x'; 1_000_000]),
        ("transfer-encoding: chunked", b"3\r\nabc\r\n0\r\n\r\n".to_vec()),
    ] {
        stream.write_all(format!("POST /unread HTTP/1.1\r\nhost: a\r\n{framing}\r\n\r\n").as_bytes()).await.unwrap();
        let answer = read_until(&mut stream, "0\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains("connection: close"), "{framing}: {answer}");
        stream.write_all(&body).await.unwrap();
    }
    stream.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx").await.unwrap();
    read_until(&mut stream, "nobody:x").await;
}

#[tokio::test]
async fn a_connection_that_cannot_go_on_says_so() {
    let door = open(Limits { body_bytes: 1 << 10, header_time: Duration::from_millis(80), ..patient() }, None);
    // One that is too long is read for a while, so that its sender hears the answer; one that waits for leave is not.
    for (more, body) in
        [("content-length: 5000", vec![b'x'; 800]), ("expect: 100-continue\r\ncontent-length: 5", vec![])]
    {
        let mut stream = door.connect().await;
        stream.write_all(format!("POST /unread HTTP/1.1\r\nhost: a\r\n{more}\r\n\r\n").as_bytes()).await.unwrap();
        stream.write_all(&body).await.unwrap();
        let answer = read_all(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{more}: {answer}");
    }
    // Nor is one that never comes waited for.
    let mut stream = door.connect().await;
    stream.write_all(b"POST /unread HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n").await.unwrap();
    assert!(read_all(&mut stream).await.starts_with("HTTP/1.1 200"));
    // One that did not say how long it is ends its connection where it is too long.
    let mut stream = door.connect().await;
    stream.write_all(b"POST /unread HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
    let chunk = [b"400\r\n".as_slice(), &[b'x'; 1024], b"\r\n"].concat();
    let endless = async { while stream.write_all(&chunk).await.is_ok() {} };
    timeout(Duration::from_secs(10), endless).await.expect("an endless body keeps its connection");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_room() {
    let door = open(Limits { connections: 2, ..patient() }, None);
    let mut first = door.connect().await;
    let mut second = door.connect().await;
    let request = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx";
    for stream in [&mut first, &mut second] {
        stream.write_all(request).await.unwrap();
        read_until(stream, "nobody:x").await;
    }
    let mut third = door.connect().await;
    third.write_all(request).await.unwrap();
    let early = timeout(Duration::from_millis(50), third.read(&mut [0; 16])).await;
    assert!(early.is_err(), "the third is served beside the two");
    assert_eq!(door.front.counts().open(), 2);
    drop(first);
    read_until(&mut third, "nobody:x").await;
}

#[tokio::test]
async fn drain_finishes_what_runs_and_takes_nothing_new() {
    let Door { mut front, phase, held } = open_single(patient());
    let mut running = TcpStream::connect(front.address()).await.unwrap();
    running.write_all(b"GET /held HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    held.send(Bytes::from_static(b"begun ")).await.unwrap();
    read_until(&mut running, "begun").await;
    let mut idle = TcpStream::connect(front.address()).await.unwrap();
    idle.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx").await.unwrap();
    read_until(&mut idle, "nobody:x").await;

    let address = front.address();
    let patience = Patience { finish: Duration::from_secs(60), end: Duration::from_secs(60) };
    let client = async {
        // An idle connection is closed at once, and the address with it.
        assert_eq!(read_all(&mut idle).await, "");
        let refused = async { while TcpStream::connect(address).await.is_ok() {} };
        timeout(Duration::from_secs(10), refused).await.expect("connections are still taken");
        held.send(Bytes::from_static(b"and done")).await.unwrap();
        drop(held);
        assert!(read_all(&mut running).await.contains("and done"));
    };
    let (drained, ()) = tokio::join!(drain(&phase, front.quiet(), std::future::pending(), patience), client);
    assert_eq!(drained, Drained::Finished);
    front.stop().await;
}

#[tokio::test]
async fn drain_ends_and_cuts_what_does_not_finish() {
    let soon = Duration::from_millis(20);
    let long = Duration::from_secs(60);
    // Whether a second signal comes, how long is waited, whether the handler obeys `Ending`, and what comes of it.
    let cases = [
        (false, Patience { finish: soon, end: long }, true, Drained::Ended),
        (false, Patience { finish: soon, end: soon }, false, Drained::Cut),
        (true, Patience { finish: long, end: long }, false, Drained::Cut),
        (true, Patience { finish: long, end: long }, true, Drained::Ended),
    ];
    for (signal, patience, obeys, expected) in cases {
        let Door { mut front, phase, held } = open_single(patient());
        let mut running = TcpStream::connect(front.address()).await.unwrap();
        running.write_all(b"GET /held HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        read_until(&mut running, "200 OK").await;
        let mut closing = phase.subscribe();
        let handler = async {
            closing.wait_for(|phase| *phase == Phase::Ending).await.unwrap();
            if obeys { drop(held) } else { std::future::pending().await }
        };
        let hurry = async {
            if signal {
            } else {
                std::future::pending().await
            }
        };
        let drained = tokio::select! {
            drained = drain(&phase, front.quiet(), hurry, patience) => drained,
            () = async { handler.await; std::future::pending().await } => unreachable!(),
        };
        assert_eq!(drained, expected);
        front.stop().await;
        assert!(!read_all(&mut running).await.contains("more"));
    }
}

#[tokio::test]
async fn taken_port_is_named_with_what_to_do() {
    let door = open(limits(), None);
    let error = bind(door.front.address()).unwrap_err().to_string();
    assert!(error.contains(&door.front.address().to_string()) && error.contains("choose another port"), "{error}");
}

mod http2;
mod over_tls;
