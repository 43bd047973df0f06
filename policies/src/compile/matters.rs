//! Compiles what topics and detectors look for. It resolves no rule.

use std::collections::HashMap;
use std::sync::Arc;

use super::names::{self, Names};
use crate::matcher::{
    Combination, Format, Group, MATCH_MOST, Matchers, PERSONAL_DATA, PatternError, SECRETS, TERM_MOST, TermsBuilder,
    Use, Wanted, bounded, disguised, parse,
};
use crate::normalise::{Folding, read_term};
use crate::source::{Disguises, Kind, Matter, Notes, Source, Text};

/// Formats that are tried in one automaton: of more, most would not fit one and be built in vain.
const TRIED_TOGETHER: usize = 12;

/// Terms of one detector that may be searched for in disguise: each is a pattern, where a term costs nothing.
const DISGUISED_MOST: usize = 500;

/// Everything looked for, while it is gathered.
#[derive(Debug)]
pub(super) struct Matters {
    folding: Folding,
    terms: TermsBuilder,
    combinations: Vec<Combination>,
    combinations_of_list: Vec<Vec<usize>>,
    /// Patterns with the subjects they belong to.
    wanted: Vec<(usize, Vec<Wanted>)>,
}

impl Matters {
    pub(super) fn new(folding: Folding) -> Self {
        Self {
            folding,
            terms: TermsBuilder::default(),
            combinations: Vec::new(),
            combinations_of_list: Vec::new(),
            wanted: Vec::new(),
        }
    }

    /// Adds what a pack looks for.
    pub(super) fn add(&mut self, source: &Source, names: &Names, notes: &mut Notes<'_>) {
        let mut lists = Lists::new();
        for (name, words) in &source.words {
            let list = self.combinations_of_list.len();
            self.combinations_of_list.push(Vec::new());
            lists.insert(name.text.as_str(), (list, words.as_slice()));
            self.add_terms(words, Use::List(list), notes);
        }
        for topic in &source.topics {
            if let Some(subject) = names.index(&source.name, &topic.id.text, true) {
                self.add_matter(&topic.matter, subject, &lists, notes);
            }
        }
        for detector in &source.detectors {
            let Some(subject) = names.index(&source.name, &detector.id.text, false) else { continue };
            match &detector.kind {
                Kind::Matter(matter) => self.add_matter(matter, subject, &lists, notes),
                Kind::Secrets(kinds) => self.add_formats(SECRETS, kinds, subject, notes),
                Kind::PersonalData(kinds) => self.add_formats(PERSONAL_DATA, kinds, subject, notes),
            }
        }
    }

    fn add_matter(&mut self, matter: &Matter, subject: usize, lists: &Lists<'_>, notes: &mut Notes<'_>) {
        self.add_terms(&matter.terms, Use::Hit(subject), notes);
        self.add_terms(&matter.unless, Use::Unless(subject), notes);
        for list in &matter.unless_lists {
            if let Some((_, words)) = find_list(lists, list, notes) {
                self.add_terms(words, Use::Unless(subject), notes);
            }
        }
        let mut wanted = Vec::new();
        for pattern in &matter.patterns {
            match bounded(&pattern.text, matter.case_sensitive, &self.folding) {
                Ok(hir) => wanted.push(Wanted::plain(hir, matter.inside_words)),
                Err(error) => refuse(pattern, &error, notes),
            }
        }
        if let (false, Some(pattern)) = (wanted.is_empty(), matter.patterns.first()) {
            self.check_size(&wanted, pattern, notes);
            self.wanted.push((subject, wanted));
        }
        if matter.disguises != Disguises::default() {
            self.add_disguised(matter, subject, notes);
        }
        for together in &matter.together {
            let found = together.lists.iter().filter_map(|list| find_list(lists, list, notes));
            let numbers: Vec<usize> = found.map(|(number, _)| number).collect();
            let index = self.combinations.len();
            for number in &numbers {
                if let Some(of_list) = self.combinations_of_list.get_mut(*number) {
                    of_list.push(index);
                }
            }
            self.combinations.push(Combination { subject, lists: numbers, within: together.within });
        }
    }

    fn add_disguised(&mut self, matter: &Matter, subject: usize, notes: &mut Notes<'_>) {
        if let Some(term) = matter.terms.get(DISGUISED_MOST) {
            let message = format!("`leet` and `spaced` are for {DISGUISED_MOST} terms at most");
            notes.add(
                term.place,
                message,
                Some("put the terms that are hidden into a detector of their own".to_owned()),
            );
            return;
        }
        let terms = matter.terms.iter().filter_map(|text| read_term(&text.text, &self.folding));
        let mut wanted: Vec<Wanted> =
            terms.flat_map(|term| disguised(&term, matter.disguises, &self.folding)).collect();
        while !wanted.is_empty() {
            let rest = wanted.split_off(wanted.len().min(TRIED_TOGETHER));
            self.wanted.push((subject, std::mem::replace(&mut wanted, rest)));
        }
    }

