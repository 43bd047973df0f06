//! Asks a judge model what another did, or what a rule wants to know of an exchange, after that has ended and without
//! delaying anybody. The question is an exchange of its own: screened, routed, recorded under the gateway's own name, and
//! never judged or asked about itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use serde_json::json;
use tokio::time::Instant;

use super::Gateway;
use super::account::{Account, Outcome};
use super::gathered;
use crate::admit::Phase;
use crate::config::{AskWhen, Judging, Recording};
use crate::cost::{Cost, Price};
use crate::dialect;
use crate::exchange::{
    Caller, Channel, Dialect, Ending, ExchangeId, JUDGE, Observed, Request, Segment, Timings, Usage, Verdict,
};
use crate::limits::Hold;
use crate::record::{Attempt, Begin, End, wall_clock};
use crate::route::Route;
use crate::screen::{Answered, Clearance, Found, Inquiry, Question, no_judgement, read_judgement};
use crate::snapshot::{Billed, Snapshot};
use crate::upstream::{Dispatch, Outgoing, Reply, Requests};

/// Confidence from which a verdict is sure enough.
const SURE: f32 = 0.75;

/// Tokens that the answer may take; thinking models need most of them before it.
const MOST_TOKENS: u32 = 4_096;

/// What the verdict is said to be made with; it changes with the question's text.
const DETECTOR: &str = "judge-1";

/// What the answer to a rule's question is said to be made with.
const ANSWERER: &str = "question-1";

/// Questions of rules about one exchange; what is beyond is counted.
const MOST_INQUIRIES: usize = 4;

/// How many questions were asked in the running minute.
#[derive(Debug, Default)]
pub struct Questions(Mutex<Option<(Instant, u32)>>);

impl Questions {
    /// Whether one more may be asked.
    fn may_ask(&self, most: u32, now: Instant) -> bool {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (began, asked) = window
            .filter(|(began, _)| now.saturating_duration_since(*began) < Duration::from_secs(60))
            .unwrap_or((now, 0));
        *window = Some((began, asked.saturating_add(1).min(most)));
        asked < most
    }
}

/// A question that is to be asked.
pub(super) struct Errand {
    gateway: Arc<Gateway>,
    snapshot: Arc<Snapshot>,
    judged: ExchangeId,
    choice: u32,
    wanted: Wanted,
    question: Question,
}

/// What a judge model is asked for.
enum Wanted {
    /// A verdict.
    Verdict,
    /// The answer to a rule's question.
    Answer(Inquiry),
}

/// The questions that an exchange gives rise to.
pub(super) fn errands(account: &mut Account, ending: Ending, outcome: &Outcome, verdict: &Verdict) -> Vec<Errand> {
    let inquiries = std::mem::take(&mut account.found.asked);
    let Some(judging) = &account.admission.snapshot.config.judge else { return Vec::new() };
    if !is_drawn(account.id, judging.sample) {
        return Vec::new();
    }
    let metrics = &account.gateway.metrics;
    let mut wanted = Vec::new();
    if is_doubtful(judging, ending, verdict) {
        wanted.push(Wanted::Verdict);
    }
    // An exchange that failed or was stopped has a prompt that can be asked about all the same.
    if ending != Ending::Drained {
        inquiries.iter().skip(MOST_INQUIRIES).for_each(|_| metrics.judged("limited"));
        wanted.extend(inquiries.into_iter().take(MOST_INQUIRIES).map(Wanted::Answer));
    }
    wanted.retain(|_| {
        let may_ask = account.gateway.questions.may_ask(judging.max_per_minute, Instant::now());
        if !may_ask {
            metrics.judged("limited");
        }
        may_ask
    });
    wanted.into_iter().map(|wanted| Errand::new(account, outcome, verdict.choice, wanted)).collect()
}

/// Whether a judge model shall be asked for a verdict of its own.
fn is_doubtful(judging: &Judging, ending: Ending, verdict: &Verdict) -> bool {
    let by_words = matches!(verdict.decided_by, "phrases" | "classifier" | "memory" | "nothing");
    let unsure = verdict.confidence < SURE || verdict.decided_by == "nothing";
    by_words && ending == Ending::Complete && (judging.when == AskWhen::Always || unsure)
}

