//! The directories of streams: made, locked, found again after a crash, and removed when all in them is stored.
//! It reads no segment.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use super::disk::Disk;
use super::log::{Log, Segment};
use super::recover::recover;
use crate::cipher::Keys;
use crate::record::counts::Counts;

/// The place where all streams of a data directory live.
pub(in crate::record) struct Streams {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    counts: Arc<Counts>,
    keys: Arc<Keys>,
    segment_bytes: u64,
}

/// One stream on the disk, as it is seen from outside.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Waiting {
    /// Its id.
    pub stream: Uuid,
    /// Whether a process is writing or shipping it.
    pub in_use: bool,
    /// Segments that are not stored as a whole.
    pub segments: usize,
    /// Bytes of them.
    pub bytes: u64,
    /// Files that are kept for people to look at: damaged segments, frames that the store can never hold.
    pub evidence: Vec<String>,
}

/// The streams that lie under a data directory, oldest first.
///
/// # Errors
/// The directory cannot be read.
pub(in crate::record) fn look(disk: &dyn Disk, data: &Path) -> io::Result<Vec<Waiting>> {
    let root = data.join("spool");
    let mut found = Vec::new();
    for name in disk.list(&root)? {
        let Ok(stream) = name.parse::<Uuid>() else { continue };
        let directory = root.join(name);
        // A directory that vanishes meanwhile is stored.
        let Ok(names) = disk.list(&directory) else { continue };
        let in_use = matches!(disk.lock(&directory.join(LOCK)), Ok(None));
        let segments = names.iter().filter(|name| Segment::parse(name).is_some());
        let sizes: Vec<u64> = segments.map(|name| disk.size(&directory.join(name)).unwrap_or_default()).collect();
        let evidence = names.iter().filter(|name| Segment::is_evidence(name)).cloned().collect();
        found.push(Waiting { stream, in_use, segments: sizes.len(), bytes: sizes.iter().sum(), evidence });
    }
    found.sort_unstable_by_key(|waiting| waiting.stream);
    Ok(found)
}

/// The file whose lock says that a process lives.
const LOCK: &str = "lock";

impl Streams {
    /// Opens the place, making it where it is missing.
    pub(in crate::record) fn open(
        disk: Arc<dyn Disk>,
        data: &Path,
        (counts, keys): (Arc<Counts>, Arc<Keys>),
        segment_bytes: u64,
    ) -> io::Result<Self> {
        let root = data.join("spool");
        disk.make_directory(&root)?;
        disk.sync_directory(data)?;
        let streams = Self { disk, root, counts, keys, segment_bytes };
        streams.count_evidence()?;
        Ok(streams)
    }

    /// Damaged segments and dead letters of all streams take of the budget, too.
    fn count_evidence(&self) -> io::Result<()> {
        for name in self.disk.list(&self.root)? {
            let directory = self.root.join(name);
            // Whatever cannot be listed is not a stream, or is just being removed.
            for name in self.disk.list(&directory).unwrap_or_default() {
                if Segment::is_evidence(&name) {
                    self.counts.add_bytes(self.disk.size(&directory.join(name)).unwrap_or_default());
                }
            }
        }
        Ok(())
    }

    /// Begins a stream. Its directory gets its name only once it is locked, so that nobody takes it for an orphan.
    pub(in crate::record) fn begin(&self) -> io::Result<Arc<Log>> {
        let stream = Uuid::now_v7();
        let hidden = self.root.join(format!(".{stream}"));
        let directory = self.root.join(stream.to_string());
        self.disk.make_directory(&hidden)?;
        let lock = self.disk.lock(&hidden.join(LOCK))?.ok_or_else(|| io::Error::other("a new spool is locked"))?;
        self.disk.rename(&hidden, &directory)?;
        self.disk.sync_directory(&self.root)?;
        Ok(Arc::new(Log::new(self.disk.clone(), directory, stream, (self.counts.clone(), self.keys.clone()), lock)))
    }

    /// Takes over the streams of processes that live no more, oldest first. One that cannot be read is left for later.
    pub(in crate::record) fn adopt(&self) -> io::Result<Vec<Arc<Log>>> {
        let names = self.disk.list(&self.root)?;
        let mut streams: Vec<Uuid> = names.iter().filter_map(|name| name.parse().ok()).collect();
        streams.sort_unstable();
        let mut adopted = Vec::new();
        for stream in streams {
            match self.adopt_one(stream) {
                Ok(log) => adopted.extend(log),
                Err(error) => tracing::error!(%error, %stream, "a spool cannot be taken over"),
            }
        }
        Ok(adopted)
    }

    fn adopt_one(&self, stream: Uuid) -> io::Result<Option<Arc<Log>>> {
        let directory = self.root.join(stream.to_string());
        let lock = match self.disk.lock(&directory.join(LOCK)) {
            Ok(Some(lock)) => lock,
            Ok(None) => return Ok(None),
            // Another process has just finished it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let log =
            Arc::new(Log::new(self.disk.clone(), directory, stream, (self.counts.clone(), self.keys.clone()), lock));
        if recover(&log, self.segment_bytes)? {
            return Ok(Some(log));
        }
        self.remove(&log)?;
        Ok(None)
    }

    /// Removes a stream that is stored. Damaged segments and dead letters stay, and their directory with them.
    pub(in crate::record) fn remove(&self, log: &Log) -> io::Result<()> {
        log.clear()?;
        let names = match self.disk.list(&log.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            names => names?,
        };
        if names.iter().any(|name| name != LOCK) {
            return self.disk.sync_directory(&log.directory);
        }
        if !names.is_empty() {
            self.disk.remove(&log.directory.join(LOCK))?;
        }
        self.disk.remove_directory(&log.directory)?;
        self.disk.sync_directory(&self.root)
    }
}
