//! `candor classify`: judges existing traffic, one JSON line in, one verdict out. It needs no configuration and no database.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::ExitCode;
use std::thread;

use candor_policies::Judge;
use serde::Deserialize;
use serde_json::{Value, json};

use super::quality::{Graded, Quality, label};
use super::{Failure, print, table};
use crate::cli;
use crate::exchange::Verdict;
use crate::screen::{Case, HostError, Memory, Origin, Rules, judge_knowing, observe, shipped_packs};

/// Lines judged before their verdicts are printed in order. It is the same for any number of threads, as the verdicts must be.
const PORTION: usize = 1_024;

/// Longest line taken; longer ones are faults, so that one bad line cannot take all memory.
const LONGEST: usize = 64 << 20;

/// One exchange as somebody recorded it.
#[derive(Debug, Deserialize)]
struct Line {
    id: Option<Value>,
    prompt: Option<Value>,
    response: Option<Value>,
    reasoning: Option<Value>,
    finish_reason: Option<Value>,
    error: Option<Value>,
    label: Option<String>,
    source: Option<String>,
    lang: Option<String>,
    model: Option<String>,
    sampling_weight: Option<Value>,
    /// What answered, where the file says so: answers of one model over several routes are told apart.
    route: Option<String>,
}

/// What lines are judged by.
struct Court {
    judge: Judge,
    rules: Rules,
    memory: Memory,
    threads: usize,
}

/// What became of one line.
struct Judged {
    /// The verdict or the fault, as a line.
    text: String,
    is_fault: bool,
    /// The verdict beside the line's label, where it has one.
    graded: Option<Graded>,
}

/// Runs the command. Lines are judged in the light of one another: of all of them where the input is a file, which is read
/// twice, and of those up to their own portion where it comes through a pipe.
pub(super) fn run(arguments: &cli::Classify) -> Result<ExitCode, Failure> {
    let names: Vec<String> = shipped_packs().into_iter().map(str::to_owned).collect();
    let rules = Rules::compile(&names, &arguments.packs).map_err(|mistakes| Failure::mistakes(&mistakes))?;
    let judge = judge_with(arguments.weights.as_deref())?;
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let court = Court { judge, rules, memory: Memory::default(), threads };
    let twice = arguments.file.as_deref().is_some_and(Path::is_file);
    if twice {
        portions(arguments.file.as_deref(), |number, lines| {
            court.remember(lines);
            print::progress(&format!("{number} lines read"));
        })?;
    }
    let mut quality = Quality::default();
    let mut faults = 0;
    portions(arguments.file.as_deref(), |number, lines| {
        if !twice {
            court.remember(lines);
        }
        for judged in court.share(lines, |line| court.judge_line(line)) {
            faults += usize::from(judged.is_fault);
            judged.graded.iter().for_each(|graded| quality.add(graded));
            if judged.is_fault || !arguments.labels {
                print::line(judged.text);
            }
        }
        print::progress(&format!("{number} lines judged"));
    })?;
    print::progress("");
    if arguments.labels && arguments.json {
        print::line(quality.json().to_string());
    } else if arguments.labels && !quality.is_empty() {
        let room = table::room();
        quality.lines(room).iter().chain(&quality.calibration(room)).for_each(print::line);
    }
    Ok(if faults == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Hands the lines of the input on, a portion at a time, with the number of lines so far.
fn portions(file: Option<&Path>, mut take: impl FnMut(usize, &[Numbered])) -> Result<(), Failure> {
    let mut input = open(file)?;
    let mut number = 0;
    loop {
        let lines = read_lines(&mut input, number, PORTION)?;
        let Some(last) = lines.last() else { return Ok(()) };
        number = last.0;
        take(number, &lines);
    }
}

/// The shipped judge, or one with weights from a file.
fn judge_with(weights: Option<&Path>) -> Result<Judge, Failure> {
    let Some(path) = weights else { return Ok(Judge::shipped()) };
    let told = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| told(&error.kind()))?;
    Judge::shipped().with_model(&bytes).map_err(|error| told(&error))
}

fn open(file: Option<&Path>) -> Result<Box<dyn BufRead>, Failure> {
    match file {
        Some(path) if path != Path::new("-") => {
            let file = std::fs::File::open(path)
                .map_err(|error| Failure::usage(format!("{}: {}", path.display(), error.kind())))?;
            Ok(Box::new(BufReader::with_capacity(1 << 20, file)))
        }
        _ => Ok(Box::new(BufReader::new(std::io::stdin()))),
    }
}

/// Reads up to `most` lines that hold something, each with its number; an unusable one is `Err` with the reason.
type Numbered = (usize, Result<String, String>);

fn read_lines(input: &mut dyn BufRead, before: usize, most: usize) -> Result<Vec<Numbered>, Failure> {
    let mut lines = Vec::new();
    let mut number = before;
    while lines.len() < most {
        let mut bytes = Vec::new();
        let read = input.take(LONGEST as u64).read_until(b'\n', &mut bytes)?;
        if read == 0 {
            break;
        }
        number += 1;
        if read == LONGEST && bytes.last() != Some(&b'\n') {
            skip_line(input)?;
            lines.push((number, Err(format!("longer than {LONGEST} bytes"))));
            continue;
        }
        match String::from_utf8(bytes) {
            Ok(text) if text.trim().is_empty() => {}
            Ok(text) => lines.push((number, Ok(text))),
            Err(_) => lines.push((number, Err("not UTF-8".to_owned()))),
        }
    }
    Ok(lines)
}

fn skip_line(input: &mut dyn BufRead) -> Result<(), Failure> {
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(buffer.len(), |end| end + 1);
        input.consume(taken);
        if end.is_some() {
            return Ok(());
        }
    }
}

