//! Makes hits of what the automata found: lists of words that stand together, terms that make a hit none, doubles.
//! It sees places only, no text.

use std::ops::Range;

use crate::plan::Plan;

/// Something found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) subject: usize,
    /// The format that found it: group and pattern.
    pub(crate) format: Option<(usize, usize)>,
    pub(crate) span: Range<usize>,
}

/// A hit that waits until no term that makes it none can come any more.
#[derive(Debug, Clone)]
struct Waiting {
    hit: Hit,
    due: usize,
}

/// What is remembered of the text so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Weigh {
    /// The last word of each list.
    lists: Vec<Option<Range<usize>>>,
    /// For each combination, where words begin that have not yet been part of a hit.
    fresh: Vec<usize>,
    /// For each subject, where the last term ended that makes hits none.
    unless: Vec<Option<Range<usize>>>,
    /// The last hit of each subject.
    last: Vec<Option<Range<usize>>>,
    waiting: Vec<Waiting>,
    /// Up to where another word could make something of the words so far for which text must wait.
    horizon: usize,
    /// The first place at which something that waits is decided.
    pub(crate) due: Option<usize>,
    pub(crate) hits: Vec<Hit>,
}

impl Weigh {
    /// A hit of a subject.
    pub(crate) fn hit(&mut self, plan: &Plan, hit: Hit) {
        let Some(within) = plan.unless_within(hit.subject) else {
            self.give(hit);
            return;
        };
        let vetoed = self.unless.get(hit.subject).cloned().flatten();
        if vetoed.is_some_and(|unless| unless.end + within >= hit.span.start) {
            return;
        }
        let due = hit.span.end + within;
        self.due = Some(self.due.map_or(due, |first| first.min(due)));
        self.waiting.push(Waiting { hit, due });
    }

    /// A term that makes hits of a subject none.
    pub(crate) fn unless(&mut self, subject: usize, span: Range<usize>) {
        self.waiting.retain(|waiting| waiting.hit.subject != subject || span.start > waiting.due);
        set(&mut self.unless, subject, Some(span));
    }

    /// A word of a list.
    pub(crate) fn word(&mut self, plan: &Plan, list: usize, span: Range<usize>) {
        set(&mut self.lists, list, Some(span.clone()));
        let horizon = plan.horizon(list);
        if horizon > 0 {
            self.horizon = self.horizon.max(span.end + horizon);
        }
        for index in plan.combinations_of(list) {
            let Some(combination) = plan.combination(*index) else { continue };
            let fresh = self.fresh.get(*index).copied().unwrap_or_default();
            let near = |word: &Range<usize>| {
                word.start >= fresh && word.end <= span.start && span.start <= word.end + combination.within
            };
            let mut start = (span.start >= fresh).then_some(span.start);
            for other in combination.lists.iter().filter(|other| **other != list) {
                let word = self.lists.get(*other).cloned().flatten().filter(near);
                start = start.and_then(|start| Some(start.min(word?.start)));
            }
            if let Some(start) = start {
                set(&mut self.fresh, *index, span.end);
                let (subject, span) = (combination.subject, start..span.end);
                self.hit(plan, Hit { subject, format: None, span });
            }
        }
    }

    /// Decides what waited until here.
    pub(crate) fn settle(&mut self, at: usize) {
        let mut index = 0;
        while let Some(waiting) = self.waiting.get(index) {
            if waiting.due < at {
                let waiting = self.waiting.remove(index);
                self.give(waiting.hit);
            } else {
                index += 1;
            }
        }
        self.due = self.waiting.iter().map(|waiting| waiting.due).min();
    }

    /// Where the first text begins that may still be part of a hit for which text must wait. `frontier` is where the
    /// first thing begins that is being found.
    pub(crate) fn held(&self, plan: &Plan, frontier: usize) -> usize {
        let mut held = frontier;
        for waiting in self.waiting.iter().filter(|waiting| plan.holds_subject(waiting.hit.subject)) {
            held = held.min(waiting.hit.span.start);
        }
        if frontier > self.horizon {
            return held;
        }
        for index in plan.holding_combinations() {
            let Some(combination) = plan.combination(*index) else { continue };
            let fresh = self.fresh.get(*index).copied().unwrap_or_default();
            for list in &combination.lists {
                if let Some(Some(word)) = self.lists.get(*list)
                    && word.start >= fresh
                    && frontier <= word.end + combination.within
                {
                    held = held.min(word.start);
                }
            }
        }
        held
    }

    fn give(&mut self, hit: Hit) {
        let within = |last: &Range<usize>| last.start <= hit.span.start && hit.span.end <= last.end;
        if hit.format.is_none() && self.last.get(hit.subject).and_then(Option::as_ref).is_some_and(within) {
            return;
        }
        if hit.format.is_none() {
            set(&mut self.last, hit.subject, Some(hit.span.clone()));
        }
        self.hits.push(hit);
    }
}

/// Sets an entry of a list that grows as needed.
fn set<T: Clone + Default>(list: &mut Vec<T>, index: usize, value: T) {
    if list.len() <= index {
        list.resize(index + 1, T::default());
    }
    if let Some(entry) = list.get_mut(index) {
        *entry = value;
    }
}
