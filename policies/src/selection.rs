//! The rules that watch one exchange: what its texts are searched for, and what counts of what is found. It scans
//! nothing itself.

use std::fmt;
use std::sync::Arc;

use crate::Channel;
use crate::facts::{Conduct, Course};
use crate::finding::{Finding, Standing};
use crate::matcher::Matchers;
use crate::plan::Plan;
use crate::ruleset::Rule;
use crate::scan::Scanner;

/// The rules that watch one exchange.
#[derive(Clone)]
pub struct Selection {
    shared: Arc<Shared>,
}

struct Shared {
    matchers: Arc<Matchers>,
    rules: Arc<[Rule]>,
    plans: [Option<Arc<Plan>>; Channel::ALL.len()],
    /// Rules that look for nothing: of the exchange as a whole, before its reply and after it.
    before: Vec<usize>,
    after: Vec<usize>,
}

/// What found it where a judge model did.
const QUESTION: &str = "question";

/// What counts of a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It counts.
    Counts,
    /// It does not.
    Nothing,
    /// What is known at the end decides; see [`Selection::judged`].
    Waits,
}

impl Selection {
    pub(crate) fn new(matchers: &Arc<Matchers>, rules: &Arc<[Rule]>, holds: impl Fn(&Rule) -> bool) -> Self {
        let held: Vec<usize> = (0..rules.len()).filter(|index| rules.get(*index).is_some_and(&holds)).collect();
        let of = |index: &usize| rules.get(*index);
        let noted = noted(matchers, held.iter().filter_map(of));
        let notes = noted.contains(&true);
        let mut plans: [Option<Arc<Plan>>; Channel::ALL.len()] = Default::default();
        let mut known: Vec<(Vec<usize>, Arc<Plan>)> = Vec::new();
        for (plan, channel) in plans.iter_mut().zip(Channel::ALL) {
            let looks =
                |index: &&usize| of(index).is_some_and(|rule| rule.on.contains(&channel) && !rule.subjects.is_empty());
            let here: Vec<usize> = held.iter().filter(looks).copied().collect();
            if here.is_empty() && !notes {
                continue;
            }
            let same = known.iter().find(|(indexes, _)| *indexes == here).map(|(_, plan)| Arc::clone(plan));
            let made = same.unwrap_or_else(|| {
                let mut orders = vec![Vec::new(); matchers.subjects.len()];
                for rule in here.iter().filter_map(of) {
                    for subject in &rule.subjects {
                        if let Some(orders) = orders.get_mut(*subject) {
                            orders.push(Arc::clone(&rule.order));
                        }
                    }
                }
                let made = Arc::new(Plan::new(matchers, orders, noted.clone()));
                known.push((here, Arc::clone(&made)));
                made
            });
            *plan = Some(made);
        }
        let whole = |late: bool| {
            let fits = move |rule: &&Rule| rule.subjects.is_empty() && rule.is_late() == late;
            held.iter().copied().filter(|index| rules.get(*index).as_ref().is_some_and(fits)).collect()
        };
        let (before, after) = (whole(false), whole(true));
        let (matchers, rules) = (Arc::clone(matchers), Arc::clone(rules));
        Self { shared: Arc::new(Shared { matchers, rules, plans, before, after }) }
    }

    /// Whether it is the same as another, so that what one found the other would.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Whether a rule redacts or stops on a channel of replies.
    #[must_use]
    pub fn enforces(&self) -> bool {
        let replies = Channel::ALL.iter().zip(&self.shared.plans).filter(|(channel, _)| **channel != Channel::Prompt);
        replies.filter_map(|(_, plan)| plan.as_ref()).any(|plan| plan.holds)
    }

    /// Whether a rule redacts or stops on one channel.
    #[must_use]
    pub fn enforces_on(&self, channel: Channel) -> bool {
        let mut plans = Channel::ALL.iter().zip(&self.shared.plans);
        plans.any(|(one, plan)| *one == channel && plan.as_ref().is_some_and(|plan| plan.holds))
    }

