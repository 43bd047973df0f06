//! A checkpoint's files to a worker that is ready to serve: reads every file, checks that they fit each other and that
//! memory holds them. It runs nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::kernels::Pool;
use crate::memory::{self, Demand};
use crate::model::{self, Config, Decoder};
use crate::pages::{Pages, Precision};
use crate::schedule::Limits;
use crate::template::Template;
use crate::tokenize::{THINK, Vocabulary, metadata};
use crate::weights::Source;
use crate::weights::gguf::Gguf;
use crate::weights::safetensors::Checkpoint;
use crate::worker::Worker;
use crate::{Error, Quantisation, Settings, sample};

/// A loaded model.
pub(crate) struct Loaded {
    pub(crate) worker: Worker,
    pub(crate) name: String,
    pub(crate) digest: String,
    pub(crate) context: usize,
    pub(crate) thinks: bool,
    pub(crate) vocabulary: Arc<Vocabulary>,
    pub(crate) tokens: usize,
    pub(crate) template: Option<Template>,
    /// Tokens that end a reply.
    pub(crate) ends: Vec<u32>,
}

/// Reads a checkpoint's folder or GGUF file.
pub(crate) fn load(settings: &Settings) -> Result<Loaded, Error> {
    let files = Files::open(&settings.model)?;
    let vocabulary = Arc::new(Vocabulary::parse(files.tokenizer.as_bytes())?);
    let mut model = Decoder::build(&files.config, &*files.source)?;
    let precision = settings.quantise.map_or_else(|| model.precision(), |_| Precision::Half);
    let layout = model.layout(precision);
    let demand = Demand {
        weights: settings.quantise.map_or_else(|| files.source.bytes(), |kind| model.bytes(kind)),
        page: layout.page_bytes() as u64,
        longest: files.config.context,
        context: settings.context,
        sequences: settings.sequences,
    };
    let fit = memory::fit(demand, memory::available())?;
    let threads = settings.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let worded = files.template.as_ref().is_some_and(|template| template.source().contains(THINK[0]));
    let (digest, tokens) = (files.digest(settings.quantise, precision), model.vocabulary());
    let pool = Pool::new(threads.clamp(1, 256));
    model.pack(&pool, settings.quantise);
    let ends = files.ends(&vocabulary);
    let worker = Worker {
        pages: Pages::new(layout, fit.pages),
        model,
        pool,
        vocabulary: Arc::clone(&vocabulary),
        ends: ends.clone(),
        limits: Limits { sequences: settings.sequences, rows: 512, rows_beside_replies: 64 },
    };
    Ok(Loaded {
        worker,
        name: files.name,
        digest,
        context: fit.context,
        thinks: vocabulary.think().is_some() || worded,
        vocabulary,
        tokens,
        template: files.template,
        ends,
    })
}

/// What a checkpoint consists of, whatever its format.
struct Files {
    name: String,
    config: Config,
    /// The text that the config was read from, where that is a file of its own.
    shape: String,
    /// The contents of `tokenizer.json`.
    tokenizer: String,
    template: Option<Template>,
    source: Box<dyn Source>,
    /// Texts of tokens that end a reply, beside those that the config names.
    end_texts: &'static [&'static str],
}

