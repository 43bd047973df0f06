//! What breaks other gateways, a case each: nothing hangs, every exchange has one record that blames the right side, and
//! the upstream's health is right afterwards.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::harness::certificates::Authority;
use crate::harness::gateway::{Gateway, Setup, remote};
use crate::harness::pack::{REDACTS, STOPS, pack};
use crate::harness::script::{DONE, Reply, Step, delta, finish, frame, say, send, usage};
use crate::harness::sse::Events;
use crate::harness::upstream::Upstream;
use crate::harness::wait::within;

const ERROR: &str = r#"{"error":{"message":"The model is overloaded","type":"server_error","code":"overloaded"}}"#;
const RISK: &str =
    r#"{"error":{"message":"Content Exists Risk","type":"invalid_request_error","code":"invalid_request_error"}}"#;
const PAGE: &str = "<html><head><title>502 Bad Gateway</title></head><body>nginx at 10.0.0.7</body></html>";
const ENOUGH: Duration = Duration::from_secs(600);

/// One fault, and what must come of it.
struct Case {
    name: &'static str,
    reply: Reply,
    stream: bool,
    status: u16,
    ending: &'static str,
    outcome: &'static str,
}

fn whole(name: &'static str, reply: Reply, status: u16, ending: &'static str) -> Case {
    Case { name, reply, stream: false, status, ending, outcome: "failed" }
}

fn streamed(name: &'static str, reply: Reply, status: u16, ending: &'static str) -> Case {
    Case { stream: true, ..whole(name, reply, status, ending) }
}

fn typed(kind: &str, reply: Reply) -> Reply {
    Reply { headers: vec![("content-type", kind.to_owned())], ..reply }
}

