//! GGUF files, version 2 and 3, whole or split: metadata and tensors as views of the mapped file. It does not know what
//! the metadata mean.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::quantized::{GgmlType, k_quants};

use super::Source;
use super::mapping::{Mapping, Plain, View};
use super::matrix::{Matrix, Values};
use crate::Error;

/// A value of the metadata.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Meta {
    Whole(i128),
    Real(f64),
    Flag(bool),
    Text(String),
    List(Vec<Self>),
}

/// An opened model.
#[derive(Debug)]
pub(crate) struct Gguf {
    meta: HashMap<String, Meta>,
    tensors: HashMap<String, Entry>,
    files: Vec<Arc<Mapping>>,
    headers: Vec<Vec<u8>>,
}

#[derive(Debug, Clone)]
struct Entry {
    file: usize,
    kind: u32,
    rows: usize,
    columns: usize,
    start: usize,
}

/// Nested deeper, a list is an attack.
const DEEPEST: usize = 4;

/// Vocabularies are the longest lists there are.
const LONGEST: usize = 1 << 22;

impl Gguf {
    /// Opens a file and those that it is split into.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let mut gguf = Self { meta: HashMap::new(), tensors: HashMap::new(), files: Vec::new(), headers: Vec::new() };
        gguf.add(path)?;
        let count = match gguf.meta.get("split.count") {
            Some(Meta::Whole(count)) => usize::try_from(*count).unwrap_or(0),
            _ => 1,
        };
        for index in 1..count {
            gguf.add(&part(path, index, count)?)?;
        }
        Ok(gguf)
    }

    /// The metadata by key.
    pub(crate) fn meta(&self, key: &str) -> Option<&Meta> {
        self.meta.get(key)
    }

    /// A text of the metadata.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match self.meta(key) {
            Some(Meta::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A whole number of the metadata.
    pub(crate) fn whole(&self, key: &str) -> Option<u64> {
        match self.meta(key) {
            Some(Meta::Whole(whole)) => u64::try_from(*whole).ok(),
            _ => None,
        }
    }

    /// A switch of the metadata.
    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        match self.meta(key) {
            Some(Meta::Flag(flag)) => Some(*flag),
            _ => None,
        }
    }

    /// A list of the metadata.
    pub(crate) fn list(&self, key: &str) -> &[Meta] {
        match self.meta(key) {
            Some(Meta::List(list)) => list,
            _ => &[],
        }
    }

    fn add(&mut self, path: &Path) -> Result<(), Error> {
        let mapping = Mapping::open(path)?;
        let broken = |what: &str| Error::Model(format!("{} is no whole GGUF file: {what}", path.display()));
        let mut cursor = Cursor { bytes: mapping.bytes(), at: 0 };
        let header = Header::read(&mut cursor).map_err(|what| broken(&what))?;
        let align = match header.meta.get("general.alignment") {
            None => 32,
            Some(Meta::Whole(align)) if (1..=1 << 20).contains(align) => *align as usize,
            Some(_) => return Err(broken("general.alignment is out of range")),
        };
        let base = cursor.at.next_multiple_of(align);
        for (name, info) in header.tensors {
            let start = usize::try_from(info.offset).ok().and_then(|offset| base.checked_add(offset));
            let entry = start.map(|start| Entry {
                file: self.files.len(),
                kind: info.kind,
                rows: info.rows,
                columns: info.columns,
                start,
            });
            let entry = entry.ok_or_else(|| broken(&format!("tensor {name} has offset {}", info.offset)))?;
            if self.tensors.insert(name.clone(), entry).is_some() {
                return Err(broken(&format!("tensor {name} stands there twice")));
            }
        }
        self.headers.push(mapping.bytes()[..cursor.at].to_vec());
        // The first part's metadata speak for all.
        header.meta.into_iter().for_each(|(key, value)| {
            self.meta.entry(key).or_insert(value);
        });
        self.files.push(mapping);
        Ok(())
    }

    fn view<T: Plain>(&self, name: &str, entry: &Entry, block: usize) -> Result<View<T>, Error> {
        if !entry.columns.is_multiple_of(block) {
            let columns = entry.columns;
            return Err(Error::Model(format!("tensor {name} has rows of {columns}, no multiple of {block}")));
        }
        let bytes =
            (entry.columns / block).checked_mul(entry.rows).and_then(|blocks| blocks.checked_mul(size_of::<T>()));
        let end = bytes.and_then(|bytes| entry.start.checked_add(bytes));
        let view = end.and_then(|end| View::mapped(&self.files[entry.file], entry.start..end));
        view.ok_or_else(|| Error::Model(format!("tensor {name} lies outside its file")))
    }

    fn blocks<B: GgmlType + Plain>(&self, name: &str, entry: &Entry) -> Result<View<B>, Error> {
        self.view(name, entry, B::BLCK_SIZE)
    }

    /// A tensor by its name in the file.
    fn tensor(&self, name: &str, rows: usize, columns: usize) -> Result<Matrix, Error> {
        let Some(entry) = self.tensors.get(name) else {
            return Err(Error::Model(format!("the file has no tensor {name}")));
        };
        if (entry.rows, entry.columns) != (rows, columns) {
            let (own_rows, own_columns) = (entry.rows, entry.columns);
            let asked = format!("{rows}x{columns}");
            return Err(Error::Model(format!("tensor {name} is {own_rows}x{own_columns} where {asked} is asked for")));
        }
        let values = match entry.kind {
            0 => Values::F32(self.view(name, entry, 1)?),
            1 => Values::F16(self.view(name, entry, 1)?),
            2 => Values::Q40(self.blocks::<k_quants::BlockQ4_0>(name, entry)?),
            3 => Values::Q41(self.blocks::<k_quants::BlockQ4_1>(name, entry)?),
            6 => Values::Q50(self.blocks::<k_quants::BlockQ5_0>(name, entry)?),
            7 => Values::Q51(self.blocks::<k_quants::BlockQ5_1>(name, entry)?),
            8 => Values::Q80(self.blocks::<k_quants::BlockQ8_0>(name, entry)?),
            10 => Values::Q2K(self.blocks::<k_quants::BlockQ2K>(name, entry)?),
            11 => Values::Q3K(self.blocks::<k_quants::BlockQ3K>(name, entry)?),
            12 => Values::Q4K(self.blocks::<k_quants::BlockQ4K>(name, entry)?),
            13 => Values::Q5K(self.blocks::<k_quants::BlockQ5K>(name, entry)?),
            14 => Values::Q6K(self.blocks::<k_quants::BlockQ6K>(name, entry)?),
            30 => Values::Bf16(self.view(name, entry, 1)?),
            kind => return Err(Error::Model(format!("tensor {name} has the unknown type number {kind}"))),
        };
        Ok(Matrix { rows, columns, values })
    }
}

