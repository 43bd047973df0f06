//! A model's name to a route: who may serve an exchange, as far as rules permit. Pure; it knows nothing of health or load.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{self, Model, Recording, Upstream, UpstreamKind};
use crate::cost::Price;
use crate::fault::Fault;

/// Longest part of a model's name that an error repeats.
const SHOWN: usize = 200;

/// The names that clients use, and who serves them.
#[derive(Debug, Default)]
pub struct Table {
    exact: HashMap<String, Route>,
    /// Names that end in `*`, longest first; without the `*`.
    patterns: Vec<(String, Route)>,
    /// What is listed to clients.
    listed: Vec<String>,
}

/// The candidates of one exchange.
#[derive(Debug, Clone)]
pub struct Route {
    /// What is promised of the record.
    pub recording: Recording,
    /// Attempts in all, the first included.
    pub attempts: u32,
    /// Whether a conversation's turns go to the same candidate.
    pub affinity: bool,
    /// After how long without anything said a second candidate is asked beside the first.
    pub hedge: Option<Duration>,
    /// Who gets copies of some of its exchanges.
    pub shadow: Option<Arc<Shadow>>,
    /// Who may serve it; never empty.
    pub candidates: Vec<Candidate>,
}

/// Copies of exchanges that go to another upstream.
#[derive(Debug)]
pub struct Shadow {
    /// Share of the exchanges that are copied.
    pub sample: f64,
    /// Who answers the copies.
    pub route: Route,
}

impl Shadow {
    fn of(shadow: &config::Shadow, places: &HashMap<&str, Arc<Place>>) -> Option<Self> {
        let candidate = candidate(&shadow.candidate, places.get(shadow.candidate.upstream.as_str())?.clone());
        let route = Route {
            recording: Recording::BestEffort,
            attempts: 1,
            affinity: false,
            hedge: None,
            shadow: None,
            candidates: vec![candidate],
        };
        Some(Self { sample: shadow.sample, route })
    }
}

/// One way to serve an exchange.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Name of the upstream.
    pub upstream: Arc<str>,
    /// The model's name there; `None` keeps the client's.
    pub model: Option<Arc<str>>,
    /// Lower is tried first.
    pub priority: u32,
    /// Share among candidates of equal priority; never 0.
    pub weight: u32,
    /// What rules may ask of it.
    pub place: Arc<Place>,
    /// What it costs, where the configuration says that of this candidate alone.
    pub price: Option<Arc<Price>>,
}

/// An upstream as rules see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Its name.
    pub name: String,
    /// Whether it is a model of this process.
    pub local: bool,
    /// What the configuration says of it: jurisdiction, data class ...
    pub tags: Vec<(String, String)>,
}

/// Why there is no route.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// No model has this name.
    UnknownModel(String),
    /// No candidate takes traffic.
    NoCandidate,
    /// There are candidates, but the rules permit none.
    Unpermitted,
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownModel(_) => formatter.write_str("find a route: no model has that name"),
            Self::NoCandidate => formatter.write_str("find a route: no candidate of the model takes traffic"),
            Self::Unpermitted => formatter.write_str("find a route: the rules permit no candidate"),
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::UnknownModel(model) => {
                let model: String = model.chars().take(SHOWN).collect();
                let message = format!("The model `{model}` does not exist or you do not have access to it.");
                Self::refused(404, "model_not_found", message)
            }
            Error::NoCandidate => {
                Self::unavailable("no_upstream", "No upstream takes requests for this model.", Duration::from_secs(30))
            }
            Error::Unpermitted => Self::refused(
                403,
                "no_permitted_upstream",
                "No upstream that your organisation's rules permit for this request serves this model.",
            ),
        }
    }
}

impl Table {
    /// A table of the configured models.
    #[must_use]
    pub fn new(models: &[Model], upstreams: &[Upstream]) -> Self {
        let places: HashMap<&str, Arc<Place>> =
            upstreams.iter().map(|upstream| (upstream.name.as_str(), Arc::new(Place::of(upstream)))).collect();
        let mut table = Self::default();
        for model in models {
            let route = Route::of(model, &places);
            match model.name.strip_suffix('*') {
                Some(prefix) => table.patterns.push((prefix.to_owned(), route)),
                None => {
                    table.exact.insert(model.name.clone(), route);
                }
            }
        }
        table.patterns.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        table.listed = table.listed_names(models);
        table
    }

