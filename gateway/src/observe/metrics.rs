//! What is counted and measured of exchanges, as Prometheus reads it. It holds no text of any exchange, and names that
//! clients choose cannot make it grow without bound.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::families::{
    CostLabels, ExchangeLabels, Families, FindingLabels, JudgedLabels, MannerLabels, RouteLabels, StepLabels,
    TokenLabels,
};
use super::few::{Few, Named};
use super::meters::Meters;
use super::watched::Watched;
use crate::cost::{Cost, Currency};
use crate::exchange::{Timings, Usage};
use crate::thinking::Thinking;

pub use super::watched::Kind;

/// Names of models that get series of their own beside the configured ones; all others share one.
const MOST_MODELS: usize = 100;
/// The model's label where it has no series of its own.
const OTHER: &str = "other";
/// The upstream's label where none was chosen.
const NONE: &str = "none";

/// All that is counted and measured.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    families: Families,
    /// By model, then by upstream.
    routes: Named<Named<Route>>,
    /// By rule, then by what was asked and done.
    findings: Named<Few<(&'static str, &'static str), Counter>>,
    rejected: Few<&'static str, Counter>,
    judged: Few<&'static str, Counter>,
    most_models: usize,
    /// Where the same is exported to, if anywhere.
    meters: Option<Meters>,
}

/// What is known of an exchange that ended.
#[derive(Debug)]
pub struct Finished<'a> {
    /// The model asked for.
    pub model: &'a str,
    /// The upstream that answered.
    pub upstream: Option<&'a str>,
    /// The status that the client got.
    pub status: u16,
    /// How it ended.
    pub ending: &'static str,
    /// The verdict's outcome.
    pub outcome: &'static str,
    /// The verdict's manners.
    pub manners: &'a [&'static str],
    /// Times.
    pub timings: &'a Timings,
    /// Token counts.
    pub usage: &'a Usage,
    /// The caller's team.
    pub team: Option<&'a str>,
    /// What it cost, where that is known.
    pub cost: Option<&'a Cost>,
    /// How the model thought, where it showed that.
    pub thinking: Option<&'a Thinking>,
}

impl Finished<'_> {
    /// What kind of failure this was, where it was one.
    pub(super) fn error(&self) -> Option<String> {
        match (self.ending, self.status) {
            ("complete" | "stopped", 0..400) => None,
            ("complete", status) => Some(status.to_string()),
            (ending, _) => Some(ending.to_owned()),
        }
    }
}

impl Metrics {
    /// Metrics with series for these models.
    #[must_use]
    pub fn new<'a>(models: impl Iterator<Item = &'a str>) -> Self {
        let mut registry = Registry::default();
        let families = Families::register(&mut registry);
        let routes = Named::default();
        // A pattern is no name; what matches it earns its series by being answered.
        for model in models.filter(|model| !model.ends_with('*')) {
            routes.get(model, Named::default);
        }
        routes.get(OTHER, Named::default);
        let most_models = routes.len() + MOST_MODELS;
        Self {
            registry: Mutex::new(registry),
            families,
            routes,
            findings: Named::default(),
            rejected: Few::default(),
            judged: Few::default(),
            most_models,
            meters: None,
        }
    }

    /// Exports what is measured, too.
    #[must_use]
    pub fn exporting(self, meters: Option<Meters>) -> Self {
        Self { meters, ..self }
    }

    /// An exchange ended that had been admitted.
    pub fn exchange_finished(&self, finished: &Finished<'_>) {
        let upstream = finished.upstream.unwrap_or(NONE);
        let model = self.model_label(finished);
        let route = self.routes.get(model, Named::default);
        let route = route.get(upstream, || Route::new(&self.families, model, upstream));
        route.note(finished, &self.families);
        if let Some(meters) = &self.meters {
            meters.note(finished, model, upstream);
        }
    }

    /// A detector found something.
    pub fn finding(&self, rule: &str, action: &'static str, enforced: &'static str) {
        let counters = self.findings.get(rule, Few::default);
        let make = || {
            let labels = FindingLabels { rule: rule.to_owned(), action, enforced };
            self.families.findings.get_or_create_owned(&labels)
        };
        counters.get(&(action, enforced), make).inc();
    }

    /// A request was turned away before admission ended; `step` is `identify`, `admit`, `record`.
    pub fn rejected(&self, step: &'static str) {
        let make = || self.families.rejected.get_or_create_owned(&StepLabels { step });
        self.rejected.get(&step, make).inc();
    }

    /// A judge model was, or was to be, asked about an exchange; `result` is its outcome, or why there is none.
    pub fn judged(&self, result: &'static str) {
        let make = || self.families.judged.get_or_create_owned(&JudgedLabels { result });
        self.judged.get(&result, make).inc();
    }

    /// Shows a number that somebody else keeps; it is read when metrics are.
    pub fn watch(
        &self,
        name: &'static str,
        help: &'static str,
        kind: Kind,
        read: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        let watched = Watched { name, help, kind, read: Box::new(read) };
        self.registry.lock().unwrap_or_else(PoisonError::into_inner).register_collector(Box::new(watched));
    }

    /// Everything as text in the OpenMetrics format.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail; what a broken collector wrote before it failed is shown.
        let _ = encode(&mut text, &self.registry.lock().unwrap_or_else(PoisonError::into_inner));
        text
    }

    /// A model's name where it has or gets series of its own. Only one that an upstream has answered for gets them, so
    /// that nobody can fill the table with names they make up.
    fn model_label<'a>(&self, finished: &Finished<'a>) -> &'a str {
        let answered = finished.upstream.is_some() && (200..300).contains(&finished.status);
        let known = self.routes.known(finished.model).is_some();
        if known || (answered && self.routes.len() < self.most_models) { finished.model } else { OTHER }
    }
}

