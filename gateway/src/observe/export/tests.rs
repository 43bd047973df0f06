//! A collector on plain sockets gets what is exported; one that fails ends nothing.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, sync_channel};

use http::{HeaderMap, HeaderValue};

use super::*;
use crate::config::Secret;
use crate::exchange::{ExchangeId, Timings, Usage};
use crate::observe::metrics::{Finished, Metrics};
use crate::observe::traces::Ended;
use crate::record::wall_clock;

/// What a collector was sent.
struct Sent {
    path: String,
    key: Option<String>,
    body: Vec<u8>,
}

impl Sent {
    fn has(&self, bytes: impl AsRef<[u8]>) -> bool {
        let bytes = bytes.as_ref();
        self.body.windows(bytes.len()).any(|window| window == bytes)
    }
}

/// A collector on threads of its own, so that it answers whatever the test's runtime does.
fn collector(status: &'static str) -> (String, Receiver<Sent>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, received) = sync_channel(64);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, sender) = (stream.unwrap(), sender.clone());
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                while let Some(sent) = read(&mut reader) {
                    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                    stream.write_all(answer.as_bytes()).unwrap();
                    let _ = sender.send(sent);
                }
            });
        }
    });
    (endpoint, received)
}

fn read(reader: &mut impl BufRead) -> Option<Sent> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        lines.push(line);
    }
    let header = |name: &str| {
        lines.iter().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let mut body = vec![0; header("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some(Sent { path: lines.first()?.split(' ').nth(1)?.to_owned(), key: header("x-key"), body })
}

fn observe(endpoint: &str) -> Observe {
    let loaded = crate::config::read("test", "", None, &crate::config::Environment::default()).unwrap();
    Observe {
        otlp: Some(endpoint.to_owned()),
        otlp_headers: vec![("x-key".to_owned(), Secret::new("k"))],
        ..loaded.config.observe
    }
}

fn finished<'a>(timings: &'a Timings, usage: &'a Usage) -> Finished<'a> {
    let (ending, outcome, manners) = ("complete", "refused", &["canned_deflection"][..]);
    Finished {
        model: "r1",
        upstream: Some("eu-1"),
        status: 200,
        ending,
        outcome,
        manners,
        timings,
        usage,
        team: None,
        cost: None,
        thinking: None,
    }
}

/// Exports one exchange with the given parent; gives what the upstream would be told.
async fn export_one(endpoint: &str, parent: Option<&'static str>) -> Option<HeaderValue> {
    let export = Export::start(&observe(endpoint), &Handle::current()).unwrap().unwrap();
    let metrics = Metrics::new(["r1"].into_iter()).exporting(Some(export.meters()));
    let (timings, usage) = (Timings::default(), Usage { prompt: Some(3), completion: Some(4), ..Usage::default() });
    let finished = finished(&timings, &usage);
    let mut headers = HeaderMap::new();
    if let Some(parent) = parent {
        headers.insert("traceparent", HeaderValue::from_static(parent));
    }
    let exchange = export.traces().begin(&headers, "r1", true, wall_clock());
    exchange.propagate(&mut headers);
    let finishes = [(0, "stop".to_owned())];
    let (reply_model, reply_id) = (Some("deepseek-reasoner"), Some("chatcmpl-7"));
    let id = ExchangeId::begin();
    exchange.end(&Ended { id, finished: &finished, reply_model, reply_id, finishes: &finishes, findings: 2 });
    metrics.exchange_finished(&finished);
    export.stop(Duration::from_secs(20)).await;
    headers.remove("traceparent")
}

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACE: [u8; 16] =
    [0x0a, 0xf7, 0x65, 0x19, 0x16, 0xcd, 0x43, 0xdd, 0x84, 0x48, 0xeb, 0x21, 0x1c, 0x80, 0x31, 0x9c];
const SPAN: [u8; 8] = [0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31];

#[tokio::test]
async fn collector_gets_the_span_and_the_metrics_of_an_exchange() {
    let (endpoint, received) = collector("200 OK");
    let told = export_one(&endpoint, Some(PARENT)).await.unwrap();
    let told = told.to_str().unwrap();
    assert!(
        told.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && told.ends_with("-01") && told != PARENT,
        "{told}"
    );

    let sent: Vec<Sent> = received.try_iter().collect();
    let find = |path: &str| sent.iter().find(|sent| sent.path == path).unwrap();
    let (spans, metrics) = (find("/v1/traces"), find("/v1/metrics"));
    assert!(sent.iter().all(|sent| sent.key.as_deref() == Some("k")));
    assert!(spans.has(TRACE) && spans.has(SPAN), "the client's span is not the parent");
    let attributes = [
        "chat r1",
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "eu-1",
        "gen_ai.request.model",
        "gen_ai.request.stream",
        "gen_ai.response.model",
        "deepseek-reasoner",
        "gen_ai.response.id",
        "chatcmpl-7",
        "gen_ai.response.finish_reasons",
        "stop",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens",
        "candor.exchange.id",
        "candor.verdict.outcome",
        "refused",
        "candor.verdict.manners",
        "canned_deflection",
        "candor.findings",
        "candor",
    ];
    for text in attributes {
        assert!(spans.has(text), "{text} is not in the span");
    }
    for text in ["gen_ai.client.operation.duration", "gen_ai.client.token.usage", "gen_ai.token.type", "output", "r1"] {
        assert!(metrics.has(text), "{text} is not in the metrics");
    }
}

#[tokio::test]
async fn client_that_does_not_sample_is_obeyed_and_a_bad_parent_ignored() {
    let cases = [("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", false, true), ("nonsense", true, false)];
    for (parent, exported, continued) in cases {
        let (endpoint, received) = collector("200 OK");
        let told = export_one(&endpoint, Some(parent)).await.unwrap();
        assert_eq!(received.try_iter().any(|sent| sent.path == "/v1/traces"), exported, "{parent}");
        assert_eq!(told.to_str().unwrap().contains("0af7651916cd43dd8448eb211c80319c"), continued, "{parent}");
    }
}

#[tokio::test]
async fn absent_or_failing_collector_ends_nothing() {
    let (failing, _received) = collector("500 Internal Server Error");
    for endpoint in [failing.as_str(), "http://127.0.0.1:1"] {
        assert!(export_one(endpoint, None).await.is_some());
    }
    assert!(Export::start(&observe("not a url"), &Handle::current()).is_err());
    let off = crate::observe::traces::Traces::default();
    let mut headers = HeaderMap::new();
    let exchange = off.begin(&headers, "r1", false, wall_clock());
    exchange.propagate(&mut headers);
    assert!(headers.is_empty());
}
