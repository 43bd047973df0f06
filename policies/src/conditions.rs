//! Conditions compiled, and when each can be asked: before the texts, at a hit, or once the verdict is known.

use crate::expression::{Asks, Expression, Known};
use crate::facts::{Conduct, Course, Facts};
use crate::matcher::Subject;
use crate::source;

/// Under which conditions a rule holds.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    plain: source::Conditions,
    topics: Topics,
    expression: Option<Expression>,
}

/// Subjects of which one must have been found, where there are some, and those that must not.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    pub(crate) any: Vec<usize>,
    pub(crate) none: Vec<usize>,
}

impl Topics {
    fn is_empty(&self) -> bool {
        self.any.is_empty() && self.none.is_empty()
    }

    fn hold(&self, found: &[usize]) -> bool {
        (self.any.is_empty() || self.any.iter().any(|topic| found.contains(topic)))
            && !self.none.iter().any(|topic| found.contains(topic))
    }
}

impl Conditions {
    pub(crate) fn new(plain: source::Conditions, topics: Topics, expression: Option<Expression>) -> Self {
        Self { plain, topics, expression }
    }

    /// Whether the rule holds for all.
    pub(crate) fn is_empty(&self) -> bool {
        self.plain.is_empty()
    }

    /// What is asked that is not known from the start.
    pub(crate) fn asks(&self) -> Asks {
        let of_expression = self.expression.as_ref().map(Expression::asks).unwrap_or_default();
        let plain = &self.plain;
        Asks {
            upstream: of_expression.upstream
                || !plain.upstream.is_empty()
                || !plain.jurisdiction.is_empty()
                || !plain.tags.is_empty(),
            topics: of_expression.topics || !self.topics.is_empty(),
            verdict: of_expression.verdict || plain.verdict.is_some(),
        }
    }

    /// Topics that are asked for; `None` where any may be.
    pub(crate) fn topics(&self) -> Option<impl Iterator<Item = usize>> {
        let any = self.expression.as_ref().is_some_and(|expression| expression.asks().topics);
        (!any).then(|| self.topics.any.iter().chain(&self.topics.none).copied())
    }

    /// Whether it may hold, as far as that is known before the texts.
    pub(crate) fn hold_before(&self, facts: &Facts<'_>) -> bool {
        let plain = &self.plain;
        let asks = self.asks();
        if asks.upstream && facts.upstream.is_none() {
            return false;
        }
        let upstream = facts.upstream.unwrap_or_default();
        let tags = || plain.tags.iter().all(|(name, condition)| condition.holds(upstream.tag(name)));
        plain.caller.holds(Some(facts.caller))
            && plain.team.holds(facts.team)
            && plain.role.holds(facts.role)
            && plain.model.holds(Some(facts.model))
            && plain.upstream.holds(Some(upstream.name))
            && plain.jurisdiction.holds(upstream.tag("jurisdiction"))
            && tags()
            && plain.time.as_ref().is_none_or(|time| facts.at.is_some_and(|at| time.hold(at)))
            && (asks.topics || asks.verdict || self.expression_holds(&Known { facts: *facts, ..Known::default() }))
    }

    /// Whether it holds at a hit, by what was found so far; what a verdict must say is not asked yet.
    pub(crate) fn hold_at(&self, course: &Course, subjects: &[Subject]) -> bool {
        self.topics.hold(course.topics()) && (self.asks().verdict || self.expression_holds_in(course, subjects, None))
    }

    /// Whether it holds of an exchange that is over.
    pub(crate) fn hold_after(&self, course: &Course, subjects: &[Subject], conduct: &Conduct<'_>) -> bool {
        let judged = self.plain.verdict.as_ref().is_none_or(|wanted| {
            wanted.outcome.holds(Some(conduct.outcome))
                && wanted.manner.holds_for(conduct.manners.iter().copied())
                && wanted.language.holds(conduct.language)
        });
        judged && self.topics.hold(course.topics()) && self.expression_holds_in(course, subjects, Some(conduct))
    }

    fn expression_holds_in(&self, course: &Course, subjects: &[Subject], verdict: Option<&Conduct<'_>>) -> bool {
        if self.expression.is_none() {
            return true;
        }
        let name = |subject: &usize| subjects.get(*subject).map(|subject| format!("{}/{}", subject.pack, subject.id));
        let topics: Vec<String> = course.topics().iter().filter_map(name).collect();
        self.expression_holds(&Known { facts: course.facts(), topics: &topics, verdict })
    }

    fn expression_holds(&self, known: &Known<'_>) -> bool {
        self.expression.as_ref().is_none_or(|expression| expression.holds(known))
    }
}
