//! The ledger in the database: sealed by racing gateways, exported, verified, and tampered with in every way.

use sqlx::{AssertSqlSafe, Executor, query_scalar};
use uuid::Uuid;

use super::fixtures::{begin, end, frames, id};
use super::with_store;
use crate::config::{PayloadKey, Retention, RetentionClass};
use crate::exchange::ExchangeId;
use crate::ledger::checkpoint::{Checkpoint, Signer};
use crate::ledger::verify::{Conclusion, Reading, Report, Status, Trust};
use crate::record::{ClosedWhy, Entry, LossWhy, Sink, wall_clock};
use crate::store::Store;
use crate::store::custody::{Authority, Whose, approve, ask, erase, hold, release};
use crate::store::proofs::{BundleError, Wish, bundle};
use crate::store::retention::enforce;
use crate::store::seal::{SealError, Turn, seal, standing, waiting};
use crate::store::trace::{Payload, show};

fn signer() -> Signer {
    Signer::read("ledger.test", &Signer::generate().expect("random numbers")).expect("a key")
}

/// Stores exchanges of one stream, with a loss and one that crashed among them.
async fn traffic(store: &Store, stream: Uuid, first: u64, exchanges: u8) {
    let mut entries = Vec::new();
    for number in 0..exchanges {
        let exchange = id(number, i64::from(number));
        entries.push(Entry::Begin(Box::new(begin(exchange))));
        entries.push(match number {
            1 => Entry::Closed { exchange, why: ClosedWhy::Crashed },
            _ => Entry::End(Box::new(end(exchange))),
        });
    }
    entries.push(Entry::Loss { count: 3, why: LossWhy::Backlog });
    store.position(stream).await.expect("a stream");
    store.write(stream, &frames(stream, first, entries)).await.expect("stored");
}

async fn sealed(store: &Store, signer: &Signer) -> (Checkpoint, String) {
    match seal(store, signer, None).await.expect("sealed") {
        Turn::Sealed(signed) => (signed.checkpoint, signed.note),
        other => panic!("{other:?}"),
    }
}

async fn verified(store: &Store, trust: &Trust) -> Report {
    let mut out = Vec::new();
    bundle(store, Wish::All, &[], &mut out, |_, _| {}).await.expect("a bundle");
    let mut reading = Reading::default();
    out.split(|byte| *byte == b'\n').for_each(|line| reading.line(line));
    reading.conclude(trust)
}

fn trusting(signer: &Signer) -> Trust {
    Trust { keys: vec![signer.verifier()], checkpoints: Vec::new() }
}

#[test]
fn what_is_stored_is_sealed_and_verifies() {
    with_store(async |store| {
        let (signer, stream) = (signer(), Uuid::now_v7());
        assert!(matches!(bundle(&store, Wish::All, &[], Vec::new(), |_, _| {}).await, Err(BundleError::Nothing)));
        traffic(&store, stream, 1, 4).await;
        store.finish(stream).await.expect("closed");
        store.finish(stream).await.expect("closed again");
        let (checkpoint, note) = sealed(&store, &signer).await;
        // Opening, four pairs, a loss, the close; the key's introduction is sealed in the same turn.
        assert_eq!(checkpoint.size, 12);
        assert_eq!(signer.verifier().open(&note), Some(checkpoint.clone()));
        assert_eq!(waiting(&store).await, Ok((12, 0)));
        assert_eq!(seal(&store, &signer, Some(&checkpoint)).await, Ok(Turn::Idle));
        let report = verified(&store, &trusting(&signer)).await;
        assert_eq!((report.conclusion, report.problems.as_slice()), (Conclusion::Verified, [].as_slice()));
        assert_eq!(report.records.get("present-verified"), Some(&4));
        let standing = standing(&store).await.expect("a standing");
        assert_eq!((standing.sealed, standing.pending, standing.streams.len()), (12, 0, 1));
    });
}

