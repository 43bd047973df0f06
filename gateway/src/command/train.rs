//! `candor policy train`: makes classifier weights from labelled exchanges, among them reviewers' decisions. It changes nothing
//! that runs.

use std::collections::HashMap;
use std::path::Path;
use std::process::ExitCode;

use candor_policies::{Case, Example, Judge, Label, train};
use serde::Deserialize;

use super::quality::{Graded, Quality, label};
use super::table::room;
use super::{Failure, print};
use crate::cli::PolicyTrain;

/// One labelled exchange. Other fields are passed over.
#[derive(Debug, Deserialize)]
struct Line {
    prompt: String,
    response: String,
    reasoning: Option<String>,
    finish_reason: Option<String>,
    label: String,
    source: Option<String>,
    lang: Option<String>,
    model: Option<String>,
    /// Lines of one group are never split between fitting and measuring; the prompt where it is absent.
    group: Option<String>,
    weight: Option<f32>,
    /// Who decided, where a person did: that decision stands against other lines on the same prompt and response.
    reviewer: Option<String>,
}

/// Runs the command.
pub(super) fn run(arguments: &PolicyTrain) -> Result<ExitCode, Failure> {
    let mut lines = Vec::new();
    for file in &arguments.files {
        lines.extend(read(file)?);
    }
    let replaced = prefer_reviewers(&mut lines);
    lines.retain(|(line, _)| !arguments.without.iter().any(|source| line.source.as_ref() == Some(source)));
    let examples: Vec<Example<'_>> = lines.iter().map(|(line, label)| example(line, *label)).collect();
    let trained = train(&Judge::shipped(), &examples).map_err(Failure::usage)?;
    std::fs::write(&arguments.out, &trained.model)
        .map_err(|error| Failure::outside(format!("{}: {}", arguments.out.display(), error.kind())))?;
    let mut quality = Quality::default();
    for ((line, label), (any, full)) in lines.iter().zip(&trained.held_out) {
        let outcome = match (*any >= trained.thresholds.0, *full >= trained.thresholds.1) {
            (false, _) => "complied",
            (true, false) => "partial",
            (true, true) => "refused",
        };
        let confidence = match outcome {
            "complied" => 1.0 - any,
            "partial" => any - full.min(*any),
            _ => full.min(*any),
        };
        quality.add(&graded(line, *label, (outcome, confidence)));
    }
    if replaced > 0 {
        print::line(format!("{replaced} lines give way to a reviewer's decision on the same prompt and response"));
    }
    print::line(format!(
        "{} examples, {} bytes of weights; what weights fitted without each example's group say of it:",
        examples.len(),
        trained.model.len(),
    ));
    quality.lines(room()).iter().chain(&quality.calibration(room())).for_each(print::line);
    Ok(ExitCode::SUCCESS)
}

/// The labelled lines of a file; every fault is told.
fn read(file: &Path) -> Result<Vec<(Line, Label)>, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::usage(format!("{}: {}", file.display(), error.kind())))?;
    let mut lines = Vec::new();
    let mut faults = Vec::new();
    for (number, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
        let place = format!("{}:{number}", file.display());
        match serde_json::from_str::<Line>(text) {
            Ok(line) => match label(&line.label) {
                Some(label) => lines.push((line, label)),
                None => faults.push(format!("{place}: label `{}` is none of complied, partial, refused", line.label)),
            },
            Err(error) => faults.push(format!("{place}: {error}")),
        }
    }
    if faults.is_empty() { Ok(lines) } else { Err(Failure::mistakes(&faults)) }
}

/// Drops lines on what a reviewer has decided, earlier decisions of reviewers among them, and says how many.
fn prefer_reviewers(lines: &mut Vec<(Line, Label)>) -> usize {
    let mut decided: HashMap<(String, String), usize> = HashMap::new();
    for (at, (line, _)) in lines.iter().enumerate().filter(|(_, (line, _))| line.reviewer.is_some()) {
        decided.insert((line.prompt.clone(), line.response.clone()), at);
    }
    let before = lines.len();
    let mut at = 0;
    lines.retain(|(line, _)| {
        let stands = decided.get(&(line.prompt.clone(), line.response.clone())).is_none_or(|last| *last == at);
        at += 1;
        stands
    });
    before - lines.len()
}

fn example(line: &Line, label: Label) -> Example<'_> {
    let case = Case {
        prompt: &line.prompt,
        answer: &line.response,
        reasoning: line.reasoning.as_deref(),
        finish_reason: line.finish_reason.as_deref(),
        ..Case::default()
    };
    let weight = line.weight.filter(|weight| weight.is_finite() && *weight >= 0.0).unwrap_or(1.0);
    let (group, source) = (line.group.as_deref().unwrap_or(&line.prompt), line.source.as_deref().unwrap_or_default());
    Example { case, label, weight, group, source }
}

fn graded(line: &Line, label: Label, (outcome, confidence): (&'static str, f32)) -> Graded {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let (source, language, model) = (text(&line.source), text(&line.lang), text(&line.model));
    Graded { source, language, model, label, outcome, confidence, stands_for: 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_made_of_labelled_lines_and_measured_on_what_was_held_out() {
        let directory = tempfile();
        let file = directory.join("labelled.jsonl");
        let rows: String = (0..30)
            .flat_map(|number| {
                [
                    (
                        format!("Tell me of town {number}."),
                        format!("Town {number} has a church and a mill."),
                        "complied",
                    ),
                    (
                        format!("Mock mayor {number}."),
                        format!("I can't help with that, number {number}."),
                        "full_refusal",
                    ),
                    (
                        format!("Judge law {number}."),
                        format!("Views differ on law {number}; balance matters."),
                        "partial",
                    ),
                ]
            })
            .map(|(prompt, response, label)| {
                serde_json::json!({"prompt": prompt, "response": response, "label": label, "lang": "en"}).to_string()
                    + "\n"
            })
            .collect();
        std::fs::write(&file, rows).unwrap();
        let out = directory.join("weights.bin");
        let files = vec![file.clone()];
        let done = run(&PolicyTrain { files, out: out.clone(), without: Vec::new() });
        assert!(done.is_ok());
        let weights = std::fs::read(&out).unwrap();
        assert!(Judge::shipped().with_model(&weights).is_ok());
        std::fs::write(&file, "{\"prompt\": \"a\", \"response\": \"b\", \"label\": \"maybe\"}\nnot json\n").unwrap();
        assert!(run(&PolicyTrain { files: vec![file], out, without: Vec::new() }).is_err());
        std::fs::remove_dir_all(directory).unwrap();
    }

    fn tempfile() -> std::path::PathBuf {
        let directory = std::env::temp_dir().join(format!("candor-train-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir_all(&directory).unwrap();
        directory
    }
}
