//! The canonical exchange: what is screened, routed, recorded and translated. It knows no wire format and no serde.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

mod observed;

pub use observed::{CallBegin, Delta, Observed, Usage};

/// Identifies one exchange; ordered by time (UUID version 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeId(pub Uuid);

impl ExchangeId {
    /// Makes the id of an exchange that begins now.
    #[must_use]
    pub fn begin() -> Self {
        Self(Uuid::now_v7())
    }
}

impl std::fmt::Display for ExchangeId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI Chat Completions.
    OpenaiChat,
    /// OpenAI Responses.
    OpenaiResponses,
    /// Anthropic Messages.
    Anthropic,
    /// OpenAI Embeddings.
    OpenaiEmbeddings,
    /// Anthropic's count of a Messages request's tokens.
    AnthropicCount,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::OpenaiChat, Self::OpenaiResponses, Self::Anthropic, Self::OpenaiEmbeddings, Self::AnthropicCount];

    /// Name in records, metrics and configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenaiChat => "openai-chat",
            Self::OpenaiResponses => "openai-responses",
            Self::Anthropic => "anthropic",
            Self::OpenaiEmbeddings => "openai-embeddings",
            Self::AnthropicCount => "anthropic-count-tokens",
        }
    }

    /// The one of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.name() == name)
    }

    /// Whether requests and replies in it can be said in another: all that converse can.
    #[must_use]
    pub fn converses(self) -> bool {
        !matches!(self, Self::OpenaiEmbeddings | Self::AnthropicCount)
    }

    /// Whether it asks how many tokens a prompt has, and nothing is generated.
    #[must_use]
    pub fn counts_only(self) -> bool {
        self == Self::AnthropicCount
    }
}

/// Where a run of text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// What the client sent.
    Prompt,
    /// The model's thinking.
    Reasoning,
    /// The model's answer.
    Answer,
    /// Arguments of a tool call.
    Tool,
    /// A vendor's own refusal field.
    Refusal,
}

impl Channel {
    /// Name in records, metrics and packs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::Reasoning => "reasoning",
            Self::Answer => "answer",
            Self::Tool => "tool",
            Self::Refusal => "refusal",
        }
    }
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The address that it comes from.
    pub address: SocketAddr,
    /// Subject of the client's verified certificate.
    pub certificate: Option<Arc<str>>,
}

/// Who sent an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Name of the key's owner; `anonymous` where no key was asked for.
    pub name: String,
    /// Team, where one is known.
    pub team: Option<String>,
    /// Role, where one is known.
    pub role: Option<String>,
    /// Public id of the key, never the key.
    pub key_id: Option<String>,
}

/// The name under which the gateway itself asks a judge model about an exchange; no caller may have it.
pub const JUDGE: &str = "candor-judge";

/// The name under which the gateway sends copies of exchanges to another upstream; no caller may have it.
pub const SHADOW: &str = "candor-shadow";

/// Names that the gateway has as a caller of its own.
pub const OWN_NAMES: [&str; 2] = [JUDGE, SHADOW];

/// Whether a name is one of the gateway's own.
#[must_use]
pub fn is_own_name(name: &str) -> bool {
    OWN_NAMES.contains(&name)
}

/// What decided, and what found it, where a rule's question was put to a judge model. The evidence of such an exchange of
/// the gateway's own is one entry: `PACK/RULE: ` and `yes`, `no`, or `none` where no answer came.
pub const QUESTION: &str = "question";

/// A request, decoded beside the bytes it came in.
#[derive(Debug, Clone)]
pub struct Request {
    /// The wire format of `raw`.
    pub dialect: Dialect,
    /// The body as the client sent it, or as redaction left it; valid UTF-8.
    pub raw: Bytes,
    /// Whether redaction changed `raw`.
    pub edited: bool,
    /// The model asked for.
    pub model: String,
    /// Where the model's JSON string (quotes included) stands in `raw`.
    pub model_at: Range<usize>,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// Whether the stream's last frame shall carry usage.
    pub stream_usage: bool,
    /// How many choices were asked for.
    pub choices: u32,
    /// The conversation, oldest first.
    pub messages: Vec<Message>,
    /// Tool declarations, as the JSON text that the client sent.
    pub tools: Option<String>,
    /// What the client said of sampling.
    pub sampling: Sampling,
    /// Inputs that hold text which nobody can read, such as lists of token numbers.
    pub unscannable: u32,
}

/// One message of a conversation.
#[derive(Debug, Clone, Default)]
pub struct Message {
    /// `system`, `user`, `assistant`, `tool`, `developer`; as sent.
    pub role: String,
    /// Its runs of text in order.
    pub passages: Vec<Passage>,
    /// Tool calls, as the JSON text that the client sent.
    pub tool_calls: Option<String>,
    /// The tool call that this message answers.
    pub tool_call_id: Option<String>,
    /// The speaker's name.
    pub name: Option<String>,
}

/// One run of text of a request.
#[derive(Debug, Clone)]
pub struct Passage {
    /// What kind of text a message's field holds: `Answer` for content, `Reasoning`, `Tool`, `Refusal`.
    /// All of it is screened as the prompt; this says only what it is to the model.
    pub role: Channel,
    /// The text, unescaped.
    pub text: String,
    /// Where it stands in the request's `raw`, quotes included.
    pub at: Range<usize>,
    /// How it stands there.
    pub written: Written,
}

