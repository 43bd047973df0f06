//! The compiled rules, and the part of them that watches one exchange. Text is scanned elsewhere.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use candor_policies as policies;
use time::OffsetDateTime;

use super::found::{Found, Waiting};
use super::gate::Stop;
use super::track::{Scope, Track};
use crate::exchange::{self, Caller, Channel, Enforced, Finding, Verdict};
use crate::route::Place;

/// Names of the packs that are compiled in.
#[must_use]
pub fn shipped_packs() -> Vec<&'static str> {
    policies::shipped_names()
}

/// Names of those that are in force where the configuration names none.
#[must_use]
pub fn usual_packs() -> Vec<&'static str> {
    policies::usual_names()
}

/// All rules in force.
#[derive(Debug, Clone)]
pub struct Rules {
    ruleset: Arc<policies::Ruleset>,
    packs: Arc<[policies::Pack]>,
}

impl Rules {
    /// Compiles shipped packs by name and pack files.
    ///
    /// # Errors
    /// Every mistake of every pack, each with file, line and a hint, ready to be shown.
    pub fn compile(shipped: &[String], files: &[PathBuf]) -> Result<Self, Vec<String>> {
        let mut mistakes = Vec::new();
        let mut packs: Vec<policies::Pack> = policies::shipped();
        packs.retain(|pack| shipped.contains(&pack.name));
        for file in files {
            match std::fs::read_to_string(file) {
                Ok(text) => packs.push(policies::Pack { name: file.display().to_string(), text }),
                Err(error) => mistakes.push(format!("{}: cannot be read: {}", file.display(), error.kind())),
            }
        }
        match policies::compile(&packs) {
            Ok(ruleset) if mistakes.is_empty() => Ok(Self { ruleset: Arc::new(ruleset), packs: packs.into() }),
            Ok(_) => Err(mistakes),
            Err(wrong) => {
                mistakes.extend(wrong.iter().map(ToString::to_string));
                Err(mistakes)
            }
        }
    }

    /// Rules that are compiled already.
    #[cfg(test)]
    pub(super) fn of(ruleset: policies::Ruleset) -> Self {
        Self { ruleset: Arc::new(ruleset), packs: Arc::default() }
    }

    /// The packs that they were compiled from: name and text of each.
    pub fn packs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.packs.iter().map(|pack| (pack.name.as_str(), pack.text.as_str()))
    }

    /// The rules that ask a judge model, as `PACK/RULE`.
    #[must_use]
    pub fn asking(&self) -> Vec<String> {
        self.ruleset.asking().map(|(pack, rule)| format!("{pack}/{rule}")).collect()
    }

    /// The compiled rules themselves, for commands that explain and test them.
    #[must_use]
    pub fn ruleset(&self) -> &Arc<policies::Ruleset> {
        &self.ruleset
    }

    /// SHA-256 of what the packs say, in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> &str {
        self.ruleset.digest()
    }

    /// The rules that watch an exchange of this caller with this model, accepted at a time.
    #[must_use]
    pub fn watch(&self, caller: &Caller, model: &str, at: OffsetDateTime) -> Watch {
        let facts = policies::Facts {
            caller: &caller.name,
            team: caller.team.as_deref(),
            role: caller.role.as_deref(),
            model,
            at: Some(at.unix_timestamp()),
            upstream: None,
        };
        Watch {
            rules: self.ruleset.clone(),
            selection: self.ruleset.select(&facts),
            course: policies::Course::new(&facts),
        }
    }
}

impl Rules {
    /// The topics that texts speak of, each once, with its pack; whatever the rules say.
    #[must_use]
    pub fn topics_in(&self, texts: &[&str]) -> Vec<(String, String)> {
        let mut topics = Vec::new();
        for hit in texts.iter().flat_map(|text| self.ruleset.topics_in(text)) {
            let topic = (hit.topic.to_string(), hit.pack.to_string());
            if !topics.contains(&topic) {
                topics.push(topic);
            }
        }
        topics
    }
}

