//! Reads a tree key by key and collects every mistake. It does not know which keys a pack has.

use super::tree::{Entry, Node, Place, Value};
use crate::mistake::{Mistake, nearest};

/// The mistakes of one file as they are found.
#[derive(Debug)]
pub(crate) struct Notes<'a> {
    file: &'a str,
    pub(crate) mistakes: Vec<Mistake>,
}

impl<'a> Notes<'a> {
    pub(crate) fn new(file: &'a str) -> Self {
        Self { file, mistakes: Vec::new() }
    }

    pub(crate) fn add(&mut self, place: Place, message: impl Into<String>, hint: Option<String>) {
        let (line, column) = (place.line, place.column);
        self.mistakes.push(Mistake { file: self.file.to_owned(), line, column, message: message.into(), hint });
    }
}

/// Text and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) place: Place,
}

/// Texts, each with the further key that it stands below, where there is one.
pub(crate) type Keyed = Vec<(Option<Text>, Text)>;

/// One mapping being read. Keys that nobody asked for are mistakes when it is finished.
#[derive(Debug)]
pub(crate) struct Table {
    what: String,
    pub(crate) place: Place,
    entries: Vec<Entry>,
    asked: Vec<&'static str>,
}

impl Table {
    /// The mapping that a node holds; `what` is its name in messages.
    pub(crate) fn of(what: impl Into<String>, node: Node, notes: &mut Notes<'_>) -> Self {
        let what = what.into();
        let entries = match node.value {
            Value::Map(entries) => entries,
            Value::Null => Vec::new(),
            other => {
                notes.add(node.place, format!("{what} must be a mapping, not {}", other.kind()), None);
                Vec::new()
            }
        };
        Self { what, place: node.place, entries, asked: Vec::new() }
    }

    /// Calls the mapping by another name from here on.
    pub(crate) fn call(&mut self, what: String) {
        self.what = what;
    }

    /// What it is called in messages.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// Whether a key is there that may also be absent.
    pub(crate) fn may_have(&mut self, key: &'static str) -> bool {
        self.asked.push(key);
        self.has(key)
    }

