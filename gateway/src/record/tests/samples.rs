//! Sample records, small ones by hand and any by chance.

use std::time::Duration;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::config::Recording;
use crate::cost::{Cost, Currency};
use crate::exchange::{
    Action, Caller, Channel, Dialect, Ending, Enforced, Evidence, ExchangeId, Finding, Segment, Timings, Usage, Verdict,
};
use crate::record::{Attempt, Begin, ClosedWhy, End, Entry, LossWhy};
use crate::thinking::Thinking;

/// The exchange of a number.
pub(in crate::record) fn exchange(number: u64) -> ExchangeId {
    ExchangeId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + u128::from(number)))
}

pub(in crate::record) fn begin(number: u64) -> Begin {
    Begin {
        exchange: exchange(number),
        at: OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap(),
        dialect: Dialect::OpenaiChat,
        caller: Caller { name: "anna".to_owned(), team: None, role: None, key_id: None },
        peer: "127.0.0.1".to_owned(),
        client_request_id: None,
        subject: None,
        audit: None,
        model: "m".to_owned(),
        stream: false,
        preview: None,
        request: Bytes::from(format!("request {number}")),
        headers: Vec::new(),
        snapshot: "digest".into(),
        recording: Recording::Required,
    }
}

pub(in crate::record) fn end(number: u64) -> End {
    End {
        exchange: exchange(number),
        at: OffsetDateTime::from_unix_timestamp(1_700_000_001).unwrap(),
        ending: Ending::Complete,
        status: 200,
        fault: None,
        attempts: Vec::new(),
        upstream: Some("one".into()),
        upstream_dialect: None,
        upstream_model: None,
        upstream_reply_id: None,
        sent: None,
        adapted: Vec::new(),
        received: vec![Bytes::from(format!("reply {number}"))],
        delivered: None,
        unkept_bytes: 0,
        segments: Vec::new(),
        finishes: vec![(0, "stop".to_owned())],
        unread_frames: 3,
        findings: Vec::new(),
        unkept_findings: 2,
        verdict: Verdict {
            choice: 0,
            outcome: "complied",
            manners: Vec::new(),
            evidence: Vec::new(),
            language: Some("en"),
            confidence: 0.9,
            decided_by: "phrases",
            signal: None,
            detector: "1",
        },
        review: false,
        usage: Usage::default(),
        cost: None,
        thinking: None,
        timings: Timings::default(),
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{0,8}", ".{0,20}", Just("quote \" \\ \u{0} \u{1f600}".to_owned())]
}

fn body() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..60).prop_map(Bytes::from)
}

fn moment() -> impl Strategy<Value = OffsetDateTime> {
    any::<i64>().prop_map(|time| OffsetDateTime::from_unix_timestamp_nanos(i128::from(time)).unwrap())
}

fn span() -> impl Strategy<Value = std::ops::Range<usize>> {
    (any::<u32>(), any::<u32>()).prop_map(|(start, end)| start as usize..end as usize)
}

fn time() -> impl Strategy<Value = Option<Duration>> {
    option::of(any::<u64>().prop_map(Duration::from_nanos))
}

fn channel() -> impl Strategy<Value = Channel> {
    prop::sample::select(vec![Channel::Prompt, Channel::Reasoning, Channel::Answer, Channel::Tool, Channel::Refusal])
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["complied", "refused", "empty_reasoning", "zh", ""])
}

fn any_begin() -> impl Strategy<Value = Begin> {
    let caller = (text(), option::of(text()), option::of(text()), option::of(text()));
    let front = (any::<u64>(), moment(), caller, text(), option::of(text()), text());
    (front, any::<bool>(), body(), vec((text(), text()), 0..3), text(), any::<bool>(), option::of(text())).prop_map(
        |(
            (number, at, caller, peer, client_request_id, model),
            stream,
            request,
            headers,
            snapshot,
            required,
            preview,
        )| {
            let (name, team, role, key_id) = caller;
            Begin {
                at,
                caller: Caller { name, team, role, key_id },
                peer,
                subject: client_request_id.clone(),
                audit: client_request_id.clone(),
                client_request_id,
                model,
                stream,
                preview,
                request,
                headers,
                snapshot: snapshot.into(),
                recording: if required { Recording::Required } else { Recording::BestEffort },
                ..begin(number)
            }
        },
    )
}

