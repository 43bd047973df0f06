//! `candor records show`: one exchange on the terminal, with what was found marked where it stands.
//! Everything that a peer wrote is made safe before it is shown.

use std::process::ExitCode;

use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use super::database::{Expect, with_store};
use super::mark::{Look, pieces};
use super::print::{Style, safe};
use super::records::{outcome, took};
use super::{Failure, costs, print};
use crate::cli::RecordsShow;
use crate::exchange::SHADOW;
use crate::store::custody::reveal;
use crate::store::records::Record;
use crate::store::texts::{Absent, Text};
use crate::store::trace::{self, Judgement, Trace};

/// Parts that hold bytes of the wire, in the order they travelled.
const WIRE: [(&str, &str); 4] = [
    ("request", "request as it came"),
    ("sent", "request as it was sent on"),
    ("received", "reply as it came"),
    ("delivered", "reply as it was delivered"),
];

/// Runs the command.
pub(super) fn run(arguments: &RecordsShow) -> Result<ExitCode, Failure> {
    let id = arguments.id;
    let found = with_store(&arguments.configured, Expect::Cluster, async |store| {
        let found = trace::show(store, id).await?;
        if found.is_some() {
            // Whoever looks is written down before he sees anything.
            reveal(store, id, &arguments.by, &arguments.purpose).await?;
        }
        Ok(found)
    })?;
    let Some(trace) = found else {
        print::error(&format!(
            "nothing is recorded of {id}; it may not have been shipped yet, or be gone by retention"
        ));
        return Ok(ExitCode::from(1));
    };
    if arguments.configured.json {
        print::line(describe(&trace, arguments.raw).to_string());
        return Ok(ExitCode::SUCCESS);
    }
    let style = Style::of_stdout();
    head(&trace, style).iter().for_each(print::line);
    texts(&trace, style).iter().for_each(print::line);
    if arguments.raw {
        raw(&trace, style).iter().for_each(print::line);
    }
    Ok(ExitCode::SUCCESS)
}

/// What is known of the exchange beside its texts, a line each.
fn head(trace: &Trace, style: Style) -> Vec<String> {
    let record = &trace.record;
    let at = record.accepted_at.format(&Rfc3339).unwrap_or_default();
    let mut lines = vec![style.bold(&format!("{}  {at}", record.exchange))];
    let mut say = |name: &str, text: String| {
        if !text.is_empty() {
            lines.push(format!("{}{text}", style.dim(&format!("{name:<11}"))));
        }
    };
    say("caller", caller(trace));
    say("model", model(trace));
    say("ending", ending(trace));
    say("verdict", verdict(trace));
    say("signal", record.signal.as_deref().map(safe).unwrap_or_default());
    for evidence in &trace.evidence {
        say("", format!("{} {}..{}: {}", evidence.channel, evidence.start, evidence.end, safe(&evidence.what)));
    }
    for judgement in &trace.judgements {
        say("judge", judged(judgement));
    }
    for copy in &trace.shadows {
        say("shadow", copied(copy));
    }
    for finding in &trace.findings {
        let topic = finding.topic.as_deref().map(|topic| format!(" on {}", safe(topic))).unwrap_or_default();
        let place = format!("{} {} {}..{}", finding.channel, finding.part, finding.start, finding.end);
        let rule = format!("{} ({}, {})", safe(&finding.rule), safe(&finding.pack), finding.severity);
        say("found", format!("{} {}: {rule}{topic} at {place}", finding.action, finding.enforced));
    }
    if record.unkept_findings > 0 {
        say("found", format!("{} more, which were not kept", record.unkept_findings));
    }
    say("review", record.review.as_deref().map(safe).unwrap_or_default());
    for attempt in &trace.attempts {
        let status = attempt.status.map(|status| format!(" {status}")).unwrap_or_default();
        let fault = attempt.fault.as_deref().map(|fault| format!(": {}", safe(fault))).unwrap_or_default();
        say("attempt", format!("{}{status} in {}{fault}", safe(&attempt.upstream), took(attempt.took_us)));
    }
    let adapted: Vec<String> =
        trace.bytes("adapted").ok().and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default();
    say("adapted", safe(&adapted.join(", ")));
    say("tokens", tokens(trace));
    say("cost", cost(trace));
    say("times", times(trace));
    say("thinking", thinking(trace));
    let frames = match (record.begin_sequence, record.end_sequence) {
        (Some(begin), Some(end)) => format!("frames {begin} and {end}"),
        (Some(begin), None) => format!("frame {begin}"),
        (None, end) => format!("its begin was lost; frame {}", end.unwrap_or_default()),
    };
    let place = format!("{frames} of stream {}", record.stream);
    say("record", format!("{}, snapshot {}, {place}", record.recording, safe(&record.snapshot)));
    lines
}

