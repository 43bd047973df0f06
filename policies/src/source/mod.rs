//! The pack format, version 1: what a YAML file says, each part with its place. It resolves no name and compiles no
//! pattern; `compile` does.

mod conditions;
mod demands;
mod hours;
mod read;
mod rules;
mod tree;

pub(crate) use conditions::{Condition, Conditions, glob};
pub(crate) use hours::in_utc;
pub use hours::moment;
pub(crate) use read::{Notes, Text, did_you_mean};
pub(crate) use rules::{Rule, Test};
pub(crate) use tree::Place;

use self::read::Table;
use crate::Pack;

/// What an editor needs to check a pack while it is written: JSON Schema, draft 7.
#[must_use]
pub fn pack_schema() -> &'static str {
    include_str!("../../pack.schema.json")
}

/// The one format there is.
const VERSION: usize = 1;

/// Distance in bytes within which words count as together, or as standing near, unless a pack says otherwise.
const WITHIN: usize = 100;

/// Longest such distance.
const WITHIN_MOST: usize = 400;

/// One pack as its author wrote it.
#[derive(Debug)]
pub(crate) struct Source {
    /// The file, for mistakes.
    pub(crate) file: String,
    /// The pack's name.
    pub(crate) name: String,
    /// Named lists of words that topics combine.
    pub(crate) words: Vec<(Text, Vec<Text>)>,
    /// Subjects.
    pub(crate) topics: Vec<Topic>,
    /// Detectors.
    pub(crate) detectors: Vec<Detector>,
    /// Rules.
    pub(crate) rules: Vec<Rule>,
    /// The pack's own tests.
    pub(crate) tests: Vec<Test>,
    /// What the file says, without layout.
    pub(crate) canonical: String,
}

/// A named subject.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) id: Text,
    pub(crate) matter: Matter,
}

/// Something else to find.
#[derive(Debug)]
pub(crate) struct Detector {
    pub(crate) id: Text,
    pub(crate) kind: Kind,
}

/// What a detector looks for.
#[derive(Debug)]
pub(crate) enum Kind {
    /// Terms and patterns of the pack.
    Matter(Matter),
    /// Keys and tokens by their issuers' formats; empty means all.
    Secrets(Vec<Text>),
    /// Personal data by format; empty means all.
    PersonalData(Vec<Text>),
}

/// What text must hold to be a hit, and what next to it makes it none.
#[derive(Debug, Default)]
pub(crate) struct Matter {
    /// Each of these is a hit.
    pub(crate) terms: Vec<Text>,
    /// Each match of these is a hit.
    pub(crate) patterns: Vec<Text>,
    /// Whether patterns tell capitals from small letters.
    pub(crate) case_sensitive: bool,
    /// Whether patterns may begin and end inside words.
    pub(crate) inside_words: bool,
    /// How else its terms are read, beside as they stand.
    pub(crate) disguises: Disguises,
    /// Named lists of which each must have a word near the others.
    pub(crate) together: Vec<Together>,
    /// Terms that, near a hit, make it none.
    pub(crate) unless: Vec<Text>,
    /// Named lists whose words do so too.
    pub(crate) unless_lists: Vec<Text>,
    /// How near, in bytes.
    pub(crate) within: usize,
}

impl Matter {
    /// How near something must stand to make a hit none; `None` where nothing does.
    pub(crate) fn unless_within(&self) -> Option<usize> {
        (!self.unless.is_empty() || !self.unless_lists.is_empty()).then_some(self.within)
    }
}

/// How terms are read that somebody hides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Disguises {
    /// Digits and signs stand for letters.
    pub(crate) leet: bool,
    /// Something stands between all letters.
    pub(crate) spaced: bool,
}

/// Lists of words that make a hit when each has a word near the others.
#[derive(Debug)]
pub(crate) struct Together {
    pub(crate) lists: Vec<Text>,
    pub(crate) within: usize,
}

/// Reads one pack, with every mistake in what it says.
pub(crate) fn read(pack: &Pack) -> (Option<Source>, Vec<crate::Mistake>) {
    let mut notes = Notes::new(&pack.name);
    let root = match tree::parse(&pack.text) {
        Ok(root) => root,
        Err(error) => {
            let place = error.location().map(|at| Place { line: at.line(), column: at.column() });
            notes.add(place.unwrap_or_default(), format!("not valid YAML: {}", error.without_snippet()), None);
            return (None, notes.mistakes);
        }
    };
    let mut canonical = String::new();
    root.value.write_canonical(&mut canonical);
    let mut root = Table::of("the pack", root, &mut notes);
    read_version(&mut root, &mut notes);
    let name = root.required("name", &mut notes).map_or_else(|| pack.name.clone(), |name| name.text);
    let _ = root.text("about", &mut notes);
    let source = Source {
        file: pack.name.clone(),
        name,
        words: root.lists_by_name("words", &mut notes),
        topics: read_topics(&mut root, &mut notes),
        detectors: read_detectors(&mut root, &mut notes),
        rules: rules::read_rules(&mut root, &mut notes),
        tests: rules::read_tests(&mut root, &mut notes),
        canonical,
    };
    root.finish(&mut notes);
    (Some(source), notes.mistakes)
}

