//! Text to tokens: the template's own marks become special tokens, nobody else's text does. It renders no template.

pub(crate) mod metadata;
mod spelling;

use std::collections::HashMap;

use tokenizers::Tokenizer;

use crate::tokenize::spelling::Spelling;
use crate::{Channel, Error};

/// The marks between which a model thinks.
pub(crate) const THINK: [&str; 2] = ["<think>", "</think>"];

/// A model's tokenizer.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    tokenizer: Tokenizer,
    added: Vec<Added>,
    /// Indexes into `added` by the first two bytes, longest first. Marks share their first byte with much ordinary text.
    by_start: HashMap<[u8; 2], Vec<usize>>,
    special: Vec<u32>,
    think: Option<[u32; 2]>,
    spelling: Option<Spelling>,
}

#[derive(Debug, Clone)]
struct Added {
    text: String,
    id: u32,
    eats_before: bool,
    eats_after: bool,
    whole_word: bool,
}

/// Rendered text in which a guard character follows every mark that came from a client and so must stay text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Guarded {
    pub(crate) text: String,
    pub(crate) guard: char,
}

/// What a prompt says about its reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Opening {
    /// The channel of the first token.
    pub(crate) channel: Channel,
    /// Reasoning that the template wrote in the model's place.
    pub(crate) forced: String,
}

#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    Mark(u32),
    Text(&'a str),
}