/// Whether an exchange is of the share that is asked about: its id's random end decides, so that anybody can check.
pub(super) fn is_drawn(id: ExchangeId, share: f64) -> bool {
    let draw = (id.0.as_u128() & u128::from(u32::MAX)) as f64 / f64::from(u32::MAX);
    draw <= share
}

/// Why a question has no answer.
enum Silence {
    /// A content rule stopped the question: it repeats what somebody else's exchange said.
    Stopped,
    Failed(String),
    TimedOut(Duration),
    Drained,
    /// An answer came, not in the form that was asked for.
    Unreadable(String),
}

impl Silence {
    fn ending(&self) -> Ending {
        match self {
            Self::Stopped => Ending::Stopped,
            Self::Failed(_) => Ending::UpstreamFailed,
            Self::TimedOut(_) => Ending::TimedOut,
            Self::Drained => Ending::Drained,
            Self::Unreadable(_) => Ending::Complete,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Failed(_) => "failed",
            Self::TimedOut(_) => "timed_out",
            Self::Drained => "drained",
            Self::Unreadable(_) => "unreadable",
        }
    }

    fn text(&self, wanted: &Wanted) -> String {
        let why = match self {
            Self::Stopped => "a content rule stopped the question".to_owned(),
            Self::Failed(why) | Self::Unreadable(why) => why.clone(),
            Self::TimedOut(limit) => format!("no answer within {limit:?}"),
            Self::Drained => "the gateway was shutting down".to_owned(),
        };
        match wanted {
            Wanted::Verdict => format!("the judge gave no verdict: {why}"),
            Wanted::Answer(inquiry) => {
                format!("the judge gave no answer to rule {}/{}: {why}", inquiry.pack(), inquiry.rule())
            }
        }
    }
}

/// What was heard of the judge model, as far as it got.
#[derive(Default)]
struct Heard {
    upstream: Option<Arc<str>>,
    /// What it speaks.
    dialect: Option<Dialect>,
    /// The model's name there, and its price where the candidate has one of its own.
    billed: Option<(Arc<str>, Option<Arc<Price>>)>,
    sent: Option<Bytes>,
    status: u16,
    received: BytesMut,
    observed: Observed,
    found: Found,
    attempts: Vec<Attempt>,
    adapted: Vec<String>,
}

impl Errand {
    fn new(account: &Account, outcome: &Outcome, choice: u32, wanted: Wanted) -> Self {
        let choice = match &wanted {
            Wanted::Verdict => choice,
            Wanted::Answer(inquiry) => inquiry.choice,
        };
        let text = |channel| {
            let mut texts = outcome.segments.iter().filter(|it| it.choice == choice && it.channel == channel);
            texts.next().map(|segment| segment.text.as_str())
        };
        let (reasoning, answer) = (text(Channel::Reasoning), text(Channel::Answer).unwrap_or_default());
        let question = match &wanted {
            Wanted::Verdict => Question::verdict(&account.prompt, reasoning, answer),
            Wanted::Answer(inquiry) => inquiry.question(&account.prompt, reasoning, answer),
        };
        let (gateway, snapshot) = (account.gateway.clone(), account.admission.snapshot.clone());
        Self { gateway, snapshot, judged: account.id, choice, wanted, question }
    }

