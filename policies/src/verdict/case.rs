//! What a verdict is made from, as gateway and files hand it in, and the same taken apart. It decides nothing.

use crate::Channel;

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ending {
    /// The reply came to its own end.
    #[default]
    Complete,
    /// The client left before the end.
    ClientLeft,
    /// The stream broke off, by a failure or a time limit.
    Cut,
}

/// An error that a host gave, before or inside a reply.
#[derive(Debug, Clone, Copy)]
pub struct HostError<'a> {
    /// HTTP status, where there was one.
    pub status: Option<u16>,
    /// The body as sent: JSON of any shape, or text.
    pub body: &'a str,
}

/// One exchange to be judged. The verdict is a function of these fields alone, so how the bytes arrived cannot matter.
#[derive(Debug, Clone, Copy, Default)]
pub struct Case<'a> {
    /// The last thing asked.
    pub prompt: &'a str,
    /// The model's thinking, where the route shows it.
    pub reasoning: Option<&'a str>,
    /// The answer, inline `<think>` marks included where they were not taken out before.
    pub answer: &'a str,
    /// The vendor's own refusal field.
    pub refusal: Option<&'a str>,
    /// Why the reply ended, in the host's word.
    pub finish_reason: Option<&'a str>,
    /// An error of the host.
    pub error: Option<HostError<'a>>,
    /// How the exchange ended.
    pub ending: Ending,
    /// Whether the route is known to show reasoning on other prompts.
    pub exposes_reasoning: Option<bool>,
    /// Whether our own policy stopped the exchange.
    pub own_policy: bool,
    /// Whether tools were called, so that an empty answer is none.
    pub tools_called: bool,
}

/// A part of a channel's text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) channel: Channel,
    /// Where the part begins in the channel's text.
    pub(crate) start: usize,
    pub(crate) text: &'a str,
}

impl Part<'_> {
    /// Whether nothing but white space stands here.
    pub(super) fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }
}

/// A reply with its thinking apart from its answer, wherever the thinking stood.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reply<'a> {
    /// Absent where no thinking was shown, blank where it was shown and empty.
    pub(super) reasoning: Option<Part<'a>>,
    pub(super) answer: Part<'a>,
}

impl<'a> Reply<'a> {
    /// Takes inline thinking out of the answer. A reasoning channel of its own wins, if anything stands in it.
    pub(super) fn of(case: &Case<'a>) -> Self {
        let (inline, answer) = split_thinking(case.answer);
        let own = case.reasoning.map(|text| Part { channel: Channel::Reasoning, start: 0, text });
        let reasoning = match (own, inline) {
            (Some(own), Some(inline)) if own.is_blank() => Some(inline),
            (Some(own), _) => Some(own),
            (None, inline) => inline,
        };
        Self { reasoning, answer }
    }
}

/// Marks around inline thinking, as models write them.
const MARKS: [(&str, &str); 4] =
    [("<think>", "</think>"), ("<thinking>", "</thinking>"), ("<thought>", "</thought>"), ("◁think▷", "◁/think▷")];

/// Inline thinking and the answer after it. A closing mark alone counts, as templates often hold the opening one; an opening
/// mark alone means that the reply ended while thinking.
fn split_thinking(text: &str) -> (Option<Part<'_>>, Part<'_>) {
    let part = |start: usize, end: usize| Part {
        channel: Channel::Answer,
        start,
        text: text.get(start..end).unwrap_or_default(),
    };
    if !text.contains('<') && !text.contains('◁') {
        return (None, part(0, text.len()));
    }
    let lead = text.len() - text.trim_start().len();
    for (open, close) in MARKS {
        let begins = text.get(lead..).is_some_and(|rest| rest.starts_with(open));
        let from = if begins { lead + open.len() } else { 0 };
        let end = text.get(from..).and_then(|rest| rest.find(close)).map(|at| at + from);
        match (begins, end) {
            (_, Some(end)) if begins || !text.get(..end).unwrap_or_default().contains(open) => {
                return (Some(part(from, end)), part(end + close.len(), text.len()));
            }
            (true, None) => return (Some(part(from, text.len())), part(text.len(), text.len())),
            _ => {}
        }
    }
    (None, part(0, text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(answer: &str, expected: (Option<&str>, &str)) {
        let (thinking, rest) = split_thinking(answer);
        assert_eq!((thinking.map(|part| part.text), rest.text), expected, "{answer:?}");
        assert_eq!(answer.get(rest.start..), Some(rest.text), "the answer's place");
    }

    #[test]
    fn thinking_stands_apart_from_the_answer() {
        check("plain", (None, "plain"));
        check("<think>\n\n</think>\n\nSorry.", (Some("\n\n"), "\n\nSorry."));
        check("  <think>a</think>b", (Some("a"), "b"));
        check("a\n</think>b", (Some("a\n"), "b"));
        check("<think>never ended", (Some("never ended"), ""));
        check("the tag <think> and its end </think> are text", (None, "the tag <think> and its end </think> are text"));
        check("<thinking>x</thinking> y", (Some("x"), " y"));
        check("", (None, ""));
    }
}