fn cases() -> Vec<Case> {
    let beats = (0..600).flat_map(|_| [send("\n"), Step::Pause(Duration::from_millis(50))]);
    let dripping = typed("application/json", Reply::stream(beats));
    let thinking = (0..600).flat_map(|_| [send(": keep-alive\n\n"), Step::Pause(Duration::from_millis(50))]);
    let error_frame = format!("data: {ERROR}\n\n");
    let failed = "upstream_failed";
    vec![
        whole("an error with status 200", Reply::json(200, ERROR), 502, failed),
        Case { outcome: "blocked", ..whole("a block with status 200", Reply::json(200, RISK), 400, failed) },
        whole("a page with status 200", typed("text/html", Reply::json(200, PAGE)), 502, failed),
        whole("a page with status 502", typed("text/html", Reply::json(502, PAGE)), 502, failed),
        streamed("a page instead of a stream", typed("text/html", Reply::json(503, PAGE)), 503, failed),
        whole("JSON that is cut", Reply::json(200, r#"{"choices":[{"message":{"content":"ha"#), 502, failed),
        whole("empty lines for ever", dripping, 504, "timed_out"),
        streamed("silence after the head", Reply::stream([Step::Pause(ENOUGH)]), 504, "timed_out"),
        streamed("comments for ever", Reply::stream(thinking), 200, "timed_out"),
        streamed(
            "a stream that says it is JSON",
            typed("application/json", Reply::frames([say("hi"), finish(0, "stop"), DONE.to_owned()])),
            502,
            failed,
        ),
        streamed("JSON that says it is a stream", typed("text/event-stream", Reply::saying("hi")), 502, failed),
        streamed("an error first in a stream", Reply::frames([error_frame.clone(), DONE.to_owned()]), 200, failed),
        streamed(
            "an error in the middle of a stream",
            Reply::frames([say("half"), error_frame.clone(), DONE.to_owned()]),
            200,
            failed,
        ),
        streamed("an error at the end of a stream", Reply::frames([say("half"), error_frame]), 200, failed),
        streamed(
            "a reset after thinking",
            Reply::stream([
                send(delta(0, &json!({"reasoning_content": "hm"}))),
                Step::Pause(Duration::from_millis(30)),
                Step::Reset,
            ]),
            200,
            failed,
        ),
    ]
}

/// Upstreams with short limits, a model each that is tried once.
async fn gateway(entries: Vec<Value>) -> Gateway {
    let models: Vec<Value> = entries
        .iter()
        .map(|entry| json!({"name": entry["name"], "attempts": 1, "candidates": [{"upstream": entry["name"]}]}))
        .collect();
    let entries: Vec<Value> = entries
        .into_iter()
        .map(|mut entry| {
            entry["timeouts"] = json!({"first_byte": "1s", "first_event": "1500ms", "gap": "1500ms"});
            entry
        })
        .collect();
    Setup::new().with(json!({"upstreams": entries, "models": models})).start().await
}

fn ask(model: &str, stream: bool) -> Value {
    json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": "Hello"}]})
}

#[tokio::test]
async fn every_fault_ends_in_time_with_a_record_that_blames_the_upstream() {
    let cases = cases();
    let mut upstreams = Vec::new();
    for case in &cases {
        upstreams.push(Upstream::always(case.reply.clone()).await);
    }
    let entries = cases.iter().zip(&upstreams).map(|(case, upstream)| remote(case.name, &upstream.base_url()));
    let gateway = gateway(entries.collect()).await;
    for case in &cases {
        let name = case.name;
        let answer = within(name, gateway.client().chat(&ask(name, case.stream))).await;
        let (status, id) = (answer.status, answer.id());
        let text = within(name, answer.text()).await;
        assert_eq!(status, case.status, "{name}: {text}");
        assert!(!text.contains("10.0.0.7"), "{name}: {text}");
        match status {
            200 => assert!(
                Events::read(text.as_bytes()).error().is_some() && text.matches("\"error\"").count() == 1,
                "{name}: {text}"
            ),
            _ => assert!(
                serde_json::from_str::<Value>(&text).is_ok_and(|body| body["error"].is_object()),
                "{name}: {text}"
            ),
        }
        let record = gateway.record(&id).await;
        assert_eq!(
            (&record["ending"], &record["outcome"]),
            (&json!(case.ending), &json!(case.outcome)),
            "{name}: {record}"
        );
        assert_eq!(record["status"], status, "{name}: {record}");
    }
    assert_eq!(gateway.records().await.len(), cases.len(), "a record each, and no more");
}

#[tokio::test]
async fn an_error_in_place_of_a_reply_is_ill_health_and_a_block_is_not() {
    let stream_error = Reply::frames([format!("data: {ERROR}\n\n"), DONE.to_owned()]);
    for (trouble, stream, takes_over) in [
        (Reply::json(200, ERROR), false, true),
        (typed("text/html", Reply::json(200, PAGE)), false, true),
        (stream_error, true, true),
        (Reply::json(200, RISK), false, false),
    ] {
        let first = Upstream::always(trouble).await;
        let good = if stream {
            Reply::frames([say("fine"), finish(0, "stop"), DONE.to_owned()])
        } else {
            Reply::saying("fine")
        };
        let second = Upstream::always(good).await;
        let upstreams =
            json!({"upstreams": [remote("first", &first.base_url()), remote("second", &second.base_url())]});
        let gateway = Setup::new().with(upstreams).start().await;
        for _ in 0..12 {
            let answer = gateway.client().chat(&ask("m", stream)).await;
            let (status, text) = (answer.status, answer.text().await);
            assert_eq!((status, text.contains("fine")), if takes_over { (200, true) } else { (400, false) }, "{text}");
        }
        let asked = (first.received().len(), second.received().len());
        match takes_over {
            true => assert!(asked.0 < 12 && asked.1 == 12, "{asked:?}"),
            false => assert_eq!(asked, (12, 0)),
        }
    }
}

#[tokio::test]
async fn a_storm_of_429_is_left_alone_until_the_day_it_names() {
    let busy = r#"{"error":{"message":"slow down","type":"rate_limit_error","code":"rate_limit_exceeded"}}"#;
    for after in ["30", "Wed, 25 Nov 2099 10:00:30 GMT"] {
        let first = Upstream::always(Reply::json(429, busy).header("retry-after", after)).await;
        let second = Upstream::always(Reply::saying("fine")).await;
        let upstreams =
            json!({"upstreams": [remote("first", &first.base_url()), remote("second", &second.base_url())]});
        let gateway = Setup::new().with(upstreams).start().await;
        for _ in 0..8 {
            assert_eq!(gateway.client().chat(&ask("m", false)).await.status, 200);
        }
        assert_eq!((first.received().len(), second.received().len()), (1, 8), "{after}");
    }
}

#[tokio::test]
async fn a_line_that_never_ends_is_not_kept_in_memory() {
    let piece = "x".repeat(1 << 20);
    let steps = std::iter::once(send("data: ")).chain((0..256).map(|_| send(piece.clone())));
    let upstream = Upstream::always(Reply::stream(steps)).await;
    let models = json!([{"name": "*", "attempts": 1, "candidates": [{"upstream": "up"}]}]);
    let limits = json!({"models": models, "limits": {"event_bytes": "2MiB"}});
    let gateway = Setup::before(&upstream).with(limits).start().await;
    let before = resident(&gateway);
    let answer = gateway.client().chat(&ask("m", true)).await;
    let (status, id) = (answer.status, answer.id());
    answer.bytes().await;
    assert_eq!((status, &gateway.record(&id).await["ending"]), (502, &json!("upstream_failed")));
    upstream.abandoned().await;
    let grown = resident(&gateway).saturating_sub(before);
    assert!(grown < 64 << 10, "{grown} KiB more at most");
}

/// The most memory that the gateway ever held, in KiB.
fn resident(gateway: &Gateway) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", gateway.pid().as_raw_nonzero())).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its memory");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
}

