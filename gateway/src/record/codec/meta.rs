//! The JSON part of a payload: the small structured things of a begin and an end, and their way back.
//! Bodies and texts are not here; they stand raw behind it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::bill::{CostMeta, ThinkingMeta};
use super::{Error, Names};
use crate::config::Recording;
use crate::exchange::{
    Action, Caller, Channel, Dialect, Ending, Enforced, Evidence, Finding, Segment, Timings, Usage, Verdict,
};
use crate::record::{Attempt, Begin, End};

type Text<'a> = Cow<'a, str>;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct BeginMeta<'a> {
    #[serde(borrow)]
    pub(super) dialect: Text<'a>,
    pub(super) caller: CallerMeta<'a>,
    pub(super) peer: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) client_request_id: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) subject: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) audit: Option<Text<'a>>,
    pub(super) model: Text<'a>,
    pub(super) stream: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) preview: Option<Text<'a>>,
    pub(super) headers: Vec<(Text<'a>, Text<'a>)>,
    pub(super) snapshot: Text<'a>,
    pub(super) required: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CallerMeta<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    team: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_id: Option<Text<'a>>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct EndMeta<'a> {
    #[serde(borrow)]
    ending: Text<'a>,
    status: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fault: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    attempts: Vec<AttemptMeta<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upstream: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upstream_model: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upstream_reply_id: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    adapted: Vec<Text<'a>>,
    unkept_bytes: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    segments: Vec<SegmentMeta<'a>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    finishes: Vec<(u32, Text<'a>)>,
    #[serde(default, skip_serializing_if = "is_zero")]
    unread_frames: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    findings: Vec<FindingMeta<'a>>,
    #[serde(default, skip_serializing_if = "is_zero")]
    unkept_findings: u64,
    verdict: VerdictMeta<'a>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    review: bool,
    usage: [Option<u64>; 4],
    timings: [Option<u64>; 5],
    /// From here on: what frames of older versions do not have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    written: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cost: Option<CostMeta<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    thinking: Option<ThinkingMeta>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upstream_dialect: Option<Text<'a>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct AttemptMeta<'a> {
    #[serde(borrow)]
    upstream: Text<'a>,
    status: Option<u16>,
    fault: Option<Text<'a>>,
    took: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct SegmentMeta<'a> {
    choice: u32,
    #[serde(borrow)]
    channel: Text<'a>,
    part: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<Text<'a>>,
    authored: usize,
}

#[derive(Debug, Serialize, Deserialize)]
struct FindingMeta<'a> {
    #[serde(borrow)]
    rule: Text<'a>,
    pack: Text<'a>,
    topic: Option<Text<'a>>,
    detector: Text<'a>,
    channel: Text<'a>,
    choice: u32,
    part: u32,
    span: (usize, usize),
    action: Text<'a>,
    enforced: Text<'a>,
    severity: Text<'a>,
}

#[derive(Debug, Serialize, Deserialize)]
struct VerdictMeta<'a> {
    #[serde(default, skip_serializing_if = "is_zero")]
    choice: u64,
    #[serde(borrow)]
    outcome: Text<'a>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    manners: Vec<Text<'a>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    evidence: Vec<EvidenceMeta<'a>>,
    language: Option<Text<'a>>,
    confidence: f32,
    decided_by: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signal: Option<Text<'a>>,
    detector: Text<'a>,
}

#[derive(Debug, Serialize, Deserialize)]
struct EvidenceMeta<'a> {
    #[serde(borrow)]
    channel: Text<'a>,
    span: (usize, usize),
    what: Text<'a>,
}

const CHANNELS: [Channel; 5] = [Channel::Prompt, Channel::Reasoning, Channel::Answer, Channel::Tool, Channel::Refusal];
const ACTIONS: [Action; 4] = [Action::Allow, Action::Flag, Action::Redact, Action::Stop];
const ENFORCED: [Enforced; 3] = [Enforced::Applied, Enforced::Observed, Enforced::Late];
const ENDINGS: [Ending; 7] = [
    Ending::Complete,
    Ending::Stopped,
    Ending::UpstreamFailed,
    Ending::ClientLeft,
    Ending::TimedOut,
    Ending::Drained,
    Ending::Rejected,
];

fn by_name<T: Copy>(all: &[T], name_of: fn(T) -> &'static str, name: &str) -> Result<T, Error> {
    all.iter().copied().find(|known| name_of(*known) == name).ok_or(Error::Name)
}

fn text(value: &str) -> Text<'_> {
    Cow::Borrowed(value)
}

fn maybe<'a>(value: Option<&'a impl AsRef<str>>) -> Option<Text<'a>> {
    value.map(|value| Cow::Borrowed(value.as_ref()))
}