    /// Finds who may serve a model.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn route(&self, model: &str) -> Result<Route, Error> {
        let route = self.entry(model).ok_or_else(|| Error::UnknownModel(model.to_owned()))?;
        if route.candidates.is_empty() { Err(Error::NoCandidate) } else { Ok(route.clone()) }
    }

    /// Names for `GET /v1/models`: the exact ones, and under patterns the candidates' own where clients can use them.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.listed.iter().map(String::as_str)
    }

    /// Upstreams whose own names for models clients can use: those asked first under patterns, where no other name stands
    /// in place of the client's.
    #[must_use]
    pub fn passing(&self) -> Vec<&Arc<str>> {
        let mut upstreams = Vec::new();
        for upstream in self.patterns.iter().flat_map(|(_, route)| route.passing()) {
            if !upstreams.contains(&upstream) {
                upstreams.push(upstream);
            }
        }
        upstreams
    }

    /// Whether a name goes to such an upstream, and to nothing that is listed by a name of its own.
    #[must_use]
    pub fn passes(&self, model: &str, upstream: &Arc<str>) -> bool {
        let route = self.entry(model).filter(|_| !self.exact.contains_key(model));
        route.is_some_and(|route| route.passing().any(|one| one == upstream))
    }

    fn entry(&self, model: &str) -> Option<&Route> {
        let by_pattern = || self.patterns.iter().find(|(prefix, _)| model.starts_with(prefix.as_str()));
        self.exact.get(model).or_else(|| by_pattern().map(|(_, route)| route))
    }

    fn listed_names(&self, models: &[Model]) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let names = models.iter().flat_map(|model| {
            let exact = (!model.name.ends_with('*')).then_some(model.name.as_str());
            let fixed =
                model.candidates.iter().filter(move |_| exact.is_none()).filter_map(|item| item.model.as_deref());
            exact.into_iter().chain(fixed)
        });
        names.filter(|name| self.entry(name).is_some() && seen.insert(*name)).map(str::to_owned).collect()
    }
}

impl Route {
    /// Leaves only the candidates that are permitted.
    ///
    /// # Errors
    /// Where none is left.
    pub fn permit(mut self, permits: impl Fn(&Place) -> bool) -> Result<Self, Error> {
        self.candidates.retain(|candidate| permits(&candidate.place));
        if self.candidates.is_empty() { Err(Error::Unpermitted) } else { Ok(self) }
    }

    /// Upstreams of the candidates that are asked first, where those keep the client's name.
    fn passing(&self) -> impl Iterator<Item = &Arc<str>> {
        let first = self.candidates.iter().map(|candidate| candidate.priority).min();
        let asked = self.candidates.iter().filter(move |candidate| Some(candidate.priority) == first);
        asked.filter(|candidate| candidate.model.is_none()).map(|candidate| &candidate.upstream)
    }

    fn of(model: &Model, places: &HashMap<&str, Arc<Place>>) -> Self {
        let taking = model.candidates.iter().filter(|candidate| candidate.weight > 0);
        let candidates = taking.filter_map(|item| Some(candidate(item, places.get(item.upstream.as_str())?.clone())));
        Self {
            recording: model.recording,
            attempts: model.attempts,
            affinity: model.affinity,
            hedge: model.hedge,
            shadow: model.shadow.as_ref().and_then(|shadow| Shadow::of(shadow, places)).map(Arc::new),
            candidates: candidates.collect(),
        }
    }
}

fn candidate(item: &config::Candidate, place: Arc<Place>) -> Candidate {
    Candidate {
        upstream: Arc::from(item.upstream.as_str()),
        model: item.model.as_deref().map(Arc::from),
        priority: item.priority,
        weight: item.weight,
        place,
        price: item.price.clone().map(Arc::new),
    }
}

