//! Tries the candidates of one exchange until one gives a reply head. Nothing of a reply has gone to the client before
//! the last `next`, so every try is free to be given up.

mod calling;
mod hedge;
mod standing;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;
use tracing::debug;

use super::adapt;
use super::affinity;
use super::backends::{Backends, Kind, Upstreams};
use super::choice::{self, View};
use super::failure::{Error, Failure};
use super::lease::Lease;
use super::reply::{Answer, Reply, Tells};
use super::retry::{self, Next, Shows};
use super::tries::{Plan, Tries};
use crate::cost::Price;
use crate::exchange::{Dialect, ExchangeId, Request};
use crate::record::Attempt;
use crate::route::{Candidate, Route};
use crate::screen::Screened;
use hedge::Ended;

/// A call that failed after this long is not made of the same candidate again.
const LONG: Duration = Duration::from_secs(10);

/// The header that names fields which another dialect has no place for.
pub const DROPPED: HeaderName = HeaderName::from_static("x-candor-dropped");

/// What goes out beside the body.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Our id of the exchange.
    pub id: ExchangeId,
    /// Headers of the client's that go on.
    pub headers: HeaderMap,
}

/// What upstreams may see of one request: most of them the same, some what rules leave for them alone.
#[derive(Debug)]
pub struct Requests {
    usual: Screened<Request>,
    special: Vec<(Arc<str>, Screened<Request>)>,
}

impl Requests {
    /// All upstreams may see the same.
    #[must_use]
    pub fn of(usual: Screened<Request>) -> Self {
        Self { usual, special: Vec::new() }
    }

    /// One of them sees something else.
    pub fn add(&mut self, upstream: Arc<str>, request: Screened<Request>) {
        self.special.push((upstream, request));
    }

    fn at(&self, upstream: &str) -> &Request {
        let special = self.special.iter().find(|(name, _)| **name == *upstream);
        special.map_or(&self.usual, |(_, request)| request).get()
    }

    /// What is the same for all: the model, and how it shall be answered.
    fn any(&self) -> &Request {
        self.usual.get()
    }
}

/// The tries of one exchange.
#[derive(Debug)]
pub struct Dispatch {
    backends: Arc<Backends>,
    upstreams: Arc<Upstreams>,
    route: Route,
    requests: Requests,
    outgoing: Outgoing,
    tries: Tries,
    /// What the exchange's conversation is known by, where its turns go to the same candidate.
    conversation: Option<u64>,
    dice: fastrand::Rng,
    attempts: Vec<Attempt>,
    /// The reply that was given last.
    given: Option<Given>,
}

#[derive(Debug)]
struct Given {
    candidate: usize,
    began: Instant,
    /// Why it was given up, if it was.
    failed: bool,
}

/// What one call gave.
struct Called {
    answer: Answer,
    /// The body as sent, where it differs from the client's.
    sent: Option<Bytes>,
    /// What was spoken.
    dialect: Dialect,
    /// Fields of the request that the dialect has no place for.
    dropped: Vec<String>,
}

/// How one try went.
struct Tried {
    outcome: Result<Reply, Error>,
    next: Next,
    /// What its upstream asked for.
    pause: Duration,
}

impl Dispatch {
    /// No candidate is tried yet.
    #[must_use]
    pub fn new(
        backends: Arc<Backends>,
        upstreams: Arc<Upstreams>,
        route: Route,
        requests: Requests,
        outgoing: Outgoing,
    ) -> Self {
        let tries = Tries::new(route.candidates.len(), route.attempts);
        let conversation = route.affinity.then(|| affinity::conversation(requests.any()));
        let dice = fastrand::Rng::new();
        Self {
            backends,
            upstreams,
            route,
            requests,
            outgoing,
            tries,
            conversation,
            dice,
            attempts: Vec::with_capacity(1),
            given: None,
        }
    }

    /// A reply whose head has come: success, or an error status that is the caller's to see (a content block, a 4xx, or
    /// the last try's).
    ///
    /// # Errors
    /// The last try's, where it gave no reply at all.
    pub async fn next(&mut self) -> Result<Reply, Failure> {
        if let Some(given) = self.given.take() {
            let next = if given.began.elapsed() > LONG { Next::Elsewhere } else { Next::Again };
            self.tries.mark(given.candidate, next, Duration::ZERO);
            if !self.go_on(true).await {
                return Err(self.failure(given.candidate, Error::Broken("no further try is left")));
            }
        } else {
            self.backends.budget().earn();
        }
        loop {
            let Some(candidate) = self.choose(Instant::now()) else {
                return Err(Failure::new(None, Error::Unknown));
            };
            let began = Instant::now();
            let Ended { candidate, began, mut tried } = match self.route.hedge {
                None => Ended { candidate, began, tried: self.try_one(candidate, began).await },
                Some(after) => self.try_hedged(candidate, began, after).await,
            };
            if tried.next == Next::Again && began.elapsed() > LONG {
                tried.next = Next::Elsewhere;
            }
            self.note(candidate, began, &tried);
            if tried.next == Next::Give || !self.go_on(tried.called()).await {
                self.given = Some(Given { candidate, began, failed: false });
                return tried.outcome.map_err(|error| self.failure(candidate, error));
            }
        }
    }

