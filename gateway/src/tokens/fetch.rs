//! Reads issuers' keys from files and URLs, again and again, and at once where a token names one that is not known. What was
//! read last stays good while nothing newer can be had.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::{Instant, timeout};

use super::issuers::{Issuers, Trusted};
use crate::config::KeySource;
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
        let read = timeout(PATIENCE, read(&trusted.issuer.keys)).await;
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

async fn read(source: &KeySource) -> Result<Bytes, String> {
    match source {
        KeySource::File(path) => {
            let bytes = std::fs::read(path).map_err(|error| error.kind().to_string())?;
            Ok(bytes.into())
        }
        KeySource::Url { url, roots } => {
            let plain = url.starts_with("http:");
            let trust = if plain { Trust::nobody() } else { Trust::open(roots.as_deref()) };
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
    }
}
