//! Models by their name on the hub: `hf:org/name` is looked up in the cache that the hub's own tools keep. Nothing is
//! fetched here.

use std::path::{Path, PathBuf};

use super::{Environment, Secret};

/// Where a model is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In this folder or file.
    Here(PathBuf),
    /// On the hub; the cache lacks it.
    Hub(Box<HubModel>),
}

/// A model of the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubModel {
    /// Who publishes it.
    pub organisation: String,
    /// Its name.
    pub name: String,
    /// Branch, tag or commit.
    pub revision: String,
    /// The hub's cache.
    pub cache: PathBuf,
    /// The hub's address (`HF_ENDPOINT`).
    pub endpoint: String,
    /// What proves to the hub who asks (`HF_TOKEN`).
    pub token: Option<Secret>,
}

impl HubModel {
    /// The model's folder in the cache.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.cache.join(format!("models--{}--{}", self.organisation, self.name))
    }

    fn snapshot(&self) -> Option<PathBuf> {
        // A branch is a file that holds a commit; a commit is a folder.
        let commit = std::fs::read_to_string(self.folder().join("refs").join(&self.revision));
        let commit = commit.map_or_else(|_| self.revision.clone(), |commit| commit.trim().to_owned());
        let snapshot = self.folder().join("snapshots").join(&commit);
        (is_plain(&commit) && snapshot.is_dir()).then_some(snapshot)
    }
}

/// The folder that a model's path or name means, without asking the hub.
///
/// # Errors
/// Why a name of the hub has no folder, and how to get it there.
pub fn model_path(path: &Path, environment: &Environment) -> Result<PathBuf, String> {
    match find_model(path, environment)? {
        Place::Here(path) => Ok(path),
        Place::Hub(model) => {
            let name = format!("{}/{}", model.organisation, model.name);
            let cache = model.cache.display();
            Err(format!("{cache} does not hold `{name}`; allow `fetch`, or `hf download {name}`"))
        }
    }
}

/// Where a path or a name of the hub leads.
///
/// # Errors
/// The name is none of the hub's, or nothing says where the hub's cache is.
pub fn find_model(path: &Path, environment: &Environment) -> Result<Place, String> {
    let Some(name) = path.to_str().and_then(|text| text.strip_prefix("hf:")) else {
        return Ok(Place::Here(path.to_owned()));
    };
    let (name, revision) = name.split_once('@').unwrap_or((name, "main"));
    let (organisation, model) = name
        .split_once('/')
        .filter(|(organisation, model)| is_plain(organisation) && is_plain(model))
        .ok_or_else(|| format!("`hf:{name}` is no name of the hub: `hf:org/name` is"))?;
    if !is_plain(revision) {
        return Err(format!("`{revision}` is no revision"));
    }
    let value = |name: &str| environment.value(name).filter(|value| !value.is_empty());
    let endpoint = value("HF_ENDPOINT").unwrap_or("https://huggingface.co").trim_end_matches('/');
    let model = HubModel {
        organisation: organisation.to_owned(),
        name: model.to_owned(),
        revision: revision.to_owned(),
        cache: cache(environment).ok_or("no HF_HUB_CACHE, HF_HOME or HOME says where the hub's cache is")?,
        endpoint: endpoint.to_owned(),
        token: value("HF_TOKEN").map(Secret::new),
    };
    Ok(match model.snapshot() {
        Some(path) => Place::Here(path),
        None => Place::Hub(Box::new(model)),
    })
}

/// Whether a name is safe as a part of a path and of a URL.
fn is_plain(part: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !part.is_empty() && part.len() <= 200 && !part.starts_with('.') && part.bytes().all(good)
}

fn cache(environment: &Environment) -> Option<PathBuf> {
    let path = |name: &str| environment.value(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    path("HF_HUB_CACHE")
        .or_else(|| path("HF_HOME").map(|home| home.join("hub")))
        .or_else(|| path("XDG_CACHE_HOME").map(|cache| cache.join("huggingface/hub")))
        .or_else(|| path("HOME").map(|home| home.join(".cache/huggingface/hub")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_in_the_hubs_cache_by_branch_and_by_commit() {
        let root = std::env::temp_dir().join(format!("candor-hub-{}", std::process::id()));
        let folder = root.join("models--org--name");
        let snapshot = folder.join("snapshots/abc");
        std::fs::create_dir_all(&snapshot).and_then(|()| std::fs::create_dir_all(folder.join("refs"))).unwrap();
        std::fs::write(folder.join("refs/main"), "abc\n").unwrap();
        let environment = Environment::from([("HF_HUB_CACHE", root.to_str().unwrap())]);
        let found = |name: &str| model_path(Path::new(name), &environment);
        assert_eq!(found("hf:org/name"), Ok(snapshot.clone()));
        assert_eq!(found("hf:org/name@abc"), Ok(snapshot));
        assert_eq!(found("some/folder"), Ok(PathBuf::from("some/folder")));
        assert!(found("hf:org/other").unwrap_err().contains("hf download org/other"));
        let away = find_model(Path::new("hf:org/other@v1"), &environment);
        let Ok(Place::Hub(model)) = away else { panic!("{away:?}") };
        assert_eq!((model.endpoint.as_str(), model.revision.as_str()), ("https://huggingface.co", "v1"));
        for bad in
            ["hf:name", "hf:../name", "hf:org/name/more", "hf:org/..", "hf:org/name@..", "hf:o%2f/name", "hf:org/a b"]
        {
            assert!(found(bad).is_err(), "{bad}");
        }
        let _ = std::fs::remove_dir_all(root);
    }
}
