//! Safetensors checkpoints: one file, or shards with an index. It reads headers and hands out views; it copies nothing.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::safetensors::tensor::{Dtype, SafeTensors};

use super::Source;
use super::mapping::{Mapping, View};
use super::matrix::{Bf16, F16, FP8_BLOCK, Fp8, Matrix, Number, Values};
use crate::Error;

/// All tensors of a checkpoint's safetensors files.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    files: Vec<Arc<Mapping>>,
    tensors: HashMap<String, Entry>,
    headers: Vec<Vec<u8>>,
}

#[derive(Debug, Clone)]
struct Entry {
    file: usize,
    kind: Dtype,
    shape: Vec<usize>,
    start: usize,
    end: usize,
}

impl Checkpoint {
    /// Opens `model.safetensors`, or the shards that `model.safetensors.index.json` names.
    pub(crate) fn open(folder: &Path) -> Result<Self, Error> {
        let mut checkpoint = Self { files: Vec::new(), tensors: HashMap::new(), headers: Vec::new() };
        for path in shards(folder)? {
            checkpoint.add(&path)?;
        }
        Ok(checkpoint)
    }

    /// Opens one file by its path.
    pub(crate) fn open_file(path: &Path) -> Result<Self, Error> {
        let mut checkpoint = Self { files: Vec::new(), tensors: HashMap::new(), headers: Vec::new() };
        checkpoint.add(path)?;
        Ok(checkpoint)
    }

    /// A tensor's shape.
    pub(crate) fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.get(name).map(|entry| entry.shape.clone())
    }

    /// A tensor of 32-bit integers.
    pub(crate) fn integers(&self, name: &str, shape: &[usize]) -> Result<Vec<i32>, Error> {
        let entry = self.entry(name, shape)?;
        match entry.kind {
            Dtype::I32 => Ok(self.view::<i32>(name, entry)?.to_vec()),
            kind => Err(unsupported(name, kind)),
        }
    }

    fn add(&mut self, path: &Path) -> Result<(), Error> {
        let shown = path.display();
        let mapping = Mapping::open(path)?;
        let (length, header) = SafeTensors::read_metadata(mapping.bytes())
            .map_err(|error| Error::Model(format!("{shown} is no whole safetensors file: {error}")))?;
        let base = length + size_of::<u64>();
        let file = self.files.len();
        for (name, info) in header.tensors() {
            let (start, end) = (base + info.data_offsets.0, base + info.data_offsets.1);
            let entry = Entry { file, kind: info.dtype, shape: info.shape.clone(), start, end };
            if self.tensors.insert(name.clone(), entry).is_some() {
                return Err(Error::Model(format!("tensor {name} stands in two files, the second is {shown}")));
            }
        }
        self.headers.push(mapping.bytes()[..base].to_vec());
        self.files.push(mapping);
        Ok(())
    }

    fn entry(&self, name: &str, shape: &[usize]) -> Result<&Entry, Error> {
        let Some(entry) = self.tensors.get(name) else {
            return Err(Error::Model(format!("the checkpoint has no tensor {name}")));
        };
        // Stacked experts are three-dimensional in the file and are read as one tall matrix.
        let flat = entry.shape.len() == 3 && shape.len() == 2 && entry.shape[2] == shape[1];
        let same = entry.shape == shape || flat && entry.shape[0].checked_mul(entry.shape[1]) == Some(shape[0]);
        if same {
            return Ok(entry);
        }
        Err(Error::Model(format!("tensor {name} has shape {:?} where the config asks for {shape:?}", entry.shape)))
    }

    fn view<T: super::mapping::Plain>(&self, name: &str, entry: &Entry) -> Result<View<T>, Error> {
        View::mapped(&self.files[entry.file], entry.start..entry.end)
            .ok_or_else(|| Error::Model(format!("tensor {name} lies outside its file")))
    }

    fn fp8(&self, name: &str, entry: &Entry, rows: usize, columns: usize) -> Result<Fp8, Error> {
        let (down, across) = (rows.div_ceil(FP8_BLOCK), columns.div_ceil(FP8_BLOCK));
        // Despite its name the tensor holds factors.
        let factors = self.floats(&format!("{name}_scale_inv"), &[down, across])?;
        Ok(Fp8 { codes: self.view(name, entry)?, factors: factors.into(), first_row: 0 })
    }

    /// A tensor of floats of any width, as 32-bit ones.
    pub(crate) fn floats(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        let entry = self.entry(name, shape)?;
        match entry.kind {
            Dtype::F32 => Ok(self.view::<f32>(name, entry)?.to_vec()),
            Dtype::F16 => Ok(self.view(name, entry)?.iter().map(|number: &F16| number.value()).collect()),
            Dtype::BF16 => Ok(self.view(name, entry)?.iter().map(|number: &Bf16| number.value()).collect()),
            kind => Err(unsupported(name, kind)),
        }
    }
}

impl Source for Checkpoint {
    fn matrix(&self, name: &str, rows: usize, columns: usize) -> Result<Matrix, Error> {
        let entry = self.entry(name, &[rows, columns])?;
        let values = match entry.kind {
            Dtype::F32 => Values::F32(self.view(name, entry)?),
            Dtype::F16 => Values::F16(self.view(name, entry)?),
            Dtype::BF16 => Values::Bf16(self.view(name, entry)?),
            Dtype::F8_E4M3 => Values::Fp8(self.fp8(name, entry, rows, columns)?),
            kind => return Err(unsupported(name, kind)),
        };
        Ok(Matrix { rows, columns, values })
    }

    fn vector(&self, name: &str, length: usize) -> Result<Vec<f32>, Error> {
        self.floats(name, &[length])
    }

    fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    fn bytes(&self) -> u64 {
        self.tensors.values().map(|entry| (entry.end - entry.start) as u64).sum()
    }

    fn fingerprint(&self, feed: &mut dyn FnMut(&[u8])) {
        self.headers.iter().for_each(|header| feed(header));
    }
}

fn unsupported(name: &str, kind: Dtype) -> Error {
    Error::Model(format!("tensor {name} has type {kind:?}; known are F32, F16, BF16 and F8_E4M3"))
}

fn shards(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let index = folder.join("model.safetensors.index.json");
    if !index.exists() {
        return Ok(vec![folder.join("model.safetensors")]);
    }
    let broken = |error: String| Error::Model(format!("{} is no shard index: {error}", index.display()));
    let text = std::fs::read_to_string(&index).map_err(|error| broken(error.to_string()))?;
    let index: Index = serde_json::from_str(&text).map_err(|error| broken(error.to_string()))?;
    let mut names: Vec<_> = index.weight_map.into_values().collect();
    names.sort();
    names.dedup();
    // A shard is a file of this folder; a path in the index must not lead elsewhere.
    match names.iter().find(|name| Path::new(name).file_name().is_none_or(|file| file != name.as_str())) {
        Some(name) => Err(Error::Model(format!("the shard index names {name:?}, which is no plain file name"))),
        None => Ok(names.into_iter().map(|name| folder.join(name)).collect()),
    }
}

#[derive(serde::Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests;
