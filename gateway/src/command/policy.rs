//! `candor policy test` and `explain`: what packs do, without traffic. `replay` and `train` have files of their own.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use super::print::Style;
use super::{Failure, print, replay};
use crate::cli::{ChannelName, Configured, Policy, PolicyExplain, PolicyTest};
use crate::exchange::{Caller, Channel, Finding};
use crate::screen::Rules;

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
    let caller = Caller { name: arguments.caller.clone(), team: arguments.team.clone(), role: None, key_id: None };
    let findings = rules.watch(&caller, &arguments.model).scan(channel(arguments.channel), &text);
    let topics = rules.topics_in(&[&text]);
    if arguments.configured.json {
        let findings: Vec<_> = findings.iter().map(|finding| finding_json(finding, &text)).collect();
        let topics: Vec<_> = topics.iter().map(|(id, pack)| json!({"id": id, "pack": pack})).collect();
        print::line(json!({"findings": findings, "topics": topics}).to_string());
    } else {
        describe(&findings, &topics, &text);
    }
    Ok(if findings.is_empty() { ExitCode::from(1) } else { ExitCode::SUCCESS })
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
