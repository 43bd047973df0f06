//! What one channel of one exchange is searched for, and what its rules make of a hit. It is made once per set of
//! rules in force and shared by all exchanges under them.

use std::ops::Range;
use std::sync::Arc;

use crate::action::{Action, Severity};
use crate::demand::Demands;
use crate::finding::{Finding, Standing};
use crate::matcher::{Combination, Group, Matchers, Starts, Terms, Use};
use crate::message::Messages;
use crate::weigh::Hit;

/// A rule as findings tell of it.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) rule: Arc<str>,
    pub(crate) pack: Arc<str>,
    pub(crate) action: Action,
    pub(crate) monitored: bool,
    /// What a judge model must answer with yes.
    pub(crate) ask: Option<Arc<str>>,
    pub(crate) replacement: Option<Arc<str>>,
    pub(crate) message: Option<Arc<Messages>>,
    pub(crate) demands: Option<Arc<Demands>>,
    pub(crate) severity: Severity,
    /// Its rule's place among all.
    pub(crate) index: usize,
    /// Whether a hit alone is not enough: its rule asks for topics, the verdict or a judge model.
    pub(crate) asks: bool,
}

impl Order {
    /// Whether text must wait for it.
    pub(crate) fn holds(&self) -> bool {
        self.action.holds() && !self.monitored
    }

    /// What it makes of a span.
    pub(crate) fn finding(&self, topic: Option<Arc<str>>, detector: Arc<str>, span: Range<usize>) -> Finding {
        Finding {
            rule: Arc::clone(&self.rule),
            pack: Arc::clone(&self.pack),
            topic,
            detector,
            span,
            action: self.action,
            monitored: self.monitored,
            ask: self.ask.clone(),
            replacement: self.replacement.clone(),
            message: self.message.clone(),
            demands: self.demands.clone(),
            severity: self.severity,
            standing: if self.asks { Standing::Asks(self.index) } else { Standing::Plain },
        }
    }
}

/// What is searched for.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Plan {
    pub(crate) matchers: Arc<Matchers>,
    /// Per subject: whether it is searched for.
    active: Vec<bool>,
    /// Per subject: the rules that take its hits.
    orders: Vec<Vec<Arc<Order>>>,
    /// Per subject: whether some rule asks if it was found.
    noted: Vec<bool>,
    /// Per subject: whether text must wait for it.
    holding: Vec<bool>,
    /// Whether text must wait for anything.
    pub(crate) holds: bool,
    holding_combinations: Vec<usize>,
    /// Per state of the terms' automaton: bytes back to where a term may begin for which text must wait.
    depths: Vec<u16>,
    /// Per byte: the groups of patterns of which a match may begin with it, and of them those inside words.
    beginnings: Vec<Vec<usize>>,
    beginnings_inside: Vec<Vec<usize>>,
    /// The same by more bytes than one, for where little is live.
    pub(crate) starts: Starts,
    /// Whether text in which nothing begins may be passed over.
    pub(crate) passes: bool,
    pub(crate) searches_terms: bool,
    pub(crate) searches_patterns: bool,
    /// Per list: the combinations searched for that it is part of.
    combinations_of_list: Vec<Vec<usize>>,
    /// Per list: the widest distance of its combinations for which text must wait.
    horizons: Vec<usize>,
}

impl Plan {
    /// A plan that searches for the subjects for which `orders` has an entry, and for those that are noted.
    pub(crate) fn new(matchers: &Arc<Matchers>, orders: Vec<Vec<Arc<Order>>>, noted: Vec<bool>) -> Self {
        let is_noted = |subject: usize| noted.get(subject).copied().unwrap_or(false);
        let active = orders.iter().enumerate().map(|(subject, orders)| !orders.is_empty() || is_noted(subject));
        let active = active.collect();
        Self { noted, ..Self::with(matchers, active, orders) }
    }

    /// A plan that searches for all topics, whatever the rules say.
    pub(crate) fn topics(matchers: &Arc<Matchers>) -> Self {
        let active = matchers.subjects.iter().map(|subject| subject.topic).collect();
        Self::with(matchers, active, Vec::new())
    }