#[tokio::test]
async fn megabytes_pass_in_both_directions_under_rules() {
    let text = "a sentence of no interest. ".repeat(40_000);
    let frames: Vec<String> = text.as_bytes().chunks(4096).map(|part| say(&String::from_utf8_lossy(part))).collect();
    let stream = [frames.concat(), finish(0, "stop"), usage(9, 9), DONE.to_owned()].concat();
    let upstream = Upstream::always(Reply::bytes_by(32 << 10, stream.as_bytes())).await;
    let gateway = Setup::before(&upstream).pack(&pack(&[REDACTS, STOPS])).start().await;
    let messages = json!([{"role": "user", "content": text}]);
    let body = json!({"model": "m", "stream": true, "stream_options": {"include_usage": true}, "messages": messages})
        .to_string();
    let answer = gateway.client().post(body.clone()).await;
    let id = answer.id();
    assert!(answer.text().await == stream);
    assert!(upstream.only().body == body.as_bytes());
    let record = gateway.record(&id).await;
    assert_eq!((&record["ending"], &record["request_bytes"]), (&json!("complete"), &json!(body.len())));
}

#[tokio::test]
async fn tokens_are_counted_once_however_often_they_are_told() {
    let told = |completion: u32| {
        frame(&json!({"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": null}], "usage": {
            "prompt_tokens": 10, "completion_tokens": completion, "total_tokens": 10 + completion,
            "prompt_cache_hit_tokens": 4, "prompt_tokens_details": {"cached_tokens": 4}}}))
    };
    let frames = [told(1), told(2), told(5), finish(0, "stop"), told(5), DONE.to_owned()];
    let upstream = Upstream::always(Reply::frames(frames)).await;
    let gateway = Gateway::before(&upstream).await;
    let answer = gateway.client().chat(&ask("m", true)).await;
    let id = answer.id();
    answer.bytes().await;
    let record = gateway.record(&id).await;
    let counts = ["prompt", "completion", "cached"].map(|name| record[format!("{name}_tokens")].clone());
    assert_eq!(counts, [json!(10), json!(5), json!(4)]);
}

#[tokio::test]
async fn an_http2_stream_that_is_reset_ends_with_an_error() {
    let authority = Authority::new("upstream authority");
    let steps = [send(say("half")), Step::Pause(Duration::from_millis(50)), Step::Reset];
    let upstream = Upstream::over_tls(&authority, Reply::stream(steps)).await;
    let mut entry = remote("up", &upstream.base_url());
    entry["roots"] = json!("roots.pem");
    let gateway = Setup::new().file("roots.pem", authority.pem()).with(json!({"upstreams": [entry]})).start().await;
    let answer = gateway.client().http2().chat(&ask("m", true)).await;
    let id = answer.id();
    let events = Events::read(&answer.bytes().await);
    assert_eq!((events.text(0, "content").as_str(), events.error().is_some()), ("half", true));
    assert_eq!(gateway.record(&id).await["ending"], "upstream_failed");
    assert_eq!(upstream.only().version, http::Version::HTTP_2);
}