impl Vocabulary {
    /// Reads a `tokenizer.json`.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, Error> {
        let broken = |error: String| Error::Model(format!("tokenizer.json: {error}"));
        let mut value: serde_json::Value = serde_json::from_slice(json).map_err(|error| broken(error.to_string()))?;
        let mut special = Vec::new();
        let tokens = value.get_mut("added_tokens").and_then(serde_json::Value::as_array_mut);
        for token in tokens.into_iter().flatten() {
            let id = token.get("id").and_then(serde_json::Value::as_u64).and_then(|id| u32::try_from(id).ok());
            if token.get("special").and_then(serde_json::Value::as_bool) == Some(true) {
                special.extend(id);
            }
            // The library can leave special tokens in a text alone, but not other added ones.
            token["special"] = true.into();
        }
        let json = serde_json::to_vec(&value).map_err(|error| broken(error.to_string()))?;
        let mut tokenizer = Tokenizer::from_bytes(json).map_err(|error| broken(error.to_string()))?;
        tokenizer.set_encode_special_tokens(true);
        tokenizer.with_truncation(None).map_err(|error| broken(error.to_string()))?.with_padding(None);
        Ok(Self::new(tokenizer, special, Spelling::of(&value["decoder"])))
    }

    fn new(tokenizer: Tokenizer, special: Vec<u32>, spelling: Option<Spelling>) -> Self {
        let decoder = tokenizer.get_added_tokens_decoder();
        let added = decoder.iter().filter(|(_, token)| !token.content.is_empty()).map(|(id, token)| Added {
            text: token.content.clone(),
            id: *id,
            eats_before: token.lstrip,
            eats_after: token.rstrip,
            whole_word: token.single_word,
        });
        let mut added: Vec<Added> = added.collect();
        added.sort_by(|a, b| b.text.len().cmp(&a.text.len()).then(a.id.cmp(&b.id)));
        let mut by_start: HashMap<[u8; 2], Vec<usize>> = HashMap::new();
        for (index, token) in added.iter().enumerate() {
            by_start.entry(start_of(token.text.as_bytes())).or_default().push(index);
        }
        let mark = |text: &str| added.iter().find(|token| token.text == text).map(|token| token.id);
        let think = mark(THINK[0]).zip(mark(THINK[1])).map(|(open, close)| [open, close]);
        Self { tokenizer, added, by_start, special, think, spelling }
    }

    /// The tokens that open and close thinking, where each is a single token.
    pub(crate) fn think(&self) -> Option<[u32; 2]> {
        self.think
    }

    /// What closes thinking; nothing where the vocabulary cannot say it.
    pub(crate) fn closing(&self) -> Vec<u32> {
        match self.think {
            Some([_, close]) => vec![close],
            None => self.encode_part(THINK[1], false).unwrap_or_default(),
        }
    }

    /// The added token with exactly this text.
    pub(crate) fn mark(&self, text: &str) -> Option<u32> {
        self.added.iter().find(|token| token.text == text).map(|token| token.id)
    }

    /// Whether a token never shows as text.
    pub(crate) fn is_special(&self, token: u32) -> bool {
        self.special.contains(&token)
    }

    /// Texts that mean something to the model when the template writes them.
    pub(crate) fn marks(&self) -> impl Iterator<Item = &str> {
        self.added.iter().map(|token| token.text.as_str()).chain(THINK)
    }

    /// Tokens back to text; special ones show as their names.
    pub(crate) fn decode(&self, tokens: &[u32]) -> String {
        // It fails for no token: unknown ids are left out.
        self.tokenizer.decode(tokens, false).unwrap_or_default()
    }

    /// The bytes of a token, which may be a part of a character; of a special one its name.
    pub(crate) fn bytes(&self, token: u32) -> Vec<u8> {
        let added = self.added.iter().any(|added| added.id == token);
        let spelled = self.tokenizer.id_to_token(token).zip(self.spelling).filter(|_| !added);
        let spelled = spelled.and_then(|(token, spelling)| spelling.bytes(&token));
        spelled.unwrap_or_else(|| self.decode(&[token]).into_bytes())
    }

    /// The bytes of the first `count` tokens as they show in a text: none for special tokens and think marks. `None` where
    /// the vocabulary does not say.
    pub(crate) fn spelled(&self, count: usize) -> Option<Vec<Vec<u8>>> {
        let spelling = self.spelling?;
        let added: HashMap<u32, &str> = self.added.iter().map(|token| (token.id, token.text.as_str())).collect();
        let spell = |token: u32| match added.get(&token) {
            _ if self.is_special(token) || self.is_think(token) => None,
            Some(text) => Some(text.as_bytes().to_vec()),
            None => spelling.bytes(&self.tokenizer.id_to_token(token)?),
        };
        let spelled = (0..u32::try_from(count).ok()?).map(|token| spell(token).unwrap_or_default());
        // Nothing sensible is longer, and the search tree has its own limit.
        Some(spelled.map(|bytes| if bytes.len() > 512 { Vec::new() } else { bytes }).collect())
    }

    /// Plain text to tokens, with the tokens that the tokenizer itself adds around a text.
    pub(crate) fn encode_document(&self, text: &str) -> Result<Vec<u32>, Error> {
        self.encode_part(text, true)
    }

    /// A rendered template to tokens.
    pub(crate) fn encode(&self, rendered: &Guarded) -> Result<(Vec<u32>, Opening), Error> {
        let pieces = self.pieces(rendered);
        let opening = self.opening(&pieces, rendered.guard);
        let mut tokens = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Mark(token) => tokens.push(token),
                Piece::Text(text) if text.contains(rendered.guard) => {
                    tokens.extend(self.encode_part(&text.replace(rendered.guard, ""), false)?);
                }
                Piece::Text(text) => tokens.extend(self.encode_part(text, false)?),
            }
        }
        Ok((tokens, opening))
    }

    fn encode_part(&self, text: &str, whole: bool) -> Result<Vec<u32>, Error> {
        let encoding = self.tokenizer.encode_fast(text, whole);
        let encoding = encoding.map_err(|error| Error::Internal(format!("cannot tokenise a text: {error}")))?;
        Ok(encoding.get_ids().to_vec())
    }

    fn pieces<'a>(&self, rendered: &'a Guarded) -> Vec<Piece<'a>> {
        let text = rendered.text.as_str();
        let mut pieces = Vec::new();
        let (mut start, mut at) = (0, 0);
        while at < text.len() {
            let Some(token) = self.mark_at(text, at, rendered.guard) else {
                at += 1;
                continue;
            };
            let before = &text[start..at];
            let before = if token.eats_before { before.trim_end() } else { before };
            pieces.extend((!before.is_empty()).then_some(Piece::Text(before)));
            pieces.push(Piece::Mark(token.id));
            at += token.text.len();
            if token.eats_after {
                at = text.len() - text[at..].trim_start().len();
            }
            start = at;
        }
        pieces.extend((start < text.len()).then(|| Piece::Text(&text[start..])));
        pieces
    }

    fn mark_at(&self, text: &str, at: usize, guard: char) -> Option<&Added> {
        let rest = &text.as_bytes()[at..];
        let pair = self.by_start.get(&start_of(rest)).into_iter().flatten();
        let single = self.by_start.get(&[rest[0], 0]).into_iter().flatten();
        let fits = |token: &&Added| {
            // A match is one of whole characters, so both ends are boundaries of the text.
            rest.starts_with(token.text.as_bytes())
                && !text[at + token.text.len()..].starts_with(guard)
                && (!token.whole_word || stands_alone(text, at, token.text.len()))
        };
        pair.chain(single).map(|index| &self.added[*index]).find(fits)
    }

    /// Whether the prompt's end stands inside an open think mark.
    fn opening(&self, pieces: &[Piece<'_>], guard: char) -> Opening {
        let answer = Opening { channel: Channel::Answer, forced: String::new() };
        let turns =
            |piece: &Piece<'_>| matches!(piece, Piece::Mark(mark) if self.is_special(*mark) || self.is_think(*mark));
        let start = pieces.iter().rposition(turns);
        let tail: String = pieces[start.map_or(0, |start| start + 1)..].iter().map(|piece| self.text(piece)).collect();
        let forced = match (self.think, start.map(|start| &pieces[start])) {
            (Some([open, _]), Some(Piece::Mark(last))) if *last == open => tail.as_str(),
            (Some(_), _) => return answer,
            (None, _) => match tail.rfind(THINK[0]).map(|at| &tail[at + THINK[0].len()..]) {
                Some(rest) if !rest.starts_with(guard) && !rest.contains(THINK[1]) => rest,
                _ => return answer,
            },
        };
        Opening { channel: Channel::Reasoning, forced: forced.replace(guard, "") }
    }

    fn is_think(&self, mark: u32) -> bool {
        self.think.is_some_and(|think| think.contains(&mark))
    }

    fn text<'p>(&'p self, piece: &Piece<'p>) -> &'p str {
        match piece {
            Piece::Text(text) => text,
            Piece::Mark(mark) => self.added.iter().find(|token| token.id == *mark).map_or("", |token| &token.text),
        }
    }
}

/// The first two bytes, the second zero where there is one only.
fn start_of(bytes: &[u8]) -> [u8; 2] {
    [bytes[0], bytes.get(1).copied().unwrap_or(0)]
}

fn stands_alone(text: &str, at: usize, length: usize) -> bool {
    let word =
        |character: Option<char>| character.is_some_and(|character| character.is_alphanumeric() || character == '_');
    !word(text[..at].chars().next_back()) && !word(text[at + length..].chars().next())
}

#[cfg(test)]
mod tests;
