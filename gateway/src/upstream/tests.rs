//! Dispatch against servers that misbehave, over real sockets.

mod server;
mod simulation;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use tokio::net::TcpListener;
use tokio::time::Instant;

use self::server::{Act, Server, reply, secure};
use super::health::Standing;
use super::{Backends, Dispatch, Error, Failure, Outgoing, Reply, Requests, Upstreams};
use crate::config::{Config, Environment, read};
use crate::dialect;
use crate::exchange::{Channel, Dialect, ExchangeId, Request};
use crate::fault::Fault;
use crate::record::Attempt;
use crate::route::Table;
use crate::screen::Screened;

const KEY: &str = "sk-very-secret-0123456789";
const REQUEST: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"vendor_field":{"kept":true}}"#;

/// One worker over some upstreams.
struct Worker {
    backends: Arc<Backends>,
    upstreams: Arc<Upstreams>,
    routes: Table,
}

impl Worker {
    /// `m` is served by the candidates, in YAML; each is an upstream of its own.
    fn new(upstreams: &[String], model: &str) -> Self {
        let text = format!("upstreams:\n  - {}\nmodels:\n  - {model}\n", upstreams.join("\n  - "));
        let config = config(&text);
        let backends = Backends::open(&config, &Backends::none()).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        Self { backends, upstreams: Arc::default(), routes: Table::new(&config.models, &config.upstreams) }
    }

    /// Candidates in order of priority.
    fn in_order(upstreams: &[String]) -> Self {
        let candidates: Vec<String> =
            (0..upstreams.len()).map(|index| format!("{{upstream: u{index}, priority: {index}}}")).collect();
        Self::new(upstreams, &format!("{{name: m, attempts: 4, candidates: [{}]}}", candidates.join(", ")))
    }

    fn dispatch(&self) -> Dispatch {
        self.dispatch_as(false)
    }

