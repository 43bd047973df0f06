//! The user that Postgres runs as: it refuses root. Nothing here changes this process's own user.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::Error;

/// An unprivileged user, where this process is root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    name: String,
    user: u32,
    group: u32,
}

impl Account {
    /// Whom Postgres must run as; `None` where this process is no root and runs it as itself.
    ///
    /// A cluster that exists keeps its owner; a new one belongs to `postgres`, or else `nobody`.
    pub(super) fn needed(cluster: &Path) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let owner = std::fs::metadata(cluster).ok().filter(|owner| owner.uid() != 0);
        if let Some(owner) = owner {
            let known = read_users(&users).find(|account| account.user == owner.uid());
            let name = || format!("{}", owner.uid());
            return Some(known.unwrap_or_else(|| Self { name: name(), user: owner.uid(), group: owner.gid() }));
        }
        let named = |name: &str| read_users(&users).find(|account| account.name == name && account.user != 0);
        let nobody = || Self { name: "nobody".to_owned(), user: 65534, group: 65534 };
        Some(named("postgres").or_else(|| named("nobody")).unwrap_or_else(nobody))
    }

    /// Makes a command run as this user.
    pub(super) fn apply(&self, command: &mut Command) {
        command.uid(self.user).gid(self.group);
    }

    /// Gives a file or directory to this user.
    pub(super) fn own(&self, path: &Path) -> Result<(), Error> {
        std::os::unix::fs::chown(path, Some(self.user), Some(self.group)).map_err(Error::file(path))
    }

    /// Whether this user owns it.
    pub(super) fn owns(&self, metadata: &std::fs::Metadata) -> bool {
        metadata.uid() == self.user
    }

    /// Makes sure that this user can enter the data directory: its group is let in, parents are only looked at.
    pub(super) fn let_in(&self, data: &Path) -> Result<(), Error> {
        if !self.enters(data)? {
            let metadata = std::fs::metadata(data).map_err(Error::file(data))?;
            std::os::unix::fs::chown(data, None, Some(self.group)).map_err(Error::file(data))?;
            let mode = std::fs::Permissions::from_mode((metadata.mode() & 0o7707) | 0o010);
            std::fs::set_permissions(data, mode).map_err(Error::file(data))?;
        }
        for directory in data.ancestors() {
            if !self.enters(directory)? {
                return Err(Error::Closed { directory: directory.to_owned(), user: self.name.clone() });
            }
        }
        Ok(())
    }

    fn enters(&self, directory: &Path) -> Result<bool, Error> {
        let metadata = std::fs::metadata(directory).map_err(Error::file(directory))?;
        let needed = match () {
            () if metadata.uid() == self.user => 0o100,
            () if metadata.gid() == self.group => 0o010,
            () => 0o001,
        };
        Ok(metadata.mode() & needed != 0)
    }
}

/// Reads lines of `/etc/passwd`.
fn read_users(text: &str) -> impl Iterator<Item = Account> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        let user = fields.nth(1)?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        Some(Account { name, user, group })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_read_and_broken_lines_passed_over() {
        let text = "root:x:0:0:root:/root:/bin/sh\n# comment\nbroken:x:\npostgres:x:101:104:,,,:/var:/bin/sh\n";
        let users: Vec<_> = read_users(text).map(|account| (account.name, account.user, account.group)).collect();
        assert_eq!(users, [("root".to_owned(), 0, 0), ("postgres".to_owned(), 101, 104)]);
    }
}