    fn with(matchers: &Arc<Matchers>, active: Vec<bool>, orders: Vec<Vec<Arc<Order>>>) -> Self {
        let holding: Vec<bool> = orders.iter().map(|orders| orders.iter().any(|order| order.holds())).collect();
        let is = |list: &[bool], subject: usize| list.get(subject).copied().unwrap_or(false);
        let combinations = matchers.combinations.iter().enumerate();
        let holding_combinations: Vec<usize> =
            combinations.filter(|(_, one)| is(&holding, one.subject)).map(|(index, _)| index).collect();
        let combinations_of_list: Vec<Vec<usize>> = matchers
            .combinations_of_list
            .iter()
            .map(|list| {
                let searched =
                    |index: &&usize| matchers.combinations.get(**index).is_some_and(|one| is(&active, one.subject));
                list.iter().filter(searched).copied().collect()
            })
            .collect();
        let list_holds = |list: &usize| {
            let of_list = matchers.combinations_of_list.get(*list).map_or(&[][..], Vec::as_slice);
            of_list.iter().any(|index| holding_combinations.contains(index))
        };
        let use_holds = |used: &Use| match used {
            Use::Hit(subject) => is(&holding, *subject),
            Use::List(list) => list_holds(list),
            Use::Unless(_) => false,
        };
        let holds = holding.contains(&true);
        let horizon = |list: &Vec<usize>| {
            let waited_for = list.iter().filter(|index| holding_combinations.contains(index));
            waited_for.filter_map(|index| Some(matchers.combinations.get(*index)?.within)).max().unwrap_or(0)
        };
        let horizons = combinations_of_list.iter().map(horizon).collect();
        let terms = matchers.terms.as_ref();
        let depths = terms.filter(|_| holds).map(|terms| terms.depths(|uses| uses.iter().any(use_holds)));
        let groups = || matchers.groups.iter().enumerate().filter(|(_, group)| is(&active, group.subject));
        let beginnings = |inside: bool| -> Vec<Vec<usize>> {
            let of = |byte| {
                let fits = |group: &Group| group.begins_with(byte) && (!inside || group.begins_inside_words());
                groups().filter(|(_, group)| fits(group)).map(|(index, _)| index).collect()
            };
            (0..=u8::MAX).map(of).collect()
        };
        let (beginnings, beginnings_inside) = (beginnings(false), beginnings(true));
        Self {
            starts: Starts::of(groups()),
            passes: terms.is_none_or(Terms::are_words),
            searches_terms: terms.is_some_and(|terms| terms.serves(&active, &combinations_of_list)),
            searches_patterns: groups().next().is_some(),
            matchers: Arc::clone(matchers),
            active,
            orders,
            noted: Vec::new(),
            holding,
            holds,
            holding_combinations,
            depths: depths.unwrap_or_default(),
            beginnings,
            beginnings_inside,
            combinations_of_list,
            horizons,
        }
    }

    /// Whether some rule asks if a topic was found.
    pub(crate) fn notes(&self) -> bool {
        self.noted.contains(&true)
    }

    /// The terms, where they are searched for.
    #[inline]
    pub(crate) fn searched_terms(&self) -> Option<&Terms> {
        self.matchers.terms.as_ref().filter(|_| self.searches_terms)
    }

    /// Whether a subject is searched for.
    pub(crate) fn searches(&self, subject: usize) -> bool {
        self.active.get(subject).copied().unwrap_or(false)
    }

    /// Whether text must wait for hits of a subject.
    pub(crate) fn holds_subject(&self, subject: usize) -> bool {
        self.holding.get(subject).copied().unwrap_or(false)
    }

    /// Whether text must wait for what a term may become.
    pub(crate) fn holds_use(&self, used: &Use) -> bool {
        match used {
            Use::Hit(subject) => self.holds_subject(*subject),
            Use::List(list) => {
                self.combinations_of(*list).iter().any(|index| self.holding_combinations.contains(index))
            }
            Use::Unless(_) => false,
        }
    }

    pub(crate) fn unless_within(&self, subject: usize) -> Option<usize> {
        self.matchers.subjects.get(subject)?.unless_within
    }

    pub(crate) fn combination(&self, index: usize) -> Option<&Combination> {
        self.matchers.combinations.get(index)
    }

    pub(crate) fn combinations_of(&self, list: usize) -> &[usize] {
        self.combinations_of_list.get(list).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn holding_combinations(&self) -> &[usize] {
        &self.holding_combinations
    }

    /// Bytes of the words reading back to where a term may begin for which text must wait; 0 for none.
    pub(crate) fn depth(&self, state: aho_corasick::automaton::StateID) -> usize {
        self.depths.get(state.as_usize()).map_or(0, |depth| usize::from(*depth))
    }

    /// The groups of which a match may begin with a byte, inside a word or not.
    #[inline]
    pub(crate) fn beginnings(&self, byte: u8, inside_word: bool) -> &[usize] {
        let table = if inside_word { &self.beginnings_inside } else { &self.beginnings };
        table.get(usize::from(byte)).map_or(&[], Vec::as_slice)
    }

    /// How far after a word of a list text may have to wait for another; 0 where it never does.
    pub(crate) fn horizon(&self, list: usize) -> usize {
        self.horizons.get(list).copied().unwrap_or(0)
    }

    /// What the rules make of a hit.
    pub(crate) fn judge(&self, hit: &Hit, findings: &mut Vec<Finding>) {
        let Some(subject) = self.matchers.subjects.get(hit.subject) else { return };
        let format =
            hit.format.and_then(|(group, pattern)| self.matchers.groups.get(group)?.pattern(pattern)?.name.clone());
        let detector = || format.clone().unwrap_or_else(|| Arc::clone(&subject.id));
        if self.noted.get(hit.subject).copied().unwrap_or(false) {
            findings.push(Finding::note(hit.subject, subject, hit.span.clone()));
        }
        for order in self.orders.get(hit.subject).map_or(&[][..], Vec::as_slice) {
            let topic = subject.topic.then(|| Arc::clone(&subject.id));
            findings.push(order.finding(topic, detector(), hit.span.clone()));
        }
    }
}