    /// A pattern too large for an automaton of its own is found while its place is known.
    fn check_size(&self, wanted: &[Wanted], first: &Text, notes: &mut Notes<'_>) {
        if wanted.iter().any(|pattern| !Group::fits(pattern)) {
            let hint = "shorten its repetitions, or write `[a-z0-9]` where `\\w` is not needed".to_owned();
            notes.add(first.place, "a pattern here takes too much memory", Some(hint));
        }
    }

    fn add_terms(&mut self, terms: &[Text], used: Use, notes: &mut Notes<'_>) {
        for text in terms {
            match read_term(&text.text, &self.folding) {
                None => {
                    let message = format!("nothing of the term `{}` is left to search for", text.text);
                    notes.add(text.place, message, Some("write letters or digits, or use `patterns`".to_owned()));
                }
                Some(term) if term.bytes.len() > TERM_MOST => {
                    notes.add(text.place, format!("the term is longer than {TERM_MOST} bytes"), None);
                }
                Some(term) => self.terms.add(term, used),
            }
        }
    }

    fn add_formats(&mut self, formats: &[Format], kinds: &[Text], subject: usize, notes: &mut Notes<'_>) {
        let mut known: Vec<&str> = formats.iter().map(|format| format.kind).collect();
        known.dedup();
        for kind in kinds.iter().filter(|kind| !known.contains(&kind.text.as_str())) {
            notes.add(kind.place, format!("`{}` is no kind", kind.text), names::hint(&kind.text, &known));
        }
        let chosen =
            formats.iter().filter(|format| kinds.is_empty() || kinds.iter().any(|kind| kind.text == format.kind));
        let mut wanted: Vec<Wanted> = chosen.filter_map(|format| self.format(format)).collect();
        while !wanted.is_empty() {
            let rest = wanted.split_off(wanted.len().min(TRIED_TOGETHER));
            self.wanted.push((subject, std::mem::replace(&mut wanted, rest)));
        }
    }

    fn format(&self, format: &Format) -> Option<Wanted> {
        let hir = parse(format.pattern, true, &self.folding).ok()?;
        Some(Wanted {
            hir,
            name: Some(Arc::from(format.name)),
            border: format.border,
            inside_words: false,
            check: format.check,
        })
    }

    /// Builds the automata.
    pub(super) fn build(self, names: Names) -> Result<Matchers, String> {
        let mut groups = Vec::new();
        for (subject, wanted) in self.wanted {
            let compiled = Group::compile(subject, wanted);
            groups.extend(compiled.map_err(|error| {
                format!("the pattern `{}` takes too much memory", error.0.as_deref().unwrap_or("without name"))
            })?);
        }
        let terms = self.terms.build().map_err(|error| format!("the terms take too much memory: {error}"))?;
        Ok(Matchers {
            folding: self.folding,
            subjects: names.subjects,
            combinations: self.combinations,
            combinations_of_list: self.combinations_of_list,
            terms,
            groups,
        })
    }
}

/// The named lists of a pack: the number of each, and its words.
type Lists<'a> = HashMap<&'a str, (usize, &'a [Text])>;

/// The list that a name means.
fn find_list<'a>(lists: &Lists<'a>, name: &Text, notes: &mut Notes<'_>) -> Option<(usize, &'a [Text])> {
    let found = lists.get(name.text.as_str()).copied();
    if found.is_none() {
        let known: Vec<&str> = lists.keys().copied().collect();
        notes.add(name.place, format!("no list `{}` under `words`", name.text), names::hint(&name.text, &known));
    }
    found
}

fn refuse(pattern: &Text, error: &PatternError, notes: &mut Notes<'_>) {
    let (message, hint) = match error {
        PatternError::Syntax(reason) => (format!("`{}` is no pattern: {reason}", pattern.text), None),
        PatternError::Empty => (format!("`{}` matches the empty text", pattern.text), Some("ask for a character")),
        PatternError::Unbounded => (
            format!("`{}` may match text of any length", pattern.text),
            Some("write `{0,40}` instead of `*` and `{1,40}` instead of `+`: text waits for what may still match"),
        ),
        PatternError::TooLong(length) => (
            format!("`{}` may match {length} bytes; {MATCH_MOST} is the most", pattern.text),
            Some("lower the numbers in `{m,n}`"),
        ),
    };
    notes.add(pattern.place, message, hint.map(str::to_owned));
}