fn read_version(root: &mut Table, notes: &mut Notes<'_>) {
    let Some(version) = root.required("version", notes) else { return };
    if version.text != VERSION.to_string() {
        let hint = Some(format!("write `version: {VERSION}`"));
        notes.add(version.place, format!("version `{}` of the format is not known", version.text), hint);
    }
}

fn read_topics(root: &mut Table, notes: &mut Notes<'_>) -> Vec<Topic> {
    let mut topics = Vec::new();
    for mut table in root.tables("topics", "a topic", notes) {
        let id = read_id(&mut table, "topic", notes);
        let _ = table.text("title", notes);
        let matter = read_matter(&mut table, notes);
        let place = table.place;
        if matter.terms.is_empty() && matter.patterns.is_empty() && matter.together.is_empty() {
            let hint = Some("give it `terms`, `patterns` or `together`".to_owned());
            notes.add(place, format!("{} can never be found", table.what()), hint);
        }
        table.finish(notes);
        topics.extend(id.map(|id| Topic { id, matter }));
    }
    topics
}

fn read_detectors(root: &mut Table, notes: &mut Notes<'_>) -> Vec<Detector> {
    const KINDS: [(&str, u8); 4] = [("terms", 0), ("patterns", 1), ("secrets", 2), ("personal-data", 3)];
    let mut detectors = Vec::new();
    for mut table in root.tables("detectors", "a detector", notes) {
        let id = read_id(&mut table, "detector", notes);
        if !table.has("kind") {
            notes.add(table.place, format!("{} lacks `kind`", table.what()), Some("write `kind: terms`".to_owned()));
        }
        let kind = match table.word("kind", &KINDS, notes) {
            Some(2) => Some(Kind::Secrets(table.texts("kinds", notes))),
            Some(3) => Some(Kind::PersonalData(table.texts("kinds", notes))),
            Some(kind) => {
                let matter = read_matter(&mut table, notes);
                let needed = if kind == 0 { "terms" } else { "patterns" };
                if (kind == 0 && matter.terms.is_empty()) || (kind == 1 && matter.patterns.is_empty()) {
                    notes.add(table.place, format!("{} has no `{needed}`", table.what()), None);
                }
                Some(Kind::Matter(matter))
            }
            None => {
                // The other keys cannot be judged without a kind.
                continue;
            }
        };
        table.finish(notes);
        if let (Some(id), Some(kind)) = (id, kind) {
            detectors.push(Detector { id, kind });
        }
    }
    detectors
}

/// Reads an id, and calls the table by it from here on.
fn read_id(table: &mut Table, what: &str, notes: &mut Notes<'_>) -> Option<Text> {
    let id = table.required("id", notes)?;
    table.call(format!("{what} `{}`", id.text));
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    if id.text.is_empty() || !id.text.chars().all(fits) {
        let hint = Some("use small letters, digits, `-`, `_` and `.`".to_owned());
        notes.add(id.place, format!("`{}` is no id", id.text), hint);
        return None;
    }
    Some(id)
}

fn read_matter(table: &mut Table, notes: &mut Notes<'_>) -> Matter {
    const CASES: [(&str, bool); 2] = [("sensitive", true), ("insensitive", false)];
    const ANSWERS: [(&str, bool); 2] = [("true", true), ("false", false)];
    let within = table.count("within", 1..=WITHIN_MOST, notes).unwrap_or(WITHIN);
    let mut together = Vec::new();
    for mut entry in table.tables("together", "an entry of `together`", notes) {
        let lists = entry.texts("of", notes);
        let within = entry.count("within", 1..=WITHIN_MOST, notes).unwrap_or(within);
        if lists.len() < 2 {
            let hint = Some("write `of: [one-list, another]`, naming lists under `words`".to_owned());
            notes.add(entry.place, format!("{} must name two lists or more", entry.what()), hint);
        }
        entry.finish(notes);
        together.push(Together { lists, within });
    }
    Matter {
        terms: table.texts_by_language("terms", notes),
        patterns: table.texts_by_language("patterns", notes),
        case_sensitive: table.word("case", &CASES, notes).unwrap_or(false),
        inside_words: table.word("inside_words", &ANSWERS, notes).unwrap_or(false),
        disguises: Disguises {
            leet: table.word("leet", &ANSWERS, notes).unwrap_or(false),
            spaced: table.word("spaced", &ANSWERS, notes).unwrap_or(false),
        },
        together,
        unless: table.texts_by_language("unless", notes),
        unless_lists: table.texts("unless_lists", notes),
        within,
    }
}
