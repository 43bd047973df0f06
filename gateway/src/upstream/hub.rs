//! Models from the hub: what its cache lacks is fetched into it, in the layout that the hub's own tools keep. It loads
//! none.

mod listing;
mod transfer;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use self::listing::{File, Listing};
use self::transfer::Client;
use crate::config::HubModel;

/// How far a file has come.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Its name.
    pub file: &'a str,
    /// Bytes that are here.
    pub here: u64,
    /// All its bytes.
    pub all: u64,
}

/// Fetches a model and returns its folder; blocks meanwhile. What an earlier try left is gone on with.
///
/// # Errors
/// See [`Error`].
pub fn fetch(model: &HubModel, progress: &(dyn Fn(Progress<'_>) + Sync)) -> Result<PathBuf, Error> {
    // A runtime of its own: callers may stand on one that must not be blocked on.
    std::thread::scope(|scope| {
        let fetching = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map_err(|error| Error::Disk(PathBuf::new(), error.kind()))?.block_on(fetch_all(model, progress))
        });
        fetching.join().unwrap_or(Err(Error::Malformed("it could not be read")))
    })
}

async fn fetch_all(model: &HubModel, progress: &(dyn Fn(Progress<'_>) + Sync)) -> Result<PathBuf, Error> {
    let client = Client::new(model)?;
    let name = format!("{}/{}", model.organisation, model.name);
    let url = format!("{}/api/models/{name}/revision/{}?blobs=true", model.endpoint, model.revision);
    let listing = Listing::read(&client.document(&url).await?)?;
    let files = listing.wanted()?;
    let folder = model.folder();
    let blobs = folder.join("blobs");
    make(&blobs)?;
    for file in &files {
        let url = format!("{}/{name}/resolve/{}/{}", model.endpoint, listing.commit(), file.name);
        transfer::transfer(&client, &url, file, &blobs, progress).await?;
    }
    let snapshot = publish(&folder, listing.commit(), &files)?;
    let reference = folder.join("refs");
    make(&reference)?;
    let reference = reference.join(&model.revision);
    std::fs::write(&reference, listing.commit()).map_err(|error| Error::Disk(reference, error.kind()))?;
    Ok(snapshot)
}

/// Makes the folder of names beside the blobs; it appears once it is whole.
fn publish(folder: &Path, commit: &str, files: &[File]) -> Result<PathBuf, Error> {
    let snapshot = folder.join("snapshots").join(commit);
    let building = match snapshot.is_dir() {
        true => snapshot.clone(),
        false => folder.join("snapshots").join(format!(".{commit}.{}", std::process::id())),
    };
    make(&building)?;
    for file in files {
        let name = building.join(&file.name);
        match std::os::unix::fs::symlink(Path::new("../../blobs").join(&file.digest), &name) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(Error::Disk(name, error.kind())),
            _ => {}
        }
    }
    if building != snapshot
        && let Err(error) = std::fs::rename(&building, &snapshot)
    {
        let _ = std::fs::remove_dir_all(&building);
        // Another process may have been faster.
        if !snapshot.is_dir() {
            return Err(Error::Disk(snapshot, error.kind()));
        }
    }
    Ok(snapshot)
}

fn make(folder: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(folder).map_err(|error| Error::Disk(folder.to_owned(), error.kind()))
}

/// Why a model was not fetched.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The hub's address cannot be used.
    Endpoint,
    /// TLS cannot be set up.
    Trust(String),
    /// No connection, or it broke and would not be mended.
    Connection(&'static str),
    /// The hub answered with an error status.
    Status(u16),
    /// What came is not what the hub's protocol says.
    Malformed(&'static str),
    /// A file that came is not the one that was promised.
    Digest(String),
    /// The repository holds no model of a kind that the engine reads.
    NoModel,
    /// It holds several models, these.
    Several(Vec<String>),
    /// A file or folder of the cache cannot be written.
    Disk(PathBuf, io::ErrorKind),
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("fetch the model: ")?;
        match self {
            Self::Endpoint => formatter.write_str("HF_ENDPOINT is no address of a hub"),
            Self::Trust(why) => formatter.write_str(why),
            Self::Connection(why) => write!(formatter, "{why}; what has come is kept, try again"),
            Self::Status(401 | 403) => {
                formatter.write_str("the hub refuses it; accept the model's terms there, and set HF_TOKEN")
            }
            Self::Status(404) => formatter.write_str("the hub has no such model or revision"),
            Self::Status(status) => write!(formatter, "the hub answered with status {status}"),
            Self::Malformed(why) => write!(formatter, "the hub's answer cannot be used: {why}"),
            Self::Digest(file) => write!(formatter, "`{file}` came with another content than promised; it was removed"),
            Self::NoModel => {
                formatter.write_str("the repository holds neither safetensors with a config.json nor GGUF")
            }
            Self::Several(files) => write!(
                formatter,
                "the repository holds several models ({}); put one of them into a folder and name that",
                files.join(", ")
            ),
            Self::Disk(path, kind) => write!(formatter, "cannot write `{}`: {kind}", path.display()),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests;
