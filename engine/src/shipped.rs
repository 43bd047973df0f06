//! The model that comes with the program: its files as bytes, so that one binary answers on a bare machine. Its card stands
//! in `engine/models/candor-mini/README.md`.

use std::fs;
use std::io;
use std::path::Path;

/// The shipped model's name.
pub const NAME: &str = "candor-mini";

/// Its files, by name.
const FILES: [(&str, &[u8]); 5] = [
    ("config.json", include_bytes!("../models/candor-mini/config.json")),
    ("generation_config.json", include_bytes!("../models/candor-mini/generation_config.json")),
    ("tokenizer.json", include_bytes!("../models/candor-mini/tokenizer.json")),
    ("tokenizer_config.json", include_bytes!("../models/candor-mini/tokenizer_config.json")),
    ("model.safetensors", include_bytes!("../models/candor-mini/model.safetensors")),
];

/// Writes its files into a folder. Files that are right already stay as they are; others are replaced whole, since a
/// running engine may have mapped them.
///
/// # Errors
/// What the file system said.
pub fn write(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for (name, bytes) in FILES {
        let path = folder.join(name);
        if fs::read(&path).is_ok_and(|found| found == bytes) {
            continue;
        }
        let new = folder.join(format!("{name}.new"));
        fs::write(&new, bytes)?;
        fs::rename(&new, &path)?;
    }
    Ok(())
}
