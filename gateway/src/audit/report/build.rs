//! A run and what came of it to a report. It reads nothing.

use std::collections::{BTreeMap, BTreeSet};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::ability::ability;
use super::attribution::attribution;
use super::contrasts::contrasts;
use super::examples::{divergences, pairs};
use super::facts::{Proof, Report, Route, Source};
use super::judged::{Bearing, Table};
use super::rates::cells;
use super::reasoning::{median, reasoning};
use super::words;
use crate::audit::calibration::Calibrations;
use crate::audit::run::{Outcome, Plan, Run};
use crate::audit::statistics::agreement::{Agreement, kappa};

/// What a report is made with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Level of intervals.
    pub level: f64,
    /// Share of false discoveries.
    pub false_share: f64,
    /// Error rates of the classifier by language.
    pub calibrations: Calibrations,
    /// Routes that are said to have the same weights.
    pub same: Vec<(String, String)>,
    /// The moment that it is made.
    pub now: OffsetDateTime,
}

/// Makes a report of a run.
#[must_use]
pub fn build(run: &Run, outcomes: &[Outcome], proof: Option<Proof>, settings: &Settings) -> Report {
    let plan = &run.plan;
    let table = Table::new(run, outcomes);
    let asked = run.suite.probes.len() * plan.routes.len() * plan.samples as usize;
    let when = |at: OffsetDateTime| at.truncate_to_second().format(&Rfc3339).unwrap_or_default();
    let mut report = Report {
        title: format!("Audit of {}", plan.routes.join(", ")),
        made: when(settings.now),
        source: Source::Run {
            run: plan.run.clone(),
            began: when(plan.began),
            suite: format!("{} {}", plan.suite, plan.version),
            digest: plan.digest.clone(),
            samples: plan.samples,
            seed: plan.seed,
            probes: run.suite.probes.len(),
            missing: asked.saturating_sub(outcomes.len()),
        },
        level: settings.level,
        false_share: settings.false_share,
        summary: Vec::new(),
        routes: plan.routes.iter().map(|route| of_route(&table, plan, route)).collect(),
        cells: cells(&table, &settings.calibrations, settings.level),
        callers: Vec::new(),
        contrasts: contrasts(&table, &plan.routes, settings.level, settings.false_share),
        attribution: attribution(&table, &plan.routes, &settings.same),
        reasoning: reasoning(&table, &plan.routes),
        ability: ability(&table, settings.level),
        agreement: agreement(&table, settings.level),
        examples: pairs(&table),
        divergences: divergences(&table),
        method: Vec::new(),
        proof,
    };
    report.summary = words::summary(&report);
    report.method = words::method(&report);
    report
}

fn of_route(table: &Table<'_>, plan: &Plan, route: &str) -> Route {
    let (mut upstreams, mut models, mut snapshots, mut detectors) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut left_out: BTreeMap<&str, u64> = BTreeMap::new();
    let mut costs: BTreeMap<String, f64> = BTreeMap::new();
    let (mut counted, mut tokens, mut times) = (0, [0_u64; 2], Vec::new());
    for one in table.all.iter().filter(|one| one.outcome.question.route == route) {
        let outcome = one.outcome;
        upstreams.extend(outcome.upstream.clone());
        models.extend(outcome.upstream_model.clone());
        snapshots.insert(outcome.snapshot.clone());
        detectors.extend(outcome.detector.clone());
        match one.bearing {
            Bearing::LeftOut(why) => *left_out.entry(why).or_default() += 1,
            _ => counted += 1,
        }
        for (sum, count) in tokens.iter_mut().zip(outcome.tokens) {
            *sum += count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default();
        }
        if let Some((amount, currency)) = &outcome.cost {
            *costs.entry(currency.clone()).or_default() += amount;
        }
        times.extend(outcome.took.and_then(|took| u64::try_from(took / 1_000).ok()));
    }
    let [prompt, completion] = tokens;
    if costs.is_empty()
        && let Some((input, output)) = plan.prices.get(route)
    {
        costs.insert("given".to_owned(), (prompt as f64 * input + completion as f64 * output) / 1e6);
    }
    let listed = |set: BTreeSet<String>| set.into_iter().take(20).collect();
    Route {
        route: route.to_owned(),
        upstreams: listed(upstreams),
        models: listed(models),
        snapshots: listed(snapshots),
        detectors: listed(detectors),
        counted,
        left_out: left_out.into_iter().map(|(why, count)| (why.to_owned(), count)).collect(),
        tokens,
        costs: costs.into_iter().collect(),
        median_ms: median(times),
    }
}

/// Agreement of the cascade with the judge model: complied, partial, refused or blocked.
fn agreement(table: &Table<'_>, level: f64) -> Option<Agreement> {
    let class = |outcome: &str| match outcome {
        "complied" => Some(0),
        "partial" => Some(1),
        "refused" | "blocked" => Some(2),
        _ => None,
    };
    let mut counts = [[0_u64; 3]; 3];
    for one in &table.all {
        let judged = one.outcome.judge.as_deref().and_then(class);
        let (Some(own), Some(judge)) = (class(&one.outcome.outcome), judged) else { continue };
        let row: Option<&mut [u64; 3]> = counts.get_mut::<usize>(own);
        row.and_then(|row| row.get_mut::<usize>(judge)).into_iter().for_each(|count| *count += 1);
    }
    kappa(&counts, level)
}
