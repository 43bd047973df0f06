//! All rules of all packs in force, and the part of them that watches one exchange. It reads no pack.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Channel;
use crate::matcher::Matchers;
use crate::plan::{Order, Plan};
use crate::scan::{self, Scanner};
use crate::source::Conditions;
use crate::trial::{self, TestResult, Trial};

/// Different sets of rules in force that are kept ready.
const SELECTIONS_MOST: usize = 256;

/// What conditions are asked about.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts<'a> {
    /// Name of the caller's key.
    pub caller: &'a str,
    /// The caller's team.
    pub team: Option<&'a str>,
    /// The caller's role.
    pub role: Option<&'a str>,
    /// The model asked for.
    pub model: &'a str,
}

/// A rule, compiled.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) order: Arc<Order>,
    pub(crate) on: Vec<Channel>,
    pub(crate) subjects: Vec<usize>,
    pub(crate) when: Conditions,
}

impl Rule {
    fn holds(&self, facts: &Facts<'_>) -> bool {
        self.when.caller.holds(Some(facts.caller))
            && self.when.team.holds(facts.team)
            && self.when.role.holds(facts.role)
            && self.when.model.holds(Some(facts.model))
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
    rules: Vec<Rule>,
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
        let usual = Selection::new(&matchers, rules.iter().filter(|rule| rule.when.is_empty()));
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
            if self.rules.get(*index).is_some_and(|rule| rule.holds(facts))
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
        let selection = Selection::new(&self.matchers, self.rules.iter().filter(|rule| rule.holds(facts)));
        if others.len() >= SELECTIONS_MOST {
            others.clear();
        }
        others.insert(key, selection.clone());
        selection
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

/// The rules that watch one exchange.
#[derive(Debug, Clone)]
pub struct Selection {
    plans: Arc<[Option<Arc<Plan>>; Channel::ALL.len()]>,
}

impl Selection {
    fn new<'a>(matchers: &Arc<Matchers>, rules: impl Iterator<Item = &'a Rule>) -> Self {
        let rules: Vec<&Rule> = rules.collect();
        let mut plans: [Option<Arc<Plan>>; Channel::ALL.len()] = Default::default();
        let mut known: Vec<(Vec<usize>, Arc<Plan>)> = Vec::new();
        for (plan, channel) in plans.iter_mut().zip(Channel::ALL) {
            let here: Vec<usize> = (0..rules.len())
                .filter(|index| rules.get(*index).is_some_and(|rule| rule.on.contains(&channel)))
                .collect();
            if here.is_empty() {
                continue;
            }
            let same = known.iter().find(|(indexes, _)| *indexes == here).map(|(_, plan)| Arc::clone(plan));
            let made = same.unwrap_or_else(|| {
                let mut orders = vec![Vec::new(); matchers.subjects.len()];
                for rule in here.iter().filter_map(|index| rules.get(*index)) {
                    for subject in &rule.subjects {
                        if let Some(orders) = orders.get_mut(*subject) {
                            orders.push(Arc::clone(&rule.order));
                        }
                    }
                }
                let made = Arc::new(Plan::new(matchers, orders));
                known.push((here, Arc::clone(&made)));
                made
            });
            *plan = Some(made);
        }
        Self { plans: Arc::new(plans) }
    }

    /// Whether a rule redacts or stops on a channel of replies.
    #[must_use]
    pub fn enforces(&self) -> bool {
        let replies = Channel::ALL.iter().zip(self.plans.iter()).filter(|(channel, _)| **channel != Channel::Prompt);
        replies.filter_map(|(_, plan)| plan.as_ref()).any(|plan| plan.holds)
    }

    /// A scanner for one text of one channel; `None` where no rule looks.
    #[must_use]
    pub fn scanner(&self, channel: Channel) -> Option<Scanner> {
        let index = Channel::ALL.iter().position(|one| *one == channel)?;
        self.plans.get(index)?.as_ref().map(|plan| Scanner::new(Arc::clone(plan)))
    }
}