fn owned(value: Option<Text<'_>>) -> Option<String> {
    value.map(Cow::into_owned)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl<'a> BeginMeta<'a> {
    pub(super) fn of(begin: &'a Begin) -> Self {
        let caller = &begin.caller;
        Self {
            dialect: text(begin.dialect.name()),
            caller: CallerMeta {
                name: text(&caller.name),
                team: maybe(caller.team.as_ref()),
                role: maybe(caller.role.as_ref()),
                key_id: maybe(caller.key_id.as_ref()),
            },
            peer: text(&begin.peer),
            client_request_id: maybe(begin.client_request_id.as_ref()),
            subject: maybe(begin.subject.as_ref()),
            audit: maybe(begin.audit.as_ref()),
            model: text(&begin.model),
            stream: begin.stream,
            preview: maybe(begin.preview.as_ref()),
            headers: begin.headers.iter().map(|(name, value)| (text(name), text(value))).collect(),
            snapshot: text(&begin.snapshot),
            required: begin.recording == Recording::Required,
        }
    }

    pub(super) fn dialect(&self) -> Result<Dialect, Error> {
        by_name(&Dialect::ALL, Dialect::name, &self.dialect)
    }
}

impl CallerMeta<'_> {
    pub(super) fn restore(self) -> Caller {
        Caller {
            name: self.name.into_owned(),
            team: owned(self.team),
            role: owned(self.role),
            key_id: owned(self.key_id),
        }
    }
}

impl<'a> EndMeta<'a> {
    pub(super) fn of(end: &'a End) -> Self {
        let timings = &end.timings;
        let usage = &end.usage;
        Self {
            ending: text(end.ending.name()),
            status: end.status,
            fault: maybe(end.fault.as_ref()),
            attempts: end.attempts.iter().map(AttemptMeta::of).collect(),
            upstream: maybe(end.upstream.as_ref()),
            upstream_model: maybe(end.upstream_model.as_ref()),
            upstream_reply_id: maybe(end.upstream_reply_id.as_ref()),
            adapted: end.adapted.iter().map(|change| text(change)).collect(),
            unkept_bytes: end.unkept_bytes,
            segments: end.segments.iter().map(SegmentMeta::of).collect(),
            finishes: end.finishes.iter().map(|(choice, why)| (*choice, text(why))).collect(),
            unread_frames: end.unread_frames.into(),
            findings: end.findings.iter().map(FindingMeta::of).collect(),
            unkept_findings: end.unkept_findings,
            verdict: VerdictMeta::of(&end.verdict),
            review: end.review,
            usage: [usage.prompt, usage.completion, usage.reasoning, usage.cached],
            timings: [
                timings.screened.map(nanoseconds),
                timings.first_byte.map(nanoseconds),
                timings.first_reasoning.map(nanoseconds),
                timings.first_answer.map(nanoseconds),
                Some(nanoseconds(timings.total)),
            ],
            written: usage.written,
            cost: end.cost.as_ref().map(CostMeta::of),
            thinking: end.thinking.as_ref().map(ThinkingMeta::of),
            upstream_dialect: end.upstream_dialect.map(|dialect| text(dialect.name())),
        }
    }

    /// How many texts stand behind the JSON part.
    pub(super) fn texts(&self) -> usize {
        self.segments.len()
    }

    /// Fills an end with everything but the raw parts; the segments get their texts, which are as many as they are.
    pub(super) fn restore(self, end: &mut End, texts: Vec<String>, names: &mut Names) -> Result<(), Error> {
        end.ending = by_name(&ENDINGS, Ending::name, &self.ending)?;
        end.status = self.status;
        end.fault = owned(self.fault);
        end.attempts = self.attempts.into_iter().map(AttemptMeta::restore).collect();
        end.upstream = self.upstream.map(|name| Arc::from(name.as_ref()));
        let dialect = self.upstream_dialect.map(|name| by_name(&Dialect::ALL, Dialect::name, &name));
        end.upstream_dialect = dialect.transpose()?;
        end.upstream_model = owned(self.upstream_model);
        end.upstream_reply_id = owned(self.upstream_reply_id);
        end.adapted = self.adapted.into_iter().map(Text::into_owned).collect();
        end.unkept_bytes = self.unkept_bytes;
        end.segments =
            self.segments.into_iter().zip(texts).map(|(meta, text)| meta.restore(text)).collect::<Result<_, _>>()?;
        end.finishes = self.finishes.into_iter().map(|(choice, why)| (choice, why.into_owned())).collect();
        end.unread_frames = u32::try_from(self.unread_frames).map_err(|_| Error::Meta)?;
        end.unkept_findings = self.unkept_findings;
        end.findings = self.findings.into_iter().map(|meta| meta.restore(names)).collect::<Result<_, _>>()?;
        end.verdict = self.verdict.restore(names)?;
        end.review = self.review;
        let [prompt, completion, reasoning, cached] = self.usage;
        end.usage = Usage { prompt, completion, reasoning, cached, written: self.written };
        end.cost = self.cost.map(CostMeta::restore).transpose()?;
        end.thinking = self.thinking.map(ThinkingMeta::restore).transpose()?;
        let [screened, first_byte, first_reasoning, first_answer, total] =
            self.timings.map(|time| time.map(Duration::from_nanos));
        end.timings = Timings { screened, first_byte, first_reasoning, first_answer, total: total.unwrap_or_default() };
        Ok(())
    }
}

