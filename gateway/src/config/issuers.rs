//! The part of a configuration that says whose signed tokens are taken, and what their bearers may do.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Terms;
use super::read::{Shared, Table};
use super::terms::terms;

/// Somebody whose signed tokens (JWT) say who a caller is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// What its tokens say in `iss`.
    pub name: String,
    /// What they may say in `aud`.
    pub audiences: Vec<String>,
    /// Where its public keys are.
    pub keys: KeySource,
    /// The claim that names the caller.
    pub caller_claim: String,
    /// The claim that names the team.
    pub team_claim: Option<String>,
    /// The claim that names the role.
    pub role_claim: Option<String>,
    /// The team where no claim names one.
    pub team: Option<String>,
    /// The role where no claim names one.
    pub role: Option<String>,
    /// How far clocks may be apart.
    pub skew: Duration,
    /// How often its keys are read again.
    pub refresh: Duration,
    /// What each of its callers may ask for, and how much of it.
    pub terms: Terms,
}

/// Where public keys are, as a JSON Web Key Set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A file.
    File(PathBuf),
    /// A URL.
    Url {
        /// The URL: `https`, or `http` on this machine.
        url: String,
        /// PEM file of extra roots; `None` trusts the system's.
        roots: Option<PathBuf>,
    },
    /// Where the issuer's own document says (OpenID Connect Discovery 1.0, section 4).
    Discovered {
        /// The document's URL.
        url: String,
        /// As above.
        roots: Option<PathBuf>,
    },
}

/// Where an issuer's document is, after its name.
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// Reads one issuer.
pub(super) fn issuer(entry: &mut Table, base: &Path, shared: &mut Shared<'_>) -> Option<Issuer> {
    let name = entry.required("issuer", shared);
    let audiences = entry.texts("audience", &[], shared);
    if audiences.is_empty() {
        let hint = "a token for somebody else must not be good here: `audience: [candor]`".to_owned();
        shared.mistake(entry.place(), "an issuer lacks `audience`", Some(hint));
    }
    let url = entry.parsed("jwks_url", "an `https` URL, or an `http` one on this machine", key_url, shared);
    let file = entry.path("jwks_file", shared).map(|path| base.join(path));
    let roots = entry.path("roots", shared).map(|path| base.join(path));
    let given = entry.has("jwks_url") || entry.has("jwks_file");
    let keys = match (url, file, name.as_deref().and_then(key_url)) {
        (Some(url), None, _) => Some(KeySource::Url { url, roots }),
        (None, Some(path), _) => Some(KeySource::File(path)),
        (None, None, Some(name)) if !given => {
            Some(KeySource::Discovered { url: format!("{}{DISCOVERY}", name.trim_end_matches('/')), roots })
        }
        (Some(_), Some(_), _) => {
            shared.mistake(entry.place(), "an issuer has `jwks_url` and `jwks_file`", Some("keep one".to_owned()));
            None
        }
        (None, None, _) => {
            if !given && name.is_some() {
                let message = "an issuer whose name is no `https` URL needs `jwks_url` or `jwks_file`";
                shared.mistake(entry.place(), message, None);
            }
            None
        }
    };
    let caller_claim = entry.text("caller_claim", shared).unwrap_or_else(|| "sub".to_owned());
    entry.note("caller_claim", caller_claim.clone());
    let (team_claim, role_claim) = (entry.text("team_claim", shared), entry.text("role_claim", shared));
    let (team, role) = (entry.text("team", shared), entry.text("role", shared));
    let skew = entry.duration("skew", Duration::from_secs(60), shared);
    let refresh = entry.duration("refresh", Duration::from_secs(600), shared);
    let terms = terms(entry, shared);
    let (name, keys) = (name?, keys?);
    Some(Issuer { name, audiences, keys, caller_claim, team_claim, role_claim, team, role, skew, refresh, terms })
}

/// A URL that keys may come from: what anybody on the way could change says nothing.
#[must_use]
pub fn key_url(text: &str) -> Option<String> {
    let uri: http::Uri = text.parse().ok()?;
    let host = uri.host()?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let here = bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let good = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => here,
        _ => false,
    };
    good.then(|| text.to_owned())
}
