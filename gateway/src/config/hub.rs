//! Models by their name on the hub: `hf:org/name` is looked up in the cache that the hub's own tools keep. Nothing is
//! fetched.

use std::path::{Path, PathBuf};

use super::Environment;

/// The folder that a model's path or name means.
///
/// # Errors
/// Why a name of the hub has no folder, and how to get it there.
pub fn model_path(path: &Path, environment: &Environment) -> Result<PathBuf, String> {
    let Some(name) = path.to_str().and_then(|text| text.strip_prefix("hf:")) else {
        return Ok(path.to_owned());
    };
    let (name, revision) = name.split_once('@').unwrap_or((name, "main"));
    let plain = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['/', '\\']);
    let (organisation, model) = name
        .split_once('/')
        .filter(|(organisation, model)| plain(organisation) && plain(model))
        .ok_or_else(|| format!("`hf:{name}` is no name of the hub: `hf:org/name` is"))?;
    if !plain(revision) {
        return Err(format!("`{revision}` is no revision"));
    }
    let cache = cache(environment).ok_or("no HF_HUB_CACHE, HF_HOME or HOME says where the hub's cache is")?;
    let folder = cache.join(format!("models--{organisation}--{model}"));
    // A branch is a file that holds a commit; a commit is a folder.
    let commit = std::fs::read_to_string(folder.join("refs").join(revision));
    let commit = commit.map_or_else(|_| revision.to_owned(), |commit| commit.trim().to_owned());
    let snapshot = folder.join("snapshots").join(&commit);
    match plain(&commit) && snapshot.is_dir() {
        true => Ok(snapshot),
        false => Err(format!("{} does not hold `{name}`; `hf download {name}` fetches it", cache.display())),
    }
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
        for bad in ["hf:name", "hf:../name", "hf:org/name/more", "hf:org/..", "hf:org/name@.."] {
            assert!(found(bad).is_err(), "{bad}");
        }
        let _ = std::fs::remove_dir_all(root);
    }
}
