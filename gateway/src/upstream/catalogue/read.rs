//! Reads the catalogue of providers and checks it as a whole. It knows nothing of connections.

use std::fmt;

use http::Uri;
use serde::Deserialize;

use super::Signal;

/// The shipped catalogue.
const SHIPPED: &str = include_str!("providers.yaml");

/// Names of all providers, in the order of the catalogue.
#[must_use]
pub fn names() -> Vec<&'static str> {
    load().map(|catalogue| catalogue.providers.iter().map(|provider| provider.name).collect()).unwrap_or_default()
}

/// A provider's usual URL, where it has one.
#[must_use]
pub fn base_url(provider: &str) -> Option<&'static str> {
    load().ok()?.entry(provider)?.base_url
}

/// The shipped catalogue, checked.
///
/// # Errors
/// What is wrong with it, all at once: a defect of the build.
pub fn load() -> Result<Catalogue, Error> {
    read(SHIPPED)
}

/// All providers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "'de: 'static"))]
pub struct Catalogue {
    providers: Vec<Provider>,
}

/// One vendor or server program.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Name in configuration.
    pub name: &'static str,
    /// The wire format that it is spoken to in.
    pub dialect: &'static str,
    /// Further wire formats that it understands, and their URLs.
    #[serde(default)]
    pub speaks: std::collections::BTreeMap<&'static str, &'static str>,
    /// URL including the version segment; absent where every installation has its own.
    #[serde(default)]
    pub base_url: Option<&'static str>,
    /// How the credential is sent.
    pub auth: Auth,
    /// Where its reasoning stands.
    pub reasoning: Reasoning,
    /// Whether it passes on the errors of vendors behind it, so that their block signals count too.
    #[serde(default)]
    pub relays: bool,
    /// Errors that are its content filter's.
    #[serde(default)]
    pub blocks: Vec<Signal>,
    /// Month in which this entry was last compared with its sources.
    pub checked: &'static str,
    /// Where the facts come from.
    pub source: String,
    /// What else must be known.
    #[serde(default)]
    pub notes: String,
}

/// How a credential is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Auth {
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// `api-key: KEY`.
    ApiKey,
    /// `x-api-key: KEY`.
    XApiKey,
}

/// Where reasoning stands in replies.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "'de: 'static"))]
pub struct Reasoning {
    /// Fields of a message or delta.
    pub fields: Vec<&'static str>,
    /// Whether it may stand in the answer between `<think>` marks.
    pub inline: bool,
    /// Whether replies show it.
    pub exposed: Exposure,
}

/// Whether replies show reasoning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exposure {
    /// No model of this provider shows any.
    Never,
    /// It depends on the model; seeing some once shows it.
    Learned,
}

impl Catalogue {
    /// A provider by its name.
    #[must_use]
    pub fn entry(&self, name: &str) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.name == name)
    }

    /// The block signals that a provider's errors are held against: its own, and everybody's where it relays.
    #[must_use]
    pub fn signals(&self, provider: &Provider) -> Vec<Signal> {
        let others = self.providers.iter().filter(|other| provider.relays && other.name != provider.name);
        provider.blocks.iter().chain(others.flat_map(|other| &other.blocks)).cloned().collect()
    }
}

/// What is wrong with a catalogue.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// It is not YAML of the expected shape.
    Shape(String),
    /// Entries that cannot be right.
    Entries(Vec<String>),
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape(text) => write!(formatter, "read the catalogue of providers: {text}"),
            Self::Entries(mistakes) => write!(formatter, "read the catalogue of providers: {}", mistakes.join("; ")),
        }
    }
}

fn read(text: &'static str) -> Result<Catalogue, Error> {
    let catalogue: Catalogue =
        serde_saphyr::from_str(text).map_err(|error| Error::Shape(error.without_snippet().to_string()))?;
    let mut mistakes = Vec::new();
    for (index, provider) in catalogue.providers.iter().enumerate() {
        if catalogue.providers.iter().take(index).any(|other| other.name == provider.name) {
            mistakes.push(format!("{}: stands twice", provider.name));
        }
        mistakes.extend(mistakes_of(provider).into_iter().map(|mistake| format!("{}: {mistake}", provider.name)));
    }
    if mistakes.is_empty() { Ok(catalogue) } else { Err(Error::Entries(mistakes)) }
}

fn mistakes_of(provider: &Provider) -> Vec<&'static str> {
    let is_url = |url: &str| {
        url.parse::<Uri>().is_ok_and(|uri| uri.host().is_some() && uri.query().is_none() && !url.ends_with('/'))
    };
    let is_month = |text: &str| {
        let (year, month) = text.split_once('-').unwrap_or_default();
        year.len() == 4
            && year.parse::<u16>().is_ok()
            && month.len() == 2
            && month.parse().is_ok_and(|month: u8| (1..=12).contains(&month))
    };
    let checks = [
        (!provider.name.is_empty(), "has no name"),
        (provider.knows_its_dialects(), "its dialect is not one that the gateway speaks"),
        (provider.base_url.is_none_or(is_url), "its URL cannot be used"),
        (provider.blocks.iter().all(Signal::is_usable), "a block signal without a code, type or message"),
        (is_month(provider.checked), "`checked` is not a month such as 2026-11"),
        (!provider.source.is_empty(), "has no source"),
    ];
    checks.into_iter().filter(|(holds, _)| !holds).map(|(_, mistake)| mistake).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_catalogue_is_valid_and_whole() {
        let catalogue = load().unwrap_or_else(|error| panic!("{error}"));
        let shipped = [
            "openai-compatible",
            "openai",
            "deepseek",
            "dashscope",
            "moonshot",
            "anthropic",
            "openrouter",
            "huggingface",
            "vllm",
            "sglang",
            "llama-cpp",
            "ollama",
        ];
        for name in shipped {
            assert!(catalogue.entry(name).is_some(), "{name} is missing");
        }
        assert_eq!(base_url("openai"), Some("https://api.openai.com/v1"));
        assert_eq!(base_url("openai-compatible"), None);
        assert_eq!(names().first(), Some(&"openai-compatible"));
    }

    #[test]
    fn a_bad_catalogue_is_told_whole() {
        let text = "
providers:
  - {name: a, dialect: smoke, auth: bearer, reasoning: {fields: [], inline: false, exposed: never}, checked: soon, source: x}
  - {name: a, dialect: openai-chat, base_url: 'nowhere/', auth: bearer, reasoning: {fields: [], inline: false, exposed: never}, blocks: [{status: [400]}], checked: 2026-13, source: x}
";
        let text = read(text).map(|_| ()).unwrap_err().to_string();
        for part in ["a: its dialect", "a: `checked`", "a: stands twice", "a: its URL", "a: a block signal"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(matches!(read("providers: [{name: x}]"), Err(Error::Shape(_))));
        assert!(matches!(read("providers: []\nprices: []"), Err(Error::Shape(_))));
    }

    #[test]
    fn a_relay_knows_the_signals_of_all() {
        let catalogue = load().unwrap_or_else(|error| panic!("{error}"));
        let count = |name: &str| catalogue.entry(name).map_or(0, |entry| catalogue.signals(entry).len());
        assert!(count("openrouter") > count("deepseek") + count("dashscope"));
        assert_eq!(count("deepseek"), catalogue.entry("deepseek").map_or(0, |entry| entry.blocks.len()));
    }
}
