//! What a repository of the hub holds, and which of it the engine needs. It fetches nothing.

use serde::Deserialize;

use super::Error;

/// A repository at one commit.
#[derive(Debug, Deserialize)]
pub(super) struct Listing {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Debug, Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    #[serde(rename = "blobId")]
    blob: Option<String>,
    lfs: Option<Large>,
}

#[derive(Debug, Deserialize)]
struct Large {
    sha256: String,
    size: u64,
}

/// A file to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    /// Its name, without folders.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// SHA-256 of a large file (64 digits), git's name of a small one (40).
    pub digest: String,
}

/// Most files of one model: the largest releases have under two hundred.
const MOST: usize = 2000;

/// Files beside the weights that the engine reads.
const BESIDE: [&str; 6] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "model.safetensors.index.json",
];

impl Listing {
    /// Reads the hub's answer.
    pub(super) fn read(body: &[u8]) -> Result<Self, Error> {
        let listing: Self =
            serde_json::from_slice(body).map_err(|_| Error::Malformed("the list of files cannot be read"))?;
        if !is_hexadecimal(&listing.sha, &[40, 64]) {
            return Err(Error::Malformed("it names no commit"));
        }
        Ok(listing)
    }

    /// The commit.
    pub(super) fn commit(&self) -> &str {
        &self.sha
    }

    /// What the engine needs: safetensors and what stands beside them, else the only GGUF file or its parts.
    pub(super) fn wanted(&self) -> Result<Vec<File>, Error> {
        let top = || self.siblings.iter().filter(|file| is_plain(&file.rfilename));
        let ends = |file: &&Sibling, end: &str| file.rfilename.ends_with(end);
        let whole = top().any(|file| file.rfilename == "config.json");
        let mut wanted: Vec<&Sibling> = top().filter(|file| ends(file, ".safetensors")).collect();
        if wanted.is_empty() || !whole {
            wanted = top().filter(|file| ends(file, ".gguf")).collect();
            let mut models: Vec<&str> = wanted.iter().map(|file| model_of(&file.rfilename)).collect();
            models.sort_unstable();
            models.dedup();
            match models.len() {
                0 => return Err(Error::NoModel),
                1 => {}
                _ => return Err(Error::Several(models.into_iter().take(20).map(str::to_owned).collect())),
            }
        } else {
            // The small files first: what is wrong with them shows before gigabytes have come.
            wanted.splice(0..0, top().filter(|file| BESIDE.contains(&file.rfilename.as_str())));
        }
        if wanted.len() > MOST {
            return Err(Error::Malformed("it lists too many files"));
        }
        wanted.into_iter().map(Sibling::file).collect()
    }
}

impl Sibling {
    fn file(&self) -> Result<File, Error> {
        let (size, digest) = match (&self.lfs, self.size, &self.blob) {
            (Some(large), ..) if is_hexadecimal(&large.sha256, &[64]) => (large.size, &large.sha256),
            (None, Some(size), Some(blob)) if is_hexadecimal(blob, &[40]) => (size, blob),
            _ => return Err(Error::Malformed("it gives no size and digest of a file")),
        };
        Ok(File { name: self.rfilename.clone(), size, digest: digest.to_ascii_lowercase() })
    }
}

/// The name of the model that a GGUF file is (a part of).
fn model_of(name: &str) -> &str {
    let stem = name.strip_suffix(".gguf").unwrap_or(name);
    match stem.rsplit_once("-of-").and_then(|(before, _)| before.rsplit_once('-')) {
        Some((model, part)) if part.bytes().all(|digit| digit.is_ascii_digit()) => model,
        _ => stem,
    }
}

fn is_hexadecimal(text: &str, lengths: &[usize]) -> bool {
    lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a name is one of a file in the top folder, and safe as a part of a path and of a URL.
fn is_plain(name: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'+');
    !name.is_empty() && name.len() <= 200 && !name.starts_with('.') && name.bytes().all(good)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(files: &[&str]) -> Result<Vec<String>, Error> {
        let siblings: Vec<_> =
            files.iter().map(|name| json!({"rfilename": name, "size": 3, "blobId": "a".repeat(40)})).collect();
        let body = json!({"sha": "b".repeat(40), "siblings": siblings}).to_string();
        Ok(Listing::read(body.as_bytes())?.wanted()?.into_iter().map(|file| file.name).collect())
    }

    #[test]
    fn what_the_engine_needs_is_picked() {
        let all = ["README.md", "config.json", "model.safetensors", "pytorch_model.bin", "original/x.safetensors"];
        assert_eq!(names(&all).unwrap(), ["config.json", "model.safetensors"]);
        let parts = ["m-Q4_K_M-00001-of-00002.gguf", "m-Q4_K_M-00002-of-00002.gguf", "README.md"];
        assert_eq!(names(&parts).unwrap(), parts[..2]);
        assert_eq!(names(&["a-Q4.gguf", "a-Q8.gguf"]), Err(Error::Several(vec!["a-Q4".into(), "a-Q8".into()])));
        assert_eq!(names(&["x.safetensors", "../config.json"]), Err(Error::NoModel));
        assert_eq!(names(&[".hidden.gguf", "a/b.gguf", "a%2fb.gguf"]), Err(Error::NoModel));
    }

    #[test]
    fn broken_lists_are_refused() {
        let refused = |body: serde_json::Value| {
            let listing = Listing::read(body.to_string().as_bytes()).and_then(|listing| listing.wanted());
            assert!(matches!(listing, Err(Error::Malformed(_))), "{body}: {listing:?}");
        };
        refused(json!([]));
        refused(json!({"sha": "../../x", "siblings": []}));
        let file = |file: serde_json::Value| json!({"sha": "b".repeat(40), "siblings": [file]});
        refused(file(json!({"rfilename": "a.gguf"})));
        refused(file(json!({"rfilename": "a.gguf", "size": -1})));
        refused(file(json!({"rfilename": "a.gguf", "size": 1, "blobId": "../".repeat(13)})));
        refused(file(json!({"rfilename": "a.gguf", "lfs": {"sha256": "x".repeat(64), "size": 1}})));
    }
}
