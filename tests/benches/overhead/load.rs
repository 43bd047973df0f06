//! Clients that ask one thing after another over connections that stay open, and what they see.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::harness::gateway::KEY;
use super::target::Target;
use super::upstream::ALL;

/// What is asked.
pub(crate) struct Phase {
    pub(crate) clients: usize,
    /// What kind of reply; the upstream knows them.
    pub(crate) model: &'static str,
    /// Bytes of the prompt.
    pub(crate) prompt: usize,
    /// Where it is asked, which says in which dialect. The upstream speaks one alone, whatever it is asked.
    pub(crate) path: &'static str,
}

/// Where Chat Completions are asked.
pub(crate) const CHAT: &str = "/v1/chat/completions";

/// Where Messages are asked.
pub(crate) const MESSAGES: &str = "/v1/messages";

/// What one target did in one round.
pub(crate) struct Measured {
    /// Milliseconds of each request, sorted.
    times: Vec<f64>,
    events: usize,
    /// Nanoseconds of the target's process.
    cpu: Option<u64>,
    wall: Duration,
}

impl Measured {
    pub(crate) fn rate(&self) -> f64 {
        self.times.len() as f64 / self.wall.as_secs_f64()
    }

    /// Microseconds.
    pub(crate) fn cpu_per_request(&self) -> f64 {
        self.cpu.map_or(f64::NAN, |cpu| cpu as f64 / 1e3 / self.times.len() as f64)
    }

    /// Microseconds; no number where nothing is streamed.
    pub(crate) fn cpu_per_event(&self) -> f64 {
        if self.events == 0 { f64::NAN } else { self.cpu.map_or(f64::NAN, |cpu| cpu as f64 / 1e3 / self.events as f64) }
    }

    /// Milliseconds from the first byte of a request to the last of its answer.
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        let place = (self.times.len() as f64 * part) as usize;
        self.times.get(place.min(self.times.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
    }
}

/// Puts one target under load for some time.
pub(crate) async fn run(target: &Target, phase: &Phase, time: Duration) -> Measured {
    let mut clients = Vec::new();
    for _ in 0..phase.clients {
        clients.push(connect(target).await);
    }
    let (body, path) = (Bytes::from(body(phase)), phase.path);
    // The first request of a connection is not like the others.
    let first = clients.into_iter().map(|mut client| {
        let body = body.clone();
        tokio::spawn(async move {
            ask(&mut client, path, body).await;
            client
        })
    });
    let first: Vec<_> = first.collect();
    let mut clients = Vec::new();
    for client in first {
        clients.push(client.await.expect("a client"));
    }
    let before = target.process.as_ref().map(super::process::Process::cpu);
    let started = Instant::now();
    let asking = clients.into_iter().map(|mut client| {
        let body = body.clone();
        tokio::spawn(async move {
            let mut seen = Vec::new();
            while started.elapsed() < time {
                let asked = Instant::now();
                let events = ask(&mut client, path, body.clone()).await;
                seen.push((asked.elapsed().as_secs_f64() * 1e3, events));
            }
            seen
        })
    });
    let asking: Vec<_> = asking.collect();
    let mut seen = Vec::new();
    for client in asking {
        seen.extend(client.await.expect("a client"));
    }
    let wall = started.elapsed();
    // What is still on its way to the disk or the store belongs to it.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let after = target.process.as_ref().map(super::process::Process::cpu);
    let cpu = after.zip(before).map(|(after, before)| after.saturating_sub(before));
    let events = if phase.model == "whole" { 0 } else { seen.iter().map(|(_, events)| events).sum() };
    let mut times: Vec<f64> = seen.into_iter().map(|(time, _)| time).collect();
    times.sort_by(f64::total_cmp);
    Measured { times, events, cpu, wall }
}

/// Holds streams for some time, one after the other on each connection; gives how many were asked for, and how many came
/// whole.
pub(crate) async fn hold(target: &Target, phase: &Phase, time: Duration) -> (usize, usize) {
    let mut clients = Vec::new();
    for _ in 0..phase.clients {
        clients.push(connect(target).await);
    }
    let (body, path) = (Bytes::from(body(phase)), phase.path);
    let started = Instant::now();
    let asking = clients.into_iter().map(|mut client| {
        let body = body.clone();
        tokio::spawn(async move {
            let (mut asked, mut whole) = (0, 0);
            while started.elapsed() < time {
                asked += 1;
                whole += usize::from(ask(&mut client, path, body.clone()).await == ALL);
            }
            (asked, whole)
        })
    });
    let asking: Vec<_> = asking.collect();
    let mut sums = (0, 0);
    for client in asking {
        let (asked, whole) = client.await.unwrap_or((1, 0));
        sums = (sums.0 + asked, sums.1 + whole);
    }
    sums
}

async fn connect(target: &Target) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(target.address).await.expect("a connection");
    stream.set_nodelay(true).expect("a socket");
    match &target.tls {
        None => {
            let (client, connection) = handshake(TokioIo::new(stream)).await.expect("HTTP");
            tokio::spawn(connection);
            client
        }
        Some(tls) => {
            let name = ServerName::try_from("localhost").expect("a name");
            let stream = tls.connect(name, stream).await.expect("TLS");
            let (client, connection) = handshake(TokioIo::new(stream)).await.expect("HTTP");
            tokio::spawn(connection);
            client
        }
    }
}

/// Asks once; gives the number of events.
async fn ask(client: &mut SendRequest<Full<Bytes>>, path: &str, body: Bytes) -> usize {
    let request = Request::post(path)
        .header("host", "localhost")
        .header("authorization", format!("Bearer {KEY}"))
        .header("content-type", "application/json")
        .body(Full::new(body))
        .expect("a request");
    client.ready().await.expect("an open connection");
    let reply = client.send_request(request).await.expect("a reply");
    assert!(reply.status().is_success(), "{reply:?}");
    let mut body = reply.into_body();
    let mut events = 0;
    while let Some(frame) = body.frame().await {
        let data = frame.expect("a whole reply").into_data().unwrap_or_default();
        events += data.windows(2).filter(|pair| pair == b"\n\n").count();
    }
    events
}

fn body(phase: &Phase) -> String {
    let sentence = "Compare the two approaches and say which one you would choose for a small team. ";
    let text: String = sentence.chars().cycle().take(phase.prompt).collect();
    let stream = phase.model != "whole";
    let mut body = json!({"model": phase.model, "stream": stream, "messages": [{"role": "user", "content": text}]});
    if phase.path == MESSAGES {
        body["max_tokens"] = json!(1000);
    }
    body.to_string()
}
