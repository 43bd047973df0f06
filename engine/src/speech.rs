//! A reply's tokens to text on its channel, up to a stop string. Text that could still become a mark or a stop string is
//! held; nothing else is.

use crate::detokenize::Detokeniser;
use crate::tokenize::{THINK, Vocabulary};
use crate::{Channel, TokenLogprob};

/// The state of one reply.
#[derive(Debug)]
pub(crate) struct Speech {
    channel: Channel,
    detokeniser: Detokeniser,
    /// Stop strings; they end the answer, never the reasoning.
    stops: Vec<String>,
    /// Decoded but not yet spoken.
    held: String,
    tokens: usize,
    logprobs: Vec<TokenLogprob>,
    /// Whether the answer has begun, after which text is no think mark any more.
    answered: bool,
    reasoning: usize,
}

/// Text that may leave.
#[derive(Debug, Clone)]
pub(crate) struct Spoken {
    pub(crate) channel: Channel,
    pub(crate) text: String,
    pub(crate) tokens: usize,
    pub(crate) logprobs: Vec<TokenLogprob>,
}

enum Needle {
    Mark(Channel),
    Stop,
}

impl Speech {
    /// Starts a reply on the channel that its prompt opens.
    pub(crate) fn new(channel: Channel, stops: Vec<String>) -> Self {
        Self {
            channel,
            detokeniser: Detokeniser::default(),
            stops,
            held: String::new(),
            tokens: 0,
            logprobs: Vec::new(),
            answered: false,
            reasoning: 0,
        }
    }

    /// Tokens so far that belong to the reasoning, its marks included.
    pub(crate) fn reasoning_tokens(&self) -> usize {
        self.reasoning
    }

    /// Whether the next token belongs to the reasoning.
    pub(crate) fn is_reasoning(&self) -> bool {
        self.channel == Channel::Reasoning
    }

    /// Takes a token; returns `true` where a stop string ends the reply.
    pub(crate) fn push(
        &mut self,
        vocabulary: &Vocabulary,
        (token, logprob): (u32, Option<TokenLogprob>),
        out: &mut Vec<Spoken>,
    ) -> bool {
        self.reasoning += usize::from(self.channel == Channel::Reasoning);
        if let Some([open, close]) = vocabulary.think()
            && (token == open || token == close)
        {
            let stopped = self.end(vocabulary, out);
            self.reasoning += usize::from(token == open && self.channel == Channel::Answer);
            self.channel = if token == open { Channel::Reasoning } else { Channel::Answer };
            return stopped;
        }
        self.tokens += 1;
        self.logprobs.extend(logprob);
        if vocabulary.is_special(token) {
            return false;
        }
        let text = self.detokeniser.push(vocabulary, token);
        self.held.push_str(&text);
        self.speak(vocabulary.think().is_none(), false, out)
    }

    /// Releases what is held; returns `true` where that ends in a stop string.
    pub(crate) fn end(&mut self, vocabulary: &Vocabulary, out: &mut Vec<Spoken>) -> bool {
        let rest = self.detokeniser.flush(vocabulary);
        self.held.push_str(&rest);
        self.speak(vocabulary.think().is_none(), true, out)
    }

    fn speak(&mut self, marks_are_text: bool, last: bool, out: &mut Vec<Spoken>) -> bool {
        loop {
            let needles = self.needles(marks_are_text);
            let found = needles.iter().filter_map(|(text, needle)| Some((self.held.find(*text)?, text.len(), needle)));
            // Of two that begin together the longer one was meant.
            let first = found.min_by_key(|(at, length, _)| (*at, std::cmp::Reverse(*length)));
            let Some((at, length, needle)) = first else {
                let keep = if last { 0 } else { held_back(&self.held, &needles) };
                self.release(self.held.len() - keep, out);
                return false;
            };
            let turn = match needle {
                Needle::Stop => None,
                Needle::Mark(channel) => Some(*channel),
            };
            self.release(at, out);
            let Some(channel) = turn else {
                self.held.clear();
                return true;
            };
            self.held.drain(..length);
            self.channel = channel;
        }
    }

    fn needles(&self, marks_are_text: bool) -> Vec<(&str, Needle)> {
        let mut needles = Vec::new();
        match self.channel {
            Channel::Reasoning if marks_are_text => needles.push((THINK[1], Needle::Mark(Channel::Answer))),
            Channel::Reasoning => {}
            Channel::Answer => {
                needles.extend(self.stops.iter().map(|stop| (stop.as_str(), Needle::Stop)));
                // A model opens its thinking before it says anything; later the same letters are just text.
                let silent = !self.answered && self.held.trim_start().starts_with(THINK[0]);
                let starting = !self.answered && THINK[0].starts_with(self.held.trim_start());
                if marks_are_text && (silent || starting) {
                    needles.push((THINK[0], Needle::Mark(Channel::Reasoning)));
                }
            }
        }
        needles
    }

    fn release(&mut self, end: usize, out: &mut Vec<Spoken>) {
        if end == 0 {
            return;
        }
        let text: String = self.held.drain(..end).collect();
        self.answered |= self.channel == Channel::Answer && !text.trim().is_empty();
        let (tokens, logprobs) = (std::mem::take(&mut self.tokens), std::mem::take(&mut self.logprobs));
        out.push(Spoken { channel: self.channel, text, tokens, logprobs });
    }
}

/// Bytes at the end of `text` that could still become one of the needles.
fn held_back(text: &str, needles: &[(&str, Needle)]) -> usize {
    let longest = |needle: &str| {
        let ends = needle.char_indices().map(|(end, _)| end).skip(1);
        ends.filter(|end| text.ends_with(&needle[..*end])).max().unwrap_or(0)
    };
    needles.iter().map(|(needle, _)| longest(needle)).max().unwrap_or(0)
}

#[cfg(test)]
mod tests;
