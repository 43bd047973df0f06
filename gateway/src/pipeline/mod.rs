//! The life of one exchange, step by step: the table of contents of the product. Each step is one module.

mod account;
mod body;
mod closing;
mod flow;
mod gathered;
mod head;
mod intake;
mod judging;
mod kept;
mod permit;
mod shadow;
mod whole;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body;
use tokio::time::Instant;

use crate::admin::Health;
use crate::admit::Door;
use crate::dialect;
use crate::exchange::{Dialect, Ending, ExchangeId, Peer};
use crate::fault::Fault;
use crate::identify::Keys;
use crate::limits::{Book, Moment};
use crate::observe::metrics::Metrics;
use crate::observe::traces::Traces;
use crate::record::{Recorder, wall_clock};
use crate::route;
use crate::screen::{Clearance, Stop};
use crate::snapshot::Snapshot;
use crate::upstream::{Dispatch, Upstreams};

use account::ClientLeft;
pub use body::ReplyBody;
use body::{Attended, Flowing};
use flow::Flow;
pub use judging::Questions;

/// The running parts that every exchange needs; one on each worker, and all but `upstreams` shared.
pub struct Gateway {
    /// What new exchanges run under.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Callers' keys.
    pub keys: Arc<Keys>,
    /// What callers took lately.
    pub limits: Arc<Book>,
    /// Room for exchanges.
    pub door: Arc<Door>,
    /// This worker's connections to those who can answer.
    pub upstreams: Arc<Upstreams>,
    /// Where records go.
    pub recorder: Recorder,
    /// What exchanges have shown of models, for the verdicts on later ones.
    pub memory: Arc<crate::screen::Memory>,
    /// How often a judge model was asked lately.
    pub questions: Arc<judging::Questions>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Spans, where they are exported.
    pub traces: Traces,
    /// What is told to whoever asks how the gateway is.
    pub health: Arc<Health>,
}

impl Gateway {
    /// Answers one request of the front door.
    pub async fn answer(self: Arc<Self>, request: Request<impl RequestBody>, peer: Peer) -> Response<ReplyBody> {
        if let Some((status, kind, body)) = self.health.answer(request.uri().path(), peer.address) {
            return head::text(status, kind, body);
        }
        let (path, dialect) = (request.uri().path(), spoken(request.uri().path(), request.headers()));
        match (request.method(), path) {
            (&Method::POST, CHAT | RESPONSES | MESSAGES | COUNT | EMBEDDINGS) => {
                let client_left: ClientLeft = Arc::new(AtomicBool::new(false));
                let id = ExchangeId::begin();
                let echoed = request.headers().get(head::REQUEST_ID).cloned();
                let work = exchange(self, id, (dialect, request), peer, client_left.clone());
                let mut response = Attended::new(work, client_left).await;
                if let Some(echoed) = echoed {
                    response.headers_mut().insert(head::CLIENT_REQUEST_ID, echoed);
                }
                response
            }
            (&Method::GET, MODELS) => self.models(dialect, request.headers(), &peer).await,
            (&Method::GET, path) if path.starts_with(MODEL) => self.model(dialect, request.headers(), &peer, path),
            (_, CHAT | RESPONSES | MESSAGES | COUNT | EMBEDDINGS | MODELS) => head::fault(
                dialect,
                None,
                &Fault::refused(405, "method_not_allowed", "This path does not take that method."),
            ),
            (_, path) if head::unsupported(path).is_some() => {
                let why = head::unsupported(path).unwrap_or_default();
                head::fault(dialect, None, &Fault::refused(404, "unsupported_path", why))
            }
            (_, path) => {
                let message = format!("Unknown request URL: {}", path.chars().take(200).collect::<String>());
                head::fault(dialect, None, &Fault::refused(404, "unknown_url", message))
            }
        }
    }

