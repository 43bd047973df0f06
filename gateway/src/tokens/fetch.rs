//! Reads issuers' keys from files and URLs, again and again, and at once where a token names one that is not known. What was
//! read last stays good while nothing newer can be had.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use tokio::time::{Instant, timeout};

use super::issuers::{Issuers, Trusted};
use crate::config::{Issuer, KeySource, key_url};
use crate::tls::client::Trust;

/// How long one attempt may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The least time between two attempts at one issuer, whatever tokens name.
const PAUSE: Duration = Duration::from_secs(5);

/// How often it is looked whose keys are due.
const LOOK: Duration = Duration::from_secs(1);

/// Bytes of a set of keys at most.
const LONGEST: usize = 1 << 20;

/// Keeps the keys of all issuers current, for ever.
pub async fn refresh(issuers: Arc<Issuers>) {
    let mut attempts: HashMap<String, Attempt> = HashMap::new();
    loop {
        for trusted in issuers.all().iter() {
            let attempt = attempts.entry(trusted.issuer.name.clone()).or_default();
            if attempt.is_due(trusted) {
                attempt.make(&issuers, trusted).await;
            }
        }
        let _ = timeout(LOOK, issuers.wanted.notified()).await;
    }
}

/// What is remembered of one issuer.
#[derive(Debug, Default)]
struct Attempt {
    last: Option<Instant>,
    failing: bool,
}

impl Attempt {
    fn is_due(&self, trusted: &Trusted) -> bool {
        let Some(passed) = self.last.map(|last| last.elapsed()) else { return true };
        let soon = trusted.is_wanted() || self.failing || !trusted.is_known();
        passed >= if soon { PAUSE.min(trusted.issuer.refresh) } else { trusted.issuer.refresh }
    }

    async fn make(&mut self, issuers: &Issuers, trusted: &Trusted) {
        self.last = Some(Instant::now());
        let read = timeout(PATIENCE, read(&trusted.issuer)).await;
        let read = read.unwrap_or_else(|_| Err("it did not come in time".to_owned()));
        trusted.tried();
        let done = read.and_then(|document| issuers.replace(trusted, &document).map_err(str::to_owned));
        let issuer = &trusted.issuer.name;
        match done {
            Ok(()) if std::mem::take(&mut self.failing) => tracing::info!(issuer, "keys of an issuer are read again"),
            Ok(()) => {}
            Err(why) if !std::mem::replace(&mut self.failing, true) => {
                tracing::warn!(issuer, why, "keys of an issuer cannot be read; those known stay good");
            }
            Err(_) => {}
        }
    }
}

/// What an issuer says of itself; the rest of its document is of no use here.
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

async fn read(issuer: &Issuer) -> Result<Bytes, String> {
    match &issuer.keys {
        KeySource::File(path) => {
            let bytes = std::fs::read(path).map_err(|error| error.kind().to_string())?;
            Ok(bytes.into())
        }
        KeySource::Url { url, roots } => get(url, roots.as_deref()).await,
        KeySource::Discovered { url, roots } => {
            let document = get(url, roots.as_deref()).await?;
            get(&named(&document, &issuer.name)?, roots.as_deref()).await
        }
    }
}

/// Where an issuer's document says that its keys are.
fn named(document: &[u8], issuer: &str) -> Result<String, String> {
    let read = serde_json::from_slice::<Discovery>(document);
    let found = read.map_err(|_| "its `.well-known/openid-configuration` cannot be read".to_owned())?;
    if found.issuer != issuer {
        return Err("its `.well-known/openid-configuration` is of another issuer".to_owned());
    }
    key_url(&found.jwks_uri).ok_or_else(|| "its `jwks_uri` is no `https` URL".to_owned())
}

async fn get(url: &str, roots: Option<&Path>) -> Result<Bytes, String> {
    let plain = url.starts_with("http:");
    let trust = if plain { Trust::nobody() } else { Trust::open(roots) };
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    let connector = trust.map_err(|error| error.to_string())?.over(http);
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    let uri = url.parse().map_err(|_| "its URL cannot be used".to_owned())?;
    let response = client.get(uri).await.map_err(|_| "its server cannot be reached".to_owned())?;
    if !response.status().is_success() {
        return Err(format!("its server answered with status {}", response.status().as_u16()));
    }
    let body = Limited::new(response.into_body(), LONGEST).collect().await;
    Ok(body.map_err(|_| "its document broke off or is too long".to_owned())?.to_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_names_keys_of_its_own_issuer_in_a_safe_place() {
        let check = |issuer: &str, keys: &str, part: Option<&str>| {
            let document = json!({"issuer": issuer, "jwks_uri": keys, "response_types_supported": ["code"]});
            let found = named(document.to_string().as_bytes(), "https://id.example/t");
            match part {
                None => assert_eq!(found.as_deref(), Ok(keys)),
                Some(part) => assert!(found.as_ref().is_err_and(|why| why.contains(part)), "{found:?}"),
            }
        };
        check("https://id.example/t", "https://keys.example/k?v=1", None);
        check("https://id.example/t", "http://127.0.0.1:1/k", None);
        check("https://id.example/t/", "https://keys.example/k", Some("another issuer"));
        check("https://other.example", "https://keys.example/k", Some("another issuer"));
        for unsafe_place in ["http://keys.example/k", "file:///etc/passwd", "", "/k", "ftp://127.0.0.1/k"] {
            check("https://id.example/t", unsafe_place, Some("jwks_uri"));
        }
        for broken in ["", "{}", "[]", "null", r#"{"issuer": 7, "jwks_uri": "x"}"#, "<html>"] {
            assert!(named(broken.as_bytes(), "https://id.example/t").is_err_and(|why| why.contains("cannot be read")));
        }
    }

    proptest! {
        #[test]
        fn no_document_does_harm(document in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(named(&document, "https://id.example").is_err());
        }
    }
}