impl Court {
    /// Notes what the lines show, in their order however many threads read them.
    fn remember(&self, lines: &[Numbered]) {
        let observed = |(_, line): &Numbered| {
            let line = Exchange::read(serde_json::from_str(line.as_ref().ok()?).ok()?)?;
            observe(&self.judge, &line.case(), line.origin())
        };
        self.share(lines, observed).iter().flatten().for_each(|observation| self.memory.note(observation));
    }

    /// Gives each thread its share of the lines, and what they make of them in the lines' order.
    fn share<T: Send>(&self, lines: &[Numbered], work: impl Fn(&Numbered) -> T + Sync) -> Vec<T> {
        let share = lines.len().div_ceil(self.threads).max(1);
        let work = &work;
        thread::scope(|scope| {
            let portions: Vec<_> = lines
                .chunks(share)
                .map(|portion| scope.spawn(move || portion.iter().map(work).collect::<Vec<_>>()))
                .collect();
            portions.into_iter().flat_map(|portion| portion.join().unwrap_or_default()).collect()
        })
    }

    fn judge_line(&self, (number, line): &Numbered) -> Judged {
        let text = match line {
            Ok(text) => text,
            Err(text) => return fault(None, *number, text),
        };
        let line: Line = match serde_json::from_str(text) {
            Ok(line) => line,
            Err(error) => {
                let id = serde_json::from_str::<Value>(text).ok().and_then(|value| value.get("id").cloned());
                return fault(id, *number, &error.to_string());
            }
        };
        let id = line.id.clone();
        let Some(exchange) = Exchange::read(line) else {
            return fault(id, *number, "neither `response` nor `error`");
        };
        let verdict = judge_knowing(&self.judge, &exchange.case(), exchange.origin(), &self.memory);
        let Exchange { prompt, reasoning, answer, line, .. } = exchange;
        let topics = self.rules.topics_in(&[&prompt, reasoning.as_deref().unwrap_or_default(), &answer]);
        let known = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        let graded = line.label.as_deref().and_then(label).map(|label| Graded {
            source: known(line.source),
            language: known(line.lang),
            model: known(line.model),
            label,
            outcome: verdict.outcome,
            confidence: verdict.confidence,
            stands_for: line.sampling_weight.as_ref().and_then(weight).unwrap_or(1.0),
        });
        Judged { text: verdict_line(id, &verdict, &topics), is_fault: false, graded }
    }
}

