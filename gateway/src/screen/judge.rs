//! Asks policies what the model did. It gathers nothing itself: the reply's texts and signals are handed in.

use candor_policies as policies;

pub use candor_policies::{Memory, Origin, Question};

use super::rules::from_policies;
use crate::exchange::{Ending, Evidence, Verdict};

/// What a verdict is made from.
#[derive(Debug, Default)]
pub struct Case<'a> {
    /// The last thing asked.
    pub prompt: &'a str,
    /// The model's thinking, where the route shows it.
    pub reasoning: Option<&'a str>,
    /// The answer.
    pub answer: &'a str,
    /// The vendor's own refusal field.
    pub refusal: Option<&'a str>,
    /// Why the reply ended, in the upstream's word.
    pub finish: Option<&'a str>,
    /// An error that the host gave, before or inside the reply.
    pub error: Option<HostError<'a>>,
    /// How the exchange ended; absent for traffic recorded elsewhere.
    pub ending: Option<Ending>,
    /// Whether the route is known to show reasoning; absent where only memory can tell.
    pub exposes_reasoning: Option<bool>,
    /// Whether tools were called, so that an empty answer is none.
    pub tools_called: bool,
}

/// A host's error.
#[derive(Debug, Clone, Copy)]
pub struct HostError<'a> {
    /// HTTP status, where there was one.
    pub status: Option<u16>,
    /// Body as sent.
    pub body: &'a str,
}

/// What the model did, in the light of what its other exchanges have shown; this one is remembered as well.
#[must_use]
pub fn judge(judge: &policies::Judge, case: &Case<'_>, origin: Origin<'_>, memory: &Memory) -> Verdict {
    from_cascade(judge.verdict_noting(&to_cascade(case), origin, memory))
}

/// The same, where memory holds all exchanges already.
#[must_use]
pub fn judge_knowing(judge: &policies::Judge, case: &Case<'_>, origin: Origin<'_>, memory: &Memory) -> Verdict {
    from_cascade(judge.verdict_knowing(&to_cascade(case), origin, memory))
}

/// What an exchange shows that bears on others.
#[must_use]
pub fn observe(judge: &policies::Judge, case: &Case<'_>, origin: Origin<'_>) -> Option<policies::Observation> {
    judge.observe(&to_cascade(case), origin)
}

/// What a judge model's answer says of an exchange.
///
/// # Errors
/// What is wrong with an answer that is not in the form asked for.
pub fn read_judgement(answer: &str, detector: &'static str) -> Result<Verdict, policies::Unreadable> {
    let judgement = policies::Judgement::read(answer)?;
    let manners = judgement.manners.iter().map(|manner| manner.name()).collect();
    let outcome = judgement.outcome.name();
    Ok(Verdict { outcome, manners, confidence: judgement.confidence, ..no_judgement(detector) })
}

/// The verdict of a judge model that gave none.
#[must_use]
pub fn no_judgement(detector: &'static str) -> Verdict {
    Verdict {
        choice: 0,
        outcome: policies::Outcome::Failed.name(),
        manners: Vec::new(),
        evidence: Vec::new(),
        language: None,
        confidence: 0.0,
        decided_by: policies::Step::Judge.name(),
        signal: None,
        detector,
    }
}

/// What decides in place of a step where no model could have said anything.
pub const UNJUDGED: &str = "none";

impl Verdict {
    /// The outcome; `None` where there was nothing to judge.
    #[must_use]
    pub fn given(&self) -> Option<&'static str> {
        (self.decided_by != UNJUDGED).then_some(self.outcome)
    }
}

/// What stands in a record where no model could have said anything: an exchange without a verdict.
#[must_use]
pub fn unjudged() -> Verdict {
    Verdict { decided_by: UNJUDGED, ..no_judgement(UNJUDGED) }
}

fn to_cascade<'a>(case: &Case<'a>) -> policies::Case<'a> {
    policies::Case {
        prompt: case.prompt,
        reasoning: case.reasoning,
        answer: case.answer,
        refusal: case.refusal,
        finish_reason: case.finish,
        error: case.error.map(|error| policies::HostError { status: error.status, body: error.body }),
        ending: match case.ending {
            None | Some(Ending::Complete | Ending::Stopped) => policies::Ending::Complete,
            Some(Ending::ClientLeft) => policies::Ending::ClientLeft,
            // No model was asked where a request was rejected: an answer that never began says nothing of one.
            Some(Ending::UpstreamFailed | Ending::TimedOut | Ending::Drained | Ending::Rejected) => {
                policies::Ending::Cut
            }
        },
        exposes_reasoning: case.exposes_reasoning,
        own_policy: case.ending == Some(Ending::Stopped),
        tools_called: case.tools_called,
    }
}

fn from_cascade(verdict: policies::Verdict) -> Verdict {
    Verdict {
        choice: 0,
        outcome: verdict.outcome.name(),
        manners: verdict.manners.iter().map(|manner| manner.name()).collect(),
        evidence: verdict
            .evidence
            .into_iter()
            .map(|evidence| Evidence {
                channel: from_policies(evidence.channel),
                span: evidence.span,
                what: evidence.what,
            })
            .collect(),
        language: verdict.language,
        confidence: verdict.confidence,
        decided_by: verdict.decided_by.name(),
        signal: verdict.signal,
        detector: verdict.detector,
    }
}
