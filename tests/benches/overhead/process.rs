//! What the kernel says of a process. Linux only, as `/proc` is.

use std::fs;

/// A process that is looked at.
pub(crate) struct Process {
    id: i32,
}

impl Process {
    /// A process by its id.
    pub(crate) fn of(id: i32) -> Self {
        Self { id }
    }

    /// CPU time of all its threads so far, in nanoseconds, as the scheduler counts it.
    pub(crate) fn cpu(&self) -> u64 {
        let threads = fs::read_dir(format!("/proc/{}/task", self.id)).expect("a running process");
        let time = |thread: fs::DirEntry| {
            let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        };
        threads.flatten().filter_map(time).sum()
    }

    /// Bytes resident now.
    pub(crate) fn resident(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most bytes that were ever resident.
    pub(crate) fn peak(&self) -> u64 {
        self.status("VmHWM:")
    }

    fn status(&self, key: &str) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.id)).expect("a running process");
        let line = text.lines().find_map(|line| line.strip_prefix(key)).expect("a line of that name");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
    }
}
