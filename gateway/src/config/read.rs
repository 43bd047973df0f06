//! Reads a tree key by key: file, then environment, then default, with every mistake collected.
//! It does not know which keys there are; [`super::resolve`] asks for them.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::env::Environment;
use super::tree::{Node, Place, Value};
use super::{Secret, units};

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// File, or `environment`.
    pub file: String,
    /// Where in it.
    pub place: Place,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl fmt::Display for Mistake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.file)?;
        if self.place.line > 0 {
            write!(formatter, ":{}:{}", self.place.line, self.place.column)?;
        }
        write!(formatter, ": {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(formatter, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// What all readers of one configuration share.
pub(crate) struct Shared<'a> {
    pub file: &'a str,
    /// The folder that relative paths are taken from.
    pub base: &'a std::path::Path,
    pub environment: &'a Environment,
    pub mistakes: Vec<Mistake>,
    /// Variables that some key has asked for.
    pub known_variables: BTreeSet<String>,
    /// Files that secrets were read from.
    pub files: Vec<std::path::PathBuf>,
    /// Secrets that were read.
    pub secrets: Vec<Secret>,
    /// Names of providers, once the catalogue is read.
    pub providers: Vec<String>,
}

impl Shared<'_> {
    pub(crate) fn mistake(&mut self, place: Place, message: impl Into<String>, hint: Option<String>) {
        self.mistakes.push(Mistake { file: self.file.to_owned(), place, message: message.into(), hint });
    }
}

/// One mapping being read. Keys that nobody asked for are mistakes when it is finished.
pub(crate) struct Table {
    path: String,
    place: Place,
    entries: Vec<(String, Node)>,
    asked: Vec<&'static str>,
    /// Whether scalars here may come from the environment; those inside lists may not.
    overridable: bool,
    resolved: Map<String, Json>,
}

impl Table {
    /// The mapping at the root of a file.
    pub(crate) fn root(node: Node, shared: &mut Shared<'_>) -> Self {
        Self::of(String::new(), node, true, shared)
    }

    fn of(path: String, node: Node, overridable: bool, shared: &mut Shared<'_>) -> Self {
        let entries = match node.value {
            Value::Map(entries) => entries,
            Value::Null => Vec::new(),
            other => {
                let message = format!("{} must be a mapping, not {}", named(&path), other.kind());
                shared.mistake(node.place, message, None);
                Vec::new()
            }
        };
        Self { path, place: node.place, entries, asked: Vec::new(), overridable, resolved: Map::new() }
    }

    /// Where the mapping stands.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// Where a key's value stands, or the mapping where there is none.
    pub(crate) fn place_of(&self, key: &str) -> Place {
        self.entries.iter().find(|(name, _)| name == key).map_or(self.place, |(_, node)| node.place)
    }