    /// Whether a key holds one value, no list and no mapping.
    pub(crate) fn is_scalar(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key && entry.node.value.scalar().is_some())
    }

    fn take(&mut self, key: &'static str) -> Option<Node> {
        self.asked.push(key);
        let entry = self.entries.iter_mut().find(|entry| entry.key == key)?;
        let node = Node { place: entry.node.place, value: std::mem::replace(&mut entry.node.value, Value::Null) };
        (!matches!(node.value, Value::Null)).then_some(node)
    }

    /// Reads one value as text.
    pub(crate) fn text(&mut self, key: &'static str, notes: &mut Notes<'_>) -> Option<Text> {
        let node = self.take(key)?;
        let text = node.value.scalar();
        if text.is_none() {
            let message = format!("`{key}` of {} must be one value, not {}", self.what, node.value.kind());
            notes.add(node.place, message, None);
        }
        Some(Text { text: text?, place: node.place })
    }

    /// Reads text that must be there.
    pub(crate) fn required(&mut self, key: &'static str, notes: &mut Notes<'_>) -> Option<Text> {
        if !self.has(key) {
            notes.add(self.place, format!("{} lacks `{key}`", self.what), None);
        }
        self.text(key, notes)
    }

    /// Reads one of some words.
    pub(crate) fn word<T: Copy>(
        &mut self,
        key: &'static str,
        words: &[(&'static str, T)],
        notes: &mut Notes<'_>,
    ) -> Option<T> {
        let text = self.text(key, notes)?;
        one_of(&text, key, words, notes)
    }

    /// Reads a whole number within limits.
    pub(crate) fn count(
        &mut self,
        key: &'static str,
        limits: std::ops::RangeInclusive<usize>,
        notes: &mut Notes<'_>,
    ) -> Option<usize> {
        let text = self.text(key, notes)?;
        let value = text.text.parse().ok().filter(|value| limits.contains(value));
        if value.is_none() {
            let message = format!("`{key}` must be a whole number, not `{}`", text.text);
            notes.add(text.place, message, Some(format!("write {} to {}", limits.start(), limits.end())));
        }
        value
    }

    /// Reads one value or a list of values as texts.
    pub(crate) fn texts(&mut self, key: &'static str, notes: &mut Notes<'_>) -> Vec<Text> {
        let Some(node) = self.take(key) else { return Vec::new() };
        texts_of(node, key, notes)
    }

    /// Reads a list of texts, or a mapping of languages to such lists.
    pub(crate) fn texts_by_language(&mut self, key: &'static str, notes: &mut Notes<'_>) -> Vec<Text> {
        let Some(node) = self.take(key) else { return Vec::new() };
        languages(node, key, notes)
    }

    /// Reads a list of mappings; `what` names one of them.
    pub(crate) fn tables(&mut self, key: &'static str, what: &str, notes: &mut Notes<'_>) -> Vec<Self> {
        match self.take(key) {
            None => Vec::new(),
            Some(Node { value: Value::List(items), .. }) => {
                items.into_iter().map(|node| Self::of(what, node, notes)).collect()
            }
            Some(node) => {
                let message = format!("`{key}` of {} must be a list, not {}", self.what, node.value.kind());
                notes.add(node.place, message, Some(format!("write `{key}:` and `- ` lines below it")));
                Vec::new()
            }
        }
    }

    /// Reads a mapping of free names to lists of texts, or to languages with such lists.
    pub(crate) fn lists_by_name(&mut self, key: &'static str, notes: &mut Notes<'_>) -> Vec<(Text, Vec<Text>)> {
        let Some(node) = self.take(key) else { return Vec::new() };
        let table = Self::of(format!("`{key}`"), node, notes);
        let lists = table.entries.into_iter().map(|entry| {
            let texts = languages(entry.node, &entry.key, notes);
            (Text { text: entry.key, place: entry.place }, texts)
        });
        lists.collect()
    }

    /// Reads a mapping of free keys to one text each, or to a mapping of further keys to one text each.
    pub(crate) fn texts_by_key(&mut self, key: &'static str, notes: &mut Notes<'_>) -> Vec<(Text, Keyed)> {
        let Some(node) = self.take(key) else { return Vec::new() };
        let table = Self::of(format!("`{key}`"), node, notes);
        let mut all = Vec::new();
        for entry in table.entries {
            let texts = match entry.node.value {
                Value::Map(entries) => {
                    let inner = entries.into_iter().flat_map(|inner| {
                        let name = Text { text: inner.key, place: inner.place };
                        let texts = texts_of(inner.node, key, notes);
                        texts.into_iter().map(move |text| (Some(name.clone()), text)).collect::<Vec<_>>()
                    });
                    inner.collect()
                }
                _ => texts_of(entry.node, key, notes).into_iter().map(|text| (None, text)).collect(),
            };
            all.push((Text { text: entry.key, place: entry.place }, texts));
        }
        all
    }

    /// Reads a mapping; an absent one is empty.
    pub(crate) fn table(&mut self, key: &'static str, notes: &mut Notes<'_>) -> Self {
        let node = self.take(key).unwrap_or(Node { place: self.place, value: Value::Null });
        Self::of(format!("`{key}` of {}", self.what), node, notes)
    }

    /// Ends the reading: unknown keys are mistakes.
    pub(crate) fn finish(self, notes: &mut Notes<'_>) {
        for entry in &self.entries {
            if !self.asked.contains(&entry.key.as_str()) {
                let hint = nearest(&entry.key, &self.asked)
                    .map_or_else(|| format!("known here: {}", self.asked.join(", ")), did_you_mean);
                notes.add(entry.place, format!("unknown key `{}` in {}", entry.key, self.what), Some(hint));
            }
        }
    }
}

/// The value of a word, or a mistake that names the words there are.
pub(crate) fn one_of<T: Copy>(text: &Text, key: &str, words: &[(&str, T)], notes: &mut Notes<'_>) -> Option<T> {
    let found = words.iter().find(|(word, _)| *word == text.text).map(|(_, value)| *value);
    if found.is_none() {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let hint = nearest(&text.text, &known).map_or_else(|| format!("known: {}", known.join(", ")), did_you_mean);
        notes.add(text.place, format!("`{}` is no value of `{key}`", text.text), Some(hint));
    }
    found
}

/// The hint for a mistyped word.
pub(crate) fn did_you_mean(word: &str) -> String {
    format!("did you mean `{word}`?")
}

fn texts_of(node: Node, key: &str, notes: &mut Notes<'_>) -> Vec<Text> {
    let items = match node.value {
        Value::List(items) => items,
        _ => vec![node],
    };
    let mut texts = Vec::with_capacity(items.len());
    for item in items {
        match item.value.scalar() {
            Some(text) => texts.push(Text { text, place: item.place }),
            None => notes.add(item.place, format!("`{key}` must hold text, not {}", item.value.kind()), None),
        }
    }
    texts
}

fn languages(node: Node, key: &str, notes: &mut Notes<'_>) -> Vec<Text> {
    match node.value {
        Value::Map(entries) => entries.into_iter().flat_map(|entry| texts_of(entry.node, &entry.key, notes)).collect(),
        _ => texts_of(node, key, notes),
    }
}