    /// Whether what is found in one text may decide about another: some rule asks for topics.
    #[must_use]
    pub fn notes(&self) -> bool {
        self.shared.plans.iter().flatten().any(|plan| plan.notes())
    }

    /// A scanner for one text of one channel; `None` where no rule looks.
    #[must_use]
    pub fn scanner(&self, channel: Channel) -> Option<Scanner> {
        let index = Channel::ALL.iter().position(|one| *one == channel)?;
        self.shared.plans.get(index)?.as_ref().map(|plan| Scanner::new(Arc::clone(plan)))
    }

    /// What counts of a finding, by what the exchange has held so far; topics are noted in its course.
    pub fn take(&self, finding: &Finding, course: &mut Course) -> Taken {
        match finding.standing {
            Standing::Plain => Taken::Counts,
            Standing::Note(topic) => {
                course.note(topic);
                Taken::Nothing
            }
            Standing::Asks(index) => {
                let Some(rule) = self.shared.rules.get(index) else { return Taken::Nothing };
                if rule.is_late() {
                    return Taken::Waits;
                }
                let holds = rule.when.hold_at(course, &self.shared.matchers.subjects);
                if holds { Taken::Counts } else { Taken::Nothing }
            }
        }
    }

    /// Findings of the rules that are about the exchange as a whole, before its reply: at the begin of the prompt, of
    /// no length.
    #[must_use]
    pub fn whole(&self) -> Vec<Finding> {
        self.found(&self.shared.before, "exchange")
    }

    /// Whether a finding that waited counts, now that the verdict is known; one whose rule asks a judge model only if
    /// that says yes.
    #[must_use]
    pub fn judged(&self, finding: &Finding, course: &Course, conduct: &Conduct<'_>) -> bool {
        let Standing::Asks(index) = finding.standing else { return false };
        let subjects = &self.shared.matchers.subjects;
        self.shared.rules.get(index).is_some_and(|rule| rule.when.hold_after(course, subjects, conduct))
    }

    /// Whether the verdict must be known before it is said whether a finding counts.
    #[must_use]
    pub fn awaits_verdict(&self, finding: &Finding) -> bool {
        let Standing::Asks(index) = finding.standing else { return false };
        self.shared.rules.get(index).is_some_and(|rule| rule.when.asks().verdict)
    }

    /// Findings of the rules that look for nothing but a verdict, or a judge model's answer.
    #[must_use]
    pub fn whole_judged(&self, course: &Course, conduct: &Conduct<'_>) -> Vec<Finding> {
        self.found(&self.shared.after, "verdict")
            .into_iter()
            .filter(|finding| self.judged(finding, course, conduct))
            .collect()
    }

    fn found(&self, rules: &[usize], detector: &str) -> Vec<Finding> {
        let rules = rules.iter().filter_map(|index| self.shared.rules.get(*index));
        let detector = |rule: &Rule| if rule.order.ask.is_some() { QUESTION } else { detector };
        rules.map(|rule| rule.order.finding(None, Arc::from(detector(rule)), 0..0)).collect()
    }
}

impl fmt::Debug for Selection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Selection").field("plans", &self.shared.plans.iter().flatten().count()).finish()
    }
}

/// Per subject: whether a rule asks if it was found.
fn noted<'a>(matchers: &Matchers, rules: impl Iterator<Item = &'a Rule>) -> Vec<bool> {
    let mut noted = vec![false; matchers.subjects.len()];
    for rule in rules.filter(|rule| rule.when.asks().topics) {
        match rule.when.topics() {
            Some(topics) => {
                for topic in topics {
                    if let Some(noted) = noted.get_mut(topic) {
                        *noted = true;
                    }
                }
            }
            None => {
                for (noted, subject) in noted.iter_mut().zip(&matchers.subjects) {
                    *noted |= subject.topic;
                }
            }
        }
    }
    noted
}
