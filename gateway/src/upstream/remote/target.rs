//! What every call to one remote backend repeats, made once: its address, its headers, how it differs.

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderName, USER_AGENT};
use http::{HeaderMap, HeaderValue, Uri};
use tracing::warn;

use crate::config::{Adaptation, Remote, Secret, StreamUsage, Timeouts};
use crate::dialect;
use crate::exchange::{Channel, Dialect, Request};
use crate::tls::client::Trust;
use crate::upstream::adapt::{Adapted, adapt};
use crate::upstream::catalogue::{Auth, Catalogue, Exposure, Provider, Quirks, Signal, UsageAt};
use crate::upstream::failure::Error;

/// A remote backend, ready to be called.
#[derive(Debug)]
pub(crate) struct Target {
    /// What it speaks, the main dialect first, and where.
    spoken: Vec<(Dialect, Uri)>,
    /// Where it lists its models.
    pub(super) models: String,
    pub(super) headers: HeaderMap,
    /// What its errors look like where its content filter spoke, and where the account is out of money.
    pub(in crate::upstream) blocks: Vec<Signal>,
    pub(super) unpaid: Vec<Signal>,
    pub(super) trust: Trust,
    pub(super) idle: usize,
    timeouts: Timeouts,
    exposed: Exposure,
    inline: bool,
    /// What its models take, where requests are adapted to that.
    quirks: Vec<Quirks>,
    /// Whether usage of a stream is asked for on a client's behalf.
    asks_usage: bool,
}

impl Target {
    /// Makes everything ready.
    ///
    /// # Errors
    /// What is wrong with its configuration.
    pub(crate) fn open(name: &str, remote: &Remote, catalogue: &Catalogue) -> Result<Self, String> {
        let provider = catalogue
            .entry(&remote.provider)
            .ok_or_else(|| format!("the catalogue has no provider `{}`", remote.provider))?;
        let spoken = spoken(remote, provider)?;
        let plain = spoken.iter().any(|(_, uri)| uri.scheme_str() == Some("http"));
        let near = spoken.iter().all(|(_, uri)| is_loopback(uri.host()));
        if plain && remote.key.is_some() && !near {
            warn!(upstream = name, "the key of this upstream is sent in plain HTTP");
        }
        let trust = if plain { Trust::nobody() } else { Trust::open(remote.roots.as_deref()) };
        Ok(Self {
            models: format!("{}/models", remote.base_url.trim_end_matches('/')),
            headers: headers(provider.auth, remote.key.as_ref())?,
            blocks: catalogue.blocks(provider),
            unpaid: catalogue.unpaid(provider),
            trust: trust.map_err(|error| format!("failed to {error}"))?,
            idle: remote.idle_connections,
            timeouts: remote.timeouts,
            exposed: provider.reasoning.exposed,
            inline: provider.reasoning.inline,
            quirks: match remote.adapt {
                Adaptation::On => provider.models.clone(),
                Adaptation::Off => Vec::new(),
            },
            asks_usage: (remote.adapt, remote.stream_usage, provider.usage)
                == (Adaptation::On, StreamUsage::Ask, UsageAt::Asked),
            spoken,
        })
    }

    /// What is spoken to it for a client that speaks `wanted`.
    pub(crate) fn dialect(&self, wanted: Dialect) -> Option<Dialect> {
        if self.spoken.iter().any(|(dialect, _)| *dialect == wanted) {
            return Some(wanted);
        }
        self.main().filter(|_| wanted.converses())
    }

    /// The dialect that others are translated to.
    pub(crate) fn main(&self) -> Option<Dialect> {
        self.spoken.iter().map(|(dialect, _)| *dialect).find(|dialect| dialect.converses())
    }

    /// Where a dialect is spoken.
    pub(super) fn uri(&self, dialect: Dialect) -> Uri {
        let known = self.spoken.iter().find(|(spoken, _)| *spoken == dialect).or_else(|| self.spoken.first());
        known.map(|(_, uri)| uri.clone()).unwrap_or_default()
    }

    /// Its time limits.
    pub(crate) fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// Changes a request's body to what a model here takes in the dialect that it is spoken to in.
    ///
    /// # Errors
    /// It cannot be changed so without asking for something else.
    pub(crate) fn adapt(&self, body: Bytes, model: &str, dialect: Dialect) -> Result<Adapted, Error> {
        let quirks = self.quirks.iter().find(|quirks| quirks.matches(dialect, model));
        match quirks.filter(|quirks| !quirks.change_nothing()) {
            Some(quirks) => adapt(body, quirks),
            None => Ok(Adapted { body, changes: Vec::new(), gathers: false }),
        }
    }

    /// The body once more, with usage asked for, where its stream tells that only if asked and the client did not.
    pub(crate) fn ask_usage(&self, body: &Bytes, request: &Request) -> Option<Bytes> {
        let concerned =
            self.asks_usage && request.dialect == Dialect::OpenaiChat && request.stream && !request.stream_usage;
        if concerned { dialect::usage::ask(body) } else { None }
    }

    /// What the catalogue knows of its showing reasoning; `None` is learned by seeing some.
    pub(crate) fn exposes_reasoning(&self) -> Option<bool> {
        match self.exposed {
            Exposure::Never => Some(false),
            Exposure::Learned => None,
        }
    }

    /// The channel that a text opens in which may carry `<think>` marks: what was sent forces none, so it is the answer.
    pub(crate) fn inline_reasoning(&self) -> Option<Channel> {
        self.inline.then_some(Channel::Answer)
    }
}

/// What a backend speaks, and where: what the configuration says, or else the catalogue.
fn spoken(remote: &Remote, provider: &Provider) -> Result<Vec<(Dialect, Uri)>, String> {
    let base = remote.base_url.trim_end_matches('/');
    let own: Vec<(Dialect, &str)> = remote.dialects.iter().map(|dialect| (*dialect, base)).collect();
    let mut all = if own.is_empty() { provider.spoken(base) } else { own };
    // Whoever answers Messages also counts their tokens, or says itself that it does not.
    let messages = all.iter().find(|(dialect, _)| *dialect == Dialect::Anthropic).copied();
    all.extend(messages.map(|(_, base)| (Dialect::AnthropicCount, base)));
    let uri = |(dialect, base): (Dialect, &str)| {
        let path = match dialect {
            Dialect::OpenaiChat => "/chat/completions",
            Dialect::OpenaiResponses => "/responses",
            Dialect::Anthropic => "/messages",
            Dialect::OpenaiEmbeddings => "/embeddings",
            Dialect::AnthropicCount => "/messages/count_tokens",
        };
        let uri = format!("{base}{path}").parse().map_err(|_| "its `base_url` cannot be used".to_owned())?;
        Ok((dialect, uri))
    };
    all.into_iter().map(uri).collect()
}

fn headers(auth: Auth, key: Option<&Secret>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("candor/", env!("CARGO_PKG_VERSION"))));
    // What is screened must be readable.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let Some(key) = key else { return Ok(headers) };
    let (name, text) = match auth {
        Auth::Bearer => (AUTHORIZATION, format!("Bearer {}", key.reveal())),
        Auth::ApiKey => (HeaderName::from_static("api-key"), key.reveal().to_owned()),
        Auth::XApiKey => (HeaderName::from_static("x-api-key"), key.reveal().to_owned()),
    };
    let mut value =
        HeaderValue::try_from(text).map_err(|_| "its key holds characters that no header can carry".to_owned())?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(headers)
}

fn is_loopback(host: Option<&str>) -> bool {
    let host = host.unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