fn caller(trace: &Trace) -> String {
    let record = &trace.record;
    let mut text = safe(&record.caller);
    let more = [("team", &record.team), ("role", &record.role), ("key", &record.key_id)];
    for (name, value) in more {
        if let Some(value) = value {
            text.push_str(&format!(", {name} {}", safe(value)));
        }
    }
    text.push_str(&format!(", from {}", safe(&record.peer)));
    if let Some(id) = &record.client_request_id {
        let what = if record.caller == SHADOW { "a copy of" } else { "its own id" };
        text.push_str(&format!(", {what} {}", safe(id)));
    }
    for (what, tag) in [("about", &record.subject), ("asked by audit", &record.audit)] {
        if let Some(tag) = tag {
            text.push_str(&format!(", {what} {}", safe(tag)));
        }
    }
    text
}

/// What became of a copy that went to another upstream.
fn copied(copy: &Record) -> String {
    let upstream = safe(copy.upstream.as_deref().unwrap_or("nobody"));
    let outcome = copy.outcome.as_deref().or(copy.ending.as_deref()).unwrap_or("open");
    format!("{} by {upstream}: {}", copy.exchange, safe(outcome))
}

fn model(trace: &Trace) -> String {
    let record = &trace.record;
    let mut text = format!("{} ({})", safe(&record.model), record.dialect);
    if let Some(upstream) = &record.upstream {
        text.push_str(&format!(", answered by {}", safe(upstream)));
        // Said where the exchange was translated; else it is the client's.
        if let Some(dialect) = record.upstream_dialect.as_ref().filter(|dialect| **dialect != record.dialect) {
            text.push_str(&format!(" ({})", safe(dialect)));
        }
    }
    if let Some(model) = &record.upstream_model {
        text.push_str(&format!(" as {}", safe(model)));
    }
    if let Some(id) = &record.upstream_reply_id {
        text.push_str(&format!(", reply {}", safe(id)));
    }
    text
}

fn ending(trace: &Trace) -> String {
    let record = &trace.record;
    let Some(ending) = &record.ending else { return "it has not ended, or its end is not stored yet".to_owned() };
    let mut text = ending.clone();
    if let Some(status) = record.status {
        text.push_str(&format!(", status {status}"));
    }
    if let Some(finishes) = &record.finishes {
        text.push_str(&format!(", finish {}", safe(finishes)));
    }
    if let Some(fault) = &record.fault {
        text.push_str(&format!(": {}", safe(fault)));
    }
    text
}

fn verdict(trace: &Trace) -> String {
    let record = &trace.record;
    if record.outcome.is_none() {
        return String::new();
    }
    let mut text = outcome(record);
    if let (Some(confidence), Some(step)) = (record.confidence, &record.decided_by) {
        text.push_str(&format!(", confidence {confidence:.2} by {step}"));
    }
    if let Some(language) = &record.language {
        text.push_str(&format!(", language {language}"));
    }
    if let Some(choice) = record.verdict_choice.filter(|choice| *choice > 0) {
        text.push_str(&format!(", of choice {choice}"));
    }
    text
}