#[test]
fn a_part_of_the_time_is_proven_alone_and_continues_an_earlier_head() {
    with_store(async |store| {
        let (signer, stream) = (signer(), Uuid::now_v7());
        for number in 0..6u8 {
            let exchange = id(number, 60 - i64::from(number) * 10);
            let pair = vec![Entry::Begin(Box::new(begin(exchange))), Entry::End(Box::new(end(exchange)))];
            store.write(stream, &frames(stream, u64::from(number) * 2 + 1, pair)).await.expect("stored");
            sealed(&store, &signer).await;
        }
        let notes: Vec<String> =
            query_scalar("SELECT note FROM checkpoint ORDER BY size").fetch_all(&store.pool).await.expect("notes");
        let now = wall_clock();
        let wish = Wish::Between(now - time::Duration::minutes(45), now - time::Duration::minutes(15));
        let mut out = Vec::new();
        let written = bundle(&store, wish, &notes[1..2], &mut out, |_, _| {}).await.expect("a bundle");
        assert_eq!(written.until - written.from, 6);
        let mut reading = Reading::default();
        out.split(|byte| *byte == b'\n').for_each(|line| reading.line(line));
        let trust = Trust { checkpoints: vec![notes[1].clone()], ..trusting(&signer) };
        let report = reading.conclude(&trust);
        assert_eq!((report.conclusion, report.anchors), (Conclusion::Verified, 1), "{:?}", report.problems);
        assert_eq!(report.records.get("present-verified"), Some(&3));
    });
}

#[test]
fn a_clock_that_jumps_back_and_forth_leaves_everything_stored_and_provable() {
    with_store(async |store| {
        let (signer, stream) = (signer(), Uuid::now_v7());
        let hour = 60;
        let jumps = [0, 2 * hour, -3 * hour, 40 * 24 * hour, 0, -26 * hour, 1];
        for (number, minutes_ago) in (0_u8..).zip(jumps) {
            let exchange = id(number, minutes_ago);
            let pair = vec![Entry::Begin(Box::new(begin(exchange))), Entry::End(Box::new(end(exchange)))];
            let mut pair = frames(stream, u64::from(number) * 2 + 1, pair);
            for (frame, later) in pair.iter_mut().zip([0, -5]) {
                frame.at = wall_clock() - time::Duration::minutes(minutes_ago + later);
            }
            store.write(stream, &pair).await.expect("stored");
            sealed(&store, &signer).await;
        }
        let report = verified(&store, &trusting(&signer)).await;
        assert_eq!((report.conclusion, report.problems.as_slice()), (Conclusion::Verified, [].as_slice()));
        assert_eq!(report.records.get("present-verified"), Some(&jumps.len().try_into().expect("few")));
    });
}

#[test]
fn racing_sealers_make_one_tree() {
    with_store(async |store| {
        let signers = [signer(), signer()];
        let stream = Uuid::now_v7();
        for number in 0..8u8 {
            traffic(&store, stream, u64::from(number) * 3 + 1, 1).await;
            let [first, second] = signers.each_ref().map(|signer| Box::pin(seal(&store, signer, None)));
            let turns = tokio::join!(first, second);
            assert!(turns.0.is_ok() && turns.1.is_ok(), "{turns:?}");
        }
        while let Turn::Sealed(_) | Turn::Busy = seal(&store, &signers[0], None).await.expect("sealed") {}
        let trust = Trust { keys: signers.iter().map(Signer::verifier).collect(), checkpoints: Vec::new() };
        let report = verified(&store, &trust).await;
        // The same exchange came eight times under new numbers: one record, and duplicates of it.
        assert_eq!((report.conclusion, report.problems.as_slice()), (Conclusion::Verified, [].as_slice()));
        assert_eq!(report.records.values().sum::<u64>(), 8);
    });
}