impl Place {
    /// How a configured upstream is described.
    #[must_use]
    pub fn of(upstream: &Upstream) -> Self {
        let local = matches!(upstream.kind, UpstreamKind::Local(_));
        Self { name: upstream.name.clone(), local, tags: upstream.tags.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, read};

    const FILE: &str = "
upstreams:
  - {name: eu, base_url: 'http://127.0.0.1:1/v1', tags: {jurisdiction: eu}}
  - {name: us, base_url: 'http://127.0.0.1:2/v1', tags: {jurisdiction: us}}
  - {name: cn, base_url: 'http://127.0.0.1:3/v1'}
  - {name: here, local: {path: '.'}}
models:
  - name: r1
    recording: best_effort
    attempts: 5
    candidates: [{upstream: us, model: deepseek-reasoner, priority: 1}, {upstream: eu, weight: 3}, {upstream: cn, weight: 0}]
  - {name: 'gpt-*', candidates: [{upstream: us}]}
  - {name: 'gpt-4*', candidates: [{upstream: eu, model: gpt-4-turbo}, {upstream: us, model: other}]}
  - {name: gpt-4o, candidates: [{upstream: cn}]}
  - {name: mixed, candidates: [{upstream: eu}, {upstream: here}]}
  - {name: parked, candidates: [{upstream: cn, weight: 0}]}
";

    fn table() -> Table {
        let loaded = read("x", FILE, None, &Environment::default()).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        Table::new(&loaded.config.models, &loaded.config.upstreams)
    }

    fn check(model: &str, permits: impl Fn(&Place) -> bool, expected: Result<&[&str], Error>) {
        let found = table().route(model).and_then(|route| route.permit(permits));
        let names =
            found.map(|route| route.candidates.iter().map(|one| one.upstream.to_string()).collect::<Vec<String>>());
        let expected = expected.map(|names| names.iter().map(ToString::to_string).collect());
        assert_eq!(names, expected, "{model}");
    }

    fn free(_: &Place) -> bool {
        true
    }

    fn tagged(value: &str) -> impl Fn(&Place) -> bool {
        let tag = ("jurisdiction".to_owned(), value.to_owned());
        move |place| place.tags.contains(&tag)
    }

    #[test]
    fn exact_names_come_before_the_longest_pattern() {
        check("gpt-4o", free, Ok(&["cn"]));
        check("gpt-4o-mini", free, Ok(&["eu", "us"]));
        check("gpt-5", free, Ok(&["us"]));
        check("gpt-", free, Ok(&["us"]));
        check("claude", free, Err(Error::UnknownModel("claude".to_owned())));
        check("r1*", free, Err(Error::UnknownModel("r1*".to_owned())));
    }

    #[test]
    fn weight_zero_takes_no_traffic() {
        check("r1", free, Ok(&["us", "eu"]));
        check("parked", free, Err(Error::NoCandidate));
        check("parked", tagged("eu"), Err(Error::NoCandidate));
    }

    #[test]
    fn rules_leave_only_what_they_permit() {
        check("r1", tagged("eu"), Ok(&["eu"]));
        check("r1", tagged("br"), Err(Error::Unpermitted));
        check("mixed", |place: &Place| place.local, Ok(&["here"]));
        check("r1", |place: &Place| place.local, Err(Error::Unpermitted));
        let permitted = table().route("r1").and_then(|route| route.permit(tagged("us")));
        let route = permitted.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((route.attempts, route.recording), (5, Recording::BestEffort));
        assert_eq!(route.candidates.first().and_then(|one| one.model.as_deref()), Some("deepseek-reasoner"));
    }

    #[test]
    fn the_listed_names_can_all_be_used() {
        let table = table();
        let names: Vec<&str> = table.models().collect();
        assert_eq!(names, ["r1", "gpt-4-turbo", "gpt-4o", "mixed", "parked"]);
    }

    #[test]
    fn names_of_upstreams_pass_where_a_pattern_lets_them() {
        let table = table();
        let passing: Vec<&str> = table.passing().into_iter().map(|upstream| &**upstream).collect();
        assert_eq!(passing, ["us"], "`gpt-4*` has names of its own");
        let us = Arc::from("us");
        let passes = |name: &str| table.passes(name, &us);
        assert_eq!(["gpt-3.5", "gpt-4x", "gpt-4o", "r1", "other"].map(passes), [true, false, false, false, false]);
        let text = "upstreams: [{name: a, base_url: 'http://h/v1'}, {name: b, base_url: 'http://h/v1'}]";
        let loaded = read("x", text, None, &Environment::default()).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let any = Table::new(&loaded.config.models, &loaded.config.upstreams);
        assert_eq!(any.passing(), [&Arc::from("a")], "the second is asked only where the first cannot be");
    }

    #[test]
    fn an_unknown_model_is_told_in_the_vendors_words() {
        let fault = Fault::from(Error::UnknownModel("x".repeat(10_000)));
        assert_eq!((fault.status, fault.code), (404, "model_not_found"));
        assert!(fault.message.len() < 300);
        assert_eq!(Fault::from(Error::Unpermitted).status, 403);
        assert_eq!(Fault::from(Error::NoCandidate).status, 503);
    }
}
