//! Reads back what the gateway recorded of a run: the same verdicts that live traffic gets. It asks no model.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::run::{Outcome, Question, Run};
use crate::store::trace::{Trace, show};
use crate::store::{Error, Store, audits};

/// How long records may take to reach the database.
const SHIPPING: Duration = Duration::from_secs(30);

/// How often it is looked.
const AGAIN: Duration = Duration::from_millis(250);

/// Exchanges that are read at once.
const PORTION: usize = 100;

/// Questions that have been asked already, by what the database says: an auditor that was killed has not written down what was
/// on its way. Waits for questions that its journal says were about to be asked. Where one was asked more than once, the newest
/// exchange with a verdict counts.
///
/// # Errors
/// The database.
pub async fn adopted(store: &Store, run: &Run, open: &BTreeSet<Question>) -> Result<BTreeMap<Question, Uuid>, Error> {
    let plan = &run.plan;
    // Clocks of two machines may differ.
    let since = plan.began - time::Duration::hours(1);
    let deadline = Instant::now() + if open.is_empty() { Duration::ZERO } else { AGAIN * 12 };
    loop {
        let mut found = BTreeMap::new();
        for asked in audits::of_run(store, &plan.run, since).await? {
            let Some(question) = Question::of_tag(&plan.run, &asked.model, &asked.tag) else { continue };
            let is_judged =
                asked.ended.as_ref().is_none_or(|(_, outcome)| outcome.as_deref().is_some_and(|it| it != "failed"));
            if is_judged || !found.contains_key(&question) {
                found.insert(question, asked.exchange);
            }
        }
        if open.iter().all(|question| found.contains_key(question)) || Instant::now() >= deadline {
            return Ok(found);
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// What came of exchanges, once their ends are stored; and how many ends did not come in time.
///
/// # Errors
/// The database.
pub async fn outcomes(
    store: &Store,
    asked: &BTreeMap<Question, Uuid>,
    judged: bool,
) -> Result<(Vec<Outcome>, usize), Error> {
    let deadline = Instant::now() + SHIPPING;
    let mut waiting: BTreeSet<Uuid> = asked.values().copied().collect();
    while !waiting.is_empty() {
        let ids: Vec<Uuid> = waiting.iter().copied().collect();
        for exchange in audits::ended(store, &ids).await? {
            waiting.remove(&exchange);
        }
        if waiting.is_empty() || Instant::now() >= deadline {
            break;
        }
        tokio::time::sleep(AGAIN).await;
    }
    let by_exchange: BTreeMap<Uuid, &Question> =
        asked.iter().map(|(question, exchange)| (*exchange, question)).collect();
    let there: Vec<Uuid> = by_exchange.keys().copied().filter(|exchange| !waiting.contains(exchange)).collect();
    let mut outcomes = Vec::new();
    for portion in there.chunks(PORTION) {
        for trace in audits::those(store, portion).await? {
            let Some(question) = by_exchange.get(&trace.record.exchange) else { continue };
            let judge = if judged { judgement(store, trace.record.exchange).await? } else { None };
            outcomes.push(outcome((*question).clone(), &trace, judge));
        }
    }
    outcomes.sort_by(|left, right| left.question.cmp(&right.question));
    Ok((outcomes, waiting.len()))
}

/// What a judge model said of an exchange.
async fn judgement(store: &Store, exchange: Uuid) -> Result<Option<String>, Error> {
    let judgements = show(store, exchange).await?.map(|trace| trace.judgements).unwrap_or_default();
    let verdicts = judgements.into_iter().filter(|judgement| judgement.question.is_none());
    Ok(verdicts.filter_map(|judgement| judgement.record.outcome).next())
}

fn outcome(question: Question, trace: &Trace, judge: Option<String>) -> Outcome {
    let record = &trace.record;
    let texts = trace.reply().unwrap_or_default();
    // A verdict is about one choice, and an audit asks for one.
    let on = |channels: &[&str]| -> String {
        let texts = texts.iter().filter(|text| text.choice == 0 && channels.contains(&text.channel.as_str()));
        texts.map(|text| text.text.as_str()).collect::<Vec<_>>().join("\n")
    };
    let answer = on(&["answer"]);
    let refusal = on(&["refusal"]);
    let place = |at: i64| usize::try_from(at).unwrap_or_default();
    let channel = |evidence: &crate::store::trace::StoredEvidence| match evidence.channel.as_str() {
        "refusal" if answer.is_empty() => "answer".to_owned(),
        other => other.to_owned(),
    };
    let evidence =
        trace.evidence.iter().map(|one| (channel(one), place(one.start), place(one.end), one.what.clone())).collect();
    Outcome {
        question,
        exchange: record.exchange,
        ending: record.ending.clone().unwrap_or_default(),
        status: record.status,
        outcome: record.outcome.clone().unwrap_or_else(|| "failed".to_owned()),
        manners: record.manners.clone(),
        signal: record.signal.clone(),
        confidence: record.confidence,
        decided_by: record.decided_by.clone(),
        detector: record.detector.clone(),
        language: record.language.clone(),
        judge,
        upstream: record.upstream.clone(),
        upstream_model: record.upstream_model.clone(),
        snapshot: record.snapshot.clone(),
        tokens: [record.prompt_tokens, record.completion_tokens, record.reasoning_tokens],
        cost: record.cost_nanos.zip(record.currency.clone()).map(|(nanos, currency)| (nanos as f64 / 1e9, currency)),
        took: record.total_us,
        reasoning: on(&["reasoning"]),
        answer: if answer.is_empty() { refusal } else { answer },
        evidence,
    }
}
