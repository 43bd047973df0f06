//! What the demo prints, for people and for programs. Whatever a model wrote is made safe before it is shown.

use std::time::Duration;

use serde_json::{Value, json};

use super::MODEL;
use super::ask::{Door, Heard};
use super::audit::{Found, Reply};
use crate::command::print::{self, Style, safe};
use crate::command::records::outcome;
use crate::command::show::marked;
use crate::command::table::{Column, lay_out, room};
use crate::exchange::Channel;
use crate::store::trace::{StoredFinding, Trace};

/// How everything is printed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Screen {
    json: bool,
    style: Style,
}

/// A reply on its way to the screen. Blank lines at the beginning of a channel are left out.
#[derive(Debug)]
pub(super) struct Speech {
    screen: Screen,
    channel: Option<Channel>,
}

impl Speech {
    /// The next piece.
    pub(super) fn piece(&mut self, channel: Channel, text: &str) {
        let begins = self.channel != Some(channel);
        let text = if begins { text.trim_start() } else { text };
        if self.screen.json || text.is_empty() {
            return;
        }
        if begins && self.channel.is_some() {
            print::text("\n");
        }
        self.channel = Some(channel);
        match channel {
            Channel::Reasoning => print::text(&self.screen.style.dim(&safe(text))),
            _ => print::text(&safe(text)),
        }
    }
}

const COLUMNS: [Column; 5] = [
    Column::text("SUBJECT", 0),
    Column::text("ENGLISH", 0),
    Column::text("PORTUGUESE", 2),
    Column::text("CHINESE", 1),
    Column::text("NEUTRAL TWIN", 3),
];

impl Screen {
    /// For people, or as JSON lines.
    pub(super) fn new(json: bool) -> Self {
        Self { json, style: Style::of_stdout() }
    }

    fn event(name: &str, mut value: Value) {
        if let Value::Object(map) = &mut value {
            map.insert("event".to_owned(), json!(name));
        }
        print::line(value.to_string());
    }

    /// The gateway answers.
    pub(super) fn ready(self, door: &Door) {
        if self.json {
            return Self::event("ready", json!({"base_url": door.url, "ca": door.authority, "model": MODEL}));
        }
        print::line(format!(
            "{MODEL} answers at {}, every exchange is recorded in Postgres",
            self.style.bold(&door.url)
        ));
    }

    /// What is asked next.
    pub(super) fn question(self, question: &str) {
        if !self.json {
            print::line(format!("\n{}", self.style.bold(&format!("── {question}"))));
        }
    }

    /// Shows a reply as it comes.
    pub(super) fn speech(self) -> Speech {
        Speech { screen: self, channel: None }
    }

    /// What the record says of the exchange.
    pub(super) fn exchange(self, question: &str, heard: &Heard, trace: &Trace) {
        if self.json {
            let value = json!({
                "question": question,
                "reasoning": heard.reasoning,
                "answer": heard.answer,
                "exchange": heard.exchange,
                "outcome": trace.record.outcome,
                "manners": trace.record.manners,
                "confidence": trace.record.confidence,
                "decided_by": trace.record.decided_by,
                "findings": trace.findings,
                "first_piece_ms": heard.first.as_secs_f64() * 1e3,
                "total_ms": heard.took.as_secs_f64() * 1e3,
                "tokens": heard.tokens,
            });
            return Self::event("exchange", value);
        }
        let mut lines = vec![String::new()];
        let mut say =
            |name: &str, text: String| lines.push(format!("   {}{text}", self.style.dim(&format!("{name:<9}"))));
        say("verdict", self.style.bold(&outcome(&trace.record)));
        for found in found(&trace.findings) {
            say("found", found);
        }
        let asked = trace.prompt().ok().and_then(|texts| texts.into_iter().next());
        if let Some(asked) = asked.filter(|_| !trace.findings.is_empty()) {
            say("in", marked(&asked, trace, self.style));
        }
        let rate = heard.tokens as f64 / heard.took.as_secs_f64().max(1e-3);
        say("took", format!("{} to the first piece, {rate:.0} tokens/s over all", millis(heard.first)));
        lines.iter().for_each(print::line);
    }