/// The rules that watch one exchange, and what is known of it so far.
#[derive(Debug, Clone)]
pub struct Watch {
    rules: Arc<policies::Ruleset>,
    pub(super) selection: policies::Selection,
    pub(super) course: policies::Course,
}

impl Watch {
    /// A scanner for one text of one channel; `None` where no rule looks.
    pub(super) fn scanner(&self, channel: Channel) -> Option<policies::Scanner> {
        self.selection.scanner(to_policies(channel))
    }

    /// Whether a rule could change or stop a reply.
    #[must_use]
    pub fn enforces(&self) -> bool {
        self.selection.enforces()
    }

    /// Whether a rule could change or stop a prompt.
    #[must_use]
    pub fn enforces_on_prompts(&self) -> bool {
        self.selection.enforces_on(policies::Channel::Prompt)
    }

    /// Whether some rule asks who answers.
    pub(super) fn asks_upstream(&self) -> bool {
        self.rules.asks_upstream()
    }

    /// What watches an exchange that an upstream answers.
    #[must_use]
    pub fn at(&self, place: &Place) -> Self {
        let mut course = self.course.clone();
        course.move_to(&facts_of(place));
        Self { rules: self.rules.clone(), selection: self.rules.select(&course.facts()), course }
    }

    /// Whether the same rules hold as under another watch.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.selection.is(&other.selection)
    }

    /// Adds what rules find by the verdict on one choice, whose course is given where it has one of its own.
    pub fn judge(&self, course: Option<&policies::Course>, judged: &Judged<'_>, found: &mut Found) {
        let course = course.unwrap_or(&self.course);
        let conduct = policies::Conduct {
            outcome: judged.outcome,
            manners: judged.manners,
            language: judged.language,
            confidence: judged.confidence.into(),
        };
        for Waiting { raw, finding } in std::mem::take(&mut found.waiting) {
            let choice = if finding.channel == Channel::Prompt { judged.choice } else { finding.choice };
            if self.selection.judged(&raw, course, &conduct) && !found.ask(&raw, choice) {
                found.push(finding, &raw);
            }
        }
        let (channel, span) = judged.shown.clone().unwrap_or((Channel::Answer, 0..0));
        for raw in self.selection.whole_judged(course, &conduct) {
            if found.ask(&raw, judged.choice) {
                continue;
            }
            let finding = noted(&raw, (channel, judged.choice, 0), Enforced::Observed);
            found.push(Finding { span: span.clone(), ..finding }, &raw);
        }
    }

    /// Adds the questions of rules that can ask without a verdict, where there will be none.
    pub fn inquire(&self, found: &mut Found) {
        let conduct = policies::Conduct::default();
        let waiting = std::mem::take(&mut found.waiting);
        let raw = waiting.iter().map(|waiting| &waiting.raw).filter(|raw| raw.ask.is_some());
        let raw = raw.filter(|raw| self.selection.judged(raw, &self.course, &conduct)).cloned();
        for raw in raw.chain(self.selection.whole_judged(&self.course, &conduct)) {
            if !self.selection.awaits_verdict(&raw) {
                found.ask(&raw, 0);
            }
        }
        found.waiting = waiting;
    }

    /// What is found in whole texts of one channel, of which what was found before is known. The texts of a prompt are
    /// known together before anything is done about one of them.
    pub fn scan(&mut self, channel: Channel, texts: &[&str], found: &mut Found) {
        if channel == Channel::Prompt {
            self.note_topics(texts.iter().copied());
            self.find_whole(found);
        }
        for (text, part) in texts.iter().zip(0..) {
            let mut track = Track::new(self, 0, channel, part);
            let mut scope = Scope { selection: &self.selection, course: &mut self.course, found };
            track.push(text, 0, &mut scope);
            track.finish(&mut scope);
        }
    }

    /// Notes the topics of a prompt, where some rule asks for them.
    pub(super) fn note_topics<'a>(&mut self, texts: impl Iterator<Item = &'a str>) {
        if !self.selection.notes() {
            return;
        }
        let mut findings = Vec::new();
        for text in texts {
            let Some(mut scanner) = self.scanner(Channel::Prompt) else { return };
            let _ = scanner.push(text, &mut findings);
            let _ = scanner.finish(&mut findings);
            for finding in findings.drain(..) {
                let _ = self.selection.take(&finding, &mut self.course);
            }
        }
    }

    /// Adds what rules find that are about the exchange as a whole; gives what they stop it with.
    pub(super) fn find_whole(&self, found: &mut Found) -> Option<Stop> {
        let mut stop = None;
        for raw in self.selection.whole() {
            let enforced = match (raw.monitored, action(raw.action)) {
                (false, exchange::Action::Stop) => {
                    stop.get_or_insert_with(|| Stop { message: raw.message.clone() });
                    Enforced::Applied
                }
                (false, _) if routes(&raw) => Enforced::Applied,
                _ => Enforced::Observed,
            };
            found.push(noted(&raw, (Channel::Prompt, 0, 0), enforced), &raw);
        }
        stop
    }
}

