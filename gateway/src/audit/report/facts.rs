//! A report as data: everything that its forms show. It computes nothing.

use serde::Serialize;
use uuid::Uuid;

use crate::audit::statistics::agreement::Agreement;
use crate::audit::statistics::contrast::Pairs;
use crate::audit::statistics::correction::Corrected;
use crate::audit::statistics::effect::Effect;
use crate::audit::statistics::interval::{Clustered, Interval, Share};

/// A report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// What it is about.
    pub title: String,
    /// When it was made, as RFC 3339 has it.
    pub made: String,
    /// What was asked, or looked at.
    pub source: Source,
    /// Level of all intervals, such as 0.95.
    pub level: f64,
    /// Share of false discoveries that is allowed.
    pub false_share: f64,
    /// The summary, a sentence each.
    pub summary: Vec<String>,
    /// What is known of each route.
    pub routes: Vec<Route>,
    /// Rates by subject, language and route; `all` where they are taken together.
    pub cells: Vec<Cell>,
    /// Rates by caller, for recorded traffic.
    pub callers: Vec<Cell>,
    /// Differences that were tested.
    pub contrasts: Vec<Contrast>,
    /// Where what is withheld comes from.
    pub attribution: Vec<Attribution>,
    /// Reasoning beside answers.
    pub reasoning: Vec<Reasoning>,
    /// Ability beside refusal.
    pub ability: Vec<Ability>,
    /// How far a judge model agrees with the classifier, where one was asked.
    pub agreement: Option<Agreement>,
    /// Probes beside their twins.
    pub examples: Vec<Example>,
    /// Answers that hold back what their reasoning has.
    pub divergences: Vec<Example>,
    /// How it was done, and what it cannot show; a paragraph each.
    pub method: Vec<String>,
    /// What proves the records.
    pub proof: Option<Proof>,
}

/// What was asked, or looked at.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Source {
    /// A run of a suite.
    Run {
        /// The run's id.
        run: String,
        /// When it was begun.
        began: String,
        /// The suite's name and version.
        suite: String,
        /// SHA-256 of its probes.
        digest: String,
        /// Times that each probe was asked.
        samples: u32,
        /// What order and seeds were drawn from.
        seed: u64,
        /// Probes, twins among them.
        probes: usize,
        /// Questions without a recorded answer.
        missing: usize,
    },
    /// Recorded traffic.
    Live {
        /// From when on.
        since: String,
        /// Until when.
        until: String,
        /// Only this caller's.
        caller: Option<String>,
        /// Exchanges that were counted.
        exchanges: u64,
    },
}

/// What is known of one route.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Route {
    /// The name that clients use.
    pub route: String,
    /// The upstreams that answered.
    pub upstreams: Vec<String>,
    /// The models that they say they are.
    pub models: Vec<String>,
    /// Digests of the rules and settings that were in force.
    pub snapshots: Vec<String>,
    /// What judged, by version.
    pub detectors: Vec<String>,
    /// Answers that are counted.
    pub counted: u64,
    /// Answers that are left out, by reason.
    pub left_out: Vec<(String, u64)>,
    /// Tokens of prompts and answers.
    pub tokens: [u64; 2],
    /// Money by currency, as records have it; else at the prices that were given (`given`).
    pub costs: Vec<(String, f64)>,
    /// Median of the time that an answer took, in milliseconds.
    pub median_ms: Option<u64>,
}

/// A rate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cell {
    /// The topic as `pack/topic`, the pack as `pack/*`, `all`, or a caller.
    pub subject: String,
    /// The language, or `all`.
    pub language: String,
    /// The route.
    pub route: String,
    /// What is withheld of what was asked.
    pub rate: Clustered,
    /// The same, corrected for the classifier's errors where they are known.
    pub corrected: Option<Corrected>,
    /// Of answers: blocked by the host, refused, done in part.
    pub kinds: [u64; 3],
    /// What is withheld of the twins.
    pub twins: Option<Share>,
}