    /// `edited` as where a rule redacted the prompt.
    fn dispatch_as(&self, edited: bool) -> Dispatch {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer of-the-client"));
        headers.insert("api-key", HeaderValue::from_static("of-the-client"));
        headers.insert("openai-beta", HeaderValue::from_static("b"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let request = dialect::read_request(Dialect::OpenaiChat, REQUEST.into()).unwrap_or_else(|e| panic!("{e}"));
        let request = Request { edited, ..request };
        let route = self.routes.route("m").unwrap_or_else(|error| panic!("{error}"));
        let outgoing = Outgoing { id: ExchangeId::begin(), headers };
        let requests = Requests::of(Screened::for_test(request));
        Dispatch::new(self.backends.clone(), self.upstreams.clone(), route, requests, outgoing)
    }

    async fn ask(&self) -> (Result<Reply, Failure>, Vec<Attempt>) {
        let mut dispatch = self.dispatch();
        let reply = dispatch.next().await;
        (reply, dispatch.take_attempts())
    }
}

fn config(text: &str) -> Config {
    read("test", text, None, &Environment::default()).map_or_else(|m| panic!("{m:?}"), |loaded| loaded.config)
}

fn remote(index: usize, server: &Server) -> String {
    with(index, server, "")
}

fn with(index: usize, server: &Server, more: &str) -> String {
    format!("{{name: u{index}, base_url: 'http://{}/v1', key: {KEY}{more}}}", server.address)
}

async fn nobody(index: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap_or_else(|error| panic!("{error}"));
    let address = listener.local_addr().unwrap_or_else(|error| panic!("{error}"));
    format!("{{name: u{index}, base_url: 'http://{address}/v1', key: {KEY}}}")
}

fn ok() -> Act {
    Act::Say(reply(200, "content-type: application/json\r\n", "{\"ok\":1}"))
}

fn failing(status: u16, headers: &str) -> Act {
    Act::Say(reply(status, headers, "{\"error\":{\"message\":\"told\"}}"))
}

async fn text(reply: &mut Reply) -> Result<String, Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = reply.body.chunk().await {
        let chunk = chunk?;
        assert!(!chunk.is_empty(), "an empty chunk");
        bytes.extend_from_slice(&chunk);
    }
    Ok(String::from_utf8(bytes).unwrap_or_default())
}

fn faults(attempts: &[Attempt]) -> Vec<(String, Option<u16>, Option<&str>)> {
    let shown = attempts.iter().map(|one| (one.upstream.to_string(), one.status, one.fault.as_deref()));
    shown.collect()
}

/// The first of two candidates behaves as told; the second answers. Gives the first's fault.
async fn check_failover(first: Act, expected: &str) {
    let (bad, good) = (Server::start(vec![first.clone()]).await, Server::start(vec![ok()]).await);
    let limits = ", timeouts: {first_byte: 100ms}";
    let worker = Worker::in_order(&[with(0, &bad, limits), remote(1, &good)]);
    let (reply, attempts) = worker.ask().await;
    let mut reply = reply.unwrap_or_else(|failure| panic!("{first:?}: {failure}"));
    assert_eq!((&*reply.upstream, reply.status.as_u16()), ("u1", 200), "{first:?}");
    assert_eq!(text(&mut reply).await.as_deref(), Ok("{\"ok\":1}"));
    let faults = faults(&attempts);
    assert_eq!((faults.len(), bad.calls()), (2, 1), "{faults:?}");
    assert_eq!(faults[0].2, Some(expected));
    assert_eq!((faults[1].1, faults[1].2), (Some(200), None));
}

#[tokio::test]
async fn every_failure_before_the_head_goes_to_the_next_candidate() {
    for status in [408, 429, 500, 502, 503, 504, 529, 401, 402, 403] {
        check_failover(failing(status, ""), &format!("get an answer from the upstream: status {status}")).await;
    }
    check_failover(Act::Hang, "get a reply head from the upstream: timed out after 100ms").await;
    check_failover(Act::Close, "read the reply of the upstream: the connection closed before it was whole").await;
    let text = "read the reply of the upstream: it is not HTTP";
    check_failover(Act::SayThenHang("no such protocol\r\n\r\n".to_owned()), text).await;
    let zipped = reply(200, "content-encoding: gzip\r\n", "zipped");
    let text = "read the reply of the upstream: it is compressed, which was not asked for";
    check_failover(Act::Say(zipped), text).await;
    let text = "read the reply of the upstream: it redirects, and calls are not redirected";
    check_failover(failing(302, "location: http://127.0.0.1:1/\r\n"), text).await;
}

#[tokio::test]
async fn a_refused_connection_goes_to_the_next_candidate() {
    let good = Server::start(vec![ok()]).await;
    let worker = Worker::in_order(&[nobody(0).await, remote(1, &good)]);
    let (reply, attempts) = worker.ask().await;
    assert!(reply.is_ok());
    assert_eq!(faults(&attempts)[0], ("u0".to_owned(), None, Some("connect to the upstream: connection refused")));
}

#[tokio::test]
async fn without_a_further_candidate_the_caller_gets_the_last_word() {
    let alone = |acts: Vec<Act>, limits: &'static str| async move {
        let server = Server::start(acts).await;
        let (result, attempts) = Worker::in_order(&[with(0, &server, limits)]).ask().await;
        (result, attempts, server.calls())
    };
    // The vendor's own error, whole, after what tries there are.
    let (result, _, calls) = alone(vec![failing(503, "retry-after: 1000\r\n")], "").await;
    let mut given = result.unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!((given.status.as_u16(), calls), (503, 1), "never again before it asked to be called");
    assert_eq!(given.headers.get("retry-after").and_then(|value| value.to_str().ok()), Some("1000"));
    assert_eq!(text(&mut given).await.as_deref(), Ok("{\"error\":{\"message\":\"told\"}}"));
    // The same candidate is asked again after a pause.
    let (result, attempts, calls) = alone(vec![failing(500, ""), Act::Close, ok()], "").await;
    assert_eq!((result.map(|reply| reply.status.as_u16()).ok(), calls, attempts.len()), (Some(200), 3, 3));
    // A time limit is not spent twice.
    let (result, _, calls) = alone(vec![Act::Hang], ", timeouts: {first_byte: 50ms}").await;
    let failure = result.err().unwrap_or_else(|| panic!("a reply"));
    assert!(failure.timed_out() && calls == 1);
    assert_eq!(Fault::from(failure).status, 504);
}

