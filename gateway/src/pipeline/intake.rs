//! The beginning of an exchange: body to request, request to route and rules, and the record's first frame.
//! Every way out of here after admission leaves a record.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, Response};
use http_body_util::BodyExt;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::account::{Account, ClientLeft, Outcome, Seen};
use super::body::ReplyBody;
use super::kept::Kept;
use super::shadow::{Copied, Errand};
use super::{Gateway, RequestBody, head, permit, whole};
use crate::admit::Admission;
use crate::config::{Limits, Recording};
use crate::dialect;
use crate::exchange::{Caller, Dialect, Ending, ExchangeId, Peer, Request, SHADOW, Timings};
use crate::fault::Fault;
use crate::identify::Known;
use crate::record::{Begin, Durable};
use crate::route::{self, Route};
use crate::screen::{Clearance, Courses, Found, Stop, Watch};
use crate::upstream::Outgoing;

/// Request headers that are recorded: who and what the client is, never what it proves itself by.
const RECORDED: [&str; 12] = [
    "user-agent",
    "content-type",
    "accept",
    "accept-language",
    "openai-organization",
    "openai-project",
    "openai-beta",
    "anthropic-version",
    "anthropic-beta",
    "x-stainless-lang",
    "x-stainless-package-version",
    "traceparent",
];

/// Request headers that go on to the upstream.
const FORWARDED: [&str; 9] = [
    "accept",
    "openai-beta",
    "anthropic-version",
    "anthropic-beta",
    "http-referer",
    "x-title",
    "idempotency-key",
    "traceparent",
    "tracestate",
];

/// Characters of a prompt that its record keeps for lists.
const PREVIEW: usize = 200;

/// What is known of an exchange once it is admitted.
pub(super) struct Arrival {
    pub gateway: Arc<Gateway>,
    pub id: ExchangeId,
    /// What the client speaks.
    pub dialect: Dialect,
    pub started: Instant,
    pub at: OffsetDateTime,
    pub peer: Peer,
    pub known: Known,
    pub admission: Admission,
    pub client_left: ClientLeft,
    pub headers: HeaderMap,
    /// What it copies, where it is a copy of the gateway's own.
    pub copied: Option<Copied>,
}

/// An exchange that has been understood and whose record has begun.
pub(super) struct Taken {
    pub account: Account,
    /// Who of the route's candidates may see what of the request.
    pub clearance: Clearance,
    pub route: Route,
    /// Resolves when the begin frame is durable; absent where nobody needs to wait.
    pub durable: Option<Durable>,
    pub outgoing: Outgoing,
    /// A copy that is to be asked of another upstream.
    pub shadow: Option<Errand>,
}

type Refusal = Box<Response<ReplyBody>>;

/// Reads, decodes and screens a request, finds who might answer it, and begins its record. It is screened before its
/// record begins, since a rule may demand that the record be durable.
pub(super) async fn take(arrival: Arrival, body: impl RequestBody) -> Result<Box<Taken>, Refusal> {
    let limits = arrival.admission.snapshot.config.limits.clone();
    if arrival.headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        let message = "The request body is compressed, which is not taken: send it as it is.";
        return Err(reject(arrival, Bytes::new(), Fault::refused(415, "unsupported_encoding", message)).await);
    }
    let raw = match read(body, &limits).await {
        Ok(raw) => raw,
        Err(fault) => return Err(reject(arrival, Bytes::new(), fault).await),
    };
    understand(arrival, raw).await
}