/// What rules may ask of a verdict.
#[derive(Debug, Clone, Default)]
pub struct Judged<'a> {
    /// The choice that it is about.
    pub choice: u32,
    /// The outcome.
    pub outcome: &'a str,
    /// The manners.
    pub manners: &'a [&'a str],
    /// The reply's language.
    pub language: Option<&'a str>,
    /// How sure it is, 0 to 1.
    pub confidence: f32,
    /// Where its first evidence stands.
    pub shown: Option<(Channel, Range<usize>)>,
}

impl<'a> From<&'a Verdict> for Judged<'a> {
    fn from(verdict: &'a Verdict) -> Self {
        Self {
            choice: verdict.choice,
            outcome: verdict.outcome,
            manners: &verdict.manners,
            language: verdict.language,
            confidence: verdict.confidence,
            shown: verdict.evidence.first().map(|evidence| (evidence.channel, evidence.span.clone())),
        }
    }
}

/// Whether a finding's rule demands something of the route.
pub(super) fn routes(finding: &policies::Finding) -> bool {
    finding.demands.as_ref().is_some_and(|demands| demands.route.is_some())
}

/// A finding as it is recorded, of a choice and a part of a channel.
pub(super) fn noted(raw: &policies::Finding, at: (Channel, u32, u32), enforced: Enforced) -> Finding {
    let (channel, choice, part) = at;
    Finding {
        rule: raw.rule.to_string(),
        pack: raw.pack.to_string(),
        topic: raw.topic.as_deref().map(str::to_owned),
        detector: raw.detector.to_string(),
        channel,
        choice,
        part,
        span: raw.span.clone(),
        action: action(raw.action),
        enforced,
        severity: raw.severity.name(),
    }
}

/// What rules are asked about an upstream.
pub(super) fn facts_of(place: &Place) -> policies::Upstream<'_> {
    policies::Upstream { name: &place.name, local: place.local, tags: &place.tags }
}

pub(super) fn to_policies(channel: Channel) -> policies::Channel {
    match channel {
        Channel::Prompt => policies::Channel::Prompt,
        Channel::Reasoning => policies::Channel::Reasoning,
        Channel::Answer => policies::Channel::Answer,
        Channel::Tool => policies::Channel::Tool,
        Channel::Refusal => policies::Channel::Refusal,
    }
}

pub(super) fn from_policies(channel: policies::Channel) -> Channel {
    match channel {
        policies::Channel::Prompt => Channel::Prompt,
        policies::Channel::Reasoning => Channel::Reasoning,
        policies::Channel::Answer => Channel::Answer,
        policies::Channel::Tool => Channel::Tool,
        policies::Channel::Refusal => Channel::Refusal,
    }
}

pub(super) fn action(action: policies::Action) -> exchange::Action {
    match action {
        policies::Action::Allow => exchange::Action::Allow,
        policies::Action::Flag => exchange::Action::Flag,
        policies::Action::Redact => exchange::Action::Redact,
        policies::Action::Stop => exchange::Action::Stop,
    }
}