impl<'a> AttemptMeta<'a> {
    fn of(attempt: &'a Attempt) -> Self {
        Self {
            upstream: text(&attempt.upstream),
            status: attempt.status,
            fault: maybe(attempt.fault.as_ref()),
            took: nanoseconds(attempt.took),
        }
    }

    fn restore(self) -> Attempt {
        Attempt {
            upstream: Arc::from(self.upstream.as_ref()),
            status: self.status,
            fault: owned(self.fault),
            took: Duration::from_nanos(self.took),
        }
    }
}

impl<'a> SegmentMeta<'a> {
    fn of(segment: &'a Segment) -> Self {
        Self {
            choice: segment.choice,
            channel: text(segment.channel.name()),
            part: segment.part,
            role: maybe(segment.role.as_ref()),
            authored: segment.authored_bytes,
        }
    }

    fn restore(self, text: String) -> Result<Segment, Error> {
        Ok(Segment {
            choice: self.choice,
            channel: by_name(&CHANNELS, Channel::name, &self.channel)?,
            part: self.part,
            role: owned(self.role),
            text,
            authored_bytes: self.authored,
        })
    }
}

impl<'a> FindingMeta<'a> {
    fn of(finding: &'a Finding) -> Self {
        Self {
            rule: text(&finding.rule),
            pack: text(&finding.pack),
            topic: maybe(finding.topic.as_ref()),
            detector: text(&finding.detector),
            channel: text(finding.channel.name()),
            choice: finding.choice,
            part: finding.part,
            span: (finding.span.start, finding.span.end),
            action: text(finding.action.name()),
            enforced: text(finding.enforced.name()),
            severity: text(finding.severity),
        }
    }

    fn restore(self, names: &mut Names) -> Result<Finding, Error> {
        Ok(Finding {
            rule: self.rule.into_owned(),
            pack: self.pack.into_owned(),
            topic: owned(self.topic),
            detector: self.detector.into_owned(),
            channel: by_name(&CHANNELS, Channel::name, &self.channel)?,
            choice: self.choice,
            part: self.part,
            span: self.span.0..self.span.1,
            action: by_name(&ACTIONS, Action::name, &self.action)?,
            enforced: by_name(&ENFORCED, Enforced::name, &self.enforced)?,
            severity: names.intern(&self.severity)?,
        })
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl<'a> VerdictMeta<'a> {
    fn of(verdict: &'a Verdict) -> Self {
        Self {
            choice: verdict.choice.into(),
            outcome: text(verdict.outcome),
            manners: verdict.manners.iter().map(|manner| text(manner)).collect(),
            evidence: verdict.evidence.iter().map(EvidenceMeta::of).collect(),
            language: verdict.language.map(text),
            // JSON has no other numbers.
            confidence: if verdict.confidence.is_finite() { verdict.confidence } else { 0.0 },
            decided_by: text(verdict.decided_by),
            signal: maybe(verdict.signal.as_ref()),
            detector: text(verdict.detector),
        }
    }

    fn restore(self, names: &mut Names) -> Result<Verdict, Error> {
        Ok(Verdict {
            choice: u32::try_from(self.choice).map_err(|_| Error::Meta)?,
            outcome: names.intern(&self.outcome)?,
            manners: self.manners.iter().map(|manner| names.intern(manner)).collect::<Result<_, _>>()?,
            evidence: self.evidence.into_iter().map(EvidenceMeta::restore).collect::<Result<_, _>>()?,
            language: self.language.map(|language| names.intern(&language)).transpose()?,
            confidence: self.confidence,
            decided_by: names.intern(&self.decided_by)?,
            signal: owned(self.signal),
            detector: names.intern(&self.detector)?,
        })
    }
}

impl<'a> EvidenceMeta<'a> {
    fn of(evidence: &'a Evidence) -> Self {
        Self {
            channel: text(evidence.channel.name()),
            span: (evidence.span.start, evidence.span.end),
            what: text(&evidence.what),
        }
    }

    fn restore(self) -> Result<Evidence, Error> {
        Ok(Evidence {
            channel: by_name(&CHANNELS, Channel::name, &self.channel)?,
            span: self.span.0..self.span.1,
            what: self.what.into_owned(),
        })
    }
}