/// What a judge model said of the exchange, or why it said nothing.
fn judged(judgement: &Judgement) -> String {
    let record = &judgement.record;
    let by = format!("by {}, exchange {}", safe(&record.model), record.exchange);
    match (&record.ending, &record.fault, &judgement.question) {
        (None, ..) => format!("asked, {by}"),
        (Some(_), Some(fault), _) => format!("{}, {by}", safe(fault)),
        (Some(_), None, Some(question)) => {
            format!("{} to rule {} ({}), {by}", safe(&question.answer), safe(&question.rule), safe(&question.pack))
        }
        (Some(_), None, None) => {
            format!("{}, confidence {:.2}, {by}", outcome(record), record.confidence.unwrap_or_default())
        }
    }
}

fn tokens(trace: &Trace) -> String {
    let record = &trace.record;
    let counts = [
        ("prompt", record.prompt_tokens),
        ("cached", record.cached_tokens),
        ("written to cache", record.written_tokens),
        ("completion", record.completion_tokens),
        ("reasoning", record.reasoning_tokens),
    ];
    let said = counts.iter().filter_map(|(name, count)| Some(format!("{name} {}", (*count)?)));
    said.collect::<Vec<_>>().join(", ")
}

fn cost(trace: &Trace) -> String {
    let record = &trace.record;
    let Some(amount) = costs::amount(record) else { return String::new() };
    let price = record.price.as_deref().map(safe).unwrap_or_default();
    let estimate = if record.cost_estimated == Some(true) { ", an estimate: a rate is not known" } else { "" };
    format!("{amount} by price {price}{estimate}")
}

/// How the model thought: for how long, how fast, and how often it looked back.
fn thinking(trace: &Trace) -> String {
    let record = &trace.record;
    let Some(thinking) = costs::thinking(record) else { return String::new() };
    let mut text = record.reasoning_us.map(|micros| format!("{}, ", took(micros))).unwrap_or_default();
    let tokens = record.reasoning_tokens.and_then(|tokens| u64::try_from(tokens).ok());
    if let Some(speed) = thinking.speed(tokens) {
        text.push_str(&format!("{speed:.0} tokens/s, "));
    }
    text.push_str(&format!("{} steps", thinking.steps));
    if let Some(share) = thinking.share() {
        text.push_str(&format!(", {} of them check ({:.0} %)", thinking.checks, 100.0 * share));
    }
    text
}

fn times(trace: &Trace) -> String {
    let record = &trace.record;
    let moments = [
        ("screened", record.screened_us),
        ("first byte", record.first_byte_us),
        ("reasoning", record.first_reasoning_us),
        ("answer", record.first_answer_us),
        ("total", record.total_us),
    ];
    let said = moments.iter().filter_map(|(name, micros)| Some(format!("{name} {}", took((*micros)?))));
    said.collect::<Vec<_>>().join(", ")
}

/// Prompt, reasoning, answer and the rest, each under its heading.
fn texts(trace: &Trace, style: Style) -> Vec<String> {
    let mut lines = Vec::new();
    let several = trace.reply().is_ok_and(|texts| texts.iter().any(|text| text.choice > 0));
    for (name, texts) in [("prompt", trace.prompt()), ("reply", trace.reply())] {
        match texts {
            Ok(texts) => {
                for text in texts {
                    lines.extend([String::new(), style.bold(&heading(&text, several)), marked(&text, trace, style)]);
                }
            }
            Err(absent) => {
                lines.extend([String::new(), style.dim(&format!("no texts of the {name}: {}", why(trace, absent)))])
            }
        }
    }
    let beyond = [
        (trace.record.unkept_bytes, "bytes more were passed on and not kept"),
        (trace.record.unread_frames, "events could not be read and were passed on unscreened"),
    ];
    for (count, what) in beyond {
        if let Some(count) = count.filter(|count| *count > 0) {
            lines.extend([String::new(), style.dim(&format!("{count} {what}"))]);
        }
    }
    lines
}

fn why(trace: &Trace, absent: Absent) -> String {
    match absent {
        Absent::Malformed => format!("{} ({}); --raw shows them", absent.reason(), trace.record.dialect),
        _ => absent.reason().to_owned(),
    }
}