fn any_finding() -> impl Strategy<Value = Finding> {
    let actions = prop::sample::select(vec![Action::Allow, Action::Flag, Action::Redact, Action::Stop]);
    let enforced = prop::sample::select(vec![Enforced::Applied, Enforced::Observed, Enforced::Late]);
    ((text(), text(), option::of(text()), text()), channel(), any::<[u32; 2]>(), span(), actions, enforced, name())
        .prop_map(|((rule, pack, topic, detector), channel, [choice, part], span, action, enforced, severity)| {
            Finding { rule, pack, topic, detector, channel, choice, part, span, action, enforced, severity }
        })
}

fn any_verdict() -> impl Strategy<Value = Verdict> {
    let evidence = (channel(), span(), text()).prop_map(|(channel, span, what)| Evidence { channel, span, what });
    (name(), vec(name(), 0..3), vec(evidence, 0..3), option::of(name()), 0.0..=1.0f32, option::of(text())).prop_map(
        |(outcome, manners, evidence, language, confidence, signal)| Verdict {
            choice: 0,
            outcome,
            manners,
            evidence,
            language,
            confidence,
            decided_by: outcome,
            signal,
            detector: "detector/1",
        },
    )
}

fn any_end() -> impl Strategy<Value = End> {
    let attempt =
        (text(), any::<Option<u16>>(), option::of(text()), any::<u64>()).prop_map(|(upstream, status, fault, took)| {
            Attempt { upstream: upstream.into(), status, fault, took: Duration::from_nanos(took) }
        });
    let segment =
        (any::<[u32; 2]>(), channel(), option::of(text()), text()).prop_map(|([choice, part], channel, role, text)| {
            Segment { choice, channel, part, role, authored_bytes: text.len(), text }
        });
    let front = (any::<u64>(), moment(), any::<u16>(), option::of(text()), vec(attempt, 0..3), vec(segment, 0..4));
    let bodies = (option::of(body()), vec(body(), 0..4), option::of(vec(body(), 0..4)), any::<u64>());
    let usage = any::<[Option<u64>; 5]>();
    let back = (vec(any_finding(), 0..3), any_verdict(), usage, [time(), time(), time(), time()], any::<u64>());
    (front, bodies, vec((any::<u32>(), text()), 0..3), back).prop_map(|(front, bodies, finishes, back)| {
        let (number, at, status, fault, attempts, segments) = front;
        let (sent, received, delivered, unkept_bytes) = bodies;
        let (findings, verdict, [prompt, completion, reasoning, cached, written], times, total) = back;
        let thinking =
            written.map(|steps| Thinking { time: times[2], steps: (steps >> 32) as u32, checks: steps as u32 });
        let cost = cached.map(|nanos| Cost {
            nanos: nanos as i64,
            currency: Currency::USD,
            price: verdict.outcome.into(),
            estimated: total % 2 == 0,
        });
        let [screened, first_byte, first_reasoning, first_answer] = times;
        let total = Duration::from_nanos(total);
        End {
            at,
            status,
            upstream_dialect: Dialect::ALL.get(usize::from(status) % 6).copied(),
            upstream_model: fault.clone(),
            upstream_reply_id: fault.clone(),
            fault,
            attempts,
            sent,
            adapted: Vec::new(),
            received,
            delivered,
            unkept_bytes,
            segments,
            finishes,
            review: verdict.outcome == "refused",
            findings,
            verdict,
            usage: Usage { prompt, completion, reasoning, cached, written },
            cost,
            thinking,
            timings: Timings { screened, first_byte, first_reasoning, first_answer, total },
            ..end(number)
        }
    })
}

/// Any entry, and when it happened.
pub(in crate::record) fn any_entry() -> impl Strategy<Value = (Entry, OffsetDateTime)> {
    let closed = (any::<u64>(), prop::sample::select(ClosedWhy::ALL.to_vec()))
        .prop_map(|(number, why)| Entry::Closed { exchange: exchange(number), why });
    let loss =
        (any::<u64>(), prop::sample::select(LossWhy::ALL.to_vec())).prop_map(|(count, why)| Entry::Loss { count, why });
    prop_oneof![
        any_begin().prop_map(|begin| (begin.at, Entry::Begin(Box::new(begin)))),
        any_end().prop_map(|end| (end.at, Entry::End(Box::new(end)))),
        (moment(), closed),
        (moment(), loss),
    ]
    .prop_map(|(at, entry)| (entry, at))
}