/// As [`take`], of a body that is here.
pub(super) async fn understand(mut arrival: Arrival, raw: Bytes) -> Result<Box<Taken>, Refusal> {
    let request = match dialect::read_request(arrival.dialect, raw.clone()) {
        Ok(request) => request,
        Err(error) => return Err(reject(arrival, raw, error.into()).await),
    };
    let snapshot = arrival.admission.snapshot.clone();
    // A copy is the gateway's own doing and counts against nobody.
    if arrival.copied.is_none()
        && let Err(fault) = permit::ask(&mut arrival.admission.hold, &arrival.known, &request, &snapshot)
    {
        arrival.gateway.metrics.rejected("limits");
        return Err(reject(arrival, raw, fault).await);
    }
    let route = match (&arrival.copied, snapshot.routes.route(&request.model)) {
        (Some(copied), _) => copied.route.clone(),
        (None, Ok(route)) => route,
        (None, Err(error)) => return Err(reject(arrival, raw, error.into()).await),
    };
    let (asked, mut found) = (Asked::of(&request), Found::default());
    let mut watch = snapshot.rules.watch(&arrival.known.caller, &request.model, arrival.at);
    if request.unscannable > 0 && watch.enforces_on_prompts() {
        return Err(reject(arrival, raw, unscannable()).await);
    }
    let shadow = Errand::of(&arrival, &route, &raw);
    let mut begin = begin(&arrival, &request, raw, route.recording);
    let clearance = watch.clear(request, &route.candidates, &mut found);
    let timings = Timings { screened: Some(arrival.started.elapsed()), ..Timings::default() };
    begin.recording = promised(&found, &clearance, route.recording);
    let recording = begin.recording;
    let Ok(mut slot) = arrival.gateway.recorder.reserve(recording) else {
        arrival.gateway.metrics.rejected("record");
        return Err(Box::new(head::fault(arrival.dialect, Some(arrival.id), &whole::unrecorded())));
    };
    let durable = slot.begin(begin);
    let mut outgoing = outgoing(&arrival);
    let account = Account { found, recording, timings, ..account(arrival, slot, asked, watch) };
    account.span.propagate(&mut outgoing.headers);
    let durable = (recording == Recording::Required).then_some(durable);
    // What a rule stopped goes nowhere else either.
    let shadow = shadow.filter(|_| matches!(clearance, Clearance::Pass(_)));
    Ok(Box::new(Taken { account, clearance, route, durable, outgoing, shadow }))
}

/// What holds no text that anybody could read is not let past rules about text.
fn unscannable() -> Fault {
    let message = "Your organisation's content rules cannot read token numbers: send the input as text.";
    Fault::invalid("unscannable_input", message).with_parameter("input")
}

/// What is promised of the record: what the route promises, or more where a rule demands it.
fn promised(found: &Found, clearance: &Clearance, route: Recording) -> Recording {
    let special = match clearance {
        Clearance::Pass(cleared) => cleared.special.iter().any(|special| special.found.record),
        Clearance::Stop(_) | Clearance::Nobody(_) => false,
    };
    if found.record || special { Recording::Required } else { route }
}

/// A rule stopped the prompt: the caller learns that, and the record says why.
pub(super) async fn stopped(account: Account, stop: &Stop) -> Response<ReplyBody> {
    let message = account.told(stop);
    let message =
        message.unwrap_or_else(|| "The request was stopped by a content rule of your organisation.".to_owned());
    let fault = Fault::invalid("content_policy_violation", message);
    refuse(account, "stopped by a rule", fault).await
}

/// Nobody who serves the model satisfies what rules demand of the route.
pub(super) async fn unrouted(account: Account, stop: &Stop) -> Response<ReplyBody> {
    let mut fault = Fault::from(route::Error::Unpermitted);
    if let Some(message) = account.told(stop) {
        fault.message = message;
    }
    refuse(account, "no candidate satisfies what rules demand of the route", fault).await
}

async fn refuse(account: Account, why: &str, fault: Fault) -> Response<ReplyBody> {
    let (id, dialect) = (account.id, account.dialect);
    let closed = account.close(Outcome {
        ending: Some(Ending::Stopped),
        status: fault.status,
        fault: Some(why.to_owned()),
        ..Outcome::default()
    });
    if !closed.keeps_promise().await {
        return head::fault(dialect, Some(id), &whole::unrecorded());
    }
    head::fault(dialect, Some(id), &fault)
}

/// Records and answers a request that could not be taken.
async fn reject(arrival: Arrival, raw: Bytes, fault: Fault) -> Refusal {
    let Ok(mut slot) = arrival.gateway.recorder.reserve(Recording::BestEffort) else {
        return Box::new(head::fault(arrival.dialect, Some(arrival.id), &fault));
    };
    let unread = Request {
        dialect: arrival.dialect,
        raw: raw.clone(),
        edited: false,
        model: String::new(),
        model_at: 0..0,
        stream: false,
        stream_usage: false,
        choices: 1,
        messages: Vec::new(),
        tools: None,
        sampling: crate::exchange::Sampling::default(),
        unscannable: 0,
    };
    drop(slot.begin(begin(&arrival, &unread, raw, Recording::BestEffort)));
    let watch = arrival.admission.snapshot.rules.watch(&arrival.known.caller, "", arrival.at);
    let account = account(arrival, slot, Asked::of(&unread), watch);
    Box::new(whole::failed(account, Ending::Rejected, format!("{}: {}", fault.code, fault.status), fault).await)
}

