//! Finds installed Postgres binaries. It installs and starts nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Error;

/// The oldest major version that the schema is tested on.
const OLDEST: u32 = 14;

/// Directories with one subdirectory per version, and what stands between the version and the programs.
const VERSIONED: [(&str, &str); 6] = [
    ("/usr/lib/postgresql", "bin"),
    ("/usr", "bin"),
    ("/usr/libexec", ""),
    ("/opt/homebrew/opt", "bin"),
    ("/usr/local/opt", "bin"),
    ("/Library/PostgreSQL", "bin"),
];

/// Directories that hold the programs themselves.
const PLAIN: [&str; 4] = ["/usr/local/pgsql/bin", "/usr/local/bin", "/usr/bin", "/opt/local/bin"];

/// A directory that holds `initdb` and `postgres` of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    directory: PathBuf,
    major: u32,
}

impl Binaries {
    /// Finds the newest usable binaries, or those of the version that made an existing cluster.
    pub(super) fn find(configured: Option<&Path>, cluster: &Path) -> Result<Self, Error> {
        let candidates = configured.map_or_else(usual_places, |directory| vec![directory.to_owned()]);
        let found: Vec<Self> = candidates.iter().filter_map(|directory| Self::at(directory)).collect();
        if found.is_empty() {
            return Err(Error::NoBinaries { looked: candidates });
        }
        match version_of(cluster) {
            Some(made_by) => {
                let same = found.into_iter().find(|binaries| binaries.major == made_by);
                same.ok_or_else(|| Error::Version { cluster: cluster.to_owned(), made_by })
            }
            None => {
                let usable = found.into_iter().filter(|binaries| binaries.major >= OLDEST);
                // The first of the newest: places are in order of preference.
                usable
                    .reduce(|best, next| if next.major > best.major { next } else { best })
                    .ok_or(Error::NoBinaries { looked: candidates })
            }
        }
    }

    /// The path of one program.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn at(directory: &Path) -> Option<Self> {
        let postgres = directory.join("postgres");
        if !postgres.is_file() || !directory.join("initdb").is_file() {
            return None;
        }
        let output = Command::new(&postgres).arg("--version").env_clear().output().ok()?;
        let major = read_version(&String::from_utf8_lossy(&output.stdout))?;
        Some(Self { directory: directory.to_owned(), major })
    }
}

/// The major version that made a cluster.
fn version_of(cluster: &Path) -> Option<u32> {
    std::fs::read_to_string(cluster.join("PG_VERSION")).ok()?.trim().parse().ok()
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn read_version(text: &str) -> Option<u32> {
    let (_, version) = text.split_once("(PostgreSQL) ")?;
    let digits = version.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

fn usual_places() -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> = from_pg_config().into_iter().collect();
    for (parent, below) in VERSIONED {
        places.extend(versions_in(Path::new(parent), below));
    }
    places.extend(PLAIN.iter().map(PathBuf::from));
    let mut seen = std::collections::BTreeSet::new();
    places.retain(|place| seen.insert(place.clone()));
    places
}

fn from_pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !path.trim().is_empty()).then(|| PathBuf::from(path.trim()))
}

/// Directories such as `15`, `postgresql@16` or `pgsql-17`, newest first.
fn versions_in(parent: &Path, below: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(parent) else { return Vec::new() };
    let mut versions: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            let number = ["", "postgresql@", "postgresql", "pgsql-"]
                .iter()
                .find_map(|prefix| name.strip_prefix(prefix).and_then(|number| number.parse().ok()))?;
            Some((number, entry.path().join(below)))
        })
        .collect();
    versions.sort_by(|left, right| right.cmp(left));
    versions.into_iter().map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_postgres_prints_them() {
        let check = |text, expected| assert_eq!(read_version(text), expected, "{text}");
        check("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", Some(15));
        check("postgres (PostgreSQL) 18beta1\n", Some(18));
        check("postgres (PostgreSQL) 9.6.24\n", Some(9));
        check("something else 15", None);
        check("", None);
    }

    #[test]
    fn a_directory_without_binaries_is_named_with_the_package_to_install() {
        let nowhere = Path::new("/nonexistent/bin");
        let text = Binaries::find(Some(nowhere), nowhere).map_err(|error| error.to_string());
        let text = text.err().unwrap_or_default();
        assert!(text.contains("/nonexistent/bin") && text.contains("apt-get install postgresql"), "{text}");
    }
}
