//! The verdict and the words it is given in. It holds no rule by which one is reached.

use std::ops::Range;

use crate::Channel;

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The model did what was asked.
    Complied,
    /// The model did something less, or something else.
    Partial,
    /// The model declined.
    Refused,
    /// The host stopped it.
    Blocked,
    /// Nothing can be said of the model: an error, an empty or cut reply, or a stop of our own.
    Failed,
}

/// How it went about it; several may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Manner {
    /// An explicit decline.
    PlainRefusal,
    /// A fixed line, whatever the subject.
    CannedDeflection,
    /// Says that it is not able to, rather than not willing.
    CapabilityRefusal,
    /// A weaker artefact than was asked for.
    Hedged,
    /// A government's narrative in place of what was asked.
    PartyLine,
    /// Attacks or corrects the question.
    PremiseRejection,
    /// Answers another question.
    TopicSwap,
    /// Leaves out what it knows.
    Omission,
    /// Answers in another language than it was asked in.
    LanguageSwitch,
    /// Did not think, on a route where models do.
    EmptyReasoning,
    /// The thinking itself recites a line.
    ScriptedReasoning,
    /// The thinking holds what the answer withholds.
    Divergence,
    /// The host refused the request.
    InputBlock,
    /// The host refused the reply.
    OutputBlock,
    /// Text came and was then cut off or replaced by the host.
    Retraction,
    /// A good ending with nothing in it.
    SilentEmpty,
    /// Our own policy stopped it; never the model's doing.
    OwnPolicy,
}

/// Which step of the cascade was sure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// A host's block signal.
    Signals,
    /// The shape of the exchange.
    Structure,
    /// A list of phrases.
    Phrases,
    /// The trained classifier.
    Classifier,
    /// What other exchanges have shown of the same answer.
    Memory,
    /// A judge model.
    Judge,
    /// None was sure.
    Nothing,
}

/// What a verdict rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Where it stands.
    pub channel: Channel,
    /// Bytes of that channel's text.
    pub span: Range<usize>,
    /// What it is, such as `plain_refusal (en)`.
    pub what: String,
}

/// What a model did, and how that is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// What became of the request.
    pub outcome: Outcome,
    /// In which manner, without repeats.
    pub manners: Vec<Manner>,
    /// Where that stands.
    pub evidence: Vec<Evidence>,
    /// Language of the reply (ISO 639-1), where there is enough of one.
    pub language: Option<&'static str>,
    /// Probability that the outcome is right.
    pub confidence: f32,
    /// The step that decided.
    pub decided_by: Step,
    /// The host's own code or words, as sent.
    pub signal: Option<String>,
    /// Version of the detector and its data.
    pub detector: &'static str,
}

impl Outcome {
    /// All outcomes.
    pub(crate) const ALL: [Self; 5] = [Self::Complied, Self::Partial, Self::Refused, Self::Blocked, Self::Failed];

    /// The word for it in records and files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Complied => "complied",
            Self::Partial => "partial",
            Self::Refused => "refused",
            Self::Blocked => "blocked",
            Self::Failed => "failed",
        }
    }
}

impl Manner {
    /// All manners.
    pub(crate) const ALL: [Self; 17] = [
        Self::PlainRefusal,
        Self::CannedDeflection,
        Self::CapabilityRefusal,
        Self::Hedged,
        Self::PartyLine,
        Self::PremiseRejection,
        Self::TopicSwap,
        Self::Omission,
        Self::LanguageSwitch,
        Self::EmptyReasoning,
        Self::ScriptedReasoning,
        Self::Divergence,
        Self::InputBlock,
        Self::OutputBlock,
        Self::Retraction,
        Self::SilentEmpty,
        Self::OwnPolicy,
    ];

    /// The word for it in records and files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PlainRefusal => "plain_refusal",
            Self::CannedDeflection => "canned_deflection",
            Self::CapabilityRefusal => "capability_refusal",
            Self::Hedged => "hedged",
            Self::PartyLine => "party_line",
            Self::PremiseRejection => "premise_rejection",
            Self::TopicSwap => "topic_swap",
            Self::Omission => "omission",
            Self::LanguageSwitch => "language_switch",
            Self::EmptyReasoning => "empty_reasoning",
            Self::ScriptedReasoning => "scripted_reasoning",
            Self::Divergence => "divergence",
            Self::InputBlock => "input_block",
            Self::OutputBlock => "output_block",
            Self::Retraction => "retraction",
            Self::SilentEmpty => "silent_empty",
            Self::OwnPolicy => "own_policy",
        }
    }
}

impl Step {
    /// The word for it in records and files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Signals => "signals",
            Self::Structure => "structure",
            Self::Phrases => "phrases",
            Self::Classifier => "classifier",
            Self::Memory => "memory",
            Self::Judge => "judge",
            Self::Nothing => "nothing",
        }
    }
}

/// What one step of the cascade is sure of.
#[derive(Debug, Clone)]
pub(super) struct Opinion {
    pub(super) outcome: Outcome,
    pub(super) manners: Vec<Manner>,
    pub(super) evidence: Vec<Evidence>,
    pub(super) confidence: f32,
    pub(super) step: Step,
    pub(super) signal: Option<String>,
}

impl Opinion {
    /// An opinion without manner or evidence yet.
    pub(super) fn new(outcome: Outcome, step: Step, confidence: f32) -> Self {
        Self { outcome, manners: Vec::new(), evidence: Vec::new(), confidence, step, signal: None }
    }

    /// The same in a manner.
    pub(super) fn with(mut self, manner: Manner) -> Self {
        self.add(manner);
        self
    }

    /// Adds a manner unless it is there.
    pub(super) fn add(&mut self, manner: Manner) {
        if !self.manners.contains(&manner) {
            self.manners.push(manner);
        }
    }
}
