//! Writing: exactly once, whatever comes twice, is odd, or is refused.

use std::time::Duration;

use sqlx::{Executor, query_scalar};
use time::Date;
use uuid::Uuid;

use super::fixtures::{begin, end, finding, frames, id, segment};
use super::with_store;
use crate::config::{Database, Secret};
use crate::exchange::{Action, Channel, ExchangeId};
use crate::record::wall_clock;
use crate::record::{ClosedWhy, Entry, LossWhy, Sink, SinkError};
use crate::store::Store;
use crate::store::records::{Filter, list};
use crate::store::trace::show;

async fn count(store: &Store, table: &'static str) -> i64 {
    let text = match table {
        "record_begin" => "SELECT count(*) FROM record_begin",
        "record_end" => "SELECT count(*) FROM record_end",
        "payload" => "SELECT count(*) FROM payload",
        _ => "SELECT count(*) FROM loss",
    };
    query_scalar(text).fetch_one(&store.pool).await.expect("a count")
}

fn pair(exchange: ExchangeId) -> Vec<Entry> {
    vec![Entry::Begin(Box::new(begin(exchange))), Entry::End(Box::new(end(exchange)))]
}

#[test]
fn the_cursor_stands_at_the_last_frame_that_is_stored() {
    with_store(async |store| {
        let stream = Uuid::now_v7();
        assert_eq!(store.position(stream).await, Ok(0));
        store.write(stream, &frames(stream, 1, pair(id(1, 0)))).await.expect("stored");
        assert_eq!(store.position(stream).await, Ok(2));
        assert_eq!(store.position(Uuid::now_v7()).await, Ok(0));
    });
}

#[test]
fn frames_that_come_again_are_stored_once() {
    with_store(async |store| {
        let stream = Uuid::now_v7();
        let all = frames(stream, 1, [pair(id(1, 0)), pair(id(2, 0)), pair(id(3, 0))].concat());
        // As after a crash between commit and answer; then a batch that overlaps; then all of it; then under new
        // numbers.
        for batch in [&all[..2], &all[..2], &all[1..4], &all[..]] {
            store.write(stream, batch).await.expect("stored");
        }
        let again = frames(stream, 7, pair(id(1, 0)));
        store.write(stream, &again[..]).await.expect("stored");
        assert_eq!(store.position(stream).await, Ok(8));
        store.write(stream, &frames(stream, 9, vec![all[0].entry.clone()])).await.expect("stored");
        assert_eq!((count(&store, "record_begin").await, count(&store, "record_end").await), (4, 4));
    });
}

#[test]
fn racing_shippers_of_one_stream_store_each_frame_once() {
    with_store(async |store| {
        let stream = Uuid::now_v7();
        let all = frames(stream, 1, (0..40).flat_map(|number| pair(id(number, 0))).collect());
        let ship = async || {
            for batch in all.chunks(10) {
                store.write(stream, batch).await.expect("stored");
            }
        };
        tokio::join!(ship(), ship(), ship());
        assert_eq!((count(&store, "record_begin").await, count(&store, "record_end").await), (40, 40));
        assert_eq!(count(&store, "payload").await, 40 * 4);
    });
}

#[test]
fn odd_texts_are_stored_and_never_poison() {
    with_store(async |store| {
        let exchange = id(1, 0);
        let mut odd = begin(exchange);
        odd.model = "m\0".repeat(40_000);
        odd.peer = "\u{1f600}".repeat(1000);
        odd.preview = Some("p\0q".to_owned());
        odd.request = bytes::Bytes::from_static(b"\xff\0 not json");
        let mut odd_end = end(exchange);
        odd_end.fault = Some("nul \0 within".to_owned());
        odd_end.segments = vec![segment(Channel::Answer, "a\0b")];
        odd_end.findings = vec![finding(&"r".repeat(5000), None, Action::Stop)];
        odd_end.verdict.manners.clear();
        let stream = Uuid::now_v7();
        let entries = vec![Entry::Begin(Box::new(odd)), Entry::End(Box::new(odd_end))];
        store.write(stream, &frames(stream, 1, entries)).await.expect("stored");
        let trace = show(&store, exchange.0).await.expect("read").expect("there");
        assert!(trace.record.model.starts_with("m\u{fffd}m") && trace.record.model.len() <= 512);
        assert_eq!(trace.record.fault.as_deref(), Some("nul \u{fffd} within"));
        assert_eq!(trace.record.answer_preview.as_deref(), Some("a\u{fffd}b"));
        assert_eq!(trace.record.prompt_preview.as_deref(), Some("p\u{fffd}q"));
    });
}

#[test]
fn closed_exchanges_and_losses_are_stored_as_such() {
    with_store(async |store| {
        let (stream, exchange) = (Uuid::now_v7(), id(1, 90));
        let entries = vec![
            Entry::Begin(Box::new(begin(exchange))),
            Entry::Closed { exchange, why: ClosedWhy::Crashed },
            Entry::Loss { count: 3, why: LossWhy::Quarantined },
        ];
        store.write(stream, &frames(stream, 1, entries)).await.expect("stored");
        let trace = show(&store, exchange.0).await.expect("read").expect("there");
        assert_eq!((trace.record.ending.as_deref(), trace.record.outcome), (Some("crashed"), None));
        let since = wall_clock() - Duration::from_secs(60);
        let losses = crate::store::records::losses(&store, since).await;
        assert_eq!(losses, Ok(vec![("quarantined".to_owned(), 3)]));
    });
}