#[tokio::test]
async fn what_is_the_callers_fault_is_passed_through_once() {
    for status in [400, 404, 409, 413, 422] {
        let (bad, good) = (Server::start(vec![failing(status, "")]).await, Server::start(vec![ok()]).await);
        let worker = Worker::in_order(&[remote(0, &bad), remote(1, &good)]);
        for _ in 0..6 {
            let (reply, _) = worker.ask().await;
            let reply = reply.unwrap_or_else(|failure| panic!("{failure}"));
            assert_eq!((reply.status.as_u16(), reply.content_block), (status, false));
        }
        assert_eq!((bad.calls(), good.calls()), (6, 0), "it is no ill health");
    }
}

#[tokio::test]
async fn a_content_block_is_a_verdict_and_no_ill_health() {
    let body =
        r#"{"error":{"message":"Content Exists Risk","type":"invalid_request_error","code":"invalid_request_error"}}"#;
    let (bad, good) = (Server::start(vec![Act::Say(reply(400, "", body))]).await, Server::start(vec![ok()]).await);
    let worker = Worker::in_order(&[with(0, &bad, ", provider: deepseek"), remote(1, &good)]);
    for _ in 0..8 {
        let (reply, attempts) = worker.ask().await;
        let mut reply = reply.unwrap_or_else(|failure| panic!("{failure}"));
        assert!(reply.content_block && attempts.len() == 1 && attempts[0].fault.is_none());
        assert_eq!(text(&mut reply).await.as_deref(), Ok(body));
    }
    // A relay's 502 that carries a block is one too.
    let body = r#"{"error":{"code":502,"message":"upstream said data_inspection_failed"}}"#;
    let relay = Server::start(vec![Act::Say(reply(502, "", body))]).await;
    let (reply, attempts) = Worker::in_order(&[remote(0, &relay), remote(1, &good)]).ask().await;
    assert!(reply.is_ok_and(|reply| reply.content_block) && attempts.len() == 1);
    assert_eq!((bad.calls(), good.calls()), (8, 0));
}

#[tokio::test]
async fn a_long_error_is_given_whole() {
    let body = "e".repeat(300 << 10);
    let server = Server::start(vec![Act::Say(reply(400, "", &body))]).await;
    let (reply, _) = Worker::in_order(&[remote(0, &server)]).ask().await;
    let mut reply = reply.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(text(&mut reply).await.is_ok_and(|text| text == body));
}

#[tokio::test]
async fn a_reply_that_breaks_off_can_be_taken_over() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n5\r\n: hi\n\r\n";
    let (bad, good) = (Server::start(vec![Act::SayThenReset(cut.to_owned())]).await, Server::start(vec![ok()]).await);
    let worker = Worker::in_order(&[remote(0, &bad), remote(1, &good)]);
    let mut dispatch = worker.dispatch();
    let mut first = dispatch.next().await.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(first.streams());
    let error = text(&mut first).await.err().unwrap_or_else(|| panic!("it did not break"));
    assert!(matches!(error, Error::Broken(_)), "{error:?}");
    assert!(first.body.chunk().await.is_none(), "nothing follows an error");
    first.lease.fail();
    dispatch.note_failure(&error.to_string());
    let second = dispatch.next().await.unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!((&*second.upstream, second.streams()), ("u1", false));
    let attempts = dispatch.take_attempts();
    assert_eq!((attempts.len(), attempts[0].fault.is_some(), attempts[1].fault.is_some()), (2, true, false));
}

#[tokio::test]
async fn trailers_and_empty_chunks_are_not_given() {
    let chunked =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\nx: y\r\n\r\n";
    let server = Server::start(vec![Act::Say(chunked.to_owned())]).await;
    let (reply, _) = Worker::in_order(&[remote(0, &server)]).ask().await;
    let mut reply = reply.unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(text(&mut reply).await.as_deref(), Ok("abcdef"));
}

