//! The compiled rules, and the part of them that watches one exchange. Text is scanned elsewhere.

use std::path::PathBuf;
use std::sync::Arc;

use candor_policies as policies;

use super::found::Found;
use super::track::Track;
use crate::exchange::{self, Caller, Channel, Finding};

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
pub struct Rules(Arc<policies::Ruleset>);

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
            Ok(ruleset) if mistakes.is_empty() => Ok(Self(Arc::new(ruleset))),
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
        Self(Arc::new(ruleset))
    }

    /// The compiled rules themselves, for commands that explain and test them.
    #[must_use]
    pub fn ruleset(&self) -> &Arc<policies::Ruleset> {
        &self.0
    }

    /// SHA-256 of what the packs say, in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> &str {
        self.0.digest()
    }

    /// The rules that watch an exchange of this caller with this model.
    #[must_use]
    pub fn watch(&self, caller: &Caller, model: &str) -> Watch {
        let facts =
            policies::Facts { caller: &caller.name, team: caller.team.as_deref(), role: caller.role.as_deref(), model };
        Watch(self.0.select(&facts))
    }
}

impl Rules {
    /// The topics that texts speak of, each once, with its pack; whatever the rules say.
    #[must_use]
    pub fn topics_in(&self, texts: &[&str]) -> Vec<(String, String)> {
        let mut topics = Vec::new();
        for hit in texts.iter().flat_map(|text| self.0.topics_in(text)) {
            let topic = (hit.topic.to_string(), hit.pack.to_string());
            if !topics.contains(&topic) {
                topics.push(topic);
            }
        }
        topics
    }
}

/// The rules that watch one exchange.
#[derive(Debug, Clone)]
pub struct Watch(policies::Selection);

impl Watch {
    /// A scanner for one text of one channel; `None` where no rule looks.
    pub(super) fn scanner(&self, channel: Channel) -> Option<policies::Scanner> {
        self.0.scanner(to_policies(channel))
    }

    /// Whether a rule could change or stop a reply.
    #[must_use]
    pub fn enforces(&self) -> bool {
        self.0.enforces()
    }

    /// What is found in a whole text.
    #[must_use]
    pub fn scan(&self, channel: Channel, text: &str) -> Vec<Finding> {
        let mut found = Found::default();
        let mut track = Track::new(self, 0, channel, 0);
        track.push(text, 0, &mut found);
        track.finish(&mut found);
        found.kept
    }
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
