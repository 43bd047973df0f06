//! Exchanges as the pipeline would record them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use time::OffsetDateTime;
use uuid::{Builder, Uuid};

use crate::config::Recording;
use crate::cost::{Cost, Currency};
use crate::exchange::{
    Action, Caller, Channel, Dialect, Ending, Enforced, Evidence, ExchangeId, Finding, Segment, Timings, Usage, Verdict,
};
use crate::record::{Attempt, Begin, End, Entry, Frame, wall_clock};
use crate::thinking::Thinking;

/// The id of an exchange that began so many minutes ago.
pub(super) fn id(number: u8, minutes_ago: i64) -> ExchangeId {
    let at = wall_clock() - time::Duration::minutes(minutes_ago);
    let millis = u64::try_from(at.unix_timestamp_nanos() / 1_000_000).expect("after 1970");
    ExchangeId(Builder::from_unix_timestamp_millis(millis, &[number; 10]).into_uuid())
}

/// Numbers entries as frames of one stream, from `first` on.
pub(super) fn frames(stream: Uuid, first: u64, entries: Vec<Entry>) -> Vec<Frame> {
    let at = wall_clock();
    entries.into_iter().zip(first..).map(|(entry, sequence)| Frame { stream, sequence, at, entry }).collect()
}

pub(super) fn begin(exchange: ExchangeId) -> Begin {
    Begin {
        exchange,
        at: moment(),
        dialect: Dialect::OpenaiChat,
        caller: Caller {
            name: "ana".to_owned(),
            team: Some("research".to_owned()),
            role: None,
            key_id: Some("key_1".to_owned()),
        },
        peer: "192.0.2.7".to_owned(),
        client_request_id: Some("abc".to_owned()),
        subject: Some("tag-7".to_owned()),
        audit: Some("run-1/probe/1/0".to_owned()),
        model: "deepseek-r1".to_owned(),
        stream: true,
        preview: Some("What happened on Tiananmen square?".to_owned()),
        request: request("What happened on Tiananmen square?"),
        headers: vec![("user-agent".to_owned(), "test".to_owned())],
        snapshot: Arc::from("5d41"),
        recording: Recording::Required,
    }
}

pub(super) fn request(question: &str) -> Bytes {
    let messages = serde_json::json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": question},
    ]);
    serde_json::json!({"model": "deepseek-r1", "stream": true, "messages": messages}).to_string().into()
}

pub(super) fn end(exchange: ExchangeId) -> End {
    End {
        exchange,
        at: moment(),
        ending: Ending::Complete,
        status: 200,
        fault: None,
        attempts: vec![
            Attempt {
                upstream: Arc::from("eu-1"),
                status: Some(503),
                fault: Some("busy".to_owned()),
                took: Duration::from_millis(12),
            },
            Attempt { upstream: Arc::from("eu-2"), status: Some(200), fault: None, took: Duration::from_millis(900) },
        ],
        upstream: Some(Arc::from("eu-2")),
        upstream_dialect: Some(Dialect::OpenaiChat),
        upstream_model: Some("deepseek-reasoner".to_owned()),
        upstream_reply_id: Some("chatcmpl-1".to_owned()),
        sent: None,
        adapted: Vec::new(),
        received: vec![Bytes::from_static(b"data: {\"a\":1}\n\n"), Bytes::from_static(b"data: [DONE]\n\n")],
        delivered: None,
        unkept_bytes: 3,
        segments: vec![segment(Channel::Reasoning, "They ask about 1989."), segment(Channel::Answer, "I cannot help.")],
        finishes: vec![(0, "stop".to_owned())],
        unread_frames: 3,
        findings: vec![finding("history", Some("tiananmen-1989"), Action::Flag)],
        unkept_findings: 2,
        verdict: verdict("refused", &["plain_refusal"]),
        review: true,
        usage: Usage { prompt: Some(20), completion: Some(9), reasoning: Some(5), cached: None, written: Some(3) },
        cost: Some(Cost { nanos: 25_000, currency: Currency::USD, price: "r1@2025".into(), estimated: true }),
        thinking: Some(Thinking { time: Some(Duration::from_millis(390)), steps: 1, checks: 0 }),
        timings: Timings {
            screened: Some(Duration::from_micros(120)),
            first_byte: Some(Duration::from_millis(300)),
            first_reasoning: Some(Duration::from_millis(310)),
            first_answer: Some(Duration::from_millis(700)),
            total: Duration::from_millis(913),
        },
    }
}

pub(super) fn segment(channel: Channel, text: &str) -> Segment {
    Segment { choice: 0, channel, part: 0, role: None, text: text.to_owned(), authored_bytes: 0 }
}

pub(super) fn finding(rule: &str, topic: Option<&str>, action: Action) -> Finding {
    Finding {
        rule: rule.to_owned(),
        pack: "sensitive".to_owned(),
        topic: topic.map(str::to_owned),
        detector: "terms".to_owned(),
        channel: Channel::Prompt,
        choice: 0,
        part: 1,
        span: 17..26,
        action,
        enforced: Enforced::Observed,
        severity: "high",
    }
}

pub(super) fn verdict(outcome: &'static str, manners: &[&'static str]) -> Verdict {
    Verdict {
        choice: 0,
        outcome,
        manners: manners.to_vec(),
        evidence: vec![Evidence { channel: Channel::Answer, span: 0..8, what: "refusal phrase".to_owned() }],
        language: Some("en"),
        confidence: 0.75,
        decided_by: "phrases",
        signal: None,
        detector: "1",
    }
}

/// The present, as precise as Postgres is.
fn moment() -> OffsetDateTime {
    let now = wall_clock();
    now.replace_microsecond(now.microsecond()).unwrap_or(now)
}
