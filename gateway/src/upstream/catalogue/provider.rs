//! One entry of the catalogue: a vendor or a server program.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::{Quirks, Signal};
use crate::exchange::Dialect;

/// All providers.
#[derive(Debug, Clone)]
pub struct Catalogue {
    pub(super) providers: Vec<Provider>,
    /// SHA-256 over the texts it was read from, in hexadecimal.
    pub(super) digest: String,
}

impl Catalogue {
    /// A catalogue without providers.
    #[must_use]
    pub fn empty() -> Self {
        Self { providers: Vec::new(), digest: String::new() }
    }

    /// All providers, in the order of the catalogue.
    pub fn providers(&self) -> impl Iterator<Item = &Provider> {
        self.providers.iter()
    }

    /// Their names.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.providers.iter().map(|provider| provider.name.clone()).collect()
    }

    /// A provider by its name.
    #[must_use]
    pub fn entry(&self, name: &str) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.name == name)
    }

    /// SHA-256 over the texts that it was read from, in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The block signals that a provider's errors are held against: its own, and everybody's where it relays.
    #[must_use]
    pub fn blocks(&self, provider: &Provider) -> Vec<Signal> {
        self.signals(provider, |one| &one.blocks)
    }

    /// As [`Catalogue::blocks`], for what is said where an account is out of money.
    #[must_use]
    pub fn unpaid(&self, provider: &Provider) -> Vec<Signal> {
        self.signals(provider, |one| &one.unpaid)
    }

    fn signals(&self, provider: &Provider, of: fn(&Provider) -> &[Signal]) -> Vec<Signal> {
        let others = self.providers.iter().filter(|other| provider.relays && other.name != provider.name);
        of(provider).iter().chain(others.flat_map(of)).cloned().collect()
    }
}

/// One vendor or server program.
#[derive(Debug, Clone)]
pub struct Provider {
    /// Name in configuration.
    pub name: String,
    /// The wire format that it is spoken to in.
    pub dialect: String,
    /// URL including the version segment; absent where every installation has its own.
    pub base_url: Option<String>,
    /// Further wire formats that it understands, and their URLs.
    pub speaks: BTreeMap<String, String>,
    /// How the credential is sent.
    pub auth: Auth,
    /// Where its reasoning stands.
    pub reasoning: Reasoning,
    /// Where token counts stand in a stream.
    pub usage: UsageAt,
    /// How it keeps connections alive while it thinks.
    pub keep_alive: Vec<KeepAlive>,
    /// Beginnings of the headers in which it says how much more may be asked.
    pub limit_headers: Vec<String>,
    /// Whether it passes on the errors of vendors behind it, so that their signals count too.
    pub relays: bool,
    /// Errors that are its content filter's.
    pub blocks: Vec<Signal>,
    /// Errors that say that the account is out of money, beside status 402.
    pub unpaid: Vec<Signal>,
    /// What holds for which models in which dialect; the first that matches counts, alone.
    pub models: Vec<Quirks>,
    /// Month or day on which this entry was last compared with its sources.
    pub checked: String,
    /// Where the facts come from.
    pub source: String,
    /// What else must be known.
    pub notes: String,
    /// The entry as it was read, for people and programs.
    pub shown: Json,
}

impl Provider {
    /// What holds for a model, by its name at this provider, where it is spoken to in a dialect.
    #[must_use]
    pub fn quirks(&self, dialect: Dialect, model: &str) -> Option<&Quirks> {
        self.models.iter().find(|quirks| quirks.matches(dialect, model))
    }
}

/// How a credential is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// `api-key: KEY`.
    ApiKey,
    /// `x-api-key: KEY`.
    XApiKey,
}

/// Where reasoning stands in replies.
#[derive(Debug, Clone)]
pub struct Reasoning {
    /// Fields of a message or delta.
    pub fields: Vec<String>,
    /// Whether it may stand in the answer between `<think>` marks.
    pub inline: bool,
    /// Whether replies show it.
    pub exposed: Exposure,
}

/// Whether replies show reasoning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposure {
    /// No model of this provider shows any.
    Never,
    /// It depends on the model; seeing some once shows it.
    Learned,
}

/// Where token counts stand in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageAt {
    /// In a last chunk of their own, where `stream_options.include_usage` asks for it.
    Asked,
    /// In the last chunk, asked or not.
    Always,
    /// In `choices[0].usage` of the chunk that finishes.
    Choice,
}

/// How a connection is kept alive while nothing is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepAlive {
    /// Comments in streams.
    Comments,
    /// Empty lines before a whole reply.
    EmptyLines,
    /// Events of their own without meaning, as Messages' `ping`.
    Pings,
}