#[test]
fn many_writers_and_racing_sealers_raise_no_false_alarm() {
    with_store(async |store| {
        let signers = [signer(), signer()];
        let writer = async |number: u8| {
            let stream = Uuid::now_v7();
            for batch in 0..10u8 {
                let entries = (0..10u8).flat_map(|one| {
                    let exchange = ExchangeId(Uuid::now_v7());
                    let fits = !(number + batch + one).is_multiple_of(3);
                    let end = if fits { Entry::End(Box::new(end(exchange))) } else { closed(exchange) };
                    [Entry::Begin(Box::new(begin(exchange))), end]
                });
                let first = u64::from(batch) * 20 + 1;
                store.write(stream, &frames(stream, first, entries.collect())).await.expect("stored");
            }
            store.finish(stream).await.expect("closed");
        };
        let sealer = async |signer: &Signer| {
            for _ in 0..30 {
                seal(&store, signer, None).await.expect("sealed");
                tokio::task::yield_now().await;
            }
        };
        let writers = async { tokio::join!(writer(1), writer(2), writer(3), writer(4)) };
        let sealers = async { tokio::join!(sealer(&signers[0]), sealer(&signers[1])) };
        Box::pin(async { tokio::join!(Box::pin(writers), Box::pin(sealers)) }).await;
        while let Turn::Sealed(_) | Turn::Busy = seal(&store, &signers[0], None).await.expect("sealed") {}
        let trust = Trust { keys: signers.iter().map(Signer::verifier).collect(), checkpoints: Vec::new() };
        let report = verified(&store, &trust).await;
        assert_eq!((report.conclusion, report.problems.as_slice()), (Conclusion::Verified, [].as_slice()));
        assert_eq!(report.records.get("present-verified"), Some(&400));
    });
}

fn closed(exchange: ExchangeId) -> Entry {
    Entry::Closed { exchange, why: ClosedWhy::Abandoned }
}

/// Does something to a sealed database with five exchanges, and verifies it.
fn tampered(statement: &'static str, check: impl Fn(&Report)) {
    with_store(async |store| {
        let (signer, stream) = (signer(), Uuid::now_v7());
        traffic(&store, stream, 1, 5).await;
        let (_, note) = sealed(&store, &signer).await;
        let trust = Trust { checkpoints: vec![note], ..trusting(&signer) };
        assert_eq!(verified(&store, &trust).await.conclusion, Conclusion::Verified);
        store.pool.execute(AssertSqlSafe(statement)).await.expect("tampered");
        check(&verified(&store, &trust).await);
    });
}

fn says(report: &Report, what: &str) -> bool {
    report.problems.iter().any(|problem| problem.what.contains(what))
}

#[test]
fn a_changed_value_is_named() {
    tampered("UPDATE record_end SET outcome = 'complied' WHERE sequence = 6", |report| {
        assert_eq!(report.conclusion, Conclusion::Invalid);
        assert!(says(report, "the row of end"), "{:?}", report.problems);
        assert_eq!(report.exceptions.values().copied().collect::<Vec<_>>(), [Status::Altered]);
    });
    tampered("UPDATE record_begin SET caller = 'nobody' WHERE sequence = 1", |report| {
        assert!(says(report, "the row of begin"), "{:?}", report.problems);
    });
    tampered(
        "UPDATE payload SET bytes = set_byte(bytes, 20, get_byte(bytes, 20) # 1), codec = 'none' WHERE part = 'request'",
        |report| {
            assert_eq!(report.conclusion, Conclusion::Invalid);
            assert!(says(report, "the payload request"), "{:?}", report.problems);
        },
    );
    tampered("UPDATE finding SET rule = 'other' WHERE ordinal = 0", |report| {
        assert_eq!(report.conclusion, Conclusion::Invalid);
    });
    tampered("UPDATE evidence SET what = 'other'", |report| assert_eq!(report.conclusion, Conclusion::Invalid));
    tampered("UPDATE loss SET count = 1", |report| assert!(says(report, "the row of loss")));
}