#[tokio::test]
async fn the_bytes_go_out_as_they_came_but_for_the_models_name() {
    let server = Server::start(vec![ok()]).await;
    let worker = Worker::in_order(&[remote(0, &server)]);
    let (reply, _) = worker.ask().await;
    assert!(reply.is_ok_and(|reply| reply.sent.is_none()));
    let redacted = worker.dispatch_as(true).next().await;
    assert_eq!(redacted.ok().and_then(|reply| reply.sent).as_deref(), Some(REQUEST.as_bytes()));
    let renamed = Worker::new(&[remote(0, &server)], r#"{name: m, candidates: [{upstream: u0, model: 'a "b"'}]}"#);
    let (reply, _) = renamed.ask().await;
    let sent = reply.ok().and_then(|reply| reply.sent).unwrap_or_default();
    let expected = REQUEST.replacen(r#""m""#, r#""a \"b\"""#, 1);
    assert_eq!(sent, expected);
    let seen = server.seen();
    let bodies: Vec<&str> = seen.iter().filter_map(|request| Some(request.split_once("\r\n\r\n")?.1)).collect();
    assert_eq!(bodies, [REQUEST, REQUEST, &expected]);
    let head = &seen[0];
    for line in [
        "post /v1/chat/completions http/1.1",
        "content-type: application/json",
        "accept: application/json",
        "accept-encoding: identity",
        "openai-beta: b",
        &format!("authorization: bearer {KEY}"),
        concat!("user-agent: candor/", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(head.lines().any(|found| found == line), "{line}: {head}");
    }
    assert!(head.contains("\r\nx-request-id: ") && head.contains("\r\nhost: 127.0.0.1:"), "{head}");
    assert!(!head.contains("of-the-client"), "{head}");
}

#[tokio::test]
async fn no_text_of_ours_holds_a_secret() {
    let hang = Server::start(vec![Act::Hang]).await;
    let bad = Server::start(vec![failing(401, "")]).await;
    let worker = Worker::in_order(&[with(0, &hang, ", timeouts: {first_byte: 50ms}"), nobody(1).await]);
    let (result, attempts) = worker.ask().await;
    let failure = result.err().unwrap_or_else(|| panic!("a reply"));
    let (reply, _) = Worker::in_order(&[remote(0, &bad)]).ask().await;
    let shown = format!("{failure} {failure:?} {attempts:?} {reply:?} {:?} {:?}", worker.upstreams, worker.dispatch());
    let fault = Fault::from(failure);
    assert_eq!((fault.status, fault.code), (502, "upstream_unreachable"));
    let shown = format!("{shown} {fault:?}");
    assert!(!shown.contains(KEY) && !shown.contains("secret"), "{shown}");
    assert!(!fault.message.contains("127.0.0.1"), "{}", fault.message);
}

#[tokio::test]
async fn who_keeps_failing_or_asked_for_rest_is_asked_last() {
    let (bad, good) = (Server::start(vec![failing(500, "")]).await, Server::start(vec![ok()]).await);
    let worker = Worker::in_order(&[remote(0, &bad), remote(1, &good)]);
    for _ in 0..9 {
        assert!(worker.ask().await.0.is_ok_and(|reply| reply.status.is_success()));
    }
    assert_eq!(bad.calls(), 5, "ejected after five failures in a row");
    let limited = Server::start(vec![failing(429, "retry-after: 100\r\n")]).await;
    let worker = Worker::in_order(&[remote(0, &limited), remote(1, &good)]);
    for _ in 0..3 {
        assert!(worker.ask().await.0.is_ok_and(|reply| reply.status.is_success()));
    }
    assert_eq!(limited.calls(), 1, "it rests for as long as it asked");
}

#[tokio::test]
async fn a_rate_that_is_spent_is_that_of_one_model() {
    let limited = Server::start(vec![failing(429, "retry-after: 100\r\n"), ok()]).await;
    let good = Server::start(vec![ok()]).await;
    let upstreams = [remote(0, &limited), remote(1, &good)];
    let worker = Worker::new(
        &upstreams,
        "{name: m, candidates: [{upstream: u0, model: a, priority: 0}, {upstream: u0, model: b, priority: 1}, {upstream: u1, priority: 2}]}",
    );
    for _ in 0..3 {
        let (reply, _) = worker.ask().await;
        let reply = reply.unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!((&*reply.upstream, &*reply.model), ("u0", "b"));
    }
    assert_eq!((limited.calls(), good.calls()), (4, 0), "model `a` is asked once");
}

#[tokio::test]
async fn an_account_without_money_is_not_asked_twice_and_ejected() {
    let said = r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}"#;
    let broke = Server::start(vec![Act::Say(reply(429, "", said))]).await;
    let good = Server::start(vec![ok()]).await;
    let openai = ", provider: openai";
    let worker = Worker::in_order(&[with(0, &broke, openai), remote(1, &good)]);
    for _ in 0..9 {
        let (reply, attempts) = worker.ask().await;
        assert!(reply.is_ok_and(|reply| reply.status.is_success()));
        assert!(attempts.len() <= 2);
    }
    assert_eq!(broke.calls(), 5, "ejected after five failures in a row");
    let (reply, attempts) = Worker::in_order(&[with(0, &broke, openai)]).ask().await;
    assert!(reply.is_ok_and(|reply| reply.unpaid) && attempts.len() == 1, "no second try will find any");
}

#[tokio::test]
async fn one_call_probes_an_upstream_that_was_out() {
    let server = Server::start(vec![ok()]).await;
    let worker = Worker::in_order(&[remote(0, &server)]);
    let backend = worker.backends.backend("u0").cloned().unwrap_or_else(|| panic!("no u0"));
    let standing = || backend.outlook(Instant::now()).standing;
    let past = Instant::now().checked_sub(Duration::from_secs(2)).unwrap_or_else(Instant::now);
    let out = || (0..5).for_each(|_| backend.fail(Duration::ZERO, past, false));
    out();
    assert_eq!(standing(), Standing::Probe);
    let silent = worker.ask().await.0;
    assert!(matches!(standing(), Standing::Out(_)), "one probe at a time");
    drop(silent);
    assert_eq!(standing(), Standing::Probe, "a probe that said nothing is free again");
    let mut telling = worker.ask().await.0.unwrap_or_else(|failure| panic!("{failure}"));
    telling.lease.first_event();
    assert_eq!(standing(), Standing::Well, "the first event shows enough");
    telling.lease.fail();
    assert_eq!((standing(), backend.outlook(Instant::now()).pending), (Standing::Well, 1));
    drop(telling);
    assert_eq!(backend.outlook(Instant::now()).pending, 0);
}

#[tokio::test]
async fn weights_are_shares() {
    let (heavy, light) = (Server::start(vec![ok()]).await, Server::start(vec![ok()]).await);
    let model =
        "{name: m, candidates: [{upstream: u0, weight: 9}, {upstream: u1, weight: 1}, {upstream: u1, weight: 0}]}";
    let worker = Worker::new(&[remote(0, &heavy), remote(1, &light)], model);
    for _ in 0..200 {
        let (reply, _) = worker.ask().await;
        let mut reply = reply.unwrap_or_else(|failure| panic!("{failure}"));
        let _ = text(&mut reply).await;
        reply.lease.succeed();
    }
    assert_eq!(heavy.calls() + light.calls(), 200);
    assert!((4..=45).contains(&light.calls()), "{}", light.calls());
}

#[tokio::test]
async fn a_full_upstream_is_passed_over() {
    let (one, other) = (Server::start(vec![ok()]).await, Server::start(vec![ok()]).await);
    let worker = Worker::in_order(&[with(0, &one, ", concurrency: 1"), remote(1, &other)]);
    let held = worker.ask().await.0.unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(&*held.upstream, "u0");
    assert_eq!(worker.ask().await.0.map(|reply| reply.upstream.to_string()).ok().as_deref(), Some("u1"));
    drop(held);
    assert_eq!(worker.ask().await.0.map(|reply| reply.upstream.to_string()).ok().as_deref(), Some("u0"));
    let alone =
        Worker::new(&[with(0, &one, ", concurrency: 1")], "{name: m, attempts: 1, candidates: [{upstream: u0}]}");
    let _held = alone.ask().await.0;
    let fault = Fault::from(alone.ask().await.0.err().unwrap_or_else(|| panic!("a reply")));
    assert_eq!((fault.status, fault.code, fault.retry_after), (503, "upstream_busy", Some(Duration::from_secs(1))));
}

#[tokio::test]
async fn a_provider_that_never_shows_reasoning_is_known_to() {
    let server = Server::start(vec![ok()]).await;
    let worker = Worker::in_order(&[remote(0, &server)]);
    let first = worker.ask().await.0.unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!((first.exposes_reasoning, first.inline_reasoning()), (None, Some(Channel::Answer)));
    let openai = Worker::in_order(&[with(0, &server, ", provider: openai")]);
    let reply = openai.ask().await.0.unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!((reply.exposes_reasoning, reply.inline_reasoning()), (Some(false), None));
}

#[tokio::test]
async fn tls_upstreams_speak_http_2_where_they_can() {
    for (alpn, expected) in [(&["h2", "http/1.1"][..], "h2"), (&["http/1.1"][..], "h1"), (&[][..], "h1")] {
        let (server, roots) = secure(alpn).await;
        let address = server.address;
        let upstream = format!("{{name: u0, base_url: 'https://{address}/v1', roots: '{}'}}", roots.display());
        let worker = Worker::in_order(&[upstream]);
        for _ in 0..3 {
            let mut reply = worker.ask().await.0.unwrap_or_else(|failure| panic!("{failure}"));
            assert_eq!(text(&mut reply).await.as_deref(), Ok(REQUEST));
        }
        assert_eq!(server.seen(), vec![format!("{expected} /v1/chat/completions"); 3]);
        let _ = std::fs::remove_file(roots);
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let ((server, roots), (_, others)) = (secure(&["h2"]).await, secure(&["h2"]).await);
    let at = |roots: &std::path::Path, more: &str| {
        format!("{{name: u0, base_url: 'https://{}/v1', roots: '{}'{more}}}", server.address, roots.display())
    };
    let model = "{name: m, attempts: 1, candidates: [{upstream: u0}]}";
    let failure = Worker::new(&[at(&others, "")], model).ask().await.0.err().unwrap_or_else(|| panic!("a reply"));
    let text = failure.to_string();
    assert_eq!(text, "connect to upstream \"u0\": its certificate is signed by no authority that is trusted");
    assert_eq!(server.calls(), 0);
    // A handshake that never comes is bounded by the limit on connecting.
    let silent = Server::start(vec![Act::SayThenHang(String::new())]).await;
    let upstream = format!(
        "{{name: u0, base_url: 'https://{}/v1', roots: '{}', timeouts: {{connect: 100ms}}}}",
        silent.address,
        roots.display()
    );
    let failure = Worker::new(&[upstream], model).ask().await.0.err().unwrap_or_else(|| panic!("a reply"));
    assert_eq!(failure.to_string(), "connect to upstream \"u0\": timed out after 100ms");
    assert!(failure.timed_out());
    let _ = (std::fs::remove_file(roots), std::fs::remove_file(others));
}

#[tokio::test]
async fn every_upstream_that_cannot_work_is_told_at_once() {
    let text = "
upstreams:
  - {name: a, base_url: 'https://127.0.0.1:1/v1', roots: /nowhere/roots.pem}
  - {name: b, base_url: 'http://127.0.0.1:1/v1', key: \"line\\nbreak-0123456789\"}
";
    let mistakes = Backends::open(&config(text), &Backends::none()).err().unwrap_or_default();
    let shown = mistakes.join("\n");
    assert_eq!(mistakes.len(), 2, "{shown}");
    assert!(shown.contains("upstream `a`") && shown.contains("/nowhere/roots.pem"), "{shown}");
    assert!(shown.contains("upstream `b`") && !shown.contains("break"), "{shown}");
}
