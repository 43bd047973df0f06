//! The suite format, as a tree that knows its lines, to probes: every mistake at once. It opens no files.
//!
//! A suite has `name`, `version`, `about`, and either `probes`, a list of whole probes, or `topics`: questions by topic, each
//! with its wordings by language and its twin, of which probes are made. JSON lines hold a probe each.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::probe::{Kind, Probe, Suite};
use crate::config::{FilePlace as Place, Node, Tree as Value};

/// A mistake of a suite, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The file.
    pub file: String,
    /// The line, from 1; 0 where it is not known.
    pub line: u64,
    /// What is wrong, and what to write instead.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(formatter, "{}: {}", self.file, self.message),
            line => write!(formatter, "{}:{line}: {}", self.file, self.message),
        }
    }
}

/// Probes of one suite at most: what is more is a mistake, not a suite.
pub(super) const MOST: usize = 100_000;

/// Bytes of an id at most: it stands in a header with the run and the sample.
const LONGEST_ID: usize = 100;

/// Collects mistakes.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) file: &'a str,
    pub(super) mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    pub(super) fn mistake(&mut self, place: Place, message: impl Into<String>) {
        self.mistakes.push(Mistake { file: self.file.to_owned(), line: place.line, message: message.into() });
    }
}

/// Entries of a mapping, taken one by one so that what is left is known to be unknown.
struct Entries {
    place: Place,
    what: &'static str,
    /// Whether it is a mapping at all; what a thing lacks that is none need not be told.
    is_mapping: bool,
    left: Vec<(String, Node)>,
}

impl Entries {
    fn of(node: Node, what: &'static str, reader: &mut Reader<'_>) -> Self {
        let is_mapping = matches!(node.value, Value::Map(_));
        let left = match node.value {
            Value::Map(entries) => entries,
            other => {
                reader.mistake(node.place, format!("{what} must be a mapping, not {}", other.kind()));
                Vec::new()
            }
        };
        Self { place: node.place, what, is_mapping, left }
    }

    fn take(&mut self, key: &str) -> Option<Node> {
        let at = self.left.iter().position(|(name, _)| name == key)?;
        Some(self.left.remove(at).1)
    }

    fn text(&mut self, key: &str, reader: &mut Reader<'_>) -> Option<String> {
        let node = self.take(key)?;
        scalar(&node).or_else(|| {
            reader.mistake(node.place, format!("`{key}` must be text, not {}", node.value.kind()));
            None
        })
    }

    fn required(&mut self, key: &str, reader: &mut Reader<'_>) -> Option<String> {
        let is_there = self.left.iter().any(|(name, _)| name == key);
        let text = self.text(key, reader);
        if self.is_mapping && (text.as_deref().is_some_and(|text| text.trim().is_empty()) || !is_there) {
            reader.mistake(self.place, format!("{} lacks `{key}`", self.what));
            return None;
        }
        text
    }

    fn list(&mut self, key: &str, reader: &mut Reader<'_>) -> Vec<Node> {
        match self.take(key) {
            None => Vec::new(),
            Some(Node { value: Value::List(list), .. }) => list,
            Some(node) => {
                reader.mistake(node.place, format!("`{key}` must be a list, not {}", node.value.kind()));
                Vec::new()
            }
        }
    }

    fn finish(self, known: &[&str], reader: &mut Reader<'_>) {
        for (name, node) in self.left {
            reader.mistake(node.place, format!("{} has no `{name}`; it has {}", self.what, known.join(", ")));
        }
    }
}