#[test]
fn an_end_whose_begin_was_lost_is_still_shown_and_listed() {
    with_store(async |store| {
        let (stream, exchange) = (Uuid::now_v7(), id(1, 5));
        let entries = vec![Entry::Loss { count: 1, why: LossWhy::Poison }, Entry::End(Box::new(end(exchange)))];
        store.write(stream, &frames(stream, 1, entries)).await.expect("stored");
        let trace = show(&store, exchange.0).await.expect("read").expect("there");
        assert_eq!((trace.record.caller.as_str(), trace.record.begin_sequence), ("unknown", None));
        assert_eq!((trace.record.outcome.as_deref(), trace.record.end_sequence), (Some("refused"), Some(2)));
        let since = wall_clock() - Duration::from_secs(3600);
        let filter = Filter { outcome: Some("refused".to_owned()), ..Filter::since(since, 5) };
        assert_eq!(list(&store, &filter).await.map(|found| found.len()), Ok(1));
    });
}

#[test]
fn what_can_never_be_stored_is_poison_and_moves_no_cursor() {
    with_store(async |store| {
        let stream = Uuid::now_v7();
        let mut batch = frames(stream, 1, vec![Entry::Loss { count: 1, why: LossWhy::Poison }]);
        batch[0].at = Date::MIN.midnight().assume_utc();
        let refused = store.write(stream, &batch).await;
        assert!(matches!(refused, Err(SinkError::Poison(_))), "{refused:?}");
        assert_eq!(store.position(stream).await, Ok(0));
    });
}

#[test]
fn an_old_backlog_gets_partitions_and_so_does_what_lost_its_own() {
    with_store(async |store| {
        let stream = Uuid::now_v7();
        let old = id(1, 400 * 24 * 60);
        store.write(stream, &frames(stream, 1, pair(old))).await.expect("stored");
        assert!(show(&store, old.0).await.expect("read").is_some());
        // Somebody drops a partition that this process believes to be there.
        let drop_all =
            "DO $$ DECLARE t regclass; BEGIN FOR t IN SELECT inhrelid FROM pg_inherits JOIN pg_class ON oid = inhrelid
                        WHERE relkind = 'r' LOOP EXECUTE format('DROP TABLE %s', t); END LOOP; END $$";
        store.pool.execute(drop_all).await.expect("dropped");
        store.write(stream, &frames(stream, 3, pair(id(2, 0)))).await.expect("stored");
        assert!(show(&store, id(2, 0).0).await.is_ok());
        assert_eq!(count(&store, "record_end").await, 1);
    });
}

#[test]
fn an_error_of_the_database_is_poison_only_if_the_data_are_at_fault() {
    with_store(async |store| {
        let cases = [
            ("22P02", "poison"),    // a text that is no value of its type
            ("22021", "poison"),    // bytes that are no text
            ("23502", "poison"),    // a null where none may be
            ("54000", "poison"),    // past a limit of the server
            ("53100", "try again"), // the disk is full
            ("53300", "try again"), // too many connections
            ("25006", "try again"), // read only
            ("40P01", "try again"), // a deadlock
            ("55P03", "try again"), // a lock that took too long
            ("57014", "try again"), // a statement that took too long
            ("57P01", "try again"), // shut down by an administrator
            ("42501", "try again"), // a right that is missing
            ("42P01", "try again"), // a table that is missing
            ("XX000", "try again"), // its own fault
        ];
        for (code, expected) in cases {
            let raise = format!("DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END $$");
            let error = store.pool.execute(sqlx::AssertSqlSafe(raise)).await.expect_err("raised");
            let found = match SinkError::from(crate::store::Error::from(error)) {
                SinkError::Poison(_) => "poison",
                SinkError::Unavailable(_) => "try again",
            };
            assert_eq!(found, expected, "{code}");
        }
    });
}

#[test]
fn a_read_only_database_means_try_again() {
    with_store(async |store| {
        let read_only = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on',
                         current_database()); END $$";
        store.pool.execute(read_only).await.expect("read only from the next session on");
        let store = Store::with(store.options.clone());
        let stream = Uuid::now_v7();
        let refused = store.write(stream, &frames(stream, 1, pair(id(1, 0)))).await;
        assert!(matches!(refused, Err(SinkError::Unavailable(_))), "{refused:?}");
    });
}

#[test]
fn a_database_that_is_away_or_not_migrated_means_try_again() {
    super::with_empty_store(async |store| {
        let stream = Uuid::now_v7();
        let refused = store.write(stream, &frames(stream, 1, pair(id(1, 0)))).await;
        assert!(matches!(refused, Err(SinkError::Unavailable(_))), "{refused:?}");
    });
    super::block_on(async {
        let nowhere = Database::Url(Secret::new("postgres://nobody:word@127.0.0.1:1/none"));
        let store = Store::connect(&nowhere, std::path::Path::new("/")).expect("lazy");
        let refused = store.position(Uuid::now_v7()).await;
        assert!(matches!(refused, Err(SinkError::Unavailable(_))), "{refused:?}");
        let away = store.ready().await.map_err(|error| error.to_string()).expect_err("nobody is there");
        assert!(away.contains("refused") && !away.contains("word"), "{away}");
    });
}