/// The series of one model at one upstream.
#[derive(Debug)]
struct Route {
    labels: RouteLabels,
    ended: Few<(u16, &'static str, &'static str), Counter>,
    manners: Few<&'static str, Counter>,
    duration: Histogram,
    screened: Histogram,
    first_byte: Histogram,
    first_reasoning: Histogram,
    first_answer: Histogram,
    tokens: [Histogram; 4],
    /// By team, then by currency.
    costs: Named<Few<Currency, Counter>>,
    unpriced: Counter,
    reasoning_time: Histogram,
    reasoning_speed: Histogram,
    reasoning_checks: Histogram,
}

impl Route {
    fn new(families: &Families, model: &str, upstream: &str) -> Self {
        let labels = RouteLabels { model: model.into(), upstream: upstream.into() };
        let tokens = ["prompt", "completion", "reasoning", "cached"].map(|kind| {
            let RouteLabels { model, upstream } = labels.clone();
            families.tokens.get_or_create_owned(&TokenLabels { model, upstream, kind })
        });
        Self {
            ended: Few::default(),
            manners: Few::default(),
            duration: families.duration.get_or_create_owned(&labels),
            screened: families.screened.get_or_create_owned(&labels),
            first_byte: families.first_byte.get_or_create_owned(&labels),
            first_reasoning: families.first_reasoning.get_or_create_owned(&labels),
            first_answer: families.first_answer.get_or_create_owned(&labels),
            tokens,
            costs: Named::default(),
            unpriced: families.unpriced.get_or_create_owned(&labels),
            reasoning_time: families.reasoning_time.get_or_create_owned(&labels),
            reasoning_speed: families.reasoning_speed.get_or_create_owned(&labels),
            reasoning_checks: families.reasoning_checks.get_or_create_owned(&labels),
            labels,
        }
    }

    fn note(&self, finished: &Finished<'_>, families: &Families) {
        let Finished { status, ending, outcome, timings, usage, .. } = *finished;
        let RouteLabels { model, upstream } = &self.labels;
        let make = || {
            let (model, upstream) = (model.clone(), upstream.clone());
            families.exchanges.get_or_create_owned(&ExchangeLabels { model, upstream, status, ending, outcome })
        };
        self.ended.get(&(status, ending, outcome), make).inc();
        for manner in finished.manners {
            let make = || {
                let (model, upstream) = (model.clone(), upstream.clone());
                families.manners.get_or_create_owned(&MannerLabels { model, upstream, manner })
            };
            self.manners.get(manner, make).inc();
        }
        self.duration.observe(timings.total.as_secs_f64());
        observe(&self.screened, timings.screened);
        observe(&self.first_byte, timings.first_byte);
        observe(&self.first_reasoning, timings.first_reasoning);
        observe(&self.first_answer, timings.first_answer);
        let counts = [usage.prompt, usage.completion, usage.reasoning, usage.cached];
        for (histogram, count) in self.tokens.iter().zip(counts) {
            if let Some(count) = count {
                histogram.observe(to_float(count));
            }
        }
        self.note_cost(finished, families);
        if let Some(thinking) = finished.thinking {
            observe(&self.reasoning_time, thinking.time);
            let others =
                [(&self.reasoning_speed, thinking.speed(usage.reasoning)), (&self.reasoning_checks, thinking.share())];
            for (histogram, value) in others {
                value.into_iter().for_each(|value| histogram.observe(value));
            }
        }
    }

