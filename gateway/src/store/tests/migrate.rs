//! Migrations: from nothing to this version, and what is refused.

use sqlx::{Executor, query_scalar};

use super::{with_empty_store, with_store};
use crate::ledger::checkpoint::Signer;
use crate::record::wall_clock;
use crate::store::Error;
use crate::store::migrate::{Done, newest, run, run_to};
use crate::store::seal::{Turn, seal, waiting};

#[test]
fn an_empty_database_is_migrated_and_a_current_one_is_left_alone() {
    with_empty_store(async |store| {
        assert_eq!(run(&store).await, Ok(Done { before: 0, now: newest() }));
        assert_eq!(run(&store).await, Ok(Done { before: newest(), now: newest() }));
    });
}

#[test]
fn gateways_that_start_together_migrate_once() {
    with_empty_store(async |store| {
        let (one, two, three) = tokio::join!(run(&store), run(&store), run(&store));
        for done in [one, two, three] {
            assert_eq!(done.map(|done| done.now), Ok(newest()));
        }
    });
}

#[test]
fn leaves_and_records_of_an_older_version_are_kept() {
    with_empty_store(async |store| {
        run_to(&store, 6).await.expect("the older version");
        let old = "SELECT make_partitions('{}', ARRAY['2026-11-01'::date]);
            INSERT INTO record_end (exchange, occurred_at, stream, sequence, ended_at, ending)
            SELECT gen_random_uuid(), '2026-11-20', gen_random_uuid(), 1, now(), 'crashed' FROM generate_series(1, 3);
            INSERT INTO pending (bytes) SELECT convert_to('leaf ' || n, 'UTF8') FROM generate_series(1, 3) AS n";
        store.pool.execute(sqlx::raw_sql(old)).await.expect("records");
        assert_eq!(run(&store).await, Ok(Done { before: 6, now: newest() }));
        assert_eq!(waiting(&store).await, Ok((0, 3)));
        let kept: i64 = query_scalar("SELECT count(*) FROM record_end").fetch_one(&store.pool).await.expect("rows");
        let keys: i64 = query_scalar(
            "SELECT count(*) FROM pg_indexes WHERE tablename LIKE 'record_%_2026_11' AND indexdef LIKE '%UNIQUE%(occurred_at, exchange)'",
        )
        .fetch_one(&store.pool)
        .await
        .expect("indexes");
        assert_eq!((kept, keys), (3, 2), "old partitions have the new key");
        let signer = Signer::read("test", &Signer::generate().expect("random")).expect("a key");
        let Turn::Sealed(signed) = seal(&store, &signer, None).await.expect("sealed") else { panic!("not sealed") };
        // The signer's introduction is the fourth.
        assert_eq!((signed.added, signed.checkpoint.size), (4, 4));
        let first: Vec<u8> =
            query_scalar("SELECT bytes FROM leaf WHERE leaf_index = 0").fetch_one(&store.pool).await.expect("a leaf");
        assert_eq!(first, b"leaf 1");
    });
}

#[test]
fn a_database_of_another_program_is_refused() {
    with_store(async |store| {
        let newer = "INSERT INTO migration (version, name, digest) VALUES (4711, 'later', '')";
        store.pool.execute(newer).await.expect("a newer database");
        assert_eq!(run(&store).await, Err(Error::Newer { database: 4711, program: newest() }));
        let changed = "DELETE FROM migration WHERE version = 4711; UPDATE migration SET digest = 'x' WHERE version = 1";
        store.pool.execute(sqlx::raw_sql(changed)).await.expect("a changed database");
        assert_eq!(run(&store).await, Err(Error::Changed { version: 1 }));
    });
}

#[test]
fn partitions_are_made_ahead_and_payloads_are_never_compressed_by_the_server() {
    with_store(async |store| {
        run(&store).await.expect("migrated");
        let names: Vec<String> = query_scalar(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'payload'::regclass ORDER BY 1",
        )
        .fetch_all(&store.pool)
        .await
        .expect("partitions");
        let today = wall_clock().date();
        for day in 0..=7 {
            let day = today + time::Duration::days(day);
            let name = format!("payload_{:04}_{:02}_{:02}", day.year(), u8::from(day.month()), day.day());
            assert!(names.contains(&name), "{name} is not in {names:?}");
        }
        assert!((8..=9).contains(&names.len()), "{names:?}");
        let months: i64 = query_scalar("SELECT count(*) FROM pg_inherits WHERE inhparent = 'record_end'::regclass")
            .fetch_one(&store.pool)
            .await
            .expect("partitions");
        assert!((3..=4).contains(&months), "{months}");
        let compressed: i64 = query_scalar(
            "SELECT count(*) FROM pg_attribute JOIN pg_inherits ON attrelid = inhrelid
             WHERE inhparent = 'payload'::regclass AND attname = 'bytes' AND attstorage <> 'e'",
        )
        .fetch_one(&store.pool)
        .await
        .expect("storage");
        assert_eq!(compressed, 0);
    });
}
