//! `candor policy test` and `explain`: what packs do, without traffic. `replay` and `train` have files of their own.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::print::Style;
use super::{Failure, print, records, replay};
use crate::cli::{ChannelName, Configured, Policy, PolicyExplain, PolicyTest};
use crate::exchange::{Caller, Channel, Finding};
use crate::record::wall_clock;
use crate::route::Place;
use crate::screen::{Found, Judged, Rules};

/// Runs the command.
pub(super) fn run(command: &Policy) -> Result<ExitCode, Failure> {
    match command {
        Policy::Test(arguments) => test(arguments),
        Policy::Explain(arguments) => explain(arguments),
        Policy::Schema => {
            print::text(candor_policies::pack_schema());
            Ok(ExitCode::SUCCESS)
        }
        Policy::Replay(arguments) => replay::run(arguments, &rules(&arguments.packs, &arguments.configured)?),
        Policy::Train(arguments) => super::train::run(arguments),
    }
}

/// The packs named, or those configured.
fn rules(packs: &[PathBuf], configured: &Configured) -> Result<Rules, Failure> {
    let (shipped, files) = if packs.is_empty() {
        let policies = print::configuration(configured)?.config.policies;
        (policies.shipped, policies.files)
    } else {
        (Vec::new(), packs.to_vec())
    };
    Rules::compile(&shipped, &files).map_err(|mistakes| Failure::mistakes(&mistakes))
}