    /// The names that the configuration gives, and where any name passes those that its upstreams give.
    async fn models(&self, dialect: Dialect, headers: &HeaderMap, peer: &Peer) -> Response<ReplyBody> {
        let known = match self.keys.identify(headers, peer.certificate.as_deref(), wall_clock()) {
            Ok(known) => known,
            Err(error) => return head::fault(dialect, None, &error.into()),
        };
        let snapshot = self.snapshot.load_full();
        let until = Instant::now() + LISTING;
        let mut names: Vec<Arc<str>> = snapshot.routes.models().map(Arc::from).collect();
        let mut seen: HashSet<Arc<str>> = names.iter().cloned().collect();
        for upstream in snapshot.routes.passing() {
            let offered = snapshot.backends.offered(upstream, until).await;
            let passing = offered.iter().filter(|name| snapshot.routes.passes(name, upstream));
            names.extend(passing.filter(|name| seen.insert((*name).clone())).cloned());
        }
        let usable = names.iter().filter(|name| known.may_use(name, &snapshot.config.teams));
        head::json(StatusCode::OK, dialect::write_models(dialect, usable.map(|name| &**name)))
    }

    fn model(&self, dialect: Dialect, headers: &HeaderMap, peer: &Peer, path: &str) -> Response<ReplyBody> {
        let known = match self.keys.identify(headers, peer.certificate.as_deref(), wall_clock()) {
            Ok(known) => known,
            Err(error) => return head::fault(dialect, None, &error.into()),
        };
        let name = path.strip_prefix(MODEL).unwrap_or_default();
        let snapshot = self.snapshot.load();
        let route = snapshot.routes.route(name);
        // What may not be used is not there.
        let hidden = || route::Error::UnknownModel(name.to_owned());
        match route.and_then(|_| known.may_use(name, &snapshot.config.teams).then_some(()).ok_or_else(hidden)) {
            Ok(()) => head::json(StatusCode::OK, dialect::write_model(dialect, name)),
            Err(error) => head::fault(dialect, None, &error.into()),
        }
    }
}

/// The body of a request as the front door gives it.
pub trait RequestBody: Body<Data = Bytes> + Send + Unpin + 'static {}

impl<B: Body<Data = Bytes> + Send + Unpin + 'static> RequestBody for B {}

/// Where the dialects are spoken.
const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";
const MESSAGES: &str = "/v1/messages";
/// Where the tokens of a Messages request are counted.
const COUNT: &str = "/v1/messages/count_tokens";
const EMBEDDINGS: &str = "/v1/embeddings";
/// How long a list of models waits for what upstreams say.
const LISTING: Duration = Duration::from_secs(2);

/// Where models are listed, and where one is asked for by name.
const MODELS: &str = "/v1/models";
const MODEL: &str = "/v1/models/";

/// The dialect that a client speaks: that of the path, or of its headers where all dialects share the path.
fn spoken(path: &str, headers: &HeaderMap) -> Dialect {
    match path {
        CHAT => Dialect::OpenaiChat,
        RESPONSES => Dialect::OpenaiResponses,
        EMBEDDINGS => Dialect::OpenaiEmbeddings,
        COUNT => Dialect::AnthropicCount,
        _ if path.starts_with(MESSAGES) || headers.contains_key("anthropic-version") => Dialect::Anthropic,
        _ => Dialect::OpenaiChat,
    }
}