    /// Sees to it beside the traffic.
    pub(super) fn run(self) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(Box::pin(self.ask()));
        }
    }

    async fn ask(self) {
        let metrics = &self.gateway.metrics;
        // It counts as an exchange that runs: a full house comes first, and a shutdown waits for it.
        let Ok(mut admission) = self.gateway.door.admit(self.snapshot.clone(), Hold::default()) else {
            return metrics.judged("busy");
        };
        let Some(judging) = &self.snapshot.config.judge else { return };
        let (id, started) = (ExchangeId::begin(), Instant::now());
        let raw = self.raw(judging);
        let request = dialect::read_request(Dialect::OpenaiChat, raw.clone());
        let route = self.snapshot.routes.route(&judging.model);
        let (Ok(request), Ok(route)) = (request, route) else { return metrics.judged("unroutable") };
        let recording = route.recording;
        let Ok(mut slot) = self.gateway.recorder.reserve(recording) else { return metrics.judged("unrecorded") };
        let begun = slot.begin(self.begin(id, judging, raw, recording));
        if recording == Recording::Required && begun.await.is_err() {
            return metrics.judged("unrecorded");
        }
        let mut heard = Heard::default();
        let said = tokio::select! {
            biased;
            said = tokio::time::timeout(judging.timeout, self.hear(id, request, route, &mut heard)) => {
                said.unwrap_or(Err(Silence::TimedOut(judging.timeout)))
            }
            _ = admission.closing.wait_for(|phase| *phase == Phase::Ending) => Err(Silence::Drained),
        };
        let said = self.understand(said, &mut heard.found);
        drop(slot.end(self.end(id, started, said, heard)));
    }

    /// Reads the answer, and counts what came of the question.
    fn understand(&self, said: Result<String, Silence>, found: &mut Found) -> Result<Verdict, Silence> {
        let read = said.and_then(|answer| {
            let read = match &self.wanted {
                Wanted::Verdict => read_judgement(&answer, DETECTOR).map(|verdict| Answered {
                    word: verdict.outcome,
                    found: None,
                    verdict,
                }),
                Wanted::Answer(inquiry) => inquiry.hear(&answer, ANSWERER, found),
            };
            read.map_err(|error| Silence::Unreadable(error.to_string()))
        });
        let metrics = &self.gateway.metrics;
        metrics.judged(read.as_ref().map_or_else(Silence::name, |answered| answered.word));
        let answered = read?;
        if let Some(finding) = answered.found {
            metrics.finding(&finding.rule, finding.action.name(), finding.enforced.name());
        }
        Ok(answered.verdict)
    }

    /// What the question cost.
    fn cost(&self, heard: &Heard, usage: &Usage) -> Option<Cost> {
        let (model, price) = heard.billed.as_ref()?;
        let (upstream, told) = (heard.upstream.as_deref()?, heard.observed.model.as_deref());
        self.snapshot.cost(&Billed { upstream, model, told, price: price.as_deref() }, usage, wall_clock())
    }

    /// The request body: instructions and the exchange in question.
    fn raw(&self, judging: &Judging) -> Bytes {
        let messages = json!([
            {"role": "system", "content": self.question.instructions},
            {"role": "user", "content": self.question.matter},
        ]);
        let body = json!({"model": judging.model, "messages": messages, "max_tokens": MOST_TOKENS, "temperature": 0});
        Bytes::from(body.to_string())
    }

    /// Asks, and gives the answer's text.
    async fn hear(&self, id: ExchangeId, request: Request, route: Route, heard: &mut Heard) -> Result<String, Silence> {
        let mut route = route;
        let mut watch = self.snapshot.rules.watch(&own_name(), &request.model, wall_clock());
        let cleared = match watch.clear(request, &route.candidates, &mut heard.found) {
            Clearance::Pass(cleared) => *cleared,
            Clearance::Stop(_) | Clearance::Nobody(_) => return Err(Silence::Stopped),
        };
        route.candidates.retain(|candidate| cleared.permits(&candidate.place));
        let mut requests = Requests::of(cleared.request);
        for special in cleared.special {
            requests.add(special.upstream, special.request);
        }
        let outgoing = Outgoing { id, headers: HeaderMap::new() };
        let (backends, upstreams) = (self.snapshot.backends.clone(), self.gateway.upstreams.clone());
        let mut dispatch = Dispatch::new(backends, upstreams, route, requests, outgoing);
        let reply = dispatch.next().await;
        heard.attempts = dispatch.take_attempts();
        let mut reply = reply.map_err(|failure| Silence::Failed(failure.to_string()))?;
        heard.upstream = Some(reply.upstream.clone());
        heard.dialect = Some(reply.dialect);
        heard.sent = reply.sent.take();
        heard.adapted.clone_from(&reply.adapted);
        heard.billed = Some((reply.model.clone(), reply.price.clone()));
        heard.status = reply.status.as_u16();
        let read = self.read(&mut reply, heard).await;
        match &read {
            Ok(_) => reply.lease.succeed(),
            Err(_) => reply.lease.fail(),
        }
        read
    }

    async fn read(&self, reply: &mut Reply, heard: &mut Heard) -> Result<String, Silence> {
        let limit = self.snapshot.config.limits.reply_bytes;
        while let Some(chunk) = reply.body.chunk().await {
            heard.received.extend_from_slice(&chunk.map_err(|error| Silence::Failed(error.to_string()))?);
            if heard.received.len() > limit {
                return Err(Silence::Failed("the reply exceeds limits.reply_bytes".to_owned()));
            }
        }
        if !reply.status.is_success() {
            return Err(Silence::Failed(format!("upstream answered {}", heard.status)));
        }
        let whole = match reply.gathers && reply.streams() {
            true => gathered::whole(&heard.received, limit).map_err(Silence::Failed)?,
            false => heard.received.clone().freeze(),
        };
        let observed = dialect::read_reply(reply.dialect, &whole);
        heard.observed = observed.map_err(|error| Silence::Failed(error.to_string()))?;
        Ok(text(&heard.observed, Channel::Answer))
    }

    fn begin(&self, id: ExchangeId, judging: &Judging, request: Bytes, recording: Recording) -> Begin {
        Begin {
            exchange: id,
            at: wall_clock(),
            dialect: Dialect::OpenaiChat,
            caller: own_name(),
            peer: "local".to_owned(),
            // What its client, the gateway, knows it by: the exchange that it is about.
            client_request_id: Some(self.judged.to_string()),
            subject: None,
            audit: None,
            model: judging.model.clone(),
            stream: false,
            preview: None,
            request,
            headers: Vec::new(),
            snapshot: self.snapshot.digest.clone(),
            recording,
        }
    }

    fn end(&self, id: ExchangeId, started: Instant, said: Result<Verdict, Silence>, heard: Heard) -> End {
        let silence = said.as_ref().err();
        let (ending, fault) =
            (silence.map_or(Ending::Complete, Silence::ending), silence.map(|silence| silence.text(&self.wanted)));
        let verdict = said.unwrap_or_else(|_| match &self.wanted {
            Wanted::Verdict => no_judgement(DETECTOR),
            Wanted::Answer(inquiry) => inquiry.unanswered(ANSWERER),
        });
        let segments =
            [Channel::Reasoning, Channel::Answer].into_iter().map(|channel| segment(&heard.observed, channel));
        let usage = heard.observed.usage.unwrap_or_default();
        let cost = self.cost(&heard, &usage);
        End {
            exchange: id,
            at: wall_clock(),
            ending,
            status: heard.status,
            fault,
            adapted: heard.adapted,
            attempts: heard.attempts,
            upstream: heard.upstream,
            sent: heard.sent,
            received: vec![heard.received.freeze()],
            delivered: None,
            unkept_bytes: 0,
            segments: segments.flatten().collect(),
            unread_frames: 0,
            findings: heard.found.kept,
            unkept_findings: heard.found.unkept,
            review: heard.found.review,
            verdict: Verdict { choice: self.choice, ..verdict },
            usage,
            cost,
            thinking: None,
            timings: Timings { total: started.elapsed(), ..Timings::default() },
            upstream_dialect: heard.dialect,
            upstream_model: heard.observed.model,
            upstream_reply_id: heard.observed.id,
            finishes: heard.observed.finishes,
        }
    }
}

