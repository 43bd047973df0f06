//! The documented roles: the gateway works under two of them, and none can do another's work.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use uuid::Uuid;

use super::fixtures::{begin, end, frames, id};
use super::with_store;
use crate::config::Retention;
use crate::ledger::checkpoint::Signer;
use crate::record::{Entry, Sink, wall_clock};
use crate::store::Store;
use crate::store::custody::{Authority, Whose, erase, hold, release};
use crate::store::migrate;
use crate::store::retention::enforce;
use crate::store::seal::{Turn, seal, standing};

const ROLES: &str = include_str!("../../../../migrations/roles.sql");

/// A store whose sessions have the rights of one user.
async fn under(store: &Store, user: &'static str, roles: &'static str) -> Store {
    let statement = format!(
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{user}') THEN
             CREATE ROLE {user} IN ROLE {roles}; END IF; END $$"
    );
    store.pool.execute(AssertSqlSafe(statement)).await.expect("a user");
    Store::with(store.options.clone().options([("role", user)]))
}

async fn refused(store: &Store, statement: &'static str) {
    let mut connection = PgConnection::connect_with(&store.options).await.expect("a connection");
    let error = connection.execute(AssertSqlSafe(statement)).await.expect_err(statement);
    let code = error.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
    assert_eq!(code.as_deref(), Some("42501"), "{statement}: {error}");
}

#[test]
fn each_role_can_do_its_own_work_and_no_other() {
    with_store(async |owner| {
        owner.pool.execute(ROLES).await.expect("roles");
        owner.pool.execute(ROLES).await.expect("the same again");
        let gateway = under(&owner, "candor_test_gateway", "candor_writer, candor_sealer").await;
        let privacy = under(&owner, "candor_test_privacy", "candor_privacy").await;
        let auditor = under(&owner, "candor_test_auditor", "candor_auditor").await;

        migrate::run(&gateway).await.expect("nothing to migrate, partitions ahead");
        let (stream, exchange) = (Uuid::now_v7(), id(1, 60 * 24 * 40));
        let pair = vec![Entry::Begin(Box::new(begin(exchange))), Entry::End(Box::new(end(exchange)))];
        gateway.position(stream).await.expect("a stream");
        gateway.write(stream, &frames(stream, 1, pair.clone())).await.expect("stored");
        gateway.write(stream, &frames(stream, 3, pair)).await.expect("stored again, as duplicates");
        gateway.finish(stream).await.expect("closed");
        let signer = Signer::read("test", &Signer::generate().expect("random")).expect("a key");
        assert!(matches!(seal(&gateway, &signer, None).await, Ok(Turn::Sealed(_))));
        for statement in [
            "UPDATE record_end SET outcome = 'complied'",
            "DELETE FROM record_begin",
            "DELETE FROM payload",
            "UPDATE leaf SET bytes = ''",
            "DELETE FROM leaf",
            "DELETE FROM event",
            "DELETE FROM checkpoint",
            "SELECT drop_partition('payload')",
            "INSERT INTO held SELECT exchange, occurred_at, 'm', exchange FROM record_begin",
            "TRUNCATE record_begin",
        ] {
            refused(&gateway, statement).await;
        }

        let authority = Authority { by: "ana", why: "test" };
        let whose = Whose::Exchanges(vec![exchange.0]);
        hold(&privacy, &whose, "m", authority).await.expect("held");
        let retention = Retention { payload_days: Some(30), ..Retention::default() };
        let dropped = enforce(&privacy, &retention, wall_clock()).await.expect("enforced");
        assert!(dropped.kept > 0 && !dropped.partitions.is_empty());
        release(&privacy, "m", authority).await.expect("released");
        assert_eq!(erase(&privacy, &whose, authority).await.expect("erased").erased, [exchange.0]);
        for statement in [
            "UPDATE record_end SET outcome = 'complied'",
            "INSERT INTO record_begin SELECT * FROM record_begin",
            "DELETE FROM record_end",
            "DELETE FROM leaf",
            "UPDATE event SET text = ''",
            "DELETE FROM pending",
        ] {
            refused(&privacy, statement).await;
        }
        assert!(matches!(seal(&gateway, &signer, None).await, Ok(Turn::Sealed(_))));

        assert!(standing(&auditor).await.expect("a standing").sealed > 0);
        for statement in ["SELECT * FROM payload", "SELECT preview FROM record_begin", "SELECT * FROM caller_key"] {
            refused(&auditor, statement).await;
        }
    });
}
