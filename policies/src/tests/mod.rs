//! The crate as its users see it: packs in, findings, release marks and mistakes out.

mod asking;
mod behaviour;
mod conditions;
mod evasion;
mod invariance;
mod mistakes;
mod packs;
mod schema;
mod shortcuts;

use std::sync::Arc;

use crate::{Channel, Facts, Finding, Pack, Ruleset, compile};

/// A ruleset of one pack.
fn ruleset(text: &str) -> Arc<Ruleset> {
    let pack = Pack { name: "test.yaml".to_owned(), text: text.to_owned() };
    match compile(&[pack]) {
        Ok(ruleset) => Arc::new(ruleset),
        Err(mistakes) => panic!("{}", mistakes.iter().map(|mistake| format!("{mistake}\n")).collect::<String>()),
    }
}

/// What is found in pieces of a text, and what could leave after each.
fn scan(ruleset: &Arc<Ruleset>, pieces: &[&str]) -> (Vec<Finding>, Vec<usize>) {
    let mut findings = Vec::new();
    let mut released = Vec::new();
    let facts = Facts { caller: "ann", team: Some("core"), role: None, model: "gpt-5", ..Facts::default() };
    let Some(mut scanner) = ruleset.select(&facts).scanner(Channel::Answer) else { return (findings, released) };
    for piece in pieces {
        released.push(scanner.push(piece, &mut findings));
    }
    released.push(scanner.finish(&mut findings));
    (findings, released)
}
