//! Compiles rules: what they look for, under which conditions, and what they order. It builds no automaton.

use std::sync::Arc;

use super::names::Names;
use crate::conditions::{Conditions, Topics};
use crate::expression::{Asks, Expression, Root};
use crate::plan::Order;
use crate::ruleset::Rule;
use crate::source::{self, Notes, Source, Text};

/// All rules, while they are gathered.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) root: Root,
    pub(super) all: Vec<Rule>,
}

impl Rules {
    /// Adds the rules of a pack.
    pub(super) fn add(&mut self, source: &Source, names: &Names, notes: &mut Notes<'_>) {
        let pack = names.pack(&source.name);
        for rule in &source.rules {
            let mut subjects = Vec::new();
            for reference in &rule.detect {
                subjects.extend(names.detectors(&source.name, reference, notes));
            }
            for reference in &rule.topics {
                subjects.extend(names.topics(&source.name, reference, notes));
            }
            subjects.sort_unstable();
            subjects.dedup();
            let when = self.conditions(rule, &source.name, names, notes);
            let asks = when.asks();
            check_expression(rule, asks, notes);
            let order = Order {
                rule: Arc::from(rule.id.text.as_str()),
                pack: Arc::clone(&pack),
                action: rule.action,
                monitored: rule.monitored,
                ask: rule.ask.as_deref().map(Arc::from),
                replacement: rule.replacement.as_deref().map(Arc::from),
                message: rule.message.clone().map(Arc::new),
                demands: (!rule.demands.is_empty()).then(|| Arc::new(rule.demands.clone())),
                severity: rule.severity,
                index: self.all.len(),
                asks: asks.topics || asks.verdict || rule.ask.is_some(),
            };
            self.all.push(Rule { order: Arc::new(order), on: rule.on.clone(), subjects, when });
        }
    }

    fn conditions(&self, rule: &source::Rule, pack: &str, names: &Names, notes: &mut Notes<'_>) -> Conditions {
        let mut topics = Topics::default();
        for reference in &rule.when.topic {
            match reference.text.strip_prefix('!') {
                Some(name) => {
                    let reference = Text { text: name.to_owned(), place: reference.place };
                    topics.none.extend(names.topics(pack, &reference, notes));
                }
                None => topics.any.extend(names.topics(pack, reference, notes)),
            }
        }
        let expression = rule.when.expression.as_ref().and_then(|text| {
            let compiled = Expression::compile(&text.text, &self.root);
            compiled.map_err(|(message, hint)| notes.add(text.place, message, hint)).ok()
        });
        Conditions::new(rule.when.clone(), topics, expression)
    }
}

/// What an expression asks for may come too late for what the rule wants, as a plain key may.
fn check_expression(rule: &source::Rule, asks: Asks, notes: &mut Notes<'_>) {
    let Some(text) = rule.when.expression.as_ref() else { return };
    let mut say = |message: String, hint: &str| notes.add(text.place, message, Some(hint.to_owned()));
    if asks.verdict && rule.when.verdict.is_none() && (rule.action.holds() || rule.demands.route.is_some()) {
        let message = format!("rule `{}` asks for the verdict: the reply has left by then", rule.id.text);
        say(message, "write `action: flag`, without `route`");
    }
    let whole = rule.detect.is_empty() && rule.topics.is_empty();
    if whole && asks.topics && !asks.verdict && rule.ask.is_none() {
        let message = format!("rule `{}` looks for nothing but asks for topics", rule.id.text);
        say(message, "name them under `topics` of the rule instead");
    }
}
