//! Keeps callers' keys current: database to memory on a beat, and a copy on disk for a start without the database.
//! It looks no key up.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::config::Terms;
use crate::identify::Keys;
use crate::store::{self, Store, keys::StoredKey};

/// One key in the copy: a hash and whom it stands for, never the key.
#[derive(Debug, Serialize, Deserialize)]
struct Copied {
    id: String,
    hash: String,
    caller: String,
    team: Option<String>,
    role: Option<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    expires: Option<OffsetDateTime>,
    #[serde(default)]
    models: Option<Vec<String>>,
    /// Requests, tokens, concurrency, and the budgets of day and month.
    #[serde(default)]
    limits: [Option<u64>; 5],
}

/// Reads the copy, where there is one, so that known keys are good before the database is.
pub fn read_copy(path: &Path, keys: &Keys) {
    let Ok(text) = std::fs::read(path) else { return };
    match serde_json::from_slice::<Vec<Copied>>(&text) {
        Ok(copied) => keys.replace(copied.into_iter().filter_map(restore).collect()),
        Err(error) => tracing::warn!(%error, path = %path.display(), "the copy of callers' keys is unreadable"),
    }
}

/// Reads the database's keys again and again, for as long as the process runs. `tell` hears each time whether that went
/// well: it is the one question that the database is asked even when there is no traffic.
pub async fn refresh(
    keys: Arc<Keys>,
    store: Store,
    copy: PathBuf,
    every: Duration,
    tell: impl Fn(Result<(), &store::Error>),
) {
    let mut beat = tokio::time::interval(every);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut written = Vec::new();
    let mut failing = false;
    loop {
        beat.tick().await;
        match store::keys::load_all(&store).await {
            Ok(stored) => {
                tell(Ok(()));
                if std::mem::take(&mut failing) {
                    tracing::info!("callers' keys are read again");
                }
                let text = serialise(&stored);
                keys.replace(stored);
                if text != written && write_private(&copy, &text).is_ok() {
                    written = text;
                }
            }
            Err(error) => {
                tell(Err(&error));
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "callers' keys cannot be read; those known stay good");
                }
            }
        }
    }
}

fn serialise(keys: &[StoredKey]) -> Vec<u8> {
    let valid = keys.iter().filter(|key| key.revoked.is_none());
    let copied: Vec<Copied> = valid
        .map(|key| Copied {
            id: key.id.clone(),
            hash: key.hash.iter().map(|byte| format!("{byte:02x}")).collect(),
            caller: key.caller.clone(),
            team: key.team.clone(),
            role: key.role.clone(),
            expires: key.expires,
            models: key.terms.models.clone(),
            limits: [
                key.terms.requests_per_minute,
                key.terms.tokens_per_minute,
                key.terms.concurrency,
                key.terms.budget_day,
                key.terms.budget_month,
            ],
        })
        .collect();
    serde_json::to_vec(&copied).unwrap_or_default()
}

fn restore(copied: Copied) -> Option<StoredKey> {
    let mut hash = [0; 32];
    let digits = copied.hash.as_bytes();
    if digits.len() != 2 * hash.len() {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    let [requests_per_minute, tokens_per_minute, concurrency, budget_day, budget_month] = copied.limits;
    Some(StoredKey {
        id: copied.id,
        hash,
        caller: copied.caller,
        team: copied.team,
        role: copied.role,
        created: OffsetDateTime::UNIX_EPOCH,
        expires: copied.expires,
        revoked: None,
        terms: Terms {
            models: copied.models,
            requests_per_minute,
            tokens_per_minute,
            concurrency,
            budget_day,
            budget_month,
        },
    })
}

/// Replaces a file whole, readable by its owner only.
fn write_private(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(text)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}
