//! What a vendor gives with reasoning to know it again: a signature, or the reasoning itself in a form that only the vendor
//! can read. It is kept in whatever place the client's dialect has for such, so that it comes back with the next turn.

/// What reasoning is known again by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Proof {
    /// Anthropic's signature of the text.
    Signed(String),
    /// Anthropic's hidden text.
    Redacted(String),
    /// OpenAI's hidden text, and the id of its item.
    Encrypted {
        /// Id of the item.
        id: String,
        /// What is hidden.
        content: String,
    },
}

const OPENAI: &str = "candor:openai:";
const SIGNED: &str = "candor:anthropic:";
const REDACTED: &str = "candor:anthropic-redacted:";

impl Proof {
    /// As the signature of a `thinking` block.
    pub(super) fn signature(&self) -> String {
        match self {
            Self::Signed(signature) => signature.clone(),
            Self::Redacted(data) => format!("{REDACTED}{data}"),
            Self::Encrypted { id, content } => format!("{OPENAI}{id}:{content}"),
        }
    }

    /// Of a signature; an empty one proves nothing.
    pub(super) fn of_signature(signature: &str) -> Option<Self> {
        if let Some((id, content)) = signature.strip_prefix(OPENAI).and_then(|rest| rest.split_once(':')) {
            return Some(Self::Encrypted { id: id.to_owned(), content: content.to_owned() });
        }
        if let Some(data) = signature.strip_prefix(REDACTED) {
            return Some(Self::Redacted(data.to_owned()));
        }
        (!signature.is_empty()).then(|| Self::Signed(signature.to_owned()))
    }

    /// Of a hidden stretch of reasoning, which may be another vendor's that had no text to show.
    pub(super) fn of_redacted(data: String) -> Self {
        match Self::of_signature(&data) {
            Some(known @ (Self::Redacted(_) | Self::Encrypted { .. })) => known,
            _ => Self::Redacted(data),
        }
    }

    /// As the `encrypted_content` of a reasoning item, with the item's id where the vendor gave it one.
    pub(super) fn encrypted(&self) -> (Option<&str>, String) {
        match self {
            Self::Encrypted { id, content } => {
                (Some(id).filter(|id| !id.is_empty()).map(String::as_str), content.clone())
            }
            Self::Signed(signature) => (None, format!("{SIGNED}{signature}")),
            Self::Redacted(data) => (None, format!("{REDACTED}{data}")),
        }
    }

    /// Of an item's `encrypted_content`.
    pub(super) fn of_encrypted(id: &str, content: &str) -> Option<Self> {
        if let Some(signature) = content.strip_prefix(SIGNED) {
            return Some(Self::Signed(signature.to_owned()));
        }
        if let Some(data) = content.strip_prefix(REDACTED) {
            return Some(Self::Redacted(data.to_owned()));
        }
        (!content.is_empty()).then(|| Self::Encrypted { id: id.to_owned(), content: content.to_owned() })
    }
}
