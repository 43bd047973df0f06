//! What one exchange is accountable for: everything its last record will say, gathered as it happens, and written once.
//! It decides nothing.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::Gateway;
use super::judging;
use super::kept::Kept;
use crate::admit::Admission;
use crate::config::Recording;
use crate::cost::{Cost, Price};
use crate::dialect::{self, Translation, write::Head};
use crate::exchange::{
    Caller, Channel, Dialect, Ending, ExchangeId, Observed, Request, Segment, Timings, Usage, Verdict,
};
use crate::observe::metrics::Finished;
use crate::observe::traces::{self, Ended};
use crate::record::{Attempt, Durable, End, Slot, wall_clock};
use crate::screen::{
    self, Case, Cleared, Courses, Found, Gate, HostError, Origin, Stop, UNJUDGED, Watch, judge, unjudged,
};
use crate::snapshot::Billed;
use crate::thinking::Thinking;
use crate::upstream::{Reply, Requests};

/// Set when the client's side of an exchange was dropped before it was answered.
pub(super) type ClientLeft = Arc<AtomicBool>;

/// Everything that the last record of an exchange says.
pub struct Account {
    pub gateway: Arc<Gateway>,
    pub admission: Admission,
    pub id: ExchangeId,
    pub started: Instant,
    pub caller: Arc<Caller>,
    /// What the client speaks.
    pub dialect: Dialect,
    pub model: String,
    pub prompt: String,
    /// Bytes of the request.
    pub asked: usize,
    pub client_left: ClientLeft,
    pub slot: Slot,
    pub span: traces::Exchange,
    pub sent: Option<Bytes>,
    /// How the request was changed to what the upstream takes.
    pub adapted: Vec<String>,
    pub(super) received: Kept,
    pub found: Found,
    /// What is promised of the record; a rule may demand more than the route does.
    pub recording: Recording,
    /// The rules that watch the exchange.
    pub watch: Watch,
    /// What rules found for single upstreams; it counts for those that were called.
    pub special: Vec<Special>,
    /// What is known of each choice of the reply.
    pub courses: Courses,
    pub attempts: Vec<Attempt>,
    pub upstream: Option<Arc<str>>,
    /// What it speaks.
    pub upstream_dialect: Option<Dialect>,
    /// The model's name there, and its price where the candidate has one of its own.
    pub billed: Option<(Arc<str>, Option<Arc<Price>>)>,
    /// Whether the reply came as a stream.
    pub streamed: bool,
    pub exposes_reasoning: Option<bool>,
    pub seen: Seen,
    pub timings: Timings,
}

/// Rules of its own that hold where one upstream answers.
pub struct Special {
    pub upstream: Arc<str>,
    pub watch: Watch,
    pub found: Found,
}

/// A record that is on its way.
pub struct Closed {
    pub durable: Durable,
    pub recording: Recording,
}

impl Closed {
    /// Waits until the record is durable, where that was promised; `false` where the promise cannot be kept.
    pub async fn keeps_promise(self) -> bool {
        self.recording != Recording::Required || self.durable.await.is_ok()
    }
}

/// What the upstream's frames said beside their texts.
#[derive(Debug, Default)]
pub struct Seen {
    pub model: Option<String>,
    pub id: Option<String>,
    pub finishes: Vec<(u32, String)>,
    pub usage: Usage,
    /// An error object inside the reply.
    pub error: Option<String>,
    /// Frames that could not be read and went on unscreened, where no rule could have changed them.
    pub unread: u32,
}

impl Seen {
    /// Takes note of one frame or one whole reply.
    pub fn note(&mut self, observed: &mut Observed) {
        self.finishes.append(&mut observed.finishes);
        if let Some(usage) = observed.usage {
            self.usage = usage.or(self.usage);
        }
        if observed.error.is_some() {
            self.error = observed.error.take();
        }
        if self.model.is_none() {
            self.model = observed.model.take();
        }
        if self.id.is_none() {
            self.id = observed.id.take();
        }
    }
}

/// Id, model and time of a reply.
pub struct ReplyHead {
    id: String,
    model: String,
    created: i64,
}

impl ReplyHead {
    /// As the dialect wants it.
    pub fn borrow(&self) -> Head<'_> {
        Head { id: &self.id, model: &self.model, created: self.created }
    }
}

/// How an exchange came out, as only its end knows.
#[derive(Debug, Default)]
pub struct Outcome {
    pub ending: Option<Ending>,
    pub status: u16,
    pub fault: Option<String>,
    pub segments: Vec<Segment>,
    pub delivered: Option<Vec<Bytes>>,
    /// A host's error reply, which the verdict reads.
    pub host_error: Option<(u16, Bytes)>,
}

impl Account {
    /// The text that a verdict is about: the last thing the user said.
    pub fn question(request: &Request) -> String {
        let asked = request.messages.iter().rev().find(|message| message.role == "user");
        let texts = asked.map(|message| message.passages.iter().map(|passage| passage.text.as_str()));
        texts.map(|texts| texts.collect::<Vec<_>>().join("\n")).unwrap_or_default()
    }

