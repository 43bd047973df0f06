//! Splits a text with inline `<think>` marks into reasoning and answer as it comes. It knows no frames.
//!
//! The rules are those of the parsers in vLLM and SGLang: what stands before `</think>` is reasoning when the text
//! opens in reasoning or begins with `<think>`; without a closing mark all of it stays reasoning.

use std::ops::Range;

use crate::exchange::Channel;

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// A stretch of text and the channel that it belongs to. Marks belong to none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Reasoning or answer.
    pub channel: Channel,
    /// Bytes of the whole text.
    pub span: Range<usize>,
    /// The text.
    pub text: String,
}

/// The state of one text.
#[derive(Debug)]
pub struct Splitter {
    channel: Channel,
    /// Whether anything but white space has come; an opening mark counts only before.
    begun: bool,
    /// Text that could still turn out to be a mark.
    held: String,
    /// Bytes whose channel is known.
    resolved: usize,
}

impl Splitter {
    /// A splitter of a text that opens in a channel.
    #[must_use]
    pub fn new(opens_in: Channel) -> Self {
        Self { channel: opens_in, begun: false, held: String::new(), resolved: 0 }
    }

    /// Bytes whose channel is known.
    #[must_use]
    pub fn resolved(&self) -> usize {
        self.resolved
    }

    /// Takes more text and gives the stretches that are known now.
    pub fn push(&mut self, text: &str) -> Vec<Piece> {
        self.held.push_str(text);
        let mut pieces = Vec::new();
        while let Some(mark) = self.mark() {
            let at = self.held.find('<').unwrap_or(self.held.len());
            let Some(found) = self.held.find(mark) else {
                let safe = self.safe_length(mark, at);
                self.give(safe, &mut pieces);
                return pieces;
            };
            if mark == OPEN && !self.held.get(..found).unwrap_or_default().trim().is_empty() {
                self.begun = true;
                continue;
            }
            self.give(found, &mut pieces);
            self.skip(mark.len());
            self.channel = if mark == OPEN { Channel::Reasoning } else { Channel::Answer };
            self.begun = true;
        }
        let all = self.held.len();
        self.give(all, &mut pieces);
        pieces
    }

    /// Gives what was held: the text is whole.
    pub fn finish(&mut self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let all = self.held.len();
        self.give(all, &mut pieces);
        pieces
    }

    /// The mark that would change the channel now, if one would.
    fn mark(&self) -> Option<&'static str> {
        match self.channel {
            Channel::Reasoning => Some(CLOSE),
            _ if !self.begun => Some(OPEN),
            _ => None,
        }
    }

    /// Bytes of the held text that cannot be the beginning of the mark.
    fn safe_length(&mut self, mark: &str, first: usize) -> usize {
        if mark == OPEN {
            let blank = self.held.len() - self.held.trim_start().len();
            let rest = self.held.get(blank..).unwrap_or_default();
            if rest.is_empty() || mark.starts_with(rest) {
                // White space before an opening mark is held too: it belongs to whatever follows.
                return 0;
            }
            self.begun = true;
            return self.held.len();
        }
        let candidates = self.held.get(first..).unwrap_or_default().match_indices('<').map(|(at, _)| first + at);
        candidates
            .into_iter()
            .find(|at| self.held.get(*at..).is_some_and(|tail| mark.starts_with(tail)))
            .unwrap_or(self.held.len())
    }

    fn give(&mut self, length: usize, pieces: &mut Vec<Piece>) {
        if length == 0 {
            return;
        }
        let rest = self.held.split_off(length);
        let text = std::mem::replace(&mut self.held, rest);
        let span = self.resolved..self.resolved + length;
        self.resolved = span.end;
        pieces.push(Piece { channel: self.channel, span, text });
    }

    fn skip(&mut self, length: usize) {
        self.held.drain(..length);
        self.resolved += length;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(opens_in: Channel, chunks: &[&str]) -> (String, String) {
        let mut splitter = Splitter::new(opens_in);
        let mut pieces: Vec<Piece> = chunks.iter().flat_map(|chunk| splitter.push(chunk)).collect();
        pieces.extend(splitter.finish());
        let whole = chunks.concat();
        let text =
            |channel| pieces.iter().filter(|piece| piece.channel == channel).map(|piece| piece.text.as_str()).collect();
        for piece in &pieces {
            assert_eq!(&whole[piece.span.clone()], piece.text);
        }
        (text(Channel::Reasoning), text(Channel::Answer))
    }

    #[test]
    fn marks_part_reasoning_from_answer() {
        let cases = [
            (Channel::Reasoning, "A</think>B", "A", "B"),
            (Channel::Answer, "<think>A</think>B", "A", "B"),
            (Channel::Answer, "\n<think>A</think>B", "A", "\nB"),
            (Channel::Reasoning, "A", "A", ""),
            (Channel::Reasoning, "</think>B", "", "B"),
            (Channel::Answer, "<think>A", "A", ""),
            (Channel::Answer, "plain", "", "plain"),
            (Channel::Answer, "a <think>b</think>", "", "a <think>b</think>"),
            (Channel::Answer, "<think>\n\n</think>\n\nno", "\n\n", "\n\nno"),
            (Channel::Answer, "<thin air", "", "<thin air"),
            (Channel::Reasoning, "a</thi</think>b", "a</thi", "b"),
        ];
        for (opens_in, text, reasoning, answer) in cases {
            assert_eq!(split(opens_in, &[text]), (reasoning.to_owned(), answer.to_owned()), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same(parts in proptest::collection::vec(prop_oneof![
            Just("<think>"), Just("</think>"), Just("<"), Just("</th"), Just("ink>"), Just("é"), Just(" "), Just("a")], 0..8),
            opens in any::<bool>()) {
            let opens_in = if opens { Channel::Reasoning } else { Channel::Answer };
            let whole = parts.concat();
            let single: Vec<String> = whole.chars().map(String::from).collect();
            let single: Vec<&str> = single.iter().map(String::as_str).collect();
            prop_assert_eq!(split(opens_in, &single), split(opens_in, &[&whole]));
        }
    }
}