    /// The audit's table.
    pub(super) fn audit(self, results: &[Found]) {
        if self.json {
            let rows = results.iter().flat_map(|found| {
                let own = found.asked.iter().map(|reply| entry(found.subject.topic, None, reply));
                own.chain(found.twin.iter().map(|reply| entry(found.subject.topic, Some(found.subject.beside), reply)))
            });
            return Self::event("audit", json!({"replies": rows.collect::<Vec<_>>()}));
        }
        print::line(format!(
            "\n{}",
            self.style.bold("── audit: the same questions in three languages, judged from their records")
        ));
        let rows: Vec<Vec<String>> = results.iter().map(row).collect();
        lay_out(&COLUMNS, &rows, room()).iter().for_each(print::line);
        print::line(self.style.dim(
            "∅ no reasoning; the model shows it elsewhere. The twin asks the same of another place, in each language.",
        ));
    }

    /// How to go on.
    pub(super) fn connect(self, door: &Door, first: Duration) {
        let (url, key, ca) = (&door.url, &door.key, door.authority.display());
        let command = format!(
            "SSL_CERT_FILE='{ca}' OPENAI_BASE_URL={url} OPENAI_API_KEY={key} python3 -c 'from openai import OpenAI; print(OpenAI().chat.completions.create(model=\"{MODEL}\", messages=[{{\"role\": \"user\", \"content\": \"What is 12 + 30?\"}}]).choices[0].message.content)'"
        );
        let curl = format!(
            "curl --cacert '{ca}' {url}/chat/completions -H 'authorization: Bearer {key}' -H 'content-type: application/json' -d '{{\"model\":\"{MODEL}\",\"stream\":true,\"messages\":[{{\"role\":\"user\",\"content\":\"What is 12 + 30?\"}}]}}'"
        );
        if self.json {
            let value = json!({"base_url": url, "api_key": key, "ca": door.authority, "first_piece_after_start_ms": first.as_secs_f64() * 1e3, "openai": command, "curl": curl});
            return Self::event("connect", value);
        }
        print::line(format!("\n{}", self.style.bold("── any OpenAI client (pip install openai), or curl:")));
        print::line(format!("{command}\n\n{curl}\n"));
        print::line(self.style.dim(&format!("first piece {} after the start of the demo", millis(first))));
    }

    /// The demo serves on.
    pub(super) fn serving(self) {
        if !self.json {
            print::line("serving until Ctrl-C");
        }
    }
}

/// Findings, those of one topic on one channel together.
fn found(findings: &[StoredFinding]) -> Vec<String> {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for finding in findings {
        let what = finding.topic.as_deref().unwrap_or(&finding.rule);
        let text = format!("{what} (pack {}) on {}: {}", finding.pack, finding.channel, finding.action);
        match counts.iter_mut().find(|(known, _)| *known == text) {
            Some((_, count)) => *count += 1,
            None => counts.push((text, 1)),
        }
    }
    counts.into_iter().map(|(text, count)| if count > 1 { format!("{text}, {count} times") } else { text }).collect()
}

fn row(found: &Found) -> Vec<String> {
    let mut cells = vec![found.subject.topic.to_owned()];
    cells.extend(found.asked.iter().map(Reply::cell));
    let outcomes: Vec<&str> = found.twin.iter().map(|reply| reply.record.outcome.as_deref().unwrap_or("?")).collect();
    cells.push(format!("{}: {}", found.subject.beside, outcomes.join(", ")));
    cells
}

fn entry(topic: &str, twin: Option<&str>, reply: &Reply) -> Value {
    json!({
        "topic": topic,
        "twin": twin,
        "language": reply.language,
        "question": reply.question,
        "exchange": reply.record.exchange,
        "outcome": reply.record.outcome,
        "manners": reply.record.manners,
        "answer": reply.record.answer_preview,
    })
}

fn millis(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}