    /// The reply last given failed on its way.
    pub fn note_failure(&mut self, why: &str) {
        if let (Some(attempt), Some(given)) = (self.attempts.last_mut(), &mut self.given) {
            attempt.fault = Some(why.to_owned());
            attempt.took = given.began.elapsed();
            given.failed = true;
        }
    }

    /// Every try so far, the last one included.
    pub fn take_attempts(&mut self) -> Vec<Attempt> {
        if let (Some(attempt), Some(given)) = (self.attempts.last_mut(), &self.given)
            && !given.failed
        {
            attempt.took = given.began.elapsed();
        }
        std::mem::take(&mut self.attempts)
    }

    /// Who is tried next.
    fn choose(&mut self, now: Instant) -> Option<usize> {
        let mut open = (0..self.route.candidates.len()).filter(|candidate| self.tries.is_open(*candidate));
        let first = open.next()?;
        let Some(second) = open.next() else { return Some(first) };
        let views: Vec<View> = [first, second].into_iter().chain(open).filter_map(|one| self.view(one, now)).collect();
        choice::choose(&views, now, self.conversation, &mut self.dice)
    }

    fn view(&self, candidate: usize, now: Instant) -> Option<View> {
        let Candidate { upstream, priority, weight, .. } = self.route.candidates.get(candidate)?;
        let outlook = self.backends.backend(upstream).map(|backend| self.outlook(backend, candidate, now));
        let identity = affinity::identity(upstream);
        Some(View { candidate, priority: *priority, weight: *weight, identity, outlook })
    }

    /// The model's name at a candidate.
    fn model(&self, candidate: usize) -> Option<Arc<str>> {
        let candidate = self.route.candidates.get(candidate)?;
        Some(candidate.model.clone().unwrap_or_else(|| Arc::from(self.requests.any().model.as_str())))
    }

    async fn try_one(&mut self, candidate: usize, now: Instant) -> Tried {
        let entered = self.enter(candidate, now);
        let price = self.route.candidates.get(candidate).and_then(|candidate| candidate.price.clone());
        let (mut lease, model) = match entered {
            Ok(entered) => entered,
            Err(error) => return Tried::failed(error),
        };
        self.tries.count();
        match self.call(&lease, &model).await {
            Ok(called) => self.judge(called, lease, model, price),
            Err(error) => {
                Self::settle(&mut lease, &error);
                Tried::failed(error)
            }
        }
    }

    /// What a call that gave no reply shows of its upstream.
    fn settle(lease: &mut Lease, error: &Error) {
        if retry::after_error(error).1 == Shows::Failure {
            lease.fail();
        }
    }

    fn enter(&self, candidate: usize, now: Instant) -> Result<(Lease, Arc<str>), Error> {
        let model = self.model(candidate).ok_or(Error::Unknown)?;
        let candidate = self.route.candidates.get(candidate).ok_or(Error::Unknown)?;
        let backend = self.backends.backend(&candidate.upstream).ok_or(Error::Unknown)?;
        let lease = backend.enter(now).ok_or(Error::Busy)?;
        Ok((lease, model))
    }

    /// What a reply's head means for the next try and for its upstream's health.
    fn judge(&self, called: Called, mut lease: Lease, model: Arc<str>, price: Option<Arc<Price>>) -> Tried {
        let answer = &called.answer;
        let (next, shows) = retry::after_status(answer.status, answer.tells);
        match shows {
            Shows::Health => lease.succeed(),
            Shows::Failure => lease.fail(),
            Shows::Nothing => {}
        }
        let backend = lease.backend().clone();
        let pause = self.note_pause(answer, next, &backend, &model);
        let status = answer.status.as_u16();
        if answer.tells == Tells::Unpaid || (matches!(status, 401 | 402) && answer.tells != Tells::Block) {
            backend.note_rejection(status, Instant::now());
        }
        let reply = self.reply(called, lease, (model, price));
        Tried { outcome: Ok(reply), next, pause }
    }

