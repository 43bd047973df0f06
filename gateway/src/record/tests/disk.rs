//! A file system in memory that fails when told to, and forgets at a crash what was not synced, in any order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::record::spool::{Disk, Input, Lock, Output};

/// A disk that can be broken. Clones are the same disk.
#[derive(Clone, Default)]
pub(in crate::record) struct Broken {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    files: Vec<File>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    locks: BTreeSet<PathBuf>,
    faults: VecDeque<bool>,
    full: bool,
    unreadable: BTreeSet<usize>,
}

#[derive(Default, Clone)]
struct File {
    /// What a reader sees.
    content: Vec<u8>,
    /// What a crash leaves for sure.
    durable: Vec<u8>,
    /// What a crash may leave, piece by piece.
    pending: Vec<(usize, Vec<u8>)>,
}

/// Bytes that a crash keeps or loses as one.
const SECTOR: usize = 64;

struct Handle {
    disk: Broken,
    file: usize,
}

struct Held {
    disk: Broken,
    path: PathBuf,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.disk.state().locks.remove(&self.path);
    }
}

impl Broken {
    /// The next writes, syncs and creations fail where this says so.
    pub(in crate::record) fn fail_next(&self, faults: impl IntoIterator<Item = bool>) {
        self.state().faults = faults.into_iter().collect();
    }

    /// Whether every write fails for want of room.
    pub(in crate::record) fn set_full(&self, full: bool) {
        self.state().full = full;
    }

    /// The machine stops: of what was not synced, a part stays, and nobody holds a lock.
    pub(in crate::record) fn crash(&self, random: &mut fastrand::Rng) {
        let mut state = self.state();
        let names: BTreeSet<PathBuf> = state.names.keys().chain(state.durable_names.keys()).cloned().collect();
        for path in names {
            let (now, durable) = (state.names.get(&path).copied(), state.durable_names.get(&path).copied());
            let kept = if random.bool() { now } else { durable };
            match kept {
                Some(file) => _ = state.names.insert(path, file),
                None => _ = state.names.remove(&path),
            }
        }
        state.durable_names = state.names.clone();
        state.locks.clear();
        state.faults.clear();
        state.full = false;
        for file in &mut state.files {
            file.crash(random);
        }
    }

    /// A file can be read no more.
    pub(in crate::record) fn make_unreadable(&self, path: &Path) {
        let mut state = self.state();
        let file = state.names[path];
        state.unreadable.insert(file);
    }

    /// The names and sizes of files.
    pub(in crate::record) fn files(&self) -> Vec<(PathBuf, usize)> {
        let state = self.state();
        state.names.iter().map(|(path, file)| (path.clone(), state.files[*file].content.len())).collect()
    }

