//! `candor audit run`: asks the probes of a suite, and reads back what the gateway recorded of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;

use super::database::{Expect, with_store};
use super::door::door;
use super::suites::open;
use super::{Failure, print};
use crate::audit::ask::{Budget, Door, Progress, Stop, Use, ask_all, estimate};
use crate::audit::collect::{adopted, outcomes};
use crate::audit::run::{Plan, Question, Run};
use crate::audit::suite::Suite;
use crate::cli::AuditRun;
use crate::config::{Config, UpstreamKind};
use crate::cost::{Currency, Prices};
use crate::record::wall_clock;
use crate::store::Store;
use crate::store::seal::standing;
use crate::upstream::catalogue::shipped_prices;

/// How long the ledger may take to seal a run's records.
const SEALING: Duration = Duration::from_secs(10);

/// Runs the command.
pub(super) fn run(arguments: &AuditRun) -> Result<ExitCode, Failure> {
    let config = print::configuration(&arguments.configured)?.config;
    let door = door(&arguments.door, &config)?;
    let run = Arc::new(match &arguments.resume {
        Some(directory) => resumed(directory)?,
        None => begun(arguments, &config)?,
    });
    let fresh = arguments.resume.is_none();
    let ended = with_store(&arguments.configured, Expect::Cluster, async |store| {
        Box::pin(audit(store, &run, (&door, &config), arguments)).await
    });
    // A run that has asked nothing is none.
    if ended.is_err() && fresh && run.journal().is_ok_and(|(asked, open)| asked.is_empty() && open.is_empty()) {
        for file in ["run.json", "suite.jsonl", "journal.jsonl"] {
            let _ = std::fs::remove_file(run.directory.join(file));
        }
        let _ = std::fs::remove_dir(&run.directory);
    }
    ended
}

fn resumed(directory: &Path) -> Result<Run, Failure> {
    Run::open(directory).map_err(|error| Failure::usage(format!("{}: {error}", directory.display())))
}

/// Begins a run in a directory of its own.
fn begun(arguments: &AuditRun, config: &Config) -> Result<Run, Failure> {
    let suite = chosen(open(arguments.suite.as_deref().unwrap_or_default(), arguments.format)?, arguments)?;
    let routes: BTreeSet<&String> = arguments.routes.iter().collect();
    if routes.len() != arguments.routes.len() {
        return Err(Failure::usage("--route names one model twice"));
    }
    let run = Uuid::now_v7().simple().to_string();
    let plan = Plan {
        began: wall_clock(),
        suite: suite.name.clone(),
        version: suite.version,
        digest: suite.digest(),
        routes: arguments.routes.clone(),
        samples: arguments.samples,
        seed: arguments.seed,
        max_tokens: arguments.answer_tokens,
        prices: all_prices(arguments, config)?,
        run,
    };
    let usual = || PathBuf::from(format!("audit-{}", &plan.run.get(..13).unwrap_or(&plan.run)));
    let directory = arguments.out.clone().unwrap_or_else(usual);
    Run::begin(&directory, plan, suite).map_err(|error| Failure::usage(format!("{}: {error}", directory.display())))
}

/// The probes that are asked for, with their twins.
fn chosen(mut suite: Suite, arguments: &AuditRun) -> Result<Suite, Failure> {
    let (languages, topics) = (&arguments.languages, &arguments.topics);
    let wanted: BTreeSet<String> = suite
        .probes
        .iter()
        .filter(|probe| !probe.control)
        .filter(|probe| languages.is_empty() || languages.contains(&probe.language))
        .filter(|probe| {
            let pack = probe.pack.as_ref();
            topics.is_empty() || topics.contains(&probe.subject()) || pack.is_some_and(|pack| topics.contains(pack))
        })
        .flat_map(|probe| [Some(probe.id.clone()), probe.twin.clone()])
        .flatten()
        .collect();
    suite.probes.retain(|probe| wanted.contains(&probe.id));
    if suite.probes.is_empty() {
        return Err(Failure::usage("the suite has no probe of that language and topic; see `candor audit check`"));
    }
    Ok(suite)
}