#[test]
fn a_missing_row_is_named() {
    tampered("DELETE FROM record_end WHERE sequence = 6", |report| {
        assert_eq!(report.conclusion, Conclusion::Incomplete);
        assert!(says(report, "the row of end") && says(report, "is missing"), "{:?}", report.problems);
        assert_eq!(report.exceptions.values().copied().collect::<Vec<_>>(), [Status::Missing]);
    });
    tampered("DELETE FROM payload WHERE part = 'received'", |report| {
        assert!(says(report, "the payload received"), "{:?}", report.problems);
    });
    tampered("DELETE FROM payload; DELETE FROM record_begin; DELETE FROM record_end", |report| {
        assert_eq!(report.records.get("missing"), Some(&5));
    });
}

#[test]
fn a_partition_dropped_by_hand_is_named() {
    let drop = "DO $$ DECLARE name text; BEGIN
        FOR name IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'payload'::regclass LOOP
            EXECUTE 'DROP TABLE ' || name;
        END LOOP; END $$";
    tampered(drop, |report| {
        assert_eq!((report.conclusion, report.records.get("missing")), (Conclusion::Incomplete, Some(&5)));
        assert!(says(report, "the payload request"), "{:?}", report.problems);
    });
}

#[test]
fn a_changed_ledger_is_named() {
    // The newest records with their leaves, and the head set back to where it was before them.
    with_store(async |store| {
        let (signer, stream) = (signer(), Uuid::now_v7());
        traffic(&store, stream, 1, 2).await;
        sealed(&store, &signer).await;
        store.pool.execute("CREATE TABLE before AS SELECT * FROM ledger").await.expect("kept");
        let more = id(9, 0);
        let pair = vec![Entry::Begin(Box::new(begin(more))), Entry::End(Box::new(end(more)))];
        store.write(stream, &frames(stream, 6, pair)).await.expect("stored");
        let (head, note) = sealed(&store, &signer).await;
        store
            .pool
            .execute(
                "UPDATE ledger SET size = before.size, roots = before.roots FROM before;
                 DELETE FROM leaf WHERE leaf_index >= (SELECT size FROM before);
                 DELETE FROM checkpoint WHERE size > (SELECT size FROM before);
                 DELETE FROM record_begin WHERE sequence > 5; DELETE FROM record_end WHERE sequence > 5",
            )
            .await
            .expect("tampered");
        let trust = Trust { checkpoints: vec![note], ..trusting(&signer) };
        let report = verified(&store, &trust).await;
        assert_eq!(report.conclusion, Conclusion::Incomplete);
        assert!(says(&report, "leaves were taken away"), "{:?}", report.problems);
        // The gateway that knows the newest head does not sign what was set back.
        let refused = seal(&store, &signer, Some(&head)).await;
        assert!(matches!(refused, Err(SealError::Rewound { .. })), "{refused:?}");
    });
    tampered("UPDATE leaf SET bytes = set_byte(bytes, 70, 1) WHERE leaf_index = 3", |report| {
        assert_eq!(report.conclusion, Conclusion::Invalid);
        assert!(says(report, "do not give the root"), "{:?}", report.problems);
    });
    tampered(
        "UPDATE leaf SET leaf_index = CASE leaf_index WHEN 3 THEN -3 ELSE -4 END WHERE leaf_index IN (3, 4);
         UPDATE leaf SET leaf_index = CASE leaf_index WHEN -3 THEN 4 ELSE 3 END WHERE leaf_index < 0",
        |report| assert_eq!(report.conclusion, Conclusion::Invalid),
    );
}

