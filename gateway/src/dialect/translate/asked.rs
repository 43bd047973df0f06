//! A request in no dialect: what all of them can say, and what only some can, by the names of Chat Completions.

use serde_json::{Map, Value};

use super::proof::Proof;

/// A request.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Asked {
    pub model: String,
    pub stream: bool,
    /// The conversation, oldest first, with the system's words where they stand.
    pub turns: Vec<Turn>,
    pub tools: Vec<Tool>,
    pub tool_choice: Option<ToolChoice>,
    /// Whether several tools may be called at once.
    pub parallel: Option<bool>,
    pub max_tokens: Option<u64>,
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub top_k: Option<u64>,
    pub stop: Vec<String>,
    pub format: Option<Format>,
    pub thinking: Thinking,
    /// Who the request is made for.
    pub user: Option<String>,
    /// All else that the client said, by the names of Chat Completions.
    pub others: Map<String, Value>,
    /// Fields that the client's dialect has and nothing else does, and whose loss changes no meaning.
    pub dropped: Vec<String>,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    System,
    Developer,
    /// The user, or a tool that answers.
    User,
    Assistant,
}

/// What one speaker says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Turn {
    pub role: Role,
    /// The speaker's name.
    pub name: Option<String>,
    pub blocks: Vec<Block>,
}

/// A piece of a turn.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Block {
    Text {
        text: String,
        /// Where a prompt's cache shall end.
        cache: Option<Value>,
    },
    Image(Image),
    Document(Document),
    Refusal(String),
    Thinking(Thought),
    Call(Call),
    Result {
        id: String,
        blocks: Vec<Self>,
        /// Whether the tool failed.
        failed: bool,
    },
}

impl Block {
    /// A plain text.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into(), cache: None }
    }
}

/// A picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Image {
    /// Somewhere, with how closely to look.
    Url { url: String, detail: Option<String> },
    /// Here, in base64.
    Data { kind: String, data: String },
}

/// A document in base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Document {
    pub name: Option<String>,
    pub kind: String,
    pub data: String,
}

/// A stretch of reasoning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Thought {
    pub text: String,
    /// By what its vendor knows it again.
    pub proof: Option<Proof>,
}

/// A tool that is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    pub id: String,
    pub name: String,
    /// JSON.
    pub arguments: String,
}

/// A tool that may be called.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tool {
    pub name: String,
    pub description: Option<String>,
    pub parameters: Option<Value>,
    pub strict: Option<bool>,
    pub cache: Option<Value>,
}

/// Which tools must be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ToolChoice {
    Auto,
    Never,
    Any,
    One(String),
}

/// What the answer must look like.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Format {
    Json,
    Schema { name: Option<String>, description: Option<String>, schema: Value, strict: Option<bool> },
}

/// How much the model shall think.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Thinking {
    pub effort: Option<String>,
    /// Tokens.
    pub budget: Option<u64>,
    /// Whether it was switched on or off by itself.
    pub on: Option<bool>,
}

/// Tokens of thinking that an effort stands for, and the other way round.
const BUDGETS: [(&str, u64); 5] =
    [("minimal", 1_024), ("low", 2_048), ("medium", 8_192), ("high", 16_384), ("xhigh", 32_768)];

impl Thinking {
    /// The effort asked for, also where it was said in tokens.
    pub(super) fn effort(&self) -> Option<String> {
        if self.on == Some(false) {
            return Some("none".to_owned());
        }
        let of_budget =
            |budget: u64| BUDGETS.iter().find(|(_, tokens)| budget <= *tokens).map_or("xhigh", |(name, _)| name);
        self.effort.clone().or_else(|| self.budget.map(|budget| of_budget(budget).to_owned()))
    }

    /// The tokens asked for, also where they were said as an effort; `None` where there shall be no thinking, or nothing
    /// was said.
    pub(super) fn tokens(&self) -> Option<u64> {
        if self.on == Some(false) {
            return None;
        }
        let of_effort = |effort: &str| BUDGETS.iter().find(|(name, _)| *name == effort).map(|(_, tokens)| *tokens);
        let usual = self.on.and_then(|_| of_effort("medium"));
        self.budget.or_else(|| self.effort.as_deref().and_then(of_effort)).or(usual)
    }
}