    /// Changes bytes of a file on the disk.
    pub(in crate::record) fn change(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let file = state.names[path];
        let file = &mut state.files[file];
        change(&mut file.content);
        file.durable = file.content.clone();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl File {
    fn crash(&mut self, random: &mut fastrand::Rng) {
        let mut left = std::mem::take(&mut self.durable);
        for (offset, bytes) in std::mem::take(&mut self.pending) {
            for (place, sector) in bytes.chunks(SECTOR).enumerate() {
                if random.u8(0..4) == 0 {
                    continue;
                }
                let at = offset + place * SECTOR;
                let sector =
                    &sector[..if random.u8(0..8) == 0 { random.usize(0..=sector.len()) } else { sector.len() }];
                left.resize(left.len().max(at + sector.len()), 0);
                left[at..at + sector.len()].copy_from_slice(sector);
            }
        }
        self.durable = left.clone();
        self.content = left;
    }
}

impl State {
    fn fault(&mut self) -> io::Result<()> {
        if self.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        match self.faults.pop_front() {
            Some(true) => Err(io::Error::other("injected")),
            _ => Ok(()),
        }
    }

    fn file(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Disk for Broken {
    fn make_directory(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let below = |name: &PathBuf| Some(name.strip_prefix(path).ok()?.iter().next()?.to_str()?.to_owned());
        let names: BTreeSet<String> = self.state().names.keys().filter_map(below).collect();
        Ok(names.into_iter().collect())
    }

    fn size(&self, path: &Path) -> io::Result<u64> {
        let state = self.state();
        Ok(state.files[state.file(path)?].content.len() as u64)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        if self.state().names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.state().fault()?;
        self.append(path)
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        let mut state = self.state();
        let file = match state.file(path) {
            Ok(file) => file,
            Err(_) => {
                state.files.push(File::default());
                let file = state.files.len() - 1;
                state.names.insert(path.to_owned(), file);
                file
            }
        };
        Ok(Box::new(Handle { disk: self.clone(), file }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Input>> {
        let file = self.state().file(path)?;
        Ok(Box::new(Handle { disk: self.clone(), file }))
    }

    fn link(&self, path: &Path, beside: &Path) -> io::Result<()> {
        let mut state = self.state();
        let file = state.file(path)?;
        match state.names.insert(beside.to_owned(), file) {
            None => Ok(()),
            Some(_) => Err(io::ErrorKind::AlreadyExists.into()),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        let state = &mut *state;
        for names in [&mut state.names, &mut state.durable_names] {
            let moved: Vec<PathBuf> = names.keys().filter(|name| name.starts_with(from)).cloned().collect();
            for name in moved {
                let file = names.remove(&name).unwrap();
                names.insert(to.join(name.strip_prefix(from).unwrap()), file);
            }
        }
        let locks = std::mem::take(&mut state.locks);
        state.locks = locks
            .into_iter()
            .map(|path| path.strip_prefix(from).map(|rest| to.join(rest)).unwrap_or_else(|_| path.clone()))
            .collect();
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.state().names.remove(path).map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        if self.list(path)?.is_empty() { Ok(()) } else { Err(io::ErrorKind::DirectoryNotEmpty.into()) }
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.fault()?;
        let state = &mut *state;
        let within = |name: &Path| name.parent() == Some(path);
        state.durable_names.retain(|name, _| !within(name));
        let now = state.names.iter().filter(|(name, _)| within(name));
        state.durable_names.extend(now.map(|(name, file)| (name.clone(), *file)));
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        drop(self.append(path)?);
        let mut state = self.state();
        if !state.locks.insert(path.to_owned()) {
            return Ok(None);
        }
        // The path at release is the one after the rename of a new stream.
        let hidden = path.to_string_lossy().replace("/.", "/");
        Ok(Some(Box::new(Held { disk: self.clone(), path: hidden.into() })))
    }
}

impl Output for Handle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        let outcome = state.fault();
        // A write that fails has written something all the same.
        let written = if outcome.is_ok() { bytes } else { &bytes[..bytes.len() / 2] };
        let file = &mut state.files[self.file];
        file.pending.push((file.content.len(), written.to_vec()));
        file.content.extend_from_slice(written);
        outcome
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        let outcome = state.fault();
        let file = &mut state.files[self.file];
        let pending = std::mem::take(&mut file.pending);
        if outcome.is_ok() {
            for (offset, bytes) in pending {
                file.durable.resize(file.durable.len().max(offset + bytes.len()), 0);
                file.durable[offset..offset + bytes.len()].copy_from_slice(&bytes);
            }
        }
        // After a failed sync the pages count as clean: what was pending is gone, and later syncs do not bring it back.
        outcome
    }
}

impl Input for Handle {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.state();
        if state.unreadable.contains(&self.file) {
            return Err(io::Error::other("injected"));
        }
        let content = &state.files[self.file].content;
        let from = content.len().min(offset as usize);
        let filled = buffer.len().min(content.len() - from);
        buffer[..filled].copy_from_slice(&content[from..from + filled]);
        Ok(filled)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.state().files[self.file].content.len() as u64)
    }
}