fn begin(arrival: &Arrival, request: &Request, raw: Bytes, recording: Recording) -> Begin {
    let text = |name: &str| arrival.headers.get(name).and_then(|value| value.to_str().ok());
    let headers = RECORDED.iter().filter_map(|name| Some(((*name).to_owned(), text(name)?.to_owned())));
    Begin {
        exchange: arrival.id,
        at: arrival.at,
        dialect: request.dialect,
        caller: match &arrival.copied {
            None => (*arrival.known.caller).clone(),
            Some(_) => Caller { name: SHADOW.to_owned(), ..(*arrival.known.caller).clone() },
        },
        peer: arrival.peer.address.ip().to_string(),
        client_request_id: match &arrival.copied {
            None => text("x-request-id").map(|id| id.chars().take(200).collect()),
            // What its client, the gateway, knows it by: the exchange that it copies.
            Some(copied) => Some(copied.of.to_string()),
        },
        subject: text("x-candor-subject").map(|tag| tag.chars().take(200).collect()),
        audit: text("x-candor-audit").map(|tag| tag.chars().take(200).collect()),
        model: request.model.clone(),
        stream: request.stream,
        preview: preview(request),
        request: raw,
        headers: headers.collect(),
        snapshot: arrival.admission.snapshot.digest.clone(),
        recording,
    }
}

/// The first characters of the last thing that was asked.
fn preview(request: &Request) -> Option<String> {
    let asked = request.messages.iter().rev().find(|message| message.role == "user")?;
    let text = asked.passages.iter().map(|passage| passage.text.trim_start()).find(|text| !text.is_empty())?;
    Some(text.chars().take(PREVIEW).collect())
}

/// What an account needs to know of a request.
struct Asked {
    model: String,
    stream: bool,
    question: String,
    unscannable: u32,
    bytes: usize,
}

impl Asked {
    fn of(request: &Request) -> Self {
        Self {
            model: request.model.clone(),
            stream: request.stream,
            question: Account::question(request),
            unscannable: request.unscannable,
            bytes: request.raw.len(),
        }
    }
}

fn account(arrival: Arrival, slot: crate::record::Slot, asked: Asked, watch: Watch) -> Account {
    let span = arrival.gateway.traces.begin(&arrival.headers, &asked.model, asked.stream, arrival.at);
    Account {
        gateway: arrival.gateway,
        admission: arrival.admission,
        id: arrival.id,
        started: arrival.started,
        caller: arrival.known.caller,
        dialect: arrival.dialect,
        model: asked.model,
        prompt: asked.question,
        asked: asked.bytes,
        client_left: arrival.client_left,
        slot,
        span,
        sent: None,
        adapted: Vec::new(),
        received: Kept::default(),
        found: Found::default(),
        recording: Recording::BestEffort,
        watch,
        special: Vec::new(),
        courses: Courses::default(),
        attempts: Vec::new(),
        upstream: None,
        upstream_dialect: None,
        billed: None,
        streamed: false,
        exposes_reasoning: None,
        seen: Seen { unread: asked.unscannable, ..Seen::default() },
        timings: Timings::default(),
    }
}

fn outgoing(arrival: &Arrival) -> Outgoing {
    let mut headers = HeaderMap::new();
    for name in FORWARDED {
        if let Some(value) = arrival.headers.get(name) {
            headers.insert(name, value.clone());
        }
    }
    Outgoing { id: arrival.id, headers }
}

/// Reads a body whole, bounded in size and time.
async fn read(body: impl RequestBody, limits: &Limits) -> Result<Bytes, Fault> {
    let too_large = || {
        let message = format!("The request body is larger than {} bytes.", limits.body_bytes);
        Fault::refused(413, "request_too_large", message)
    };
    if body.size_hint().lower() > limits.body_bytes as u64 {
        return Err(too_large());
    }
    match tokio::time::timeout(limits.body_time, collect(body, limits.body_bytes)).await {
        Ok(Ok(Some(bytes))) => Ok(bytes),
        Ok(Ok(None)) => Err(too_large()),
        Ok(Err(_)) => Err(Fault::invalid("incomplete_body", "The request body broke off.")),
        Err(_) => Err(Fault::refused(408, "body_timeout", "The request body did not arrive in time.")),
    }
}

/// The body's bytes; `None` where there are too many. One that comes in one piece is not copied.
async fn collect<B: RequestBody>(mut body: B, limit: usize) -> Result<Option<Bytes>, B::Error> {
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if first.len() + whole.len() + data.len() > limit {
            return Ok(None);
        }
        if first.is_empty() && whole.is_empty() {
            first = data;
        } else {
            whole.extend_from_slice(&std::mem::take(&mut first));
            whole.extend_from_slice(&data);
        }
    }
    Ok(Some(if whole.is_empty() { first } else { whole.freeze() }))
}