fn test(arguments: &PolicyTest) -> Result<ExitCode, Failure> {
    let rules = rules(&arguments.packs, &arguments.configured)?;
    let results = rules.ruleset().run_tests();
    let failed = results.iter().filter(|result| !result.passed).count();
    if arguments.configured.json {
        let tests: Vec<_> = results
            .iter()
            .map(|result| json!({"pack": &*result.pack, "test": result.name, "passed": result.passed, "detail": result.detail}))
            .collect();
        print::line(json!({"digest": rules.digest(), "tests": tests, "failed": failed}).to_string());
    } else {
        for result in results.iter().filter(|result| !result.passed) {
            print::line(format!("FAIL {} / {}: {}", result.pack, result.name, result.detail));
        }
        print::line(format!("{} passed, {failed} failed", results.len() - failed));
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn explain(arguments: &PolicyExplain) -> Result<ExitCode, Failure> {
    let rules = rules(&arguments.packs, &arguments.configured)?;
    let mut text = arguments.text.clone();
    if text == "-" {
        text.clear();
        std::io::stdin().read_to_string(&mut text)?;
    }
    let found = found(arguments, &rules, &text)?;
    let topics = rules.topics_in(&[&text]);
    if arguments.configured.json {
        let findings: Vec<_> = found.kept.iter().map(|finding| finding_json(finding, &text)).collect();
        let topics: Vec<_> = topics.iter().map(|(id, pack)| json!({"id": id, "pack": pack})).collect();
        let asks: Vec<_> = found
            .asked
            .iter()
            .map(|inquiry| json!({"pack": inquiry.pack(), "rule": inquiry.rule(), "ask": inquiry.ask()}))
            .collect();
        let waiting: Vec<_> = found.waiting().map(|finding| finding_json(finding, &text)).collect();
        print::line(
            json!({
                "findings": findings,
                "topics": topics,
                "waits_for_verdict": waiting,
                "asks": asks,
                "demands": {"review": found.review, "record": found.record, "route": found.routes()},
            })
            .to_string(),
        );
    } else {
        describe(&found.kept, &topics, &text);
        describe_demands(&found);
    }
    Ok(if found.kept.is_empty() && found.asked.is_empty() { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// What rules make of a text in the circumstances that were named.
fn found(arguments: &PolicyExplain, rules: &Rules, text: &str) -> Result<Found, Failure> {
    let caller = Caller {
        name: arguments.caller.clone(),
        team: arguments.team.clone(),
        role: arguments.role.clone(),
        key_id: None,
    };
    let at = arguments.at.as_deref().map_or_else(|| Ok(wall_clock()), read_time)?;
    let mut watch = rules.watch(&caller, &arguments.model, at);
    if let Some(place) = place(arguments)? {
        watch = watch.at(&place);
    }
    let mut found = Found::default();
    watch.scan(channel(arguments.channel), &[text], &mut found);
    if let Some(outcome) = records::one_of("--outcome", arguments.outcome.as_deref(), &records::OUTCOMES)? {
        let manners: Vec<&str> = arguments.manners.iter().map(String::as_str).collect();
        for manner in &manners {
            records::one_of("--manner", Some(manner), &records::MANNERS)?;
        }
        let judged = Judged { outcome: &outcome, manners: &manners, confidence: 1.0, ..Judged::default() };
        watch.judge(None, &judged, &mut found);
    } else {
        watch.inquire(&mut found);
    }
    Ok(found)
}

fn read_time(text: &str) -> Result<OffsetDateTime, Failure> {
    OffsetDateTime::parse(text, &Rfc3339).map_err(|_| {
        Failure::usage(format!("--at: `{}` is no time; write it as `2026-03-02T09:30:00+01:00`", print::safe(text)))
    })
}

/// The upstream that was named or described.
fn place(arguments: &PolicyExplain) -> Result<Option<Place>, Failure> {
    if arguments.upstream.is_none() && arguments.tags.is_empty() && !arguments.local {
        return Ok(None);
    }
    let name = arguments.upstream.clone().unwrap_or_default();
    let mut place = Place { name, local: arguments.local, tags: Vec::new() };
    for tag in &arguments.tags {
        let Some((name, value)) = tag.split_once('=') else {
            return Err(Failure::usage(format!("--tag: write `{}` as name=value", print::safe(tag))));
        };
        place.tags.push((name.to_owned(), value.to_owned()));
    }
    // Packs may be tried where nothing is configured.
    if arguments.upstream.is_some()
        && let Ok(loaded) = print::configuration(&arguments.configured)
        && let Some(upstream) = loaded.config.upstreams.iter().find(|upstream| upstream.name == place.name)
    {
        let configured = Place::of(upstream);
        place.local |= configured.local;
        place.tags.extend(configured.tags);
    }
    Ok(Some(place))
}

fn describe_demands(found: &Found) {
    for finding in found.waiting() {
        print::line(format!("rule {} of pack {} waits for a verdict; see --outcome", finding.rule, finding.pack));
    }
    for inquiry in &found.asked {
        let (rule, pack, ask) = (inquiry.rule(), inquiry.pack(), print::safe(inquiry.ask()));
        print::line(format!("rule {rule} of pack {pack} asks a judge model: {ask}"));
    }
    let demands = [
        (found.routes(), "demands a route: candidates that do not satisfy it are left out"),
        (found.review, "demands a review by a person"),
        (found.record, "demands a durable record"),
    ];
    demands.iter().filter(|(holds, _)| *holds).for_each(|(_, text)| print::line(text));
}

fn describe(findings: &[Finding], topics: &[(String, String)], text: &str) {
    let style = Style::of_stdout();
    for finding in findings {
        let place = format!("bytes {}..{}", finding.span.start, finding.span.end);
        let found = print::safe(text.get(finding.span.clone()).unwrap_or_default());
        print::line(format!(
            "{} by rule {} of pack {} ({}): {} at {place}, by {}{}",
            style.bold(finding.action.name()),
            style.bold(&finding.rule),
            finding.pack,
            finding.severity,
            style.mark(&found),
            finding.detector,
            finding.topic.as_ref().map(|topic| format!(", topic {topic}")).unwrap_or_default(),
        ));
    }
    for (topic, pack) in topics {
        print::line(format!("speaks of topic {} (pack {pack})", style.bold(topic)));
    }
    if findings.is_empty() {
        print::line("no rule is triggered");
    }
}

fn finding_json(finding: &Finding, text: &str) -> serde_json::Value {
    json!({
        "rule": finding.rule,
        "pack": finding.pack,
        "topic": finding.topic,
        "detector": finding.detector,
        "action": finding.action.name(),
        "severity": finding.severity,
        "start": finding.span.start,
        "end": finding.span.end,
        "text": text.get(finding.span.clone()),
    })
}

fn channel(name: ChannelName) -> Channel {
    match name {
        ChannelName::Prompt => Channel::Prompt,
        ChannelName::Reasoning => Channel::Reasoning,
        ChannelName::Answer => Channel::Answer,
        ChannelName::Tool => Channel::Tool,
        ChannelName::Refusal => Channel::Refusal,
    }
}
