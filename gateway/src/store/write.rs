//! Frames of the spool into rows: every frame exactly once, whoever ships it and however often. It decides no retry.

use std::time::Duration;

use sqlx::{PgConnection, query, query_as, query_scalar};
use uuid::Uuid;

use super::insert::insert_rows;
use super::leaves::{Draft, insert_pending};
use super::rows::{Batch, signed};
use super::{Error, Store};
use crate::ledger::leaf::Kind;
use crate::record::{Frame, Sink, SinkError};

/// Longest that a batch may take.
const PATIENCE: Duration = Duration::from_secs(60);

impl Sink for Store {
    async fn position(&self, stream: Uuid) -> Result<u64, SinkError> {
        let stored = async {
            let log = self.log().await?;
            let mut transaction = self.pool.begin().await?;
            let last = cursor(&mut transaction, stream, log).await?;
            transaction.commit().await?;
            Ok::<_, Error>(last)
        };
        Ok(u64::try_from(within_time(stored).await??).unwrap_or_default())
    }

    async fn write(&self, stream: Uuid, frames: &[Frame]) -> Result<(), SinkError> {
        within_time(self.store_frames(stream, frames)).await?
    }

    async fn finish(&self, stream: Uuid) -> Result<(), SinkError> {
        Ok(within_time(self.close_stream(stream)).await??)
    }
}

impl Store {
    async fn store_frames(&self, stream: Uuid, frames: &[Frame]) -> Result<(), SinkError> {
        let sorted = || Batch::of(frames).map_err(sqlx::Error::from).map_err(Error::from);
        let batch = sorted()?;
        let log = self.log().await?;
        self.make_partitions(&batch).await?;
        match Box::pin(self.insert(stream, frames, batch, log)).await {
            Err(error) if lacks_partition(&error) => {
                self.known.forget();
                let batch = sorted()?;
                self.make_partitions(&batch).await?;
                // Still lacking it is no fault of the rows.
                let again = Box::pin(self.insert(stream, frames, batch, log)).await;
                again.map_err(|error| match lacks_partition(&error) {
                    true => SinkError::Unavailable(Error::from(error).to_string()),
                    false => Error::from(error).into(),
                })
            }
            done => Ok(done.map_err(Error::from)?),
        }
    }

    /// Says that all of a stream is stored; once, however often it is said.
    async fn close_stream(&self, stream: Uuid) -> Result<(), Error> {
        let log = self.log().await?;
        let mut transaction = self.pool.begin().await?;
        let last: Option<i64> = query_scalar(
            "UPDATE stream SET closed = now() WHERE stream = $1 AND closed IS NULL RETURNING last_sequence",
        )
        .bind(stream)
        .fetch_optional(&mut *transaction)
        .await?;
        if let Some(last) = last {
            let leaf = Draft::place(Kind::StreamClose, stream, last).leaf(log, stream);
            insert_pending(&mut transaction, std::iter::once(leaf)).await?;
        }
        Ok(transaction.commit().await?)
    }

    async fn make_partitions(&self, batch: &Batch<'_>) -> Result<(), Error> {
        let begins = batch.begins.iter().map(|row| row.key.occurred_at);
        let ends = batch.ends.iter().map(|row| row.key.occurred_at);
        self.known.make_for(self, begins.chain(ends)).await
    }

    /// One transaction: the cursor is locked, the rows beyond it are inserted, the cursor is moved.
    async fn insert(&self, stream: Uuid, frames: &[Frame], batch: Batch<'_>, log: Uuid) -> Result<(), sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        let stored = cursor(&mut transaction, stream, log).await?;
        // Another shipper of the same stream may have come first; what it stored is not stored again.
        let new = frames.partition_point(|frame| signed(frame.sequence) <= stored);
        match frames.get(new..) {
            Some([]) | None => return transaction.rollback().await,
            Some(_) if new == 0 => insert_rows(&mut transaction, stream, batch, log, &self.keys).await?,
            Some(rest) => insert_rows(&mut transaction, stream, Batch::of(rest)?, log, &self.keys).await?,
        }
        query("UPDATE stream SET last_sequence = $2 WHERE stream = $1")
            .bind(stream)
            .bind(frames.last().map(|frame| signed(frame.sequence)))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await
    }
}

impl From<Error> for SinkError {
    fn from(error: Error) -> Self {
        match error {
            Error::Data(why) => Self::Poison(why),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

/// Bounds work from this side too: a server that is cut off says nothing, not even that its own bounds have passed.
async fn within_time<T>(work: impl Future<Output = T>) -> Result<T, SinkError> {
    let late = |_| SinkError::Unavailable(format!("no answer within {}s", PATIENCE.as_secs()));
    tokio::time::timeout(PATIENCE, work).await.map_err(late)
}

/// Whether there was no partition for a row; no table has another check that could break.
fn lacks_partition(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "23514")
}

/// Registers a stream, locks it for the transaction, and gives the last sequence number that is stored.
async fn cursor(connection: &mut PgConnection, stream: Uuid, log: Uuid) -> Result<i64, sqlx::Error> {
    let (last, new): (i64, bool) = query_as(
        "INSERT INTO stream (stream) VALUES ($1)
         ON CONFLICT (stream) DO UPDATE SET heartbeat = now() RETURNING last_sequence, xmax = 0",
    )
    .bind(stream)
    .fetch_one(&mut *connection)
    .await?;
    if new {
        let leaf = Draft::place(Kind::StreamOpen, stream, 0).leaf(log, stream);
        insert_pending(connection, std::iter::once(leaf)).await?;
    }
    Ok(last)
}
