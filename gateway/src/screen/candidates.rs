//! Which upstreams may see a request, and what each of them may see of it. It knows neither their health nor their wire.
//!
//! A prompt is screened before its route is taken, so a rule on it that asks who answers cannot be asked then. It is
//! asked of each candidate in turn: what it stops does not go there, what it redacts goes there redacted, and what it
//! flags is found if the candidate was called.

use std::sync::Arc;

use super::found::Found;
use super::gate::Stop;
use super::prompt::{Outcome, Screened};
use super::rules::Watch;
use crate::exchange::Request;
use crate::route::{Candidate, Place};

/// A request that may go to some of its candidates.
#[derive(Debug)]
pub struct Cleared {
    /// What those may see for whom no rule says otherwise.
    pub request: Screened<Request>,
    /// The others.
    pub special: Vec<Special>,
    /// Names of those that may not see it.
    barred: Vec<Arc<str>>,
}

/// An upstream for which rules of its own hold.
#[derive(Debug)]
pub struct Special {
    /// Its name.
    pub upstream: Arc<str>,
    /// What it may see.
    pub request: Screened<Request>,
    /// What watches its reply.
    pub watch: Watch,
    /// What was found in the request under these rules; it counts if the upstream is called.
    pub found: Found,
}

/// What screening a request for its candidates came to.
#[derive(Debug)]
pub enum Clearance {
    /// Somebody may see it.
    Pass(Box<Cleared>),
    /// A rule stopped it, whoever would answer.
    Stop(Stop),
    /// Nobody who could answer satisfies what rules demand.
    Nobody(Stop),
}

impl Cleared {
    /// Whether an upstream may see the request.
    #[must_use]
    pub fn permits(&self, place: &Place) -> bool {
        !self.barred.iter().any(|name| **name == *place.name)
    }
}

impl Watch {
    /// Screens a request for all who might answer it, adding what is found to `found`.
    pub fn clear(&mut self, request: Request, candidates: &[Candidate], found: &mut Found) -> Clearance {
        // Of what was read once another reading may be needed, by rules that ask who answers.
        let original = self.asks_upstream().then(|| request.clone());
        let request = match self.prompt(request, found) {
            Outcome::Pass(request) => *request,
            Outcome::Stop(stop) => return Clearance::Stop(stop),
        };
        let mut cleared = Cleared { request, special: Vec::new(), barred: Vec::new() };
        let (mut open, mut stop, mut unmet) = (0, None, None);
        for place in places(candidates) {
            let barred = match found.bars(place) {
                Some(told) => Some((told.clone(), false)),
                None => original.as_ref().and_then(|request| cleared.clear_at(place, self, request, found)),
            };
            match barred {
                None => open += 1,
                Some((told, stops)) => {
                    cleared.barred.push(Arc::from(place.name.as_str()));
                    let kind = if stops { &mut stop } else { &mut unmet };
                    kind.get_or_insert(told);
                }
            }
        }
        match (open, stop, unmet) {
            (0, Some(stop), _) => Clearance::Stop(stop),
            (0, None, Some(stop)) => Clearance::Nobody(stop),
            _ => Clearance::Pass(Box::new(cleared)),
        }
    }
}

impl Cleared {
    /// Screens the request for one upstream; gives what bars it, and whether that is a stop.
    fn clear_at(&mut self, place: &Place, usual: &Watch, request: &Request, found: &mut Found) -> Option<(Stop, bool)> {
        let mut watch = usual.at(place);
        if watch.is_like(usual) {
            return None;
        }
        let mut own = Found::default();
        let outcome = watch.prompt(request.clone(), &mut own);
        let barred = match &outcome {
            Outcome::Stop(stop) => Some((stop.clone(), true)),
            Outcome::Pass(_) => own.bars(place).map(|stop| (stop.clone(), false)),
        };
        match outcome {
            Outcome::Pass(request) if barred.is_none() => {
                let upstream = Arc::from(place.name.as_str());
                self.special.push(Special { upstream, request: *request, watch, found: own });
            }
            // What bars it is part of what happened.
            _ => found.append_new(own),
        }
        barred
    }
}

/// The upstreams of candidates, each once.
fn places(candidates: &[Candidate]) -> Vec<&Place> {
    let mut places: Vec<&Place> = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        if !places.iter().any(|place| place.name == candidate.place.name) {
            places.push(&candidate.place);
        }
    }
    places
}