#[test]
fn what_is_erased_is_gone_and_still_proven_unless_it_is_held() {
    with_store(async |store| {
        let (signer, stream) = (signer(), Uuid::now_v7());
        traffic(&store, stream, 1, 4).await;
        sealed(&store, &signer).await;
        let all: Vec<Uuid> = query_scalar("SELECT exchange FROM record_begin ORDER BY sequence")
            .fetch_all(&store.pool)
            .await
            .expect("ids");
        let authority = Authority { by: "ana", why: "article 17" };
        let whose = |ids: &[Uuid]| Whose::Exchanges(ids.to_vec());
        assert_eq!(hold(&store, &whose(&all[2..3]), "case 7", authority).await, Ok(1));
        assert_eq!(hold(&store, &whose(&all[2..3]), "case 7", authority).await, Ok(0), "held already");
        let strange = Uuid::now_v7();
        let done = erase(&store, &whose(&[all[0], all[2], strange]), authority).await.expect("erased");
        assert_eq!((done.erased, done.held, done.unknown), (vec![all[0]], vec![all[2]], vec![strange]));
        let left = show(&store, all[0]).await.expect("a record").expect("its row");
        assert!(
            left.payloads.is_empty() && left.record.prompt_preview.is_none() && left.record.answer_preview.is_none()
        );
        sealed(&store, &signer).await;
        let report = verified(&store, &trusting(&signer)).await;
        assert_eq!((report.conclusion, report.problems.as_slice()), (Conclusion::Verified, [].as_slice()));
        assert_eq!(report.exceptions.into_iter().collect::<Vec<_>>(), [(all[0], Status::ErasedUnderAuthority)]);

        assert_eq!(release(&store, "case 7", authority).await, Ok(1));
        let asked = ask(&store, &whose(&all[2..3]), authority).await.expect("asked");
        let request = asked.waits_for_approval.expect("a request");
        assert_eq!(approve(&store, request, "ana").await, Ok(None), "nobody approves his own request");
        let done = approve(&store, request, "ben").await.expect("approved").expect("done");
        assert_eq!(done.erased, [all[2]]);
        assert_eq!(approve(&store, request, "cy").await, Ok(None), "it is done");
        let now = wall_clock() + time::Duration::seconds(1);
        let subject = Whose::Subject { tag: "tag-7".to_owned(), since: now - time::Duration::days(2), until: now };
        assert_eq!(erase(&store, &subject, authority).await.expect("erased").erased.len(), 4);
        let caller = Whose::Caller { name: "ana".to_owned(), since: now - time::Duration::days(2), until: now };
        assert_eq!(
            erase(&store, &caller, authority).await.expect("erased").erased.len(),
            4,
            "those erased before have rows"
        );
    });
}