fn scalar(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) => Some(text.clone()),
        Value::Int(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Reads a whole suite.
pub(super) fn suite(root: Node, reader: &mut Reader<'_>) -> Suite {
    let mut entries = Entries::of(root, "a suite", reader);
    let name = entries.required("name", reader).unwrap_or_default();
    let version = entries.text("version", reader).map_or(Some(1), |text| text.parse().ok());
    if version.is_none() {
        reader.mistake(entries.place, "`version` must be a whole number");
    }
    let about = entries.text("about", reader).unwrap_or_default();
    let mut probes = Vec::new();
    for node in entries.list("probes", reader) {
        probes.extend(probe(node, reader));
    }
    for node in entries.list("topics", reader) {
        topic(node, &mut probes, reader);
    }
    entries.finish(&["name", "version", "about", "probes", "topics"], reader);
    let suite = Suite { name, version: version.unwrap_or(1), about, probes: placed(probes, reader) };
    if suite.probes.is_empty() && reader.mistakes.is_empty() {
        reader.mistake(Place::default(), "the suite has no probes; it needs `probes` or `topics`");
    }
    suite
}

/// A probe and where it stands.
pub(super) type Placed = (Place, Probe);

/// Checks what only all probes together show.
pub(super) fn placed(probes: Vec<Placed>, reader: &mut Reader<'_>) -> Vec<Probe> {
    let mut ids = BTreeSet::new();
    for (place, probe) in &probes {
        if !ids.insert(probe.id.clone()) {
            reader.mistake(*place, format!("two probes have the id `{}`", probe.id));
        }
        let fits = |c: char| c.is_ascii_graphic();
        if probe.id.len() > LONGEST_ID || !probe.id.chars().all(fits) {
            reader.mistake(
                *place,
                format!("the id `{}` must be at most {LONGEST_ID} visible ASCII characters", probe.id.escape_debug()),
            );
        }
        if probe.kind == Kind::Capability && probe.answer.is_none() {
            reader.mistake(*place, format!("the capability probe `{}` lacks `answer`", probe.id));
        }
    }
    if probes.len() > MOST {
        reader.mistake(Place::default(), format!("{} probes are more than {MOST}", probes.len()));
    }
    for (place, probe) in &probes {
        if let Some(twin) = probe.twin.as_ref().filter(|twin| !ids.contains(*twin)) {
            reader.mistake(*place, format!("`{}` has the twin `{twin}`, which is no probe", probe.id));
        }
    }
    probes.into_iter().map(|(_, probe)| probe).collect()
}

const PROBE_KEYS: [&str; 12] =
    ["id", "topic", "pack", "language", "wording", "prompt", "system", "twin", "facts", "kind", "answer", "control"];

/// Reads one whole probe.
pub(super) fn probe(node: Node, reader: &mut Reader<'_>) -> Option<Placed> {
    let place = node.place;
    let mut entries = Entries::of(node, "a probe", reader);
    let id = entries.required("id", reader);
    let topic = entries.required("topic", reader);
    let prompt = entries.required("prompt", reader);
    let language = entries.text("language", reader).unwrap_or_else(|| "en".to_owned());
    let pack = entries.text("pack", reader);
    let wording = entries.text("wording", reader);
    let (system, twin) = (entries.text("system", reader), entries.text("twin", reader));
    let facts = facts(&mut entries, reader);
    let kind = kind(&mut entries, reader);
    let answer = entries.text("answer", reader);
    let control = match entries.take("control") {
        None => false,
        Some(Node { value: Value::Bool(control), .. }) => control,
        Some(node) => {
            reader.mistake(node.place, "`control` must be true or false");
            false
        }
    };
    entries.finish(&PROBE_KEYS, reader);
    let (id, topic, prompt) = (id?, topic?, prompt?);
    let wording = wording.unwrap_or_else(|| id.clone());
    Some((place, Probe { id, topic, pack, language, wording, prompt, system, twin, facts, kind, answer, control }))
}

fn kind(entries: &mut Entries, reader: &mut Reader<'_>) -> Kind {
    let place = entries.place;
    match entries.text("kind", reader).as_deref() {
        None | Some("refusal") => Kind::Refusal,
        Some("capability") => Kind::Capability,
        Some(other) => {
            reader.mistake(place, format!("`kind` is refusal or capability, not `{other}`"));
            Kind::Refusal
        }
    }
}

/// Reads `facts`: texts, or lists of texts of which any will do.
fn facts(entries: &mut Entries, reader: &mut Reader<'_>) -> Vec<Vec<String>> {
    let mut facts = Vec::new();
    for node in entries.list("facts", reader) {
        let any: Vec<String> = match &node.value {
            Value::List(list) => list.iter().filter_map(scalar).collect(),
            _ => scalar(&node).into_iter().collect(),
        };
        if any.is_empty() {
            reader.mistake(node.place, "a fact must be text, or a list of texts of which any will do");
        } else {
            facts.push(any);
        }
    }
    facts
}

/// Reads one topic's questions and makes probes of them.
fn topic(node: Node, probes: &mut Vec<Placed>, reader: &mut Reader<'_>) {
    let mut entries = Entries::of(node, "a topic", reader);
    let name = entries.required("topic", reader).unwrap_or_default();
    let questions = entries.list("questions", reader);
    if questions.is_empty() {
        reader.mistake(entries.place, format!("the topic `{name}` has no `questions`"));
    }
    entries.finish(&["topic", "questions"], reader);
    for node in questions {
        question(&name, node, probes, reader);
    }
}

/// One question: its wordings become probes `ID/LANGUAGE/NUMBER`, and those of its twin the same with a trailing `~`.
fn question(subject: &str, node: Node, probes: &mut Vec<Placed>, reader: &mut Reader<'_>) {
    let place = node.place;
    let mut entries = Entries::of(node, "a question", reader);
    let id = entries.required("id", reader).unwrap_or_default();
    let ask = wordings(entries.take("ask"), reader);
    let twin = wordings(entries.take("twin"), reader);
    let system = entries.text("system", reader);
    let facts = facts(&mut entries, reader);
    let kind = kind(&mut entries, reader);
    let answer = entries.text("answer", reader);
    if ask.is_empty() {
        reader.mistake(place, format!("the question `{id}` lacks `ask`, its wordings by language"));
    }
    entries.finish(&["id", "ask", "twin", "system", "facts", "kind", "answer"], reader);
    let (pack, topic) = match subject.split_once('/') {
        Some((pack, topic)) => (Some(pack.to_owned()), topic.to_owned()),
        None => (None, subject.to_owned()),
    };
    let one = |language: &str, prompt: &str, number: usize, control: bool| Probe {
        id: format!("{id}/{language}/{number}{}", if control { "~" } else { "" }),
        topic: topic.clone(),
        pack: pack.clone(),
        language: language.to_owned(),
        wording: if control { format!("{id}~") } else { id.clone() },
        prompt: prompt.to_owned(),
        system: system.clone(),
        twin: None,
        facts: if control { Vec::new() } else { facts.clone() },
        kind,
        answer: answer.clone(),
        control,
    };
    for (language, texts) in &ask {
        let twins = twin.get(language).map(Vec::as_slice).unwrap_or_default();
        for (number, text) in (1..).zip(twins) {
            probes.push((place, one(language, text, number, true)));
        }
        for (number, text) in (1..).zip(texts) {
            let mut probe = one(language, text, number, false);
            let partner = number.min(twins.len());
            probe.twin = (partner > 0).then(|| format!("{id}/{language}/{partner}~"));
            probes.push((place, probe));
        }
    }
    for language in twin.keys().filter(|language| !ask.contains_key(*language)) {
        reader.mistake(place, format!("the question `{id}` has a twin in `{language}` and is not asked in it"));
    }
}

/// Texts by language: each one text or a list of them.
fn wordings(node: Option<Node>, reader: &mut Reader<'_>) -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::new();
    let Some(node) = node else { return all };
    for (language, node) in Entries::of(node, "wordings", reader).left {
        let texts: Vec<String> = match &node.value {
            Value::List(list) => list.iter().filter_map(scalar).collect(),
            _ => scalar(&node).into_iter().collect(),
        };
        if texts.is_empty() || texts.iter().any(|text| text.trim().is_empty()) {
            reader.mistake(node.place, format!("the wordings in `{language}` must be text or a list of texts"));
        }
        all.insert(language, texts);
    }
    all
}
