//! Frames of the spool into rows: every frame exactly once, whoever ships it and however often. It decides no retry.

use std::time::Duration;

use sqlx::{PgConnection, query, query_scalar};
use uuid::Uuid;

use super::insert::insert_rows;
use super::rows::{Batch, signed};
use super::{Error, Store};
use crate::record::{Frame, Sink, SinkError};

/// Longest that a batch may take.
const PATIENCE: Duration = Duration::from_secs(60);

impl Sink for Store {
    async fn position(&self, stream: Uuid) -> Result<u64, SinkError> {
        let stored = async { cursor(&mut *self.pool.acquire().await?, stream).await };
        let last = within_time(stored).await?.map_err(Error::from)?;
        Ok(u64::try_from(last).unwrap_or_default())
    }

    async fn write(&self, stream: Uuid, frames: &[Frame]) -> Result<(), SinkError> {
        within_time(self.store_frames(stream, frames)).await?
    }
}

impl Store {
    async fn store_frames(&self, stream: Uuid, frames: &[Frame]) -> Result<(), SinkError> {
        let batch = Batch::of(frames);
        self.make_partitions(&batch).await?;
        match Box::pin(self.insert(stream, frames, &batch)).await {
            Err(error) if lacks_partition(&error) => {
                self.known.forget();
                self.make_partitions(&batch).await?;
                // Still lacking it is no fault of the rows.
                let again = Box::pin(self.insert(stream, frames, &batch)).await;
                again.map_err(|error| match lacks_partition(&error) {
                    true => SinkError::Unavailable(Error::from(error).to_string()),
                    false => Error::from(error).into(),
                })
            }
            done => Ok(done.map_err(Error::from)?),
        }
    }

    async fn make_partitions(&self, batch: &Batch<'_>) -> Result<(), Error> {
        let begins = batch.begins.iter().map(|row| row.key.occurred_at);
        let ends = batch.ends.iter().map(|row| row.key.occurred_at);
        self.known.make_for(self, begins.chain(ends)).await
    }

    /// One transaction: the cursor is locked, the rows beyond it are inserted, the cursor is moved.
    async fn insert(&self, stream: Uuid, frames: &[Frame], batch: &Batch<'_>) -> Result<(), sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        let stored = cursor(&mut transaction, stream).await?;
        // Another shipper of the same stream may have come first; what it stored is not stored again.
        let new = frames.partition_point(|frame| signed(frame.sequence) <= stored);
        match frames.get(new..) {
            Some([]) | None => return transaction.rollback().await,
            Some(_) if new == 0 => insert_rows(&mut transaction, stream, batch).await?,
            Some(rest) => insert_rows(&mut transaction, stream, &Batch::of(rest)).await?,
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
async fn cursor(connection: &mut PgConnection, stream: Uuid) -> Result<i64, sqlx::Error> {
    query_scalar(
        "INSERT INTO stream (stream) VALUES ($1)
         ON CONFLICT (stream) DO UPDATE SET heartbeat = now() RETURNING last_sequence",
    )
    .bind(stream)
    .fetch_one(connection)
    .await
}