/// The steps of one exchange, in order.
async fn exchange(
    gateway: Arc<Gateway>,
    id: ExchangeId,
    (dialect, request): (Dialect, Request<impl RequestBody>),
    peer: Peer,
    client_left: ClientLeft,
) -> Response<ReplyBody> {
    let (started, at) = (Instant::now(), wall_clock());
    let (parts, body) = request.into_parts();

    // Identify.
    let known = match gateway.keys.identify(&parts.headers, peer.certificate.as_deref(), at) {
        Ok(known) => known,
        Err(error) => {
            gateway.metrics.rejected("identify");
            return head::fault(dialect, Some(id), &error.into());
        }
    };
    // Admit.
    let snapshot = gateway.snapshot.load_full();
    let hold = match gateway.limits.enter(known.claims(&snapshot.config.teams), Moment::present()) {
        Ok(hold) => hold,
        Err(denial) => {
            gateway.metrics.rejected("limits");
            let mut response = head::fault(dialect, Some(id), &denial.into());
            permit::tell(&gateway.limits, &known, &snapshot, response.headers_mut());
            return response;
        }
    };
    let admission = match gateway.door.admit(snapshot.clone(), hold) {
        Ok(admission) => admission,
        Err(error) => {
            gateway.metrics.rejected("admit");
            return head::fault(dialect, Some(id), &error.into());
        }
    };
    let (limits, caller) = (gateway.limits.clone(), known.clone());
    let arrival = intake::Arrival {
        gateway,
        id,
        dialect,
        started,
        at,
        peer,
        known,
        admission,
        client_left,
        headers: parts.headers,
        copied: None,
    };
    // Decode, screen the prompt, and find who may answer; the record begins with what came.
    let mut response = match intake::take(arrival, body).await {
        Ok(mut taken) => {
            if let Some(errand) = taken.shadow.take() {
                errand.run();
            }
            Box::pin(proceed(*taken)).await
        }
        Err(response) => *response,
    };
    permit::tell(&limits, &caller, &snapshot, response.headers_mut());
    response
}

/// The steps of an exchange from where its record has begun.
async fn proceed(taken: intake::Taken) -> Response<ReplyBody> {
    let intake::Taken { mut account, clearance, route, durable, outgoing, shadow: _ } = taken;
    let cleared = match clearance {
        Clearance::Pass(cleared) => *cleared,
        Clearance::Stop(stop) => return intake::stopped(account, &stop).await,
        Clearance::Nobody(stop) => return intake::unrouted(account, &stop).await,
    };
    // The upstream is called once the begin frame is durable, where that was promised.
    if let Some(durable) = durable
        && durable.await.is_err()
    {
        let text = "the begin record could not be made durable".to_owned();
        return whole::failed(account, Ending::Rejected, text, whole::unrecorded()).await;
    }
    // Dispatch.
    let route = match route.permit(|place| cleared.permits(place)) {
        Ok(route) => route,
        Err(_) => return intake::unrouted(account, &Stop::default()).await,
    };
    let requests = account.take_special(cleared);
    let backends = account.admission.snapshot.backends.clone();
    let mut dispatch = Dispatch::new(backends, account.gateway.upstreams.clone(), route, requests, outgoing);
    let reply = match dispatch.next().await {
        Ok(reply) => reply,
        Err(failure) => {
            account.attempts = dispatch.take_attempts();
            let ending = if failure.timed_out() { Ending::TimedOut } else { Ending::UpstreamFailed };
            return whole::failed(account, ending, failure.to_string(), failure.into()).await;
        }
    };
    account.take_over(&reply);
    // Segment, screen, encode, relay, judge and record: as the reply comes.
    if reply.streams() && !reply.gathers {
        relay(Flow::new(account, dispatch, reply)).await
    } else {
        Box::pin(whole::answer(account, dispatch, reply)).await
    }
}

/// Starts a stream: its head leaves with the first bytes, so that a failure before them still has a status of its own.
async fn relay(flow: Box<Flow>) -> Response<ReplyBody> {
    let (id, status, headers) = flow.head();
    let (flow, first) = flow.step().await;
    if let Some(fault) = flow.early_fault() {
        return head::fault(flow.spoken, Some(id), fault);
    }
    match first {
        Some(first) => head::reply(id, status, &headers, ReplyBody::Flowing(Flowing::new(first, flow))),
        None => head::reply(id, status, &headers, ReplyBody::Whole(None)),
    }
}
