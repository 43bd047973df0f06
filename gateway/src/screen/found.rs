//! What was found in one exchange, bounded in number, and what it demands. It decides nothing.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use candor_policies as policies;

use super::gate::Stop;
use super::inquiry::Inquiry;
use super::rules::facts_of;
use crate::exchange::{Channel, Finding};
use crate::route::Place;

/// Findings kept of one exchange; a reply made of nothing else must not take all memory. What is beyond is acted upon
/// all the same, and counted.
const MOST: usize = 1000;

/// The findings of one exchange.
#[derive(Debug, Default)]
pub struct Found {
    /// Those that are kept, in the order they were found.
    pub kept: Vec<Finding>,
    /// How many more there were.
    pub unkept: u64,
    /// Whether a rule wants a person to look at the exchange.
    pub review: bool,
    /// Whether a rule wants its record to be durable.
    pub record: bool,
    /// What rules ask a judge model about the exchange, each rule once.
    pub asked: Vec<Inquiry>,
    /// What rules want of the route, each with what a client is told where it cannot be had.
    routes: Vec<(Arc<policies::Demands>, Stop)>,
    /// Findings about which the verdict or a judge model decides.
    pub(super) waiting: Vec<Waiting>,
}

/// A finding that counts if the verdict is as its rule says, and a judge model says yes where its rule asks one.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) raw: policies::Finding,
    pub(super) finding: Finding,
}

impl Found {
    /// Adds a finding, and takes note of what it demands.
    pub(super) fn push(&mut self, finding: Finding, raw: &policies::Finding) {
        self.demand(raw);
        self.keep(finding);
    }

    /// Adds a finding that must be kept whatever else was found.
    pub(super) fn push_first(&mut self, finding: Finding, raw: &policies::Finding) {
        self.demand(raw);
        self.kept.insert(0, finding);
        if self.kept.len() > MOST {
            self.kept.truncate(MOST);
            self.unkept += 1;
        }
    }

    /// Adds a rule's question, unless the rule asks already; `false` where it asks nobody.
    pub(super) fn ask(&mut self, raw: &policies::Finding, choice: u32) -> bool {
        let asks = raw.ask.is_some();
        if asks && !self.asked.iter().any(|inquiry| inquiry.is_of(raw)) {
            self.asked.extend(Inquiry::of(raw.clone(), choice));
        }
        asks
    }

    /// Adds a finding about which the verdict decides.
    pub(super) fn wait(&mut self, finding: Finding, raw: policies::Finding) {
        if self.waiting.len() < MOST {
            self.waiting.push(Waiting { raw, finding });
        } else {
            self.unkept += 1;
        }
    }

    fn keep(&mut self, finding: Finding) {
        if self.kept.len() < MOST {
            self.kept.push(finding);
        } else {
            self.unkept += 1;
        }
    }

    fn demand(&mut self, raw: &policies::Finding) {
        let Some(demands) = raw.demands.as_ref().filter(|_| !raw.monitored) else { return };
        self.review |= demands.review;
        self.record |= demands.record;
        let known = |(other, _): &(Arc<policies::Demands>, Stop)| Arc::ptr_eq(other, demands);
        if demands.route.is_some() && !self.routes.iter().any(known) {
            self.routes.push((demands.clone(), Stop { message: raw.message.clone() }));
        }
    }

    /// Whether a rule demands something of the route.
    #[must_use]
    pub fn routes(&self) -> bool {
        !self.routes.is_empty()
    }

    /// Findings about which a verdict decides.
    pub fn waiting(&self) -> impl Iterator<Item = &Finding> {
        self.waiting.iter().filter(|waiting| waiting.raw.ask.is_none()).map(|waiting| &waiting.finding)
    }

    /// What bars an upstream, if a rule does.
    #[must_use]
    pub fn bars(&self, place: &Place) -> Option<&Stop> {
        let upstream = facts_of(place);
        let barred =
            |demands: &policies::Demands| demands.route.as_ref().is_some_and(|route| !route.permits(&upstream));
        self.routes.iter().find(|(demands, _)| barred(demands)).map(|(_, stop)| stop)
    }

    /// Adds all findings of another part of the exchange.
    pub fn append(&mut self, other: Self) {
        self.unkept += other.unkept;
        self.review |= other.review;
        self.record |= other.record;
        self.waiting.extend(other.waiting);
        self.asked.extend(other.asked);
        for finding in other.kept {
            self.keep(finding);
        }
    }

    /// Adds what was found in texts that were read before under other rules: what those found too stands already.
    pub fn append_new(&mut self, mut other: Self) {
        fn place(finding: &Finding) -> (&str, &str, &str, Channel, u32, &Range<usize>) {
            let Finding { pack, rule, detector, channel, part, span, .. } = finding;
            (pack, rule, detector, *channel, *part, span)
        }
        let known: HashSet<_> = self.kept.iter().map(place).collect();
        let waits: HashSet<_> = self.waiting.iter().map(|waiting| place(&waiting.finding)).collect();
        other.kept.retain(|finding| !known.contains(&place(finding)));
        other.waiting.retain(|waiting| !waits.contains(&place(&waiting.finding)));
        drop((known, waits));
        self.append(other);
    }
}
