//! What packs define, and what their references mean. It compiles nothing.

use std::sync::Arc;

use crate::Mistake;
use crate::matcher::Subject;
use crate::mistake::nearest;
use crate::source::{Kind, Notes, Source, Text, did_you_mean, glob};

/// All topics and detectors of all packs.
#[derive(Debug)]
pub(super) struct Names {
    packs: Vec<Arc<str>>,
    pub(super) subjects: Vec<Subject>,
}

/// What a mistyped name may have meant.
pub(super) fn hint(name: &str, known: &[&str]) -> Option<String> {
    const MOST: usize = 12;
    match nearest(name, known) {
        Some(near) => Some(did_you_mean(near)),
        None if known.is_empty() => None,
        None => Some(format!("there are: {}", known.iter().take(MOST).copied().collect::<Vec<_>>().join(", "))),
    }
}

impl Names {
    /// Gathers names; what is defined twice is a mistake.
    pub(super) fn gather(sources: &[Source], mistakes: &mut Vec<Mistake>) -> Self {
        let mut names = Self { packs: Vec::new(), subjects: Vec::new() };
        for source in sources {
            let mut notes = Notes::new(&source.file);
            if names.packs.iter().any(|pack| **pack == *source.name) {
                let message = format!("another pack is named `{}` too", source.name);
                notes.add(crate::Place { line: 1, column: 1 }, message, Some("rename one of them".to_owned()));
            }
            let pack: Arc<str> = Arc::from(source.name.as_str());
            names.packs.push(Arc::clone(&pack));
            for topic in &source.topics {
                names.define(&pack, &topic.id, true, topic.matter.unless_within(), &mut notes);
            }
            for detector in &source.detectors {
                let unless = match &detector.kind {
                    Kind::Matter(matter) => matter.unless_within(),
                    Kind::Secrets(_) | Kind::PersonalData(_) => None,
                };
                names.define(&pack, &detector.id, false, unless, &mut notes);
            }
            twice("rule", source.rules.iter().map(|rule| &rule.id), &mut notes);
            twice("list of words", source.words.iter().map(|(name, _)| name), &mut notes);
            mistakes.append(&mut notes.mistakes);
        }
        names
    }

    fn define(&mut self, pack: &Arc<str>, id: &Text, topic: bool, unless: Option<usize>, notes: &mut Notes<'_>) {
        if self.index(pack, &id.text, topic).is_some() {
            let what = if topic { "topic" } else { "detector" };
            notes.add(id.place, format!("{what} `{}` is defined twice", id.text), None);
            return;
        }
        self.subjects.push(Subject {
            pack: Arc::clone(pack),
            id: Arc::from(id.text.as_str()),
            topic,
            unless_within: unless,
        });
    }

    /// The shared name of a pack.
    pub(super) fn pack(&self, name: &str) -> Arc<str> {
        self.packs.iter().find(|pack| ***pack == *name).map_or_else(|| Arc::from(name), Arc::clone)
    }

    /// The number of a topic or detector of a pack.
    pub(super) fn index(&self, pack: &str, id: &str, topic: bool) -> Option<usize> {
        let same = |subject: &Subject| subject.topic == topic && *subject.pack == *pack && *subject.id == *id;
        self.subjects.iter().position(same)
    }

    /// The detectors that a reference of a pack means.
    pub(super) fn detectors(&self, pack: &str, reference: &Text, notes: &mut Notes<'_>) -> Vec<usize> {
        self.resolve(pack, reference, false, notes)
    }

    /// The topics that a reference of a pack means.
    pub(super) fn topics(&self, pack: &str, reference: &Text, notes: &mut Notes<'_>) -> Vec<usize> {
        self.resolve(pack, reference, true, notes)
    }

    /// `pack/id` is of that pack; `id` of the own pack, or of any where the own one has none. Both may hold `*`.
    fn resolve(&self, pack: &str, reference: &Text, topic: bool, notes: &mut Notes<'_>) -> Vec<usize> {
        let find = |packs: &str, id: &str| -> Vec<usize> {
            let fits =
                |subject: &Subject| subject.topic == topic && glob(packs, &subject.pack) && glob(id, &subject.id);
            self.subjects.iter().enumerate().filter(|(_, subject)| fits(subject)).map(|(index, _)| index).collect()
        };
        let found = match reference.text.split_once('/') {
            Some((packs, id)) => find(packs, id),
            None => Some(find(pack, &reference.text))
                .filter(|found| !found.is_empty())
                .unwrap_or_else(|| find("*", &reference.text)),
        };
        if found.is_empty() {
            let what = if topic { "topic" } else { "detector" };
            let whole: Vec<String> = self
                .subjects
                .iter()
                .filter(|subject| subject.topic == topic)
                .map(|subject| match &*subject.pack == pack {
                    true => subject.id.to_string(),
                    false => format!("{}/{}", subject.pack, subject.id),
                })
                .collect();
            let known: Vec<&str> = whole.iter().map(String::as_str).collect();
            notes.add(reference.place, format!("no {what} `{}`", reference.text), hint(&reference.text, &known));
        }
        found
    }
}

fn twice<'a>(what: &str, ids: impl Iterator<Item = &'a Text>, notes: &mut Notes<'_>) {
    let mut seen: Vec<&str> = Vec::new();
    for id in ids {
        if seen.contains(&id.text.as_str()) {
            notes.add(id.place, format!("{what} `{}` is defined twice", id.text), None);
        }
        seen.push(&id.text);
    }
}