    fn note_cost(&self, finished: &Finished<'_>, families: &Families) {
        let Some(cost) = finished.cost else {
            if finished.upstream.is_some() && finished.status < 400 {
                self.unpriced.inc();
            }
            return;
        };
        let team = finished.team.unwrap_or(NONE);
        let make = || {
            let RouteLabels { model, upstream } = self.labels.clone();
            let (team, currency) = (team.into(), cost.currency.to_string());
            families.costs.get_or_create_owned(&CostLabels { model, upstream, team, currency })
        };
        self.costs.get(team, Few::default).get(&cost.currency, make).inc_by(cost.nanos.unsigned_abs());
    }
}

fn observe(histogram: &Histogram, time: Option<Duration>) {
    if let Some(time) = time {
        histogram.observe(time.as_secs_f64());
    }
}

/// A count as the histogram wants it; what is beyond 32 bits is no count of tokens.
fn to_float(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished<'a>(model: &'a str, upstream: Option<&'a str>, status: u16, timings: &'a Timings) -> Finished<'a> {
        const USAGE: Usage =
            Usage { prompt: Some(10), completion: Some(300), reasoning: Some(200), cached: None, written: None };
        let (ending, outcome, manners) = ("complete", "refused", &["canned_deflection"][..]);
        Finished {
            model,
            upstream,
            status,
            ending,
            outcome,
            manners,
            timings,
            usage: &USAGE,
            team: Some("research"),
            cost: None,
            thinking: None,
        }
    }

    fn timings() -> Timings {
        let millis = |millis| Some(Duration::from_millis(millis));
        let (screened, first_byte, first_answer) = (millis(1), millis(30), millis(900));
        Timings { screened, first_byte, first_reasoning: None, first_answer, total: Duration::from_secs(3) }
    }

    /// The value of the one series whose line begins so.
    fn value<'a>(text: &'a str, begin: &str) -> Option<&'a str> {
        text.lines().find_map(|line| line.strip_prefix(begin)).map(str::trim)
    }

    #[test]
    fn all_that_is_noted_is_in_the_text_under_its_name() {
        let metrics = Metrics::new(["r1"].into_iter());
        let timings = timings();
        for _ in 0..2 {
            metrics.exchange_finished(&finished("r1", Some("eu-1"), 200, &timings));
            metrics.finding("no-payroll", "redact", "applied");
            metrics.rejected("identify");
        }
        metrics.watch("candor_things", "Things", Kind::Gauge, || 7);
        metrics.watch("candor_events", "Events", Kind::Counter, || 8);
        let text = metrics.text();
        let check = |begin: &str, expected: &str| assert_eq!(value(&text, begin), Some(expected), "{begin}\n{text}");
        let route = r#"model="r1",upstream="eu-1""#;
        let ended = r#"status="200",ending="complete",outcome="refused""#;
        check(&format!("candor_exchanges_total{{{route},{ended}}}"), "2");
        check(&format!(r#"candor_verdict_manners_total{{{route},manner="canned_deflection"}}"#), "2");
        check(r#"candor_findings_total{rule="no-payroll",action="redact",enforced="applied"}"#, "2");
        check(r#"candor_rejected_total{step="identify"}"#, "2");
        check(&format!("candor_exchange_duration_seconds_sum{{{route}}}"), "6.0");
        check(&format!("candor_prompt_screened_seconds_count{{{route}}}"), "2");
        check(&format!("candor_first_byte_seconds_bucket{{le=\"0.025\",{route}}}"), "0");
        check(&format!("candor_first_byte_seconds_bucket{{le=\"0.05\",{route}}}"), "2");
        check(&format!("candor_first_reasoning_seconds_count{{{route}}}"), "0");
        check(&format!("candor_first_answer_seconds_count{{{route}}}"), "2");
        check(&format!(r#"candor_tokens_sum{{{route},kind="reasoning"}}"#), "400.0");
        check(&format!(r#"candor_tokens_count{{{route},kind="cached"}}"#), "0");
        check("candor_things", "7");
        check("candor_events_total", "8");
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn models_that_clients_make_up_share_one_series() {
        let metrics = Metrics::new(["r1", "gpt-*"].into_iter());
        let timings = timings();
        metrics.exchange_finished(&finished("r1", None, 503, &timings));
        metrics.exchange_finished(&finished("gpt-4", Some("u"), 200, &timings));
        metrics.exchange_finished(&finished("made-up", Some("u"), 404, &timings));
        for number in 0..1000 {
            metrics.exchange_finished(&finished(&format!("any-{number}"), Some("u"), 200, &timings));
        }
        let text = metrics.text();
        let seen = |model: &str| text.contains(&format!("candor_exchanges_total{{model=\"{model}\""));
        assert!(seen("r1") && seen("gpt-4") && seen("any-1") && seen("other"));
        assert!(!seen("made-up") && !seen("any-999"));
        let models = text.lines().filter(|line| line.starts_with("candor_exchange_duration_seconds_count")).count();
        assert_eq!(models, 2 + MOST_MODELS);
    }
}
