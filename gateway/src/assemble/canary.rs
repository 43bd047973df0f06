//! Runs the canary beside the traffic, counts what comes of it, and tells whoever wants to be told when a rate has left its
//! band.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use serde_json::json;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::Error;
use crate::audit::ask::Door;
use crate::audit::canary::{Bird, Round};
use crate::config::{Canary, Config, Secret};
use crate::observe::metrics::{Kind, Metrics};
use crate::observe::names::series;
use crate::store::Store;
use crate::tls::client::Trust;
use crate::upstream::errand::Errands;

/// Longest that an answer, and whoever is told, may take.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(300), Duration::from_secs(15));

/// Times that whoever is told is tried.
const TRIES: u32 = 3;

/// What is counted of the canary.
#[derive(Debug, Default)]
struct Counts {
    rounds: AtomicU64,
    failed: AtomicU64,
    answers: AtomicU64,
    withheld: AtomicU64,
    alerts: AtomicU64,
}

/// Starts the canary, where one is configured.
///
/// # Errors
/// Its suite or its trust cannot be used.
pub(super) fn start(
    config: &Config,
    bound: SocketAddr,
    store: Store,
    metrics: &Metrics,
) -> Result<Option<JoinHandle<()>>, Error> {
    let Some(canary) = config.canary.clone() else { return Ok(None) };
    let bird = Bird::open(&canary, &config.data).map_err(Error::Canary)?;
    let door = Door::of(config, Some(bound), canary.gateway.as_deref(), canary.authority.as_deref())
        .map_err(|error| Error::Canary(format!("audit.canary: {error}")))?
        .with(Some(canary.key.clone()), PATIENCE.0);
    let counts = Arc::new(Counts::default());
    watch(metrics, &counts);
    Ok(Some(Handle::current().spawn(sing(bird, door, store, canary, counts))))
}

fn watch(metrics: &Metrics, counts: &Arc<Counts>) {
    type Read = fn(&Counts) -> &AtomicU64;
    let all: [(&str, &str, Read); 5] = [
        (series::CANARY_ROUNDS, "Rounds of the canary", |counts| &counts.rounds),
        (series::CANARY_FAILED, "Rounds of the canary that came to nothing", |counts| &counts.failed),
        (series::CANARY_ANSWERS, "Answers to the canary that were counted", |counts| &counts.answers),
        (series::CANARY_WITHHELD, "Answers to the canary that were withheld", |counts| &counts.withheld),
        (series::CANARY_ALERTS, "Alerts of the canary: the rate has left its band", |counts| &counts.alerts),
    ];
    for (name, help, read) in all {
        let counts = counts.clone();
        metrics.watch(name, help, Kind::Counter, move || read(&counts).load(Ordering::Relaxed));
    }
}

async fn sing(mut bird: Bird, door: Door, store: Store, canary: Canary, counts: Arc<Counts>) {
    let mut turns = tokio::time::interval(canary.every);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The first turn comes at once, when the gateway may not have read its keys.
    turns.tick().await;
    loop {
        turns.tick().await;
        match bird.round(&store, &door).await {
            Ok(round) => {
                counts.rounds.fetch_add(1, Ordering::Relaxed);
                counts.answers.fetch_add(round.withheld.of, Ordering::Relaxed);
                counts.withheld.fetch_add(round.withheld.hits, Ordering::Relaxed);
                if round.watched.alert {
                    counts.alerts.fetch_add(1, Ordering::Relaxed);
                    alert(&round, canary.webhook.as_ref()).await;
                }
            }
            Err(error) => {
                counts.failed.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%error, "a round of the canary came to nothing");
            }
        }
    }
}

/// Tells that a rate has left its band: the log, and whoever is named.
async fn alert(round: &Round, webhook: Option<&Secret>) {
    let (since, band) = (round.watched.since, round.band);
    tracing::error!(
        route = round.route,
        withheld = since.hits,
        of = since.of,
        from = band.low,
        to = band.high,
        "what a model withholds has left its band"
    );
    let Some(url) = webhook else { return };
    let body = json!({
        "event": "canary_alert", "route": round.route, "round": round.round, "band": {"from": band.low, "to": band.high},
        "since": {"withheld": since.hits, "of": since.of, "rate": since.rate(), "interval": round.since},
    });
    let trust = if url.reveal().starts_with("https:") { Trust::open(None) } else { Trust::nobody() };
    let errands = match trust {
        Ok(trust) => Errands::new(&trust),
        Err(error) => return tracing::error!(%error, "the canary's alert could not be told"),
    };
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for tried in 1..=TRIES {
        let body = Bytes::from(body.to_string());
        let why = match errands.post(url.reveal().trim(), headers.clone(), body, (PATIENCE.1, 0)).await {
            Ok(answered) if answered.status.is_success() => return,
            Ok(answered) => format!("status {}", answered.status.as_u16()),
            // The address may hold a secret, so that it is not named.
            Err(crate::upstream::errand::Error::Address(_)) => "its address cannot be used".to_owned(),
            Err(error) => error.to_string(),
        };
        if tried == TRIES {
            tracing::error!(why, "the canary's alert could not be told");
        } else {
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    }
}
