//! Reading: what was written comes out as it was, and lists hold what was asked for.

use sqlx::Executor;
use uuid::Uuid;

use super::fixtures::{begin, end, finding, frames, id, request, verdict};
use super::with_store;
use crate::exchange::{Action, Ending};
use crate::ledger::checkpoint::Signer;
use crate::record::{Begin, Entry, Sink, wall_clock};
use crate::store::Store;
use crate::store::custody::{Authority, Whose, erase};
use crate::store::records::{Filter, list};
use crate::store::seal::{Turn, seal};
use crate::store::search::{find, index};
use crate::store::trace::{Payload, show};

#[test]
fn an_exchange_is_shown_as_it_was_recorded() {
    with_store(async |store| {
        let exchange = id(1, 3);
        let (began, ended) = (begin(exchange), end(exchange));
        let stream = Uuid::now_v7();
        let entries = vec![Entry::Begin(Box::new(began.clone())), Entry::End(Box::new(ended.clone()))];
        store.write(stream, &frames(stream, 1, entries)).await.expect("stored");
        let trace = show(&store, exchange.0).await.expect("read").expect("there");

        let record = &trace.record;
        assert_eq!((record.exchange, record.accepted_at.unix_timestamp()), (exchange.0, began.at.unix_timestamp()));
        assert_eq!((record.caller.as_str(), record.team.as_deref()), ("ana", Some("research")));
        assert_eq!(record.prompt_preview.as_deref(), Some("What happened on Tiananmen square?"));
        assert_eq!(record.answer_preview.as_deref(), Some("I cannot help."));
        assert_eq!((record.ending.as_deref(), record.status), (Some("complete"), Some(200)));
        assert_eq!((record.outcome.as_deref(), &*record.manners), (Some("refused"), &["plain_refusal".to_owned()][..]));
        assert_eq!((record.prompt_tokens, record.completion_tokens, record.cached_tokens), (Some(20), Some(9), None));
        assert_eq!((record.first_answer_us, record.total_us), (Some(700_000), Some(913_000)));
        assert_eq!((record.reply_bytes, record.unkept_bytes), (Some(32), Some(3)));
        assert_eq!((record.findings, record.action.as_deref()), (1, Some("flag")));
        assert_eq!((record.unkept_findings, record.unread_frames), (2, Some(3)));
        assert_eq!(record.verdict_choice, Some(ended.verdict.choice.into()));

        assert_eq!((trace.findings[0].start, trace.findings[0].end), (17, 26));
        assert_eq!(trace.evidence[0].what, "refusal phrase");
        let attempts: Vec<_> = trace.attempts.iter().map(|one| (one.upstream.as_str(), one.status)).collect();
        assert_eq!(attempts, [("eu-1", Some(503)), ("eu-2", Some(200))]);
        assert_eq!(trace.payloads.get("request"), Some(&Payload::Whole(began.request.to_vec())));
        assert_eq!(trace.payloads.get("received"), Some(&Payload::Whole(ended.received.concat())));
        assert!(!trace.payloads.contains_key("delivered"));
        let segments = trace.payloads.get("segments").expect("texts");
        let Payload::Whole(segments) = segments else { panic!("{segments:?}") };
        assert!(String::from_utf8_lossy(segments).contains("They ask about 1989."));
    });
}

#[test]
fn a_large_payload_is_compressed_and_comes_out_whole() {
    with_store(async |store| {
        let (exchange, stream) = (id(1, 0), Uuid::now_v7());
        let mut ended = end(exchange);
        ended.received = vec![bytes::Bytes::from("data: {\"delta\":\"word\"}\n\n".repeat(20_000)); 3];
        let entries = vec![Entry::Begin(Box::new(begin(exchange))), Entry::End(Box::new(ended.clone()))];
        store.write(stream, &frames(stream, 1, entries)).await.expect("stored");
        let trace = show(&store, exchange.0).await.expect("read").expect("there");
        assert!(trace.payloads.get("received") == Some(&Payload::Whole(ended.received.concat())));
        let damage = "UPDATE payload SET bytes = 'x' WHERE part = 'received'";
        store.pool.execute(damage).await.expect("damaged");
        let trace = show(&store, exchange.0).await.expect("read").expect("there");
        assert_eq!(trace.payloads.get("received"), Some(&Payload::Unreadable));
    });
}

#[test]
fn an_exchange_that_is_not_there_is_nothing() {
    with_store(async |store| {
        assert_eq!(show(&store, id(9, 0).0).await, Ok(None));
        assert_eq!(show(&store, Uuid::nil()).await, Ok(None));
    });
}

/// Six exchanges, the first one the oldest.
async fn fill(store: &Store) {
    let mut entries = Vec::new();
    for number in 0..6_u8 {
        let exchange = id(number, i64::from(60 - 10 * number));
        let mut began = begin(exchange);
        let mut ended = end(exchange);
        match number {
            0 => began.caller.name = "bob".to_owned(),
            1 => began.model = "qwen3".to_owned(),
            2 => {
                ended.verdict = verdict("complied", &[]);
                ended.findings = vec![finding("payroll", None, Action::Redact), finding("payroll", None, Action::Flag)];
                ended.upstream = Some("local".into());
            }
            3 => {
                ended.ending = Ending::ClientLeft;
                ended.verdict = verdict("partial", &["hedged", "topic_swap"]);
                ended.findings.clear();
            }
            _ => {}
        }
        entries.push(Entry::Begin(Box::new(began)));
        // The last one still runs.
        if number != 5 {
            entries.push(Entry::End(Box::new(ended)));
        }
    }
    let stream = Uuid::now_v7();
    store.write(stream, &frames(stream, 1, entries)).await.expect("stored");
}