/// Bytes of a server that speaks HTTP/1.1 by hand, a pause after each.
type Script = Vec<(String, Duration)>;

/// Plays a script to every connection; with a certificate over TLS, which it leaves without a farewell.
async fn by_hand(script: Script, tls: Option<&Authority>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let acceptor = tls.map(|authority| {
        let mut config = authority.server_config(&["localhost"]);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    });
    let scheme = if tls.is_some() { "https" } else { "http" };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (script, acceptor) = (script.clone(), acceptor.clone());
            tokio::spawn(async move {
                match acceptor {
                    None => play(stream, script).await,
                    Some(acceptor) => {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            play(stream, script).await;
                        }
                    }
                }
            });
        }
    });
    format!("{scheme}://localhost:{port}/v1")
}

async fn play<S: AsyncReadExt + AsyncWriteExt + Unpin>(mut stream: S, script: Script) {
    let mut request = [0; 4096];
    let _ = stream.read(&mut request).await;
    for (bytes, pause) in script {
        if stream.write_all(bytes.as_bytes()).await.is_err() || stream.flush().await.is_err() {
            return;
        }
        tokio::time::sleep(pause).await;
    }
}

#[tokio::test]
async fn heads_that_come_slowly_and_connections_that_break_off_are_the_upstreams_fault() {
    let authority = Authority::new("upstream authority");
    let head = |kind: &str| format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n");
    let at_once = |text: String| vec![(text, Duration::ZERO)];
    let slow = std::iter::once("HTTP/1.1 200 OK\r\n".to_owned())
        .chain((0..200).map(|number| format!("x-{number}: slow\r\n")))
        .map(|text| (text, Duration::from_millis(100)));
    let done = [say("all"), finish(0, "stop"), DONE.to_owned()].concat();
    let cut = head("application/json") + r#"{"choices":[{"message":{"content":"ha"#;
    let endless = format!("HTTP/1.1 200 OK\r\nx-long: {}", "y".repeat(2 << 20));
    let scripts = [
        ("slow headers", slow.collect(), None, false, 504, "timed_out"),
        ("endless headers", at_once(endless), None, false, 502, "upstream_failed"),
        ("no HTTP", at_once("220 mail.example ESMTP\r\n".to_owned()), None, false, 502, "upstream_failed"),
        ("no farewell in the middle", at_once(cut), Some(&authority), false, 502, "upstream_failed"),
        (
            "no farewell before the end",
            at_once(head("text/event-stream") + &say("half")),
            Some(&authority),
            true,
            200,
            "upstream_failed",
        ),
        (
            "no farewell after the end",
            at_once(head("text/event-stream") + &done),
            Some(&authority),
            true,
            200,
            "complete",
        ),
    ];
    let mut entries = Vec::new();
    for (name, script, tls, ..) in &scripts {
        let script: &Script = script;
        let mut entry = remote(name, &by_hand(script.clone(), *tls).await);
        entry["timeouts"] = json!({"first_byte": "1s", "first_event": "1500ms", "gap": "1500ms"});
        if tls.is_some() {
            entry["roots"] = json!("roots.pem");
        }
        entries.push(entry);
    }
    let models: Vec<Value> = scripts
        .iter()
        .map(|(name, ..)| json!({"name": name, "attempts": 1, "candidates": [{"upstream": name}]}))
        .collect();
    let setup = Setup::new().file("roots.pem", authority.pem());
    let gateway = setup.with(json!({"upstreams": entries, "models": models})).start().await;
    for (name, _, _, stream, status, ending) in scripts {
        let answer = within(name, gateway.client().chat(&ask(name, stream))).await;
        let (found, id) = (answer.status, answer.id());
        let text = within(name, answer.text()).await;
        let record = gateway.record(&id).await;
        assert_eq!((found, &record["ending"]), (status, &json!(ending)), "{name}: {text} {record}");
        assert_eq!(text.contains("\"error\""), ending != "complete", "{name}: {text}");
    }
}