/// A line's texts and signals, as a verdict needs them.
struct Exchange {
    prompt: String,
    reasoning: Option<String>,
    answer: String,
    error: Option<(Option<u16>, String)>,
    line: Line,
}

impl Exchange {
    /// Takes a line apart; nothing where it holds neither reply nor error.
    fn read(line: Line) -> Option<Self> {
        if line.response.is_none() && line.error.is_none() {
            return None;
        }
        let error = line.error.as_ref().filter(|error| !error.is_null()).map(|error| {
            let body = match error {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            (status_of(error), body)
        });
        Some(Self {
            prompt: texts(line.prompt.as_ref()),
            reasoning: line.reasoning.as_ref().map(|value| texts(Some(value))),
            answer: texts(line.response.as_ref()),
            error,
            line,
        })
    }

    fn case(&self) -> Case<'_> {
        Case {
            prompt: &self.prompt,
            reasoning: self.reasoning.as_deref(),
            answer: &self.answer,
            finish: self.line.finish_reason.as_ref().and_then(Value::as_str),
            error: self.error.as_ref().map(|(status, body)| HostError { status: *status, body }),
            ..Case::default()
        }
    }

    fn origin(&self) -> Origin<'_> {
        let Line { model, route, .. } = &self.line;
        Origin { model: model.as_deref().unwrap_or_default(), route: route.as_deref().unwrap_or_default() }
    }
}

fn fault(id: Option<Value>, line: usize, fault: &str) -> Judged {
    let mut out = json!({"line": line, "fault": fault});
    if let (Some(id), Value::Object(map)) = (id, &mut out) {
        map.insert("id".to_owned(), id);
    }
    Judged { text: out.to_string(), is_fault: true, graded: None }
}

/// How many exchanges a sampled line stands for: a number, or one as text.
fn weight(value: &Value) -> Option<f64> {
    let number = value.as_f64().or_else(|| value.as_str()?.parse().ok())?;
    (number.is_finite() && number > 0.0).then_some(number)
}

/// An HTTP status inside an error object, where vendors and relays put it.
fn status_of(error: &Value) -> Option<u16> {
    let number = |value: &Value| {
        value.as_u64().and_then(|code| u16::try_from(code).ok()).filter(|code| (100..600).contains(code))
    };
    ["status", "status_code", "http_status", "code"].iter().find_map(|key| number(error.get(key)?))
}

/// The text of a prompt or a reply: text, a message, parts, or a list of messages.
fn texts(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => {
            let texts: Vec<String> =
                items.iter().map(|item| texts(Some(item))).filter(|text| !text.is_empty()).collect();
            texts.join("\n")
        }
        Some(Value::Object(map)) => texts(map.get("content").or_else(|| map.get("text"))),
        _ => String::new(),
    }
}

fn verdict_line(id: Option<Value>, verdict: &Verdict, topics: &[(String, String)]) -> String {
    let evidence: Vec<Value> = verdict
        .evidence
        .iter()
        .map(|one| json!({"channel": one.channel.name(), "start": one.span.start, "end": one.span.end, "what": one.what}))
        .collect();
    let topics: Vec<Value> = topics.iter().map(|(id, pack)| json!({"id": id, "pack": pack})).collect();
    let mut out = json!({
        "id": id,
        "outcome": verdict.outcome,
        "manners": verdict.manners,
        "confidence": (f64::from(verdict.confidence) * 1e4).round() / 1e4,
        "decided_by": verdict.decided_by,
        "language": verdict.language,
        "topics": topics,
        "evidence": evidence,
    });
    if let (Some(signal), Value::Object(map)) = (&verdict.signal, &mut out) {
        map.insert("signal".to_owned(), Value::from(signal.clone()));
    }
    out.to_string()
}