#[test]
fn lists_hold_what_was_asked_for_newest_first() {
    with_store(async |store| {
        fill(&store).await;
        let all = || Filter::since(wall_clock() - time::Duration::hours(2), 50);
        let some = |text: &str| Some(text.to_owned());
        let cases = [
            (all(), vec![5, 4, 3, 2, 1, 0]),
            (Filter { limit: 2, ..all() }, vec![5, 4]),
            (Filter { since: wall_clock() - time::Duration::minutes(25), ..all() }, vec![5, 4]),
            (Filter { caller: some("bob"), ..all() }, vec![0]),
            (Filter { model: some("qwen3"), ..all() }, vec![1]),
            (Filter { upstream: some("local"), ..all() }, vec![2]),
            (Filter { outcome: some("refused"), ..all() }, vec![4, 1, 0]),
            (Filter { outcome: some("complied"), ..all() }, vec![2]),
            (Filter { manner: some("topic_swap"), ..all() }, vec![3]),
            (Filter { manner: some("omission"), ..all() }, vec![]),
            (Filter { ending: some("client_left"), ..all() }, vec![3]),
            (Filter { rule: some("payroll"), ..all() }, vec![2]),
            (Filter { topic: some("tiananmen-1989"), ..all() }, vec![4, 1, 0]),
            (Filter { action: some("flag"), ..all() }, vec![4, 2, 1, 0]),
            (Filter { action: some("flag"), caller: some("bob"), ..all() }, vec![0]),
            (
                Filter { topic: some("tiananmen-1989"), model: some("qwen3"), outcome: some("refused"), ..all() },
                vec![1],
            ),
        ];
        for (filter, expected) in cases {
            let found = list(&store, &filter).await.expect("a list");
            // The fixture's number is the last byte of the id.
            let numbers: Vec<u8> = found.iter().map(|record| record.exchange.as_bytes()[15]).collect();
            assert_eq!(numbers, expected, "{filter:?}");
        }
    });
}

async fn seal_all(store: &Store) {
    let signer = Signer::read("test", &Signer::generate().expect("random")).expect("a key");
    while !matches!(seal(store, &signer, None).await.expect("sealed"), Turn::Idle) {}
}

#[test]
fn exchanges_are_found_by_their_words_indexed_or_not() {
    with_store(async |store| {
        let stream = Uuid::now_v7();
        let (old, new) = (id(1, 60 * 24 * 3), id(2, 0));
        let mut entries = Vec::new();
        for (exchange, question) in [(old, "Was geschah 1989 in Leipzig? 莱比锡广场"), (new, "Leipzig or Prague?")]
        {
            let begin = Begin { request: request(question), ..begin(exchange) };
            entries.extend([Entry::Begin(Box::new(begin)), Entry::End(Box::new(end(exchange)))]);
        }
        store.write(stream, &frames(stream, 1, entries)).await.expect("stored");
        let since = Filter::since(wall_clock() - time::Duration::days(30), 10);
        let found = async |text: &str| {
            let (records, coverage) = find(&store, &since, text).await.expect("found");
            let ids: Vec<Uuid> = records.iter().map(|record| record.exchange).collect();
            (ids, (coverage.indexed_days, coverage.read))
        };
        assert_eq!(found("leipzig").await, (vec![new.0, old.0], (0, 2)), "what waits for the sealer is read");
        assert_eq!(index(&store).await, Ok(None), "nothing is sealed");
        seal_all(&store).await;
        assert_eq!(found("leipzig").await, (vec![new.0, old.0], (0, 2)), "what is sealed is read");
        assert_eq!(index(&store).await, Ok(Some(2)));
        assert_eq!(index(&store).await, Ok(None));
        assert_eq!(found("LEIPZIG").await, (vec![new.0, old.0], (2, 0)));
        // One that comes days late.
        let late = id(3, 60 * 24 * 2);
        let begin = Begin { request: request("Leipzig, late"), ..begin(late) };
        let entries = vec![Entry::Begin(Box::new(begin)), Entry::End(Box::new(end(late)))];
        store.write(stream, &frames(stream, 5, entries)).await.expect("stored");
        assert_eq!(found("leipzig").await, (vec![new.0, late.0, old.0], (2, 1)));
        seal_all(&store).await;
        assert_eq!(index(&store).await, Ok(Some(1)));
        assert_eq!(found("leipzig").await, (vec![new.0, late.0, old.0], (3, 0)));
        assert_eq!(found("莱比锡").await.0, [old.0]);
        assert_eq!(found("leipzig geschah").await.0, [old.0]);
        assert_eq!(found("leipzig vienna").await.0, [] as [Uuid; 0]);
        let other = Filter { caller: Some("nobody".to_owned()), ..since.clone() };
        assert!(find(&store, &other, "leipzig").await.expect("found").0.is_empty());
        let authority = Authority { by: "ana", why: "test" };
        erase(&store, &Whose::Exchanges(vec![old.0]), authority).await.expect("erased");
        assert_eq!(found("莱比锡").await.0, [] as [Uuid; 0], "what is erased is not found");
    });
}