    /// Bytes of the reply that are kept.
    pub fn reply_limit(&self) -> usize {
        self.admission.snapshot.config.limits.reply_bytes
    }

    /// What a reply that the gateway itself ends must repeat of the upstream's.
    pub fn reply_head(&self) -> ReplyHead {
        ReplyHead {
            id: self
                .seen
                .id
                .clone()
                .unwrap_or_else(|| format!("{}{}", dialect::id_prefix(self.dialect), self.id.0.simple())),
            model: self.seen.model.clone().unwrap_or_else(|| self.model.clone()),
            created: wall_clock().unix_timestamp(),
        }
    }

    /// Notes when text first came on a channel.
    pub fn note_text(&mut self, channel: Channel) {
        let at = match channel {
            Channel::Reasoning => &mut self.timings.first_reasoning,
            Channel::Answer => &mut self.timings.first_answer,
            Channel::Prompt | Channel::Tool | Channel::Refusal => return,
        };
        if at.is_none() {
            *at = Some(self.started.elapsed());
        }
    }

    /// What the client is told of a rule's stop: in the language of the prompt, where there is such a text.
    pub fn told(&self, stop: &Stop) -> Option<String> {
        let language = self.admission.snapshot.judge.language(&self.prompt);
        stop.told(self.dialect, language).map(str::to_owned)
    }

    /// Takes the rules that hold for single upstreams, and gives what the upstreams may see.
    pub fn take_special(&mut self, cleared: Cleared) -> Requests {
        let mut requests = Requests::of(cleared.request);
        for screen::Special { upstream, request, watch, found } in cleared.special {
            requests.add(upstream.clone(), request);
            self.special.push(Special { upstream, watch, found });
        }
        requests
    }

    /// A gate for what an upstream answers.
    pub fn gate(&self, reply: &Reply) -> Gate {
        let special = self.special.iter().find(|special| special.upstream == reply.upstream);
        let watch = special.map_or(&self.watch, |special| &special.watch);
        let gate = Gate::new(watch.clone(), self.reply_limit(), reply.inline_reasoning());
        gate.expecting_repeats(dialect::repeats(reply.dialect))
    }

    /// What puts a reply into the client's dialect, where the upstream speaks another.
    pub fn translation(&self, reply: &Reply) -> Option<Box<Translation>> {
        let foreign = reply.dialect != self.dialect;
        foreign.then(|| {
            let head = self.reply_head();
            let inline = reply.inline_reasoning();
            Box::new(Translation::new((reply.dialect, self.dialect), &head.borrow(), reply.stream_usage, inline))
        })
    }

    /// Adds what rules find now that it is known who was called and what the model did.
    fn apply_late_rules(&mut self, verdict: &Verdict) {
        for special in std::mem::take(&mut self.special) {
            let answered = self.upstream.as_ref() == Some(&special.upstream);
            if answered || self.attempts.iter().any(|attempt| attempt.upstream == special.upstream) {
                self.found.append_new(special.found);
                if answered {
                    self.watch = special.watch;
                }
            }
        }
        self.watch.judge(self.courses.find(verdict.choice), &verdict.into(), &mut self.found);
        if self.found.record && self.recording != Recording::Required {
            self.recording = Recording::Required;
            self.slot.require();
        }
    }

    /// Judges, counts and records the exchange; the receipt tells when the record is durable.
    pub fn close(mut self, outcome: Outcome) -> Closed {
        let mut ending = outcome.ending.unwrap_or(Ending::Complete);
        if ending == Ending::Complete && self.client_left.load(Ordering::Relaxed) {
            ending = Ending::ClientLeft;
        }
        let verdict = self.verdict(ending, &outcome);
        self.apply_late_rules(&verdict);
        self.timings.total = self.started.elapsed();
        let thinking = Thinking::of(&outcome.segments, self.thinking_time());
        let cost = self.cost();
        self.settle(&outcome, cost.as_ref());
        self.measure(ending, &outcome, (&verdict, cost.as_ref(), thinking.as_ref()));
        let errands = judging::errands(&mut self, ending, &outcome, &verdict);
        let recording = self.recording;
        let durable = self.slot.end(End {
            exchange: self.id,
            at: wall_clock(),
            ending,
            status: outcome.status,
            fault: outcome.fault,
            attempts: self.attempts,
            upstream: self.upstream,
            upstream_dialect: self.upstream_dialect,
            upstream_model: self.seen.model,
            upstream_reply_id: self.seen.id,
            sent: self.sent,
            adapted: self.adapted,
            unkept_bytes: self.received.unkept,
            received: self.received.into_parts(),
            delivered: outcome.delivered,
            segments: outcome.segments,
            finishes: self.seen.finishes,
            unread_frames: self.seen.unread,
            findings: self.found.kept,
            unkept_findings: self.found.unkept,
            verdict,
            review: self.found.review,
            usage: self.seen.usage,
            cost,
            thinking,
            timings: self.timings,
        });
        errands.into_iter().for_each(judging::Errand::run);
        Closed { durable, recording }
    }

