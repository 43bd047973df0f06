//! Makes a ruleset of packs, and names every mistake of every pack at once. It scans nothing.

mod matters;
mod names;
mod rules;

use sha2::{Digest, Sha256};

use self::matters::Matters;
use self::names::Names;
use self::rules::Rules;
use crate::expression::Root;
use crate::normalise::Folding;
use crate::ruleset::Ruleset;
use crate::source::{self, Notes, Source, Test};
use crate::trial::Trial;
use crate::{Mistake, Pack};

/// Compiles packs.
///
/// # Errors
/// Every mistake of every pack, in the order of the packs and their lines.
pub fn compile(packs: &[Pack]) -> Result<Ruleset, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    let mut sources = Vec::new();
    for pack in packs {
        let (source, wrong) = source::read(pack);
        mistakes.extend(wrong);
        sources.extend(source);
    }
    let names = Names::gather(&sources, &mut mistakes);
    let mut matters = Matters::new(Folding::new());
    let mut rules = Rules { root: Root::new(), all: Vec::new() };
    for source in &sources {
        let mut notes = Notes::new(&source.file);
        matters.add(source, &names, &mut notes);
        rules.add(source, &names, &mut notes);
        check_tests(source, &mut notes);
        mistakes.append(&mut notes.mistakes);
    }
    if !mistakes.is_empty() {
        order(&mut mistakes, packs);
        return Err(mistakes);
    }
    let digest = digest(&sources);
    let mut trials = Vec::new();
    for source in &mut sources {
        let pack = names.pack(&source.name);
        trials.extend(Trial::of(source, &pack));
    }
    let matchers = matters.build(names).map_err(|message| vec![beyond_files(message)])?;
    Ok(Ruleset::new(digest, matchers, rules.all, trials))
}

/// A mistake that stands in no file.
fn beyond_files(message: String) -> Mistake {
    Mistake { file: "packs".to_owned(), line: 0, column: 0, message, hint: None }
}

/// Sorts mistakes by pack and place, and drops doubles.
fn order(mistakes: &mut Vec<Mistake>, packs: &[Pack]) {
    let position = |mistake: &Mistake| packs.iter().position(|pack| pack.name == mistake.file);
    mistakes.sort_by_key(|mistake| (position(mistake), mistake.line, mistake.column));
    mistakes.dedup();
}

fn digest(sources: &[Source]) -> String {
    let mut parts: Vec<&str> = sources.iter().map(|source| source.canonical.as_str()).collect();
    parts.sort_unstable();
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Names in tests that no part of the pack has.
fn check_tests(source: &Source, notes: &mut Notes<'_>) {
    let rules: Vec<&str> = source.rules.iter().map(|rule| rule.id.text.as_str()).collect();
    let topics: Vec<&str> = source.topics.iter().map(|topic| topic.id.text.as_str()).collect();
    for test in &source.tests {
        for (what, expected, known) in [("rule", &test.rules, &rules), ("topic", &test.topics, &topics)] {
            for text in expected.iter().flatten().filter(|text| !known.contains(&text.text.as_str())) {
                notes.add(
                    text.place,
                    format!("no {what} `{}` in this pack", text.text),
                    names::hint(&text.text, known),
                );
            }
        }
        check_answers(source, test, notes);
    }
}

/// Answers of a test to rules that ask nothing, and rules that can only fire by an answer that it does not give.
fn check_answers(source: &Source, test: &Test, notes: &mut Notes<'_>) {
    let asking = source.rules.iter().filter(|rule| rule.ask.is_some()).map(|rule| rule.id.text.as_str());
    let asking: Vec<&str> = asking.collect();
    for (rule, _) in test.answers.iter().filter(|(rule, _)| !asking.contains(&rule.text.as_str())) {
        let message = format!("no rule `{}` in this pack asks a question", rule.text);
        notes.add(rule.place, message, names::hint(&rule.text, &asking));
    }
    let is_yes = |id: &str| test.answers.iter().any(|(rule, yes)| rule.text == id && *yes);
    let fire = test.rules.iter().flatten().filter(|rule| asking.contains(&rule.text.as_str()) && !is_yes(&rule.text));
    for rule in fire {
        let message = format!("rule `{}` fires only where its question is answered with yes", rule.text);
        notes.add(rule.place, message, Some(format!("add `answers: {{{}: yes}}` to the test", rule.text)));
    }
}