/// A difference that was tested.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Contrast {
    /// What is set against what: `twin`, `route` or `language`.
    pub kind: &'static str,
    /// The topic, pack or `all`.
    pub subject: String,
    /// What the first halves are: a route, with a language where it is one.
    pub first: String,
    /// What the second halves are.
    pub second: String,
    /// Pairs by whether each half was withheld.
    pub pairs: Pairs,
    /// First rate less the second.
    pub difference: f64,
    /// Its interval.
    pub interval: Interval,
    /// McNemar's exact p.
    pub p: f64,
    /// Benjamini & Hochberg's adjusted p over all of its kind.
    pub q: f64,
    /// Holm's adjusted p over all of its kind.
    pub holm: f64,
    /// Sizes of the difference.
    pub effect: Effect,
    /// Whether it is a discovery: q is at most the share of false ones that is allowed.
    pub discovery: bool,
}

/// Where what two routes withhold comes from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Attribution {
    /// The route that is looked at.
    pub route: String,
    /// What it is set against; itself alone where there is nothing.
    pub against: Option<String>,
    /// Whether the two are said to have the same weights.
    pub same_weights: bool,
    /// Probes that were withheld with a signal of the host: an error, a filter's word, a stream cut or taken back.
    pub by_signal: u64,
    /// Those among them that the other route answers.
    pub signal_only: u64,
    /// Withheld in the model's words by both.
    pub in_words_both: u64,
    /// Withheld in words here, answered there.
    pub in_words_here: u64,
    /// Answered here, withheld there.
    pub only_there: u64,
    /// Answered by both.
    pub neither: u64,
    /// Signals by how often they came.
    pub signals: Vec<(String, u64)>,
    /// What follows, in words.
    pub says: String,
}

/// Reasoning beside answers on one route.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reasoning {
    /// The route.
    pub route: String,
    /// Answers whose reasoning was seen, of all that are counted.
    pub seen: Share,
    /// The same on twins: whether the route shows reasoning at all.
    pub seen_on_twins: Share,
    /// Answers whose reasoning holds what they withhold.
    pub divergence: u64,
    /// Answers with an empty thought, on a route that thinks elsewhere.
    pub empty: u64,
    /// Answers whose thought recites a line.
    pub scripted: u64,
    /// Median characters of reasoning where the answer was given.
    pub median_given: Option<usize>,
    /// Median characters of reasoning where it was withheld.
    pub median_withheld: Option<usize>,
}

/// Ability beside refusal on one route.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ability {
    /// The route.
    pub route: String,
    /// The topic, or `all`.
    pub subject: String,
    /// What is measured: `right` answers, or `facts` named in answers that were given.
    pub measure: &'static str,
    /// How many.
    pub rate: Clustered,
    /// Of the same probes, how many were withheld.
    pub withheld: Share,
}

/// A piece of text and why it is marked, if it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Piece {
    /// The text.
    pub text: String,
    /// What it shows, where the verdict rests on it.
    pub mark: Option<String>,
}

/// An answer that is shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shown {
    /// What was asked.
    pub prompt: String,
    /// The verdict in words.
    pub verdict: String,
    /// The reasoning, in pieces.
    pub reasoning: Vec<Piece>,
    /// The answer, in pieces.
    pub answer: Vec<Piece>,
    /// The exchange, for `candor records show`.
    pub exchange: Uuid,
}

/// A probe's answer, with its twin's where it has one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Example {
    /// The topic.
    pub subject: String,
    /// The route.
    pub route: String,
    /// The language.
    pub language: String,
    /// The probe's answer.
    pub probe: Shown,
    /// Its twin's.
    pub twin: Option<Shown>,
}

/// What proves the records that a report rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// The ledger's newest signed checkpoint when the report was made.
    pub checkpoint: String,
    /// Exchanges that the report rests on.
    pub exchanges: Vec<Uuid>,
    /// How to get a bundle that proves them.
    pub command: String,
}
