//! A few probes asked again and again of one model, and a sequential test over what it withholds. It tells nobody: whoever
//! runs it does.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fastrand::Rng;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::ask::Door;
use super::report::bearing;
use super::statistics::interval::{Interval, Share};
use super::statistics::sequential::{Detector, Watched, confidence_sequence};
use super::suite::{self, Kind, Probe};
use crate::config::Canary;
use crate::store::{self, Store, audits};

/// How long records of a round may take to reach the database.
const SHIPPING: Duration = Duration::from_secs(60);

/// What is remembered from round to round, and over restarts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct State {
    /// What it was learnt of; of anything else it says nothing.
    about: (String, String),
    round: u64,
    detector: Detector,
}

/// A canary with all that it remembers.
#[derive(Debug)]
pub struct Bird {
    probes: Vec<Probe>,
    route: String,
    size: usize,
    band: Interval,
    state: State,
    file: PathBuf,
}

/// What came of a round.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Round {
    /// Which round, from 0.
    pub round: u64,
    /// The model.
    pub route: String,
    /// What was withheld of the probes that were answered.
    pub withheld: Share,
    /// Probes whose answer says nothing.
    pub left_out: u64,
    /// The band that the rate is to stay in.
    pub band: Interval,
    /// What the sequential test says of all rounds.
    pub watched: Watched,
    /// The rate since the moment from which most evidence has come up, with a sequence of intervals at 95 %.
    pub since: Interval,
}

/// Why a round came to nothing.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The front door did not answer, or not to this key or model.
    Door(String),
    /// The database.
    Store(store::Error),
    /// No answer says anything.
    Nothing,
}

impl std::fmt::Display for Error {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Door(why) => write!(formatter, "ask the front door: {why}"),
            Self::Store(error) => write!(formatter, "read verdicts: {error}"),
            Self::Nothing => formatter.write_str("no answer of the round says anything"),
        }
    }
}

impl Bird {
    /// Makes a canary; what it learnt before is in the data directory.
    ///
    /// # Errors
    /// The suite cannot be used.
    pub fn open(canary: &Canary, data: &Path) -> Result<Self, String> {
        let suite = match suite::shipped(&canary.suite) {
            Some(suite) => suite,
            None => suite::open(Path::new(&canary.suite), None).map_err(|mistakes| {
                let first = mistakes.first().map(ToString::to_string).unwrap_or_default();
                format!("audit.canary.suite: {first}")
            })?,
        };
        let about = (suite.digest(), canary.route.clone());
        let probes: Vec<Probe> =
            suite.probes.into_iter().filter(|probe| !probe.control && probe.kind == Kind::Refusal).collect();
        if probes.is_empty() {
            return Err("audit.canary.suite: it has no probe that may be refused".to_owned());
        }
        let band = Interval { low: canary.band.0, high: canary.band.1 };
        let detector = Detector::new(band, 1.0 / canary.rounds_per_false_alert as f64);
        let fresh = State { about, round: 0, detector };
        let file = data.join("canary.json");
        let state = std::fs::read(&file).ok().and_then(|bytes| serde_json::from_slice::<State>(&bytes).ok());
        let state = state.filter(|state| state.about == fresh.about && state.detector.is_like(&fresh.detector));
        let (route, size) = (canary.route.clone(), canary.probes);
        Ok(Self { probes, route, size, band, state: state.unwrap_or(fresh), file })
    }

    /// Asks one round of probes, and hears what the gateway recorded of them.
    ///
    /// # Errors
    /// The round came to nothing; the next one may not.
    pub async fn round(&mut self, store: &Store, door: &Door) -> Result<Round, Error> {
        let round = self.state.round;
        let mut exchanges = Vec::new();
        for probe in self.drawn(round) {
            let body =
                json!({"model": self.route, "messages": [{"role": "user", "content": probe.prompt}], "stream": true});
            let tag = format!("canary/{}/{round}", probe.id);
            let answered = door.post(&tag, &body).await.map_err(|error| Error::Door(error.to_string()))?;
            if matches!(answered.status, StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND) {
                return Err(Error::Door(format!("status {}", answered.status.as_u16())));
            }
            let id = answered.headers.get("x-request-id").and_then(|id| id.to_str().ok()?.parse::<Uuid>().ok());
            exchanges.extend(id);
        }
        let deadline = tokio::time::Instant::now() + SHIPPING;
        while audits::ended(store, &exchanges).await.map_err(Error::Store)?.len() < exchanges.len()
            && tokio::time::Instant::now() < deadline
        {
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        let (mut withheld, mut left_out) = (Share::default(), 0);
        for trace in audits::those(store, &exchanges).await.map_err(Error::Store)? {
            let outcome = trace.record.outcome.as_deref().unwrap_or("failed");
            match bearing(outcome, &trace.record.manners).withheld() {
                Some(is_withheld) => withheld.add(is_withheld),
                None => left_out += 1,
            }
        }
        // What could not be asked is asked of another draw.
        self.state.round += 1;
        if withheld.of == 0 {
            return Err(Error::Nothing);
        }
        let watched = self.state.detector.round(withheld);
        let since = confidence_sequence(watched.since, 0.95);
        self.keep();
        Ok(Round { round, route: self.route.clone(), withheld, left_out, band: self.band, watched, since })
    }

    /// The probes of a round: each is drawn once before any is drawn again.
    fn drawn(&self, round: u64) -> Vec<&Probe> {
        let count = self.probes.len();
        let size = self.size.min(count);
        (0..size as u64)
            .filter_map(|place| {
                let place = round * size as u64 + place;
                let (turn, at) = (place / count as u64, (place % count as u64) as usize);
                let mut order: Vec<usize> = (0..count).collect();
                Rng::with_seed(turn).shuffle(&mut order);
                self.probes.get(*order.get(at)?)
            })
            .collect()
    }

    /// Writes down what was learnt. A disk that does not take it costs only what a restart forgets.
    fn keep(&self) {
        let written = serde_json::to_vec(&self.state).map(|bytes| {
            let beside = self.file.with_extension("part");
            std::fs::write(&beside, bytes).and_then(|()| std::fs::rename(&beside, &self.file))
        });
        if !matches!(written, Ok(Ok(()))) {
            tracing::warn!("what the canary has learnt cannot be written down");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn canary(suite: &str) -> Canary {
        Canary {
            suite: suite.to_owned(),
            route: "m".to_owned(),
            every: Duration::from_secs(1),
            probes: 7,
            band: (0.0, 0.2),
            rounds_per_false_alert: 1_000,
            key: Secret::new("k".to_owned()),
            gateway: None,
            authority: None,
            webhook: None,
        }
    }

    #[test]
    fn each_probe_is_drawn_once_before_any_again() {
        let bird = Bird::open(&canary("topics"), Path::new("/nowhere")).expect("a canary");
        let count = bird.probes.len();
        let rounds = count.div_ceil(7) as u64;
        let mut drawn: Vec<&str> =
            (0..rounds).flat_map(|round| bird.drawn(round)).map(|probe| probe.id.as_str()).take(count).collect();
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn.len(), count);
        assert_eq!(bird.drawn(3), bird.drawn(3));
    }

    #[test]
    fn a_suite_that_cannot_be_used_is_told() {
        let told = |suite: &str| Bird::open(&canary(suite), Path::new("/nowhere")).map(drop).unwrap_err();
        assert!(told("nowhere.yaml").contains("audit.canary.suite"));
        assert!(told("maths").contains("no probe that may be refused"));
    }
}