fn heading(text: &Text, several: bool) -> String {
    let mut heading = format!("── {}", text.channel);
    let role = text.role.as_deref().map(safe);
    for more in [role, text.kind.clone()].into_iter().flatten() {
        heading.push_str(&format!(" · {more}"));
    }
    if several && text.role.is_none() {
        heading.push_str(&format!(" · choice {}", text.choice));
    }
    if text.channel == "tool" {
        heading.push_str(&format!(" · call {}", text.part));
    }
    if text.authored_bytes > 0 {
        heading.push_str(&format!(" · first {} bytes written by the gateway", text.authored_bytes));
    }
    heading
}

/// A text with its findings marked, its evidence in bold, and reasoning dimmed.
pub(super) fn marked(text: &Text, trace: &Trace, style: Style) -> String {
    let mut spans: Vec<(usize, usize, Look)> = Vec::new();
    let place = |at: i64| usize::try_from(at).unwrap_or(usize::MAX);
    for finding in &trace.findings {
        let here = finding.channel == text.channel
            && finding.part == i64::from(text.part)
            && finding.choice == i64::from(text.choice);
        if here {
            spans.push((place(finding.start), place(finding.end), Look::Finding));
        }
    }
    // A verdict is about one choice; what it rests on in a prompt is the last thing asked, not a whole passage.
    let judged = trace.record.verdict_choice.unwrap_or_default() == i64::from(text.choice);
    for evidence in trace.evidence.iter().filter(|_| judged && text.part == 0 && text.channel != "prompt") {
        if evidence.channel == text.channel {
            spans.push((place(evidence.start), place(evidence.end), Look::Evidence));
        }
    }
    let shown = pieces(&text.text, &spans).into_iter().map(|(look, piece)| match look {
        Look::Finding => style.mark(&safe(piece)),
        Look::Evidence => style.bold(&safe(piece)),
        Look::Plain if text.channel == "reasoning" => style.dim(&safe(piece)),
        Look::Plain => safe(piece),
    });
    shown.collect()
}

fn raw(trace: &Trace, style: Style) -> Vec<String> {
    let mut lines = Vec::new();
    for (part, name) in WIRE {
        match trace.bytes(part) {
            Ok(bytes) => {
                let text = safe(&String::from_utf8_lossy(bytes));
                lines.extend([String::new(), style.bold(&format!("── {name}, {} bytes", bytes.len())), text]);
            }
            Err(Absent::NotRecorded) => {}
            Err(absent) => lines.extend([String::new(), style.dim(&format!("no {name}: {}", absent.reason()))]),
        }
    }
    lines
}

/// Everything, for programs.
pub(super) fn describe(trace: &Trace, with_raw: bool) -> Value {
    let mut value = json!(trace.record);
    let Value::Object(map) = &mut value else { return value };
    map.insert("findings".to_owned(), json!(trace.findings));
    map.insert("evidence".to_owned(), json!(trace.evidence));
    map.insert("attempts".to_owned(), json!(trace.attempts));
    map.insert("judgements".to_owned(), json!(trace.judgements));
    map.insert("shadows".to_owned(), json!(trace.shadows));
    for (name, texts) in [("prompt", trace.prompt()), ("reply", trace.reply())] {
        let texts = texts.map_or_else(|absent| json!({"absent": absent.reason()}), |texts| json!(texts));
        map.insert(name.to_owned(), texts);
    }
    if let Ok(headers) = trace.bytes("headers") {
        map.insert("headers".to_owned(), serde_json::from_slice(headers).unwrap_or_default());
    }
    if let Ok(adapted) = trace.bytes("adapted") {
        map.insert("adapted".to_owned(), serde_json::from_slice(adapted).unwrap_or_default());
    }
    if with_raw {
        let parts = WIRE.iter().filter_map(|(part, _)| Some(((*part).to_owned(), encoded(trace.bytes(part).ok()?))));
        map.insert("raw".to_owned(), Value::Object(parts.collect()));
    }
    value
}

/// Bytes in JSON: as text where they are text, else in hexadecimal.
fn encoded(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!({"text": text}),
        Err(_) => json!({"hex": bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()}),
    }
}