/// As whom the gateway asks.
fn own_name() -> Caller {
    Caller { name: JUDGE.to_owned(), team: None, role: Some("judge".to_owned()), key_id: None }
}

fn text(observed: &Observed, channel: Channel) -> String {
    let texts = observed.deltas.iter().filter(|delta| delta.choice == 0 && delta.channel == channel);
    texts.map(|delta| delta.text.as_str()).collect()
}

fn segment(observed: &Observed, channel: Channel) -> Option<Segment> {
    let text = text(observed, channel);
    let segment = Segment { choice: 0, channel, part: 0, role: None, text, authored_bytes: 0 };
    (!segment.text.is_empty()).then_some(segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_holds_so_many_questions() {
        let questions = Questions::default();
        let begin = Instant::now();
        let ask = |seconds| questions.may_ask(2, begin + Duration::from_secs(seconds));
        assert_eq!(
            [ask(0), ask(1), ask(2), ask(59), ask(61), ask(62), ask(63)],
            [true, true, false, false, true, true, false]
        );
    }

    #[test]
    fn a_share_of_exchanges_is_drawn_by_their_ids() {
        let drawn = |share| (0..2_000).filter(|_| is_drawn(ExchangeId::begin(), share)).count();
        assert_eq!(drawn(1.0), 2_000);
        assert!((100..400).contains(&drawn(0.125)));
    }
}