    fn reply(&self, called: Called, lease: Lease, (model, price): (Arc<str>, Option<Arc<Price>>)) -> Reply {
        let Called { mut answer, sent, dialect, dropped } = called;
        let backend = lease.backend().clone();
        // Only the gateway says this.
        answer.headers.remove(DROPPED);
        if let Ok(names) = HeaderValue::try_from(dropped.join(", "))
            && !dropped.is_empty()
        {
            answer.headers.insert(DROPPED, names);
        }
        let (timeouts, inline, exposes_reasoning) = match backend.kind() {
            Kind::Remote(target) => (target.timeouts(), target.inline_reasoning(), target.exposes_reasoning()),
            Kind::Local(engine) => {
                (engine.timeouts(self.requests.any().stream), None, Some(engine.exposes_reasoning()))
            }
        };
        Reply {
            status: answer.status,
            headers: adapt::say(answer.headers, &answer.adapted),
            adapted: answer.adapted,
            gathers: answer.gathers,
            asks_usage: answer.asks_usage,
            body: answer.body,
            timeouts,
            started: answer.started,
            upstream: backend.name().clone(),
            dialect,
            stream_usage: self.requests.any().stream_usage,
            model,
            price,
            lease,
            sent,
            exposes_reasoning,
            content_block: answer.tells == Tells::Block,
            unpaid: answer.tells == Tells::Unpaid,
            authored: answer.authored,
            inline,
        }
    }

    fn note(&mut self, candidate: usize, began: Instant, tried: &Tried) {
        self.tries.mark(candidate, tried.next, tried.pause);
        let Some(upstream) = self.route.candidates.get(candidate).map(|candidate| candidate.upstream.clone()) else {
            return;
        };
        let status = tried.outcome.as_ref().ok().map(|reply| reply.status.as_u16());
        let fault = match &tried.outcome {
            Err(error) => Some(error.to_string()),
            Ok(reply) if tried.next != Next::Give => Some(Error::Status(reply.status.as_u16()).to_string()),
            Ok(_) => None,
        };
        if let Some(fault) = &fault {
            debug!(exchange = %self.outgoing.id, %upstream, fault, "a try failed");
        }
        self.attempts.push(Attempt { upstream, status, fault, took: began.elapsed() });
    }

    /// Whether there is a further try, after waiting for it. Only one that follows a call costs the gateway's budget.
    async fn go_on(&mut self, called: bool) -> bool {
        let plan = self.tries.plan();
        let budget = self.backends.budget();
        if plan == Plan::End || (called && !budget.spend(Instant::now())) {
            return false;
        }
        if let Plan::Round { number, pause } = plan {
            tokio::time::sleep(pause.max(retry::pause(number, &mut self.dice))).await;
        }
        true
    }

    fn failure(&self, candidate: usize, error: Error) -> Failure {
        let upstream = self.route.candidates.get(candidate).map(|candidate| candidate.upstream.clone());
        Failure::new(upstream, error)
    }
}

impl Tried {
    fn failed(error: Error) -> Self {
        let (next, _) = retry::after_error(&error);
        Self { outcome: Err(error), next, pause: Duration::ZERO }
    }

    /// Whether it gave something that is the caller's to see.
    fn answers(&self) -> bool {
        self.next == Next::Give && self.outcome.is_ok()
    }

    /// Whether the upstream was really called.
    fn called(&self) -> bool {
        !matches!(self.outcome, Err(Error::Busy | Error::Unknown | Error::Request { .. }))
    }
}

/// The request's bytes, with another model's name in place of the client's where the candidate has its own.
fn body(request: &Request, model: &str) -> Bytes {
    if model == request.model {
        return request.raw.clone();
    }
    let (before, after) = (request.raw.get(..request.model_at.start), request.raw.get(request.model_at.end..));
    let (Some(before), Some(after), Ok(name)) = (before, after, serde_json::to_string(model)) else {
        return request.raw.clone();
    };
    let mut body = BytesMut::with_capacity(before.len() + name.len() + after.len());
    body.extend_from_slice(before);
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(after);
    body.freeze()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::dialect;

    proptest! {
        #[test]
        fn only_the_models_name_changes(name in "\\PC{1,20}", other in "\\PC{1,20}", text in "\\PC{0,20}", last in any::<bool>()) {
            let field = serde_json::json!({"model": name}).to_string();
            let rest = serde_json::json!({"messages": [{"role": "user", "content": text}], "n": 1}).to_string();
            let (field, rest) = (&field[1..field.len() - 1], &rest[1..rest.len() - 1]);
            let raw = if last { format!("{{{rest} ,\n{field}}}") } else { format!("{{ {field}, {rest}}}") };
            let request = dialect::read_request(Dialect::OpenaiChat, raw.clone().into()).expect("a request");
            let sent = body(&request, &other);
            let mut expected: Value = serde_json::from_str(&raw).expect("JSON");
            expected["model"] = Value::from(other.clone());
            prop_assert_eq!(serde_json::from_slice::<Value>(&sent).expect("JSON"), expected);
            prop_assert_eq!(sent == raw, other == name);
            prop_assert!(sent.windows(rest.len()).any(|window| window == rest.as_bytes()));
        }
    }
}
