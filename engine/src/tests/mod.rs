//! The engine as a whole, on tiny checkpoints that the tests make themselves. Parts have their tests beside them.

mod constrain;
mod fixture;
mod gguf;
mod gguf_file;
mod golden;
mod limits;
mod reference;
mod serving;
mod shipped;

pub(crate) use fixture::{Folder, tokenizer};
pub(crate) use gguf_file::GgufFile;