impl Gguf {
    /// One expert's part of the tensor that holds all experts of a layer; newer files hold gates and ups in one.
    fn expert(&self, layer: &str, (expert, part): (usize, &str), rows: usize, columns: usize) -> Result<Matrix, Error> {
        let (own, fused) = (native(&format!("{layer}{part}")), native(&format!("{layer}gate_up_proj.weight")));
        let second = part.starts_with("up_proj");
        let (all, parts, at) = match self.tensors.contains_key(&own) || !(second || part.starts_with("gate_proj")) {
            false if self.tensors.contains_key(&fused) => (fused, 2, 2 * expert + usize::from(second)),
            _ => (own, 1, expert),
        };
        let count = self.tensors.get(&all).map_or(0, |entry| entry.rows / rows.max(1));
        let stacked = self.tensor(&all, count * rows, columns)?;
        match at < count && count.is_multiple_of(parts) {
            true => Ok(stacked.part(at * rows..(at + 1) * rows)),
            false => Err(Error::Model(format!("tensor {all} has no expert {expert}"))),
        }
    }
}

impl Source for Gguf {
    fn matrix(&self, name: &str, rows: usize, columns: usize) -> Result<Matrix, Error> {
        if let Some((layer, rest)) = name.split_once(".mlp.experts.")
            && let Some((expert, part)) = rest.split_once('.')
            && let Ok(expert) = expert.parse::<usize>()
        {
            return self.expert(&format!("{layer}.mlp.experts."), (expert, part), rows, columns);
        }
        self.tensor(&native(name), rows, columns)
    }

    fn vector(&self, name: &str, length: usize) -> Result<Vec<f32>, Error> {
        let matrix = self.tensor(&native(name), 1, length)?;
        let mut values = vec![0.0; length];
        matrix.read_row(0, &mut values);
        Ok(values)
    }

    fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(&native(name))
    }

    fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes().len() as u64).sum()
    }

    fn fingerprint(&self, feed: &mut dyn FnMut(&[u8])) {
        self.headers.iter().for_each(|header| feed(header));
    }
}