/// Prices as they were given, and for other routes those of whoever serves them first, where these are in dollars.
fn all_prices(arguments: &AuditRun, config: &Config) -> Result<BTreeMap<String, (f64, f64)>, Failure> {
    let mut all = prices(&arguments.prices)?;
    let shipped = shipped_prices().map_err(|mistakes| Failure::mistakes(&mistakes))?;
    let known = Prices::of(vec![config.prices.clone(), shipped]);
    for route in &arguments.routes {
        let model = config.models.iter().find(|model| serves(&model.name, route));
        let Some(candidate) = model.and_then(|model| model.candidates.first()) else { continue };
        let upstream = config.upstreams.iter().find(|upstream| upstream.name == candidate.upstream);
        let price = match upstream.map(|upstream| &upstream.kind) {
            Some(UpstreamKind::Local(_)) => Some((0.0, 0.0)),
            Some(UpstreamKind::Remote(remote)) => {
                let name = candidate.model.as_deref().unwrap_or(route);
                let price = known.find(Some(&remote.provider), name, wall_clock());
                let dollars = |nanos: u64| nanos as f64 / 1e9;
                let price = price.filter(|price| price.currency == Currency::USD);
                price.map(|price| (dollars(price.rates.input), dollars(price.rates.output)))
            }
            None => None,
        };
        if let (Some(price), false) = (price, all.contains_key(route)) {
            all.insert(route.clone(), price);
        }
    }
    Ok(all)
}

/// Whether a model of the configuration serves a route.
fn serves(name: &str, route: &str) -> bool {
    match name.strip_suffix('*') {
        Some(prefix) => route.starts_with(prefix),
        None => name == route,
    }
}

/// `MODEL=IN/OUT`, each.
fn prices(given: &[String]) -> Result<BTreeMap<String, (f64, f64)>, Failure> {
    let read = |text: &String| {
        let (model, prices) = text.rsplit_once('=')?;
        let (input, output) = prices.split_once('/')?;
        let price = |text: &str| text.parse::<f64>().ok().filter(|price| price.is_finite() && *price >= 0.0);
        Some((model.to_owned(), (price(input)?, price(output)?)))
    };
    given
        .iter()
        .map(|text| {
            read(text).ok_or_else(|| {
                Failure::usage(format!("--price: `{text}`; write `MODEL=IN/OUT`, such as `r1=0.55/2.19`"))
            })
        })
        .collect()
}

/// Asks what is left to ask, and concludes.
async fn audit(
    store: &Store,
    run: &Arc<Run>,
    (door, config): (&Door, &Config),
    arguments: &AuditRun,
) -> Result<ExitCode, Failure> {
    let (mut asked, open) = run.journal()?;
    if arguments.resume.is_some() {
        for (question, exchange) in adopted(store, run, &open).await? {
            asked.entry(question).or_insert(exchange);
        }
    }
    let left: Vec<Question> =
        run.plan.questions(&run.suite).into_iter().filter(|question| !asked.contains_key(question)).collect();
    let budget = Budget { tokens: arguments.max_tokens, cost: arguments.max_cost };
    if !left.is_empty() {
        confirm(run, &left, asked.len(), arguments)?;
    }
    let concurrency = usize::from(arguments.concurrency).min(allowed(config, &run.plan.routes));
    let began = Instant::now();
    let tell = |progress: Progress| print::progress(&so_far(&progress, began));
    let stopped = match left.is_empty() {
        true => Ok(Use::default()),
        false => ask_all((run.clone(), door.clone()), left, concurrency, budget, tell).await,
    };
    print::progress("reading verdicts ...");
    let (journalled, _) = run.journal()?;
    asked.extend(journalled);
    let (results, late) = outcomes(store, &asked, config.judge.is_some()).await?;
    run.conclude(&results)?;
    keep_checkpoint(store, run).await?;
    print::progress("");
    tell_end(run, results.len(), late, arguments);
    match stopped {
        Ok(_) if late == 0 => Ok(ExitCode::SUCCESS),
        Ok(_) => Err(Failure::outside(format!(
            "{late} records have not reached the database; go on with --resume {}",
            run.directory.display()
        ))),
        Err(stop) => {
            let advice = match stop {
                Stop::Budget => "raise it and go on",
                Stop::Refused { .. } => "check key and model names, and go on",
                _ => "when it can, go on",
            };
            Err(Failure::outside(format!("{stop}; {advice} with --resume {}", run.directory.display())))
        }
    }
}