/// Where a file names one token that ends a text, its chat template may end turns with another.
const TURN_ENDS: [&str; 5] =
    ["<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "<|endoftext|>", "<\u{ff5c}end\u{2581}of\u{2581}sentence\u{ff5c}>"];

impl Files {
    fn open(path: &Path) -> Result<Self, Error> {
        match gguf_of(path)? {
            Some(file) => Self::gguf(&file),
            None => Self::folder(path),
        }
    }

    fn folder(folder: &Path) -> Result<Self, Error> {
        let shape = read(&folder.join("config.json"))?;
        let mut config = Config::parse(&shape)?;
        if let Some(text) = read_if_there(&folder.join("generation_config.json"))? {
            config.ends.extend(model::generation_ends(&text)?);
        }
        // Releases share their folder's name with their repository.
        let full = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let name = full.file_name().map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned());
        let tokenizer = read(&folder.join("tokenizer.json"))?;
        let (template, source) = (template(folder)?, Box::new(Checkpoint::open(folder)?));
        Ok(Self { name, config, shape, tokenizer, template, source, end_texts: &[] })
    }

    fn gguf(path: &Path) -> Result<Self, Error> {
        let gguf = Gguf::open(path)?;
        let config = model::gguf_config(&gguf)?;
        let tokenizer = metadata::tokenizer(&gguf)?.to_string();
        let mark = |key: &str| metadata::token(&gguf, &format!("tokenizer.ggml.{key}_token_id"));
        let source = gguf.text("tokenizer.chat_template").map(str::to_owned);
        let template = source.map(|source| Template::compile(source, mark("bos"), mark("eos"))).transpose()?;
        let stem = path.file_stem().map_or_else(|| "model".to_owned(), |stem| stem.to_string_lossy().into_owned());
        let name = gguf.text("general.name").map_or(stem, str::to_owned);
        let (shape, source) = (String::new(), Box::new(gguf));
        Ok(Self { name, config, shape, tokenizer, template, source, end_texts: &TURN_ENDS })
    }

    fn ends(&self, vocabulary: &Vocabulary) -> Vec<u32> {
        let mut ends = self.config.ends.clone();
        ends.extend(self.end_texts.iter().filter_map(|text| vocabulary.mark(text)));
        ends.sort_unstable();
        ends.dedup();
        ends
    }

    fn digest(&self, quantise: Option<Quantisation>, precision: Precision) -> String {
        let mut hasher = Sha256::new();
        let mut feed = |part: &[u8]| {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        };
        feed(sample::VERSION.as_bytes());
        feed(quantise.map_or("", |kind| if kind == Quantisation::Q8_0 { "q8_0" } else { "q4_k" }).as_bytes());
        feed(if precision == Precision::Half { b"f16" } else { b"f32" });
        feed(self.shape.as_bytes());
        feed(self.tokenizer.as_bytes());
        feed(self.template.as_ref().map_or("", Template::source).as_bytes());
        self.source.fingerprint(&mut feed);
        hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The GGUF file that a path means: itself, or the only one (or the first part of one) in a folder without a config.
fn gguf_of(path: &Path) -> Result<Option<PathBuf>, Error> {
    let is_gguf = |path: &Path| path.extension().is_some_and(|extension| extension == "gguf");
    if path.is_file() {
        return match is_gguf(path) {
            true => Ok(Some(path.to_owned())),
            false => Err(Error::Model(format!("{} is neither a folder nor a .gguf file", path.display()))),
        };
    }
    if path.join("config.json").exists() {
        return Ok(None);
    }
    let entries = std::fs::read_dir(path);
    let entries = entries.map_err(|error| Error::Model(format!("cannot read {}: {error}", path.display())))?;
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let later_part = |path: &Path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.contains("-of-") && !name.contains("-00001-of-")
    };
    let mut files: Vec<PathBuf> = paths.filter(|path| is_gguf(path) && !later_part(path)).collect();
    match (files.pop(), files.is_empty()) {
        (Some(file), true) => Ok(Some(file)),
        (Some(_), false) => Err(Error::Model(format!("{} holds several models; name one of them", path.display()))),
        (None, _) => Err(Error::Model(format!("{} holds neither config.json nor a .gguf file", path.display()))),
    }
}

fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|error| Error::Model(format!("cannot read {}: {error}", path.display())))
}

fn read_if_there(path: &Path) -> Result<Option<String>, Error> {
    if path.exists() { read(path).map(Some) } else { Ok(None) }
}

/// The template of `chat_template.jinja`, else of `tokenizer_config.json`; of several named ones the default.
fn template(folder: &Path) -> Result<Option<Template>, Error> {
    let config = match read_if_there(&folder.join("tokenizer_config.json"))? {
        Some(text) => serde_json::from_str(&text)
            .map_err(|error| Error::Model(format!("{}: {error}", folder.join("tokenizer_config.json").display())))?,
        None => Value::Null,
    };
    // A token is its text, or an object that holds it.
    let token = |key: &str| match config.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(object) => object.get("content").and_then(Value::as_str).unwrap_or_default().to_owned(),
        None => String::new(),
    };
    let named = |templates: &Vec<Value>| {
        let default = templates.iter().find(|named| named.get("name").and_then(Value::as_str) == Some("default"));
        default.and_then(|named| named.get("template")).and_then(Value::as_str).map(str::to_owned)
    };
    let source = match (read_if_there(&folder.join("chat_template.jinja"))?, config.get("chat_template")) {
        (Some(text), _) => Some(text),
        (None, Some(Value::String(text))) => Some(text.clone()),
        (None, Some(Value::Array(templates))) => named(templates),
        (None, _) => None,
    };
    source.map(|source| Template::compile(source, token("bos_token"), token("eos_token"))).transpose()
}
