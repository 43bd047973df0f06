//! All rules of all packs in force. It reads no pack; the part of them that watches one exchange is `selection`'s.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Channel;
use crate::conditions::Conditions;
use crate::facts::Facts;
use crate::matcher::Matchers;
use crate::plan::{Order, Plan};
use crate::scan;
use crate::selection::Selection;
use crate::trial::{self, TestResult, Trial};

/// Different sets of rules in force that are kept ready.
const SELECTIONS_MOST: usize = 256;

/// A rule, compiled.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) order: Arc<Order>,
    pub(crate) on: Vec<Channel>,
    /// What it looks for; nothing where it is about the exchange as a whole.
    pub(crate) subjects: Vec<usize>,
    pub(crate) when: Conditions,
}

impl Rule {
    /// Whether only the end of the exchange shows if it holds.
    pub(crate) fn is_late(&self) -> bool {
        self.when.asks().verdict || self.order.ask.is_some()
    }
}

/// A topic that a text speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicHit {
    /// The topic's id.
    pub topic: Arc<str>,
    /// The pack that it is from.
    pub pack: Arc<str>,
    /// Bytes of the text.
    pub span: Range<usize>,
}

/// All rules, compiled.
#[derive(Debug)]
pub struct Ruleset {
    digest: String,
    matchers: Arc<Matchers>,
    rules: Arc<[Rule]>,
    /// Indexes of the rules that do not hold for all.
    conditional: Vec<usize>,
    trials: Vec<Trial>,
    topics: Arc<Plan>,
    /// What watches where no conditional rule holds.
    usual: Selection,
    /// What watches under other sets of rules, made when first needed.
    others: Mutex<HashMap<Vec<u64>, Selection>>,
}

impl Ruleset {
    pub(crate) fn new(digest: String, matchers: Matchers, rules: Vec<Rule>, trials: Vec<Trial>) -> Self {
        let matchers = Arc::new(matchers);
        let conditional: Vec<usize> =
            rules.iter().enumerate().filter(|(_, rule)| !rule.when.is_empty()).map(|(index, _)| index).collect();
        let rules: Arc<[Rule]> = Arc::from(rules);
        let usual = Selection::new(&matchers, &rules, |rule| rule.when.is_empty());
        let topics = Arc::new(Plan::topics(&matchers));
        Self { digest, matchers, rules, conditional, trials, topics, usual, others: Mutex::default() }
    }

    /// SHA-256 of what the packs say, in hexadecimal: layout, comments and the order of packs do not count.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The rules that watch an exchange.
    #[must_use]
    pub fn select(self: &Arc<Self>, facts: &Facts<'_>) -> Selection {
        self.selected(facts)
    }

    pub(crate) fn selected(&self, facts: &Facts<'_>) -> Selection {
        if self.conditional.is_empty() {
            return self.usual.clone();
        }
        let mut key = vec![0_u64; self.conditional.len().div_ceil(64)];
        for (bit, index) in self.conditional.iter().enumerate() {
            if self.rules.get(*index).is_some_and(|rule| rule.when.hold_before(facts))
                && let Some(word) = key.get_mut(bit / 64)
            {
                *word |= 1 << (bit % 64);
            }
        }
        if key.iter().all(|word| *word == 0) {
            return self.usual.clone();
        }
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(selection) = others.get(&key) {
            return selection.clone();
        }
        let selection = Selection::new(&self.matchers, &self.rules, |rule| rule.when.hold_before(facts));
        if others.len() >= SELECTIONS_MOST {
            others.clear();
        }
        others.insert(key, selection.clone());
        selection
    }

    /// Whether some rule asks who answers, so that what watches a prompt depends on it.
    #[must_use]
    pub fn asks_upstream(&self) -> bool {
        self.conditional.iter().filter_map(|index| self.rules.get(*index)).any(|rule| rule.when.asks().upstream)
    }

    /// The rules that ask a judge model, as pack and rule.
    pub fn asking(&self) -> impl Iterator<Item = (&str, &str)> {
        let orders = self.rules.iter().map(|rule| &rule.order);
        orders.filter(|order| order.ask.is_some()).map(|order| (&*order.pack, &*order.rule))
    }

    /// The topics that a text speaks of, whatever the rules say, in the order in which they are found.
    #[must_use]
    pub fn topics_in(&self, text: &str) -> Vec<TopicHit> {
        let hits = scan::hits(&self.topics, text).into_iter();
        hits.filter_map(|hit| {
            let subject = self.matchers.subjects.get(hit.subject)?;
            Some(TopicHit { topic: Arc::clone(&subject.id), pack: Arc::clone(&subject.pack), span: hit.span })
        })
        .collect()
    }

    /// Runs the packs' own tests.
    #[must_use]
    pub fn run_tests(&self) -> Vec<TestResult> {
        self.trials.iter().map(|trial| trial::run(trial, self)).collect()
    }

    /// Bytes that the automata take.
    #[must_use]
    pub fn memory(&self) -> usize {
        let terms = self.matchers.terms.as_ref().map_or(0, |terms| terms.memory());
        terms + self.matchers.groups.iter().map(|group| group.memory()).sum::<usize>()
    }
}
