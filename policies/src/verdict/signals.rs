//! Hosts' own block signals: error bodies of any shape, and reasons for which a reply ended. It knows no text of a model.

use aho_corasick::AhoCorasick;
use serde::Deserialize;
use serde_json::Value;

use super::case::HostError;
use super::fold::Folder;

/// What a host stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Side {
    /// The request.
    Input,
    /// The reply.
    Output,
    /// Either; only what had come by then tells.
    Either,
    /// Nothing: this is the vendor's word for its model's own refusal.
    Model,
}

/// A block as a host reported it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) side: Side,
    /// The host's code or words, as sent.
    pub(super) raw: String,
}

/// All known signals.
#[derive(Debug)]
pub(super) struct Signals {
    rules: Vec<Rule>,
    finishes: Vec<Finish>,
    texts: AhoCorasick,
    /// The rule of each of `texts`.
    owners: Vec<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    errors: Vec<Rule>,
    finishes: Vec<Finish>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    #[expect(dead_code, reason = "names the rule for readers of the data")]
    vendor: String,
    side: Side,
    #[serde(default)]
    codes: Vec<String>,
    /// Fields in which the codes count; empty for all.
    #[serde(default)]
    keys: Vec<String>,
    #[serde(default)]
    texts: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Finish {
    side: Side,
    values: Vec<String>,
}

/// One match in an error body.
struct Hit {
    side: Side,
    raw: String,
    is_code: bool,
}

impl Signals {
    /// Reads the shipped signals.
    pub(super) fn shipped(folder: &Folder) -> Self {
        let file: File = match serde_saphyr::from_str(SHIPPED) {
            Ok(file) => file,
            Err(error) => unreachable!("the shipped signals are data of this build and tested: {error}"),
        };
        let mut owners = Vec::new();
        let mut texts = Vec::new();
        for (owner, rule) in file.errors.iter().enumerate() {
            for text in &rule.texts {
                texts.push(folder.fold(text).text);
                owners.push(owner);
            }
        }
        let texts = match AhoCorasick::new(&texts) {
            Ok(texts) => texts,
            Err(error) => unreachable!("a few hundred short patterns always fit: {error}"),
        };
        Self { rules: file.errors, finishes: file.finishes, texts, owners }
    }

    /// The block that an error body reports, if it reports one. `Either` is settled by whether text had come.
    pub(super) fn in_error(&self, error: &HostError<'_>, text_came: bool, folder: &Folder) -> Option<Block> {
        let mut hits = Vec::new();
        let mut leaves = Leaves { left: MOST_LEAVES, signals: self, folder, hits: &mut hits };
        leaves.text("", error.body, 0);
        let sided = hits.iter().find(|hit| hit.side != Side::Either);
        let side = match sided.map(|hit| hit.side) {
            Some(side) => side,
            None if hits.is_empty() => return None,
            None if text_came => Side::Output,
            None => Side::Input,
        };
        let raw = hits.iter().find(|hit| hit.is_code).or(sided).or_else(|| hits.first())?;
        Some(Block { side, raw: raw.raw.clone() })
    }

    /// The block that a finish reason reports, if it reports one.
    pub(super) fn in_finish(&self, reason: &str) -> Option<Block> {
        let lower = reason.trim().to_lowercase();
        let known = self.finishes.iter().find(|finish| finish.values.contains(&lower))?;
        Some(Block { side: known.side, raw: reason.trim().to_owned() })
    }
}

/// Walks an error body, through JSON inside strings as well.
struct Leaves<'a, 'b> {
    left: usize,
    signals: &'a Signals,
    folder: &'a Folder,
    hits: &'b mut Vec<Hit>,
}

impl Leaves<'_, '_> {
    fn value(&mut self, key: &str, value: &Value, depth: usize) {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 || ECHOES.contains(&key) {
            return;
        }
        match value {
            Value::String(text) => self.text(key, text, depth),
            Value::Number(number) => self.leaf(key, &number.to_string()),
            Value::Array(items) => items.iter().for_each(|item| self.value(key, item, depth)),
            Value::Object(map) => map.iter().for_each(|(key, value)| self.value(key, value, depth)),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn text(&mut self, key: &str, text: &str, depth: usize) {
        if depth < DEEPEST
            && let Some((before, inner, after)) = embedded(text)
        {
            self.leaf(key, before);
            self.value(key, &inner, depth + 1);
            self.leaf(key, after);
            return;
        }
        self.leaf(key, text);
    }

    fn leaf(&mut self, key: &str, text: &str) {
        let short = text.trim();
        let bare = key.is_empty();
        for rule in &self.signals.rules {
            if !rule.keys.is_empty() && !rule.keys.iter().any(|wanted| wanted == key) {
                continue;
            }
            let stands =
                |code: &&String| code.eq_ignore_ascii_case(short) || (is_distinct(code) && has_word(text, code));
            if let Some(code) = rule.codes.iter().find(stands).filter(|code| !bare || is_distinct(code)) {
                let raw = if code.eq_ignore_ascii_case(short) { short } else { code };
                self.hits.push(Hit { side: rule.side, raw: raw.to_owned(), is_code: true });
            }
        }
        let folded = self.folder.fold(text);
        for found in self.signals.texts.find_iter(&folded.text) {
            let owner =
                self.signals.owners.get(found.pattern().as_usize()).and_then(|owner| self.signals.rules.get(*owner));
            let raw = text.get(folded.original(&found.range(), text)).unwrap_or_default();
            if let Some(rule) = owner {
                self.hits.push(Hit { side: rule.side, raw: raw.to_owned(), is_code: false });
            }
        }
    }
}

/// JSON inside a text, with what stands around it.
fn embedded(text: &str) -> Option<(&str, Value, &str)> {
    let start = text.find(['{', '['])?;
    let rest = text.get(start..)?;
    let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
    let value = stream.next()?.ok().filter(|value| value.is_object() || value.is_array())?;
    Some((text.get(..start)?, value, rest.get(stream.byte_offset()..)?))
}

/// Whether a code is peculiar enough to count inside running text: two words joined, never an ordinary one.
fn is_distinct(code: &str) -> bool {
    let joined = code.contains('_') || code.chars().skip(1).any(|c| c.is_ascii_uppercase());
    joined && code.chars().any(|c| c.is_ascii_lowercase()) && code.len() > 9
}

/// Whether a word stands in a text with nothing joined to it.
fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let joins = |c: char| c.is_alphanumeric() || c == '_' || c == '-' || c == '/';
        let before = text.get(..at).and_then(|text| text.chars().next_back());
        let after = text.get(at + word.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(joins) && !after.is_some_and(joins)
    })
}

/// Fields in which hosts repeat what the client sent.
const ECHOES: [&str; 7] = ["input", "flagged_input", "prompt", "messages", "request", "request_body", "model"];
const MOST_LEAVES: usize = 10_000;
const DEEPEST: usize = 6;
const SHIPPED: &str = include_str!("../../verdict/signals.yaml");
