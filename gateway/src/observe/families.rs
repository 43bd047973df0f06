//! The families of series and their labels, as Prometheus knows them. They count nothing by themselves.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::names::series;

/// Seconds, from what a cached answer takes to what long reasoning does.
pub(super) const SECONDS: [f64; 17] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0];
/// Tokens, by the steps that the GenAI conventions advise.
pub(super) const TOKENS: [f64; 11] =
    [1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262_144.0, 1_048_576.0];

/// Tokens a second.
pub(super) const SPEEDS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];
/// Parts of one.
pub(super) const SHARES: [f64; 8] = [0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0];

/// Series by their labels, as Prometheus knows them.
#[derive(Debug)]
pub(super) struct Families {
    pub(super) exchanges: Family<ExchangeLabels, Counter>,
    pub(super) manners: Family<MannerLabels, Counter>,
    pub(super) findings: Family<FindingLabels, Counter>,
    pub(super) rejected: Family<StepLabels, Counter>,
    pub(super) judged: Family<JudgedLabels, Counter>,
    pub(super) duration: Family<RouteLabels, Histogram, Buckets>,
    pub(super) screened: Family<RouteLabels, Histogram, Buckets>,
    pub(super) first_byte: Family<RouteLabels, Histogram, Buckets>,
    pub(super) first_reasoning: Family<RouteLabels, Histogram, Buckets>,
    pub(super) first_answer: Family<RouteLabels, Histogram, Buckets>,
    pub(super) tokens: Family<TokenLabels, Histogram, Buckets>,
    pub(super) costs: Family<CostLabels, Counter>,
    pub(super) unpriced: Family<RouteLabels, Counter>,
    pub(super) reasoning_time: Family<RouteLabels, Histogram, Buckets>,
    pub(super) reasoning_speed: Family<RouteLabels, Histogram, Buckets>,
    pub(super) reasoning_checks: Family<RouteLabels, Histogram, Buckets>,
}

impl Families {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let seconds = || Family::new_with_constructor(Buckets(&SECONDS));
        let families = Self {
            exchanges: Family::default(),
            manners: Family::default(),
            findings: Family::default(),
            rejected: Family::default(),
            judged: Family::default(),
            duration: seconds(),
            screened: seconds(),
            first_byte: seconds(),
            first_reasoning: seconds(),
            first_answer: seconds(),
            tokens: Family::new_with_constructor(Buckets(&TOKENS)),
            costs: Family::default(),
            unpriced: Family::default(),
            reasoning_time: seconds(),
            reasoning_speed: Family::new_with_constructor(Buckets(&SPEEDS)),
            reasoning_checks: Family::new_with_constructor(Buckets(&SHARES)),
        };
        registry.register(series::EXCHANGES, "Exchanges that ended", families.exchanges.clone());
        registry.register(series::MANNERS, "Manners of verdicts", families.manners.clone());
        registry.register(series::FINDINGS, "Findings of content rules", families.findings.clone());
        let help = "Requests turned away before their exchange was admitted";
        registry.register(series::REJECTED, help, families.rejected.clone());
        let help = "Exchanges that a judge model was, or was to be, asked about, by what came of it";
        registry.register(series::JUDGED, help, families.judged.clone());
        let times = [
            (series::DURATION, "Time of whole exchanges", &families.duration),
            (series::SCREENED, "Time until the request was read and screened", &families.screened),
            (series::FIRST_BYTE, "Time to the first byte of the reply", &families.first_byte),
            (series::FIRST_REASONING, "Time to the first text of reasoning", &families.first_reasoning),
            (series::FIRST_ANSWER, "Time to the first text of the answer", &families.first_answer),
        ];
        for (name, help, family) in times {
            registry.register_with_unit(name, help, Unit::Seconds, family.clone());
        }
        registry.register(series::COST, "Cost of exchanges, in billionths of the currency", families.costs.clone());
        let help = "Exchanges that an upstream answered and whose cost is not known";
        registry.register(series::UNPRICED, help, families.unpriced.clone());
        let help = "Time from the first text of reasoning to the first of the answer, of streams";
        registry.register_with_unit(series::REASONING_TIME, help, Unit::Seconds, families.reasoning_time.clone());
        let help = "Tokens of reasoning a second, of streams";
        registry.register(series::REASONING_SPEED, help, families.reasoning_speed.clone());
        let help = "Share of the steps of reasoning that check what came before";
        registry.register(series::REASONING_CHECKS, help, families.reasoning_checks.clone());
        registry.register(series::TOKENS, "Tokens of an exchange", families.tokens.clone());
        families
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RouteLabels {
    pub(super) model: Arc<str>,
    pub(super) upstream: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct TokenLabels {
    pub(super) model: Arc<str>,
    pub(super) upstream: Arc<str>,
    pub(super) kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct CostLabels {
    pub(super) model: Arc<str>,
    pub(super) upstream: Arc<str>,
    pub(super) team: Arc<str>,
    pub(super) currency: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ExchangeLabels {
    pub(super) model: Arc<str>,
    pub(super) upstream: Arc<str>,
    pub(super) status: u16,
    pub(super) ending: &'static str,
    pub(super) outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct MannerLabels {
    pub(super) model: Arc<str>,
    pub(super) upstream: Arc<str>,
    pub(super) manner: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct FindingLabels {
    pub(super) rule: String,
    pub(super) action: &'static str,
    pub(super) enforced: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct StepLabels {
    pub(super) step: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct JudgedLabels {
    pub(super) result: &'static str,
}

/// Makes histograms with these upper bounds.
#[derive(Debug, Clone)]
pub(super) struct Buckets(pub(super) &'static [f64]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}