/// Says what is about to be asked, and asks whether it shall be.
fn confirm(run: &Run, left: &[Question], done: usize, arguments: &AuditRun) -> Result<(), Failure> {
    let expected = estimate(run, left);
    let priced = run.plan.routes.iter().all(|route| run.plan.prices.contains_key(route));
    let cost = if priced { format!(", {:.2} dollars", expected.cost) } else { String::new() };
    let already = if done > 0 { format!(" ({done} are answered already)") } else { String::new() };
    print::error(&format!(
        "{} questions to {}{already}: about {} tokens of prompts and {} of answers{cost}",
        left.len(),
        run.plan.routes.iter().map(|route| print::safe(route)).collect::<Vec<_>>().join(", "),
        expected.prompt,
        expected.completion
    ));
    if !priced && arguments.max_cost.is_some() {
        return Err(Failure::usage("--max-cost needs a --price for every route"));
    }
    if arguments.yes {
        return Ok(());
    }
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::usage("say --yes where nobody can be asked whether that is fine"));
    }
    let mut err = std::io::stderr().lock();
    let _ = err.write_all(b"Ask them? [y/N] ").and_then(|()| err.flush());
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::usage("nothing was asked")),
    }
}

/// Questions at once that the upstreams of all routes take.
fn allowed(config: &Config, routes: &[String]) -> usize {
    let models = config.models.iter().filter(|model| routes.iter().any(|route| serves(&model.name, route)));
    let names: BTreeSet<&String> = models.flat_map(|model| &model.candidates).map(|one| &one.upstream).collect();
    let limit = |upstream: &crate::config::Upstream| match &upstream.kind {
        UpstreamKind::Remote(remote) => remote.concurrency,
        UpstreamKind::Local(local) => Some(local.sequences + local.queue),
    };
    let used = config.upstreams.iter().filter(|upstream| names.contains(&upstream.name));
    used.filter_map(limit).min().unwrap_or(usize::MAX).max(1)
}

fn so_far(progress: &Progress, began: Instant) -> String {
    let Progress { done, all, used } = progress;
    let took = began.elapsed().as_secs_f64();
    let left = if *done > 0 { took / *done as f64 * (all - done.min(all)) as f64 } else { 0.0 };
    let left = if *done > 0 { format!(", about {} left", minutes(left)) } else { String::new() };
    format!("{done} of {all} answered, {} tokens{left}", used.prompt + used.completion)
}

fn minutes(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Keeps the ledger's head from when all of the run was sealed.
async fn keep_checkpoint(store: &Store, run: &Run) -> Result<(), Failure> {
    let deadline = Instant::now() + SEALING;
    loop {
        let head = standing(store).await?;
        if let Some(note) = head.note.filter(|_| head.pending == 0 || Instant::now() >= deadline) {
            std::fs::write(run.directory.join("checkpoint.txt"), note)?;
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

fn tell_end(run: &Run, answered: usize, late: usize, arguments: &AuditRun) {
    let all = run.plan.questions(&run.suite).len();
    if arguments.configured.json {
        let directory = run.directory.display().to_string();
        print::line(
            json!({"run": run.plan.run, "directory": directory, "questions": all, "answered": answered, "late": late})
                .to_string(),
        );
    } else {
        print::line(format!(
            "{answered} of {all} questions are answered and judged; see `candor audit report {}`",
            run.directory.display()
        ));
    }
}