    /// The verdict on the exchange: of several choices, that on the one which departs most from compliance.
    fn verdict(&self, ending: Ending, outcome: &Outcome) -> Verdict {
        if !self.dialect.converses() {
            return unjudged();
        }
        let more = outcome.segments.iter().map(|segment| segment.choice).max().unwrap_or(0);
        let first = self.verdict_on(0, ending, outcome);
        (1..=more)
            .map(|choice| self.verdict_on(choice, ending, outcome))
            .fold(first, |worst, next| if departure(&next) > departure(&worst) { next } else { worst })
    }

    fn verdict_on(&self, choice: u32, ending: Ending, outcome: &Outcome) -> Verdict {
        let text = |channel| joined(&outcome.segments, choice, channel);
        let (reasoning, answer, refusal) = (text(Channel::Reasoning), text(Channel::Answer), text(Channel::Refusal));
        let host_error = match (&outcome.host_error, &self.seen.error) {
            (Some((status, body)), _) => {
                Some(HostError { status: Some(*status), body: std::str::from_utf8(body).unwrap_or_default() })
            }
            (None, Some(error)) => Some(HostError { status: None, body: error }),
            (None, None) => None,
        };
        let finish = self.seen.finishes.iter().find(|(of, _)| *of == choice);
        let case = Case {
            prompt: &self.prompt,
            reasoning: reasoning.as_deref(),
            answer: answer.as_deref().unwrap_or_default(),
            refusal: refusal.as_deref(),
            finish: finish.map(|(_, finish)| finish.as_str()),
            error: host_error,
            ending: Some(ending),
            exposes_reasoning: self.exposes_reasoning,
            tools_called: text(Channel::Tool).is_some(),
        };
        let origin = Origin { model: &self.model, route: self.upstream.as_deref().unwrap_or_default() };
        Verdict { choice, ..judge(&self.admission.snapshot.judge, &case, origin, &self.gateway.memory) }
    }

    /// What the reply cost.
    fn cost(&self) -> Option<Cost> {
        self.cost_of(&self.seen.usage)
    }

    /// What so many tokens of it would cost.
    pub(super) fn cost_of(&self, usage: &Usage) -> Option<Cost> {
        let (model, price) = self.billed.as_ref()?;
        let upstream = self.upstream.as_deref()?;
        let billed = Billed { upstream, model, told: self.seen.model.as_deref(), price: price.as_deref() };
        // Vendors bill by the time at which a reply is over.
        self.admission.snapshot.cost(&billed, usage, wall_clock())
    }

    /// From the first reasoning to the first answer, where the reply came bit by bit.
    fn thinking_time(&self) -> Option<Duration> {
        let begin = self.timings.first_reasoning.filter(|_| self.streamed)?;
        self.timings.first_answer.unwrap_or(self.timings.total).checked_sub(begin)
    }

    fn measure(
        &mut self,
        ending: Ending,
        outcome: &Outcome,
        (verdict, cost, thinking): (&Verdict, Option<&Cost>, Option<&Thinking>),
    ) {
        let metrics = &self.gateway.metrics;
        let finished = Finished {
            model: &self.model,
            upstream: self.upstream.as_deref(),
            status: outcome.status,
            ending: ending.name(),
            outcome: verdict.given().unwrap_or(UNJUDGED),
            manners: &verdict.manners,
            timings: &self.timings,
            usage: &self.seen.usage,
            team: self.caller.team.as_deref(),
            cost,
            thinking,
        };
        metrics.exchange_finished(&finished);
        std::mem::take(&mut self.span).end(&Ended {
            id: self.id,
            finished: &finished,
            reply_model: self.seen.model.as_deref(),
            reply_id: self.seen.id.as_deref(),
            finishes: &self.seen.finishes,
            findings: self.found.kept.len(),
        });
        for finding in &self.found.kept {
            metrics.finding(&finding.rule, finding.action.name(), finding.enforced.name());
        }
    }
}

/// All that a choice said on a channel. It may stand in several blocks, or under several names once more.
fn joined(segments: &[Segment], choice: u32, channel: Channel) -> Option<Cow<'_, str>> {
    let mut texts = segments.iter().filter(|it| it.choice == choice && it.channel == channel);
    let mut whole = Cow::Borrowed(texts.next()?.text.as_str());
    for next in texts {
        if whole.contains(&next.text) {
            continue;
        }
        let whole = whole.to_mut();
        whole.push_str("\n\n");
        whole.push_str(&next.text);
    }
    Some(whole)
}

/// How far a verdict is from compliance; `failed` says nothing, so any other goes before it.
fn departure(verdict: &Verdict) -> u8 {
    match verdict.outcome {
        "blocked" => 4,
        "refused" => 3,
        "partial" => 2,
        "complied" => 1,
        _ => 0,
    }
}