#[test]
fn retention_drops_whole_days_and_months_and_keeps_what_is_held() {
    with_store(async |store| {
        let (signer, stream) = (signer(), Uuid::now_v7());
        let day = 24 * 60;
        let (old, held, flagged, new) = (id(1, 40 * day), id(2, 40 * day), id(3, 40 * day), id(4, 0));
        let mut entries = Vec::new();
        for exchange in [old, held, flagged, new] {
            let mut end = end(exchange);
            if exchange != flagged {
                end.findings.clear();
            }
            entries.push(Entry::Begin(Box::new(begin(exchange))));
            entries.push(Entry::End(Box::new(end)));
        }
        store.write(stream, &frames(stream, 1, entries)).await.expect("stored");
        sealed(&store, &signer).await;
        let authority = Authority { by: "ana", why: "court" };
        hold(&store, &Whose::Exchanges(vec![held.0]), "case 7", authority).await.expect("held");
        let rule: String =
            query_scalar("SELECT rule FROM finding LIMIT 1").fetch_one(&store.pool).await.expect("a rule");
        let classes = vec![RetentionClass { name: rule, payload_days: 90 }];
        let retention =
            Retention { payload_days: Some(30), metadata_months: Some(1), classes, two_person_erasure: false };
        let dropped = enforce(&store, &retention, wall_clock()).await.expect("enforced");
        assert_eq!(dropped.partitions.len(), 1, "a day of payloads; the month of rows is held: {dropped:?}");
        let parts = async |exchange: ExchangeId| {
            let trace = show(&store, exchange.0).await.expect("a record");
            trace.map(|trace| trace.payloads.len())
        };
        assert_eq!(parts(old).await, Some(0));
        assert!(parts(held).await > Some(0) && parts(flagged).await > Some(0) && parts(new).await > Some(0));
        sealed(&store, &signer).await;
        let report = verified(&store, &trusting(&signer)).await;
        assert_eq!((report.conclusion, report.problems.as_slice()), (Conclusion::Verified, [].as_slice()));
        assert_eq!(report.exceptions.get(&old.0), Some(&Status::ExpiredUnderPolicy));
        assert_eq!(report.exceptions.len(), 1);

        release(&store, "case 7", authority).await.expect("released");
        let later = wall_clock() + time::Duration::days(70);
        let dropped = enforce(&store, &retention, later).await.expect("enforced");
        assert!(
            dropped.expired > 0 && dropped.partitions.iter().any(|name| name.starts_with("record_begin")),
            "{dropped:?}"
        );
        sealed(&store, &signer).await;
        let report = verified(&store, &trusting(&signer)).await;
        assert_eq!((report.conclusion, report.problems.as_slice()), (Conclusion::Verified, [].as_slice()));
        assert_eq!(report.records.get("expired-under-policy"), Some(&4));
        // Dropped by hand instead: nothing says why.
        store.pool.execute("DELETE FROM event WHERE kind = 'retention_drop'").await.expect("tampered");
        assert_eq!(verified(&store, &trusting(&signer)).await.conclusion, Conclusion::Incomplete);
    });
}

#[test]
fn hidden_payloads_are_shown_and_proven_with_their_key_and_not_without() {
    with_store(async |plain| {
        let key = |id: &str, byte| PayloadKey { id: id.to_owned(), bytes: [byte; 32] };
        let (signer, stream) = (signer(), Uuid::now_v7());
        let before = plain.clone().hiding(&[key("k1", 1)]);
        traffic(&before, stream, 1, 2).await;
        let store = plain.clone().hiding(&[key("k2", 2), key("k1", 1)]);
        let later = id(9, 0);
        let pair = vec![Entry::Begin(Box::new(begin(later))), Entry::End(Box::new(end(later)))];
        store.write(stream, &frames(stream, 6, pair)).await.expect("stored");
        sealed(&store, &signer).await;
        let ids: Vec<(Option<String>,)> = sqlx::query_as("SELECT DISTINCT key_id FROM payload ORDER BY 1")
            .fetch_all(&store.pool)
            .await
            .expect("keys");
        assert_eq!(ids, [(Some("k1".to_owned()),), (Some("k2".to_owned()),)]);
        let open: i64 = query_scalar("SELECT count(*) FROM payload WHERE position('Tiananmen'::bytea IN bytes) > 0")
            .fetch_one(&store.pool)
            .await
            .expect("a count");
        assert_eq!(open, 0, "no text lies open in the database");
        assert_eq!(verified(&store, &trusting(&signer)).await.conclusion, Conclusion::Verified);
        let trace = show(&store, later.0).await.expect("a record").expect("its row");
        assert!(trace.payloads.values().all(|payload| matches!(payload, Payload::Whole(_))));
        let blind = show(&plain, later.0).await.expect("a record").expect("its row");
        assert!(blind.payloads.values().all(|payload| *payload == Payload::Unreadable));
    });
}

#[test]
fn a_row_put_in_by_hand_shows_as_unsealed() {
    tampered(
        "INSERT INTO record_begin SELECT (jsonb_populate_record(b, jsonb_build_object('exchange', gen_random_uuid()))).*
         FROM record_begin b LIMIT 1",
        |report| assert_eq!((report.conclusion, report.unsealed), (Conclusion::Verified, 1)),
    );
}