/// How a text stands in the bytes of a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Written {
    /// As a JSON string, escaped.
    #[default]
    Quoted,
    /// As JSON itself: an object whose strings are what is read, as the input of a tool.
    Bare,
}

/// Sampling as the client asked for it; absent fields are the upstream's to choose.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sampling {
    /// Tokens to generate at most.
    pub max_tokens: Option<u64>,
    /// Temperature.
    pub temperature: Option<f64>,
    /// Nucleus mass.
    pub top_p: Option<f64>,
    /// Candidates kept.
    pub top_k: Option<u64>,
    /// Least probability relative to the best.
    pub min_p: Option<f64>,
    /// Penalty on tokens present.
    pub presence_penalty: Option<f64>,
    /// Penalty by count.
    pub frequency_penalty: Option<f64>,
    /// Seed.
    pub seed: Option<i64>,
    /// Texts that end generation.
    pub stop: Vec<String>,
    /// Whether logprobs were asked for, and how many alternatives.
    pub logprobs: Option<u32>,
    /// Reasoning effort as sent.
    pub reasoning_effort: Option<String>,
}

/// A stretch of one channel's whole text that something was found in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule that asked.
    pub rule: String,
    /// Its pack.
    pub pack: String,
    /// The topic, where the rule is about one.
    pub topic: Option<String>,
    /// What found it.
    pub detector: String,
    /// Which channel.
    pub channel: Channel,
    /// Which choice; 0 for prompts.
    pub choice: u32,
    /// Which passage of the prompt, or which tool call of the choice.
    pub part: u32,
    /// Bytes of that text.
    pub span: Range<usize>,
    /// What the rule asked for.
    pub action: Action,
    /// What was done about it.
    pub enforced: Enforced,
    /// How grave the rule says it is.
    pub severity: &'static str,
}

/// What a rule asks for; greater is stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Nothing.
    Allow,
    /// Note it.
    Flag,
    /// Replace the span.
    Redact,
    /// End the exchange.
    Stop,
}

impl Action {
    /// Name in records, metrics and packs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Flag => "flag",
            Self::Redact => "redact",
            Self::Stop => "stop",
        }
    }
}

/// What was really done about a finding: the record says this, not what was configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enforced {
    /// The action was applied before the client saw the text.
    Applied,
    /// The rule only watches, or asks only for a flag.
    Observed,
    /// The text had left when the finding came (a match across channels or past the hold bound).
    Late,
}

impl Enforced {
    /// Name in records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Observed => "observed",
            Self::Late => "late",
        }
    }
}

/// A whole text of one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Which choice; 0 for prompts.
    pub choice: u32,
    /// Which channel.
    pub channel: Channel,
    /// Which passage or tool call.
    pub part: u32,
    /// Role of the message, for prompts.
    pub role: Option<String>,
    /// The text as the model (or the client) wrote it.
    pub text: String,
    /// Bytes at its start that the gateway wrote (a forced prefix), not the model.
    pub authored_bytes: usize,
}

/// How an exchange ended, whatever the model said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The upstream's reply came whole and went whole to the client.
    Complete,
    /// Our own rules stopped it.
    Stopped,
    /// The upstream refused, failed or cut its reply.
    UpstreamFailed,
    /// The client left before the end.
    ClientLeft,
    /// A time limit ended it.
    TimedOut,
    /// The gateway was shutting down.
    Drained,
    /// The request never reached an upstream (rejected by decode, route or admission).
    Rejected,
}

impl Ending {
    /// Name in records and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Stopped => "stopped",
            Self::UpstreamFailed => "upstream_failed",
            Self::ClientLeft => "client_left",
            Self::TimedOut => "timed_out",
            Self::Drained => "drained",
            Self::Rejected => "rejected",
        }
    }
}

/// Times since the exchange was accepted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timings {
    /// The request had been read and screened.
    pub screened: Option<Duration>,
    /// The upstream's reply head came.
    pub first_byte: Option<Duration>,
    /// The first reasoning text came.
    pub first_reasoning: Option<Duration>,
    /// The first answer text came.
    pub first_answer: Option<Duration>,
    /// All was done.
    pub total: Duration,
}

/// What the model did, and how that is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The choice that it is about.
    pub choice: u32,
    /// `complied`, `partial`, `refused`, `blocked` or `failed`.
    pub outcome: &'static str,
    /// In which manners, most telling first.
    pub manners: Vec<&'static str>,
    /// What shows it.
    pub evidence: Vec<Evidence>,
    /// Language of the reply, as an ISO 639-1 code.
    pub language: Option<&'static str>,
    /// How sure the deciding step is, 0 to 1.
    pub confidence: f32,
    /// The step of the cascade that decided.
    pub decided_by: &'static str,
    /// The host's raw signal, where it gave one.
    pub signal: Option<String>,
    /// Version of the detector.
    pub detector: &'static str,
}

/// One span that a verdict rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Which channel.
    pub channel: Channel,
    /// Bytes of that channel's whole text.
    pub span: Range<usize>,
    /// What it shows.
    pub what: String,
}
