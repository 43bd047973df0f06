//! Locks that outlive a panic elsewhere. What they guard is counts and estimates, true enough in any state.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks for a few instructions; never across an await.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