    /// Whether the file says something under a key; `null` says nothing.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(name, node)| name == key && !matches!(node.value, Value::Null))
    }

    /// The full name of a key, as it is shown to people.
    pub(crate) fn name_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn node(&mut self, key: &'static str) -> Option<Node> {
        self.asked.push(key);
        let node = self.entries.iter().find(|(name, _)| name == key).map(|(_, node)| node.clone())?;
        (!matches!(node.value, Value::Null)).then_some(node)
    }

    /// Reads a mapping under a key; an absent one is empty.
    pub(crate) fn table(&mut self, key: &'static str, shared: &mut Shared<'_>) -> Self {
        let place = self.place_of(key);
        let node = self.node(key).unwrap_or(Node { place, value: Value::Null });
        Self::of(self.name_of(key), node, self.overridable, shared)
    }

    /// A mapping in a list, or in another file.
    pub(crate) fn item(path: String, node: Node, shared: &mut Shared<'_>) -> Self {
        Self::of(path, node, false, shared)
    }

    /// Reads a list of mappings under a key.
    pub(crate) fn tables(&mut self, key: &'static str, shared: &mut Shared<'_>) -> Vec<Self> {
        let path = self.name_of(key);
        let items = self.list(key, shared);
        let numbered = items.into_iter().enumerate();
        numbered.map(|(index, node)| Self::of(format!("{path}[{index}]"), node, false, shared)).collect()
    }

    /// Reads a mapping of free names to text.
    pub(crate) fn texts_by_name(&mut self, key: &'static str, shared: &mut Shared<'_>) -> Vec<(String, String)> {
        let inner = self.table(key, shared);
        let mut pairs = Vec::new();
        for (name, node) in &inner.entries {
            match scalar(&node.value) {
                Some(text) => pairs.push((name.clone(), text)),
                None => shared.mistake(node.place, format!("{} must be text", inner.name_of(name)), None),
            }
        }
        pairs
    }

    /// Reads a list of texts under a key.
    pub(crate) fn texts(&mut self, key: &'static str, default: &[&str], shared: &mut Shared<'_>) -> Vec<String> {
        if !self.has(key) {
            self.asked.push(key);
            let texts: Vec<String> = default.iter().map(|text| (*text).to_owned()).collect();
            self.resolved.insert(key.to_owned(), Json::from(texts.clone()));
            return texts;
        }
        let path = self.name_of(key);
        let mut texts = Vec::new();
        for node in self.list(key, shared) {
            match scalar(&node.value) {
                Some(text) => texts.push(text),
                None => shared.mistake(node.place, format!("{path} must hold text, not {}", node.value.kind()), None),
            }
        }
        self.resolved.insert(key.to_owned(), Json::from(texts.clone()));
        texts
    }

    /// Reads a list of anything under a key.
    pub(crate) fn list(&mut self, key: &'static str, shared: &mut Shared<'_>) -> Vec<Node> {
        match self.node(key) {
            None => Vec::new(),
            Some(Node { value: Value::List(items), .. }) => items,
            Some(node) => {
                let message = format!("{} must be a list, not {}", self.name_of(key), node.value.kind());
                shared.mistake(node.place, message, Some(format!("write `{key}: [...]` or `- ` lines")));
                Vec::new()
            }
        }
    }

    /// The text of a scalar: the environment's before the file's, and where it stands.
    fn scalar(&mut self, key: &'static str, shared: &mut Shared<'_>) -> Option<(String, Place)> {
        let node = self.node(key);
        if self.overridable {
            let variable = variable_of(&self.name_of(key));
            shared.known_variables.insert(variable.clone());
            if let Some(value) = shared.environment.value(&variable) {
                return Some((value.to_owned(), Place::default()));
            }
        }
        let node = node?;
        let text = scalar(&node.value);
        if text.is_none() {
            let message = format!("{} must be one value, not {}", self.name_of(key), node.value.kind());
            shared.mistake(node.place, message, None);
        }
        Some((text?, node.place))
    }

    /// Reads a scalar with a parser; what it cannot read is a mistake and gives `None`, like absence.
    pub(crate) fn parsed<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
        shared: &mut Shared<'_>,
    ) -> Option<T> {
        let (text, place) = self.scalar(key, shared)?;
        let value = parse(text.trim());
        if value.is_none() {
            let message = format!("{} must be {expected}, not `{text}`", self.name_of(key));
            shared.mistake(place, message, None);
        } else {
            self.resolved.insert(key.to_owned(), Json::from(text));
        }
        value
    }

    /// Reads a duration.
    pub(crate) fn duration(&mut self, key: &'static str, default: Duration, shared: &mut Shared<'_>) -> Duration {
        let value = self.parsed(key, "a duration such as `10s`, `250ms` or `5m`", units::read_duration, shared);
        self.keep(key, value, default, |value| Json::from(units::write_duration(*value)))
    }

    /// Reads a duration that may be absent.
    pub(super) fn optional_duration(&mut self, key: &'static str, shared: &mut Shared<'_>) -> Option<Duration> {
        self.parsed(key, "a duration such as `10s`, `250ms` or `5m`", units::read_duration, shared)
    }

    /// Reads a size in bytes.
    pub(crate) fn size(&mut self, key: &'static str, default: u64, shared: &mut Shared<'_>) -> u64 {
        let value = self.parsed(key, "a size such as `64KiB` or `16MiB`", units::read_size, shared);
        self.keep(key, value, default, |value| Json::from(units::write_size(*value)))
    }

    /// Reads a whole number of at least `least`.
    pub(crate) fn count(&mut self, key: &'static str, default: u64, least: u64, shared: &mut Shared<'_>) -> u64 {
        let expected = format!("a whole number of at least {least}");
        let parse = |text: &str| text.parse().ok().filter(|value| *value >= least);
        let value = self.parsed(key, &expected, parse, shared);
        self.keep(key, value, default, |value| Json::from(*value))
    }

    /// Reads a whole number that may be absent.
    pub(crate) fn optional_count(&mut self, key: &'static str, shared: &mut Shared<'_>) -> Option<usize> {
        self.parsed(key, "a whole number of at least 1", |text| text.parse().ok().filter(|n| *n >= 1), shared)
    }

    /// Reads `true` or `false`.
    pub(crate) fn flag(&mut self, key: &'static str, default: bool, shared: &mut Shared<'_>) -> bool {
        let value = self.parsed(key, "`true` or `false`", |text| text.parse().ok(), shared);
        self.keep(key, value, default, |value| Json::from(*value))
    }

    /// Reads text.
    pub(crate) fn text(&mut self, key: &'static str, shared: &mut Shared<'_>) -> Option<String> {
        self.parsed(key, "text", |text| (!text.is_empty()).then(|| text.to_owned()), shared)
    }

    /// Reads text that must be there.
    pub(crate) fn required(&mut self, key: &'static str, shared: &mut Shared<'_>) -> Option<String> {
        let missing = !self.has(key);
        if missing {
            let message = format!("{} lacks `{key}`", named(&self.path));
            shared.mistake(self.place, message, None);
        }
        self.text(key, shared)
    }

    /// Reads a path.
    pub(crate) fn path(&mut self, key: &'static str, shared: &mut Shared<'_>) -> Option<PathBuf> {
        self.text(key, shared).map(PathBuf::from)
    }

    /// Reads one of some words.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        words: &[(&'static str, T)],
        default: &'static str,
        shared: &mut Shared<'_>,
    ) -> Option<T> {
        let all: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        let find = |text: &str| words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        let value = self.parsed(key, &format!("one of {}", all.join(", ")), find, shared);
        if value.is_none() {
            self.resolved.insert(key.to_owned(), Json::from(default));
        }
        value.or_else(|| find(default))
    }

    /// Reads a secret given in place (`key`), by variable (`key_env`) or by file (`key_file`).
    pub(crate) fn secret(&mut self, keys: [&'static str; 3], shared: &mut Shared<'_>) -> Option<Secret> {
        let [in_place, by_variable, by_file] = keys;
        let given = keys.iter().filter(|key| self.has(key)).count();
        if given > 1 {
            let message = format!("{} gives a secret in more than one way", named(&self.path));
            shared.mistake(
                self.place,
                message,
                Some(format!("keep one of `{in_place}`, `{by_variable}`, `{by_file}`")),
            );
        }
        let direct = self.scalar(in_place, shared).map(|(text, _)| text);
        let variable = self.scalar(by_variable, shared);
        let file = self.scalar(by_file, shared);
        let text = match (direct, variable, file) {
            (Some(text), _, _) => text,
            (None, Some((name, place)), _) => match shared.environment.value(&name) {
                Some(text) => text.to_owned(),
                None => {
                    let message = format!("environment variable `{name}` is not set");
                    shared.mistake(place, message, Some(format!("named by {}", self.name_of(by_variable))));
                    return None;
                }
            },
            (None, None, Some((path, place))) => {
                let path = shared.base.join(path);
                match std::fs::read_to_string(&path) {
                    Ok(text) => {
                        shared.files.push(path);
                        text
                    }
                    Err(error) => {
                        let message = format!("secret file `{}` cannot be read: {}", path.display(), error.kind());
                        shared.mistake(place, message, None);
                        return None;
                    }
                }
            }
            (None, None, None) => return None,
        };
        self.resolved.insert(in_place.to_owned(), Json::from("***"));
        let secret = Secret::new(text.trim());
        shared.secrets.push(secret.clone());
        Some(secret)
    }

    /// As [`Table::secret`], of one that only traffic needs: beside it, it is not read.
    pub(crate) fn secret_of_traffic(&mut self, keys: [&'static str; 3], shared: &mut Shared<'_>) -> Option<Secret> {
        if shared.environment.is_aside() {
            self.asked.extend(keys);
            return None;
        }
        self.secret(keys, shared)
    }

    fn keep<T>(&mut self, key: &'static str, value: Option<T>, default: T, show: impl Fn(&T) -> Json) -> T {
        let value = value.unwrap_or(default);
        self.resolved.insert(key.to_owned(), show(&value));
        value
    }

    /// Notes what a key came to, for `candor check`.
    pub(crate) fn note(&mut self, key: &str, value: impl Into<Json>) {
        self.resolved.insert(key.to_owned(), value.into());
    }

    /// Ends the reading: unknown keys are mistakes; gives what all keys came to.
    pub(crate) fn finish(self, shared: &mut Shared<'_>) -> Json {
        for (key, node) in &self.entries {
            if !self.asked.contains(&key.as_str()) {
                let hint = nearest(key, &self.asked).map_or_else(
                    || format!("known here: {}", self.asked.join(", ")),
                    |near| format!("did you mean `{near}`?"),
                );
                shared.mistake(node.place, format!("unknown key `{}`", self.name_of(key)), Some(hint));
            }
        }
        Json::Object(self.resolved)
    }
}

/// The environment variable that overrides a key: `listen.address` is `CANDOR_LISTEN_ADDRESS`.
pub(crate) fn variable_of(name: &str) -> String {
    format!("CANDOR_{}", name.replace('.', "_").to_uppercase())
}

/// The known word that is closest to a mistyped one, if any is close.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let best = known.iter().map(|candidate| (distance(word, candidate), *candidate)).min()?;
    (best.0 <= 2.max(word.len() / 3)).then_some(best.1)
}

fn named(path: &str) -> String {
    if path.is_empty() { "the configuration".to_owned() } else { format!("`{path}`") }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Bool(value) => Some(value.to_string()),
        Value::Int(value) => Some(value.to_string()),
        Value::Float(value) => Some(value.to_string()),
        Value::Text(text) => Some(text.clone()),
        Value::Null | Value::List(_) | Value::Map(_) => None,
    }
}

/// Levenshtein distance over characters.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut previous = i + 1;
        if let Some(first) = row.first_mut() {
            *first = previous;
        }
        for (cell, right) in row.iter_mut().skip(1).zip(b.chars()) {
            let replaced = diagonal + usize::from(left != right);
            diagonal = *cell;
            previous = replaced.min(diagonal + 1).min(previous + 1);
            *cell = previous;
        }
    }
    row.last().copied().unwrap_or_default()
}