/// The parts of names as the Hugging Face releases have them and as GGUF has them.
const NAMES: [(&str, &str); 26] = [
    ("model.embed_tokens", "token_embd"),
    ("model.norm", "output_norm"),
    ("lm_head", "output"),
    ("input_layernorm", "attn_norm"),
    ("post_attention_layernorm", "ffn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("self_attn.q_a_proj", "attn_q_a"),
    ("self_attn.q_a_layernorm", "attn_q_a_norm"),
    ("self_attn.q_b_proj", "attn_q_b"),
    ("self_attn.kv_a_proj_with_mqa", "attn_kv_a_mqa"),
    ("self_attn.kv_a_layernorm", "attn_kv_a_norm"),
    ("self_attn.kv_b_proj", "attn_kv_b"),
    ("self_attn.k_b_proj", "attn_k_b"),
    ("self_attn.v_b_proj", "attn_v_b"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
    ("mlp.gate", "ffn_gate_inp"),
    ("mlp.shared_experts.gate_proj", "ffn_gate_shexp"),
    ("mlp.shared_experts.up_proj", "ffn_up_shexp"),
    ("mlp.shared_experts.down_proj", "ffn_down_shexp"),
];

/// The name in the file for a name of the releases.
fn native(name: &str) -> String {
    let (layer, part) = match name.strip_prefix("model.layers.").and_then(|rest| rest.split_once('.')) {
        Some((layer, part)) => (format!("blk.{layer}."), part),
        None => (String::new(), name),
    };
    if part == "mlp.gate.e_score_correction_bias" {
        return format!("{layer}exp_probs_b.bias");
    }
    let (stem, end) = part.rsplit_once('.').unwrap_or((part, ""));
    let part = match stem.strip_prefix("mlp.experts.").and_then(|stem| stem.strip_suffix("_proj")) {
        Some(expert) => format!("ffn_{expert}_exps"),
        None => NAMES.iter().find(|(release, _)| *release == stem).map_or(stem, |(_, native)| native).to_owned(),
    };
    format!("{layer}{part}.{end}")
}

/// The path of another part of a split model.
fn part(path: &Path, index: usize, count: usize) -> Result<PathBuf, Error> {
    let unnamed = || Error::Model(format!("{} is split, but not named so", path.display()));
    let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(unnamed)?;
    let end = format!("-{:05}-of-{count:05}.gguf", 1);
    let stem = name.strip_suffix(&end).ok_or_else(unnamed)?;
    Ok(path.with_file_name(format!("{stem}-{:05}-of-{count:05}.gguf", index + 1)))
}

struct Header {
    meta: HashMap<String, Meta>,
    tensors: Vec<(String, Info)>,
}

struct Info {
    kind: u32,
    rows: usize,
    columns: usize,
    offset: u64,
}

impl Header {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, String> {
        if cursor.take(4)? != b"GGUF" {
            return Err("it does not begin with GGUF".to_owned());
        }
        let version = cursor.u32()?;
        if !matches!(version, 2 | 3) {
            return Err(format!("version {version} is not known"));
        }
        let (tensors, pairs) = (cursor.count(24)?, cursor.count(13)?);
        let mut meta = HashMap::new();
        for _ in 0..pairs {
            let key = cursor.text()?;
            let kind = cursor.u32()?;
            meta.insert(key, cursor.value(kind, 0)?);
        }
        let tensors = (0..tensors).map(|_| Info::read(cursor)).collect::<Result<_, _>>()?;
        Ok(Self { meta, tensors })
    }
}

impl Info {
    fn read(cursor: &mut Cursor<'_>) -> Result<(String, Self), String> {
        let name = cursor.text()?;
        let dimensions = cursor.u32()?;
        if !(1..=4).contains(&dimensions) {
            return Err(format!("tensor {name} has {dimensions} dimensions"));
        }
        let mut sizes = Vec::new();
        for _ in 0..dimensions {
            sizes.push(usize::try_from(cursor.u64()?).map_err(|_| format!("tensor {name} is too large"))?);
        }
        let rows = sizes[1..].iter().try_fold(1usize, |rows, size| rows.checked_mul(*size));
        let rows = rows.filter(|rows| rows.checked_mul(sizes[0]).is_some());
        let rows = rows.ok_or_else(|| format!("tensor {name} is too large"))?;
        Ok((name, Self { kind: cursor.u32()?, rows, columns: sizes[0], offset: cursor.u64()? }))
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| format!("it ends within its header, at byte {}", self.at))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, String> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A count of things that take at least so many bytes each: more than the rest of the file holds is a lie, and
    /// believing it would cost memory.
    fn count(&mut self, least: usize) -> Result<usize, String> {
        let count = self.u64()?;
        let most = (self.bytes.len() - self.at) / least;
        usize::try_from(count)
            .ok()
            .filter(|count| *count <= most)
            .ok_or_else(|| format!("a count of {count} is too large"))
    }

    fn text(&mut self) -> Result<String, String> {
        let length = self.count(1)?;
        // Vocabularies hold tokens that are no whole characters.
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }

    fn value(&mut self, kind: u32, depth: usize) -> Result<Meta, String> {
        Ok(match kind {
            0 => Meta::Whole(u8::from_le_bytes(self.array()?).into()),
            1 => Meta::Whole(i8::from_le_bytes(self.array()?).into()),
            2 => Meta::Whole(u16::from_le_bytes(self.array()?).into()),
            3 => Meta::Whole(i16::from_le_bytes(self.array()?).into()),
            4 => Meta::Whole(self.u32()?.into()),
            5 => Meta::Whole(i32::from_le_bytes(self.array()?).into()),
            6 => Meta::Real(f32::from_le_bytes(self.array()?).into()),
            7 => Meta::Flag(self.array::<1>()?[0] != 0),
            8 => Meta::Text(self.text()?),
            9 if depth < DEEPEST => {
                let (kind, count) = (self.u32()?, self.count(1)?);
                if count > LONGEST {
                    return Err(format!("a list of {count} is too long"));
                }
                Meta::List((0..count).map(|_| self.value(kind, depth + 1)).collect::<Result<_, _>>()?)
            }
            10 => Meta::Whole(self.u64()?.into()),
            11 => Meta::Whole(i64::from_le_bytes(self.array()?).into()),
            12 => Meta::Real(f64::from_le_bytes(self.array()?)),
            kind => return Err(format!("a value has the unknown type number {kind}")),
        })
    }
}

#[cfg(test)]
mod tests;
