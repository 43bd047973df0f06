//! Weights: files of tensors, mapped into memory and handed out as matrices. It computes nothing with them.

pub(crate) mod gguf;
pub(crate) mod mapping;
pub(crate) mod matrix;
pub(crate) mod safetensors;

pub(crate) use matrix::Matrix;

use crate::Error;

/// Where a model's tensors come from, under the names of the Hugging Face releases.
pub(crate) trait Source {
    /// A two-dimensional tensor that must have this shape.
    fn matrix(&self, name: &str, rows: usize, columns: usize) -> Result<Matrix, Error>;

    /// A one-dimensional tensor that must have this length, as 32-bit floats.
    fn vector(&self, name: &str, length: usize) -> Result<Vec<f32>, Error>;

    /// Whether there is such a tensor.
    fn has(&self, name: &str) -> bool;

    /// Bytes of all tensors.
    fn bytes(&self) -> u64;

    /// What identifies these weights: the files' headers.
    fn fingerprint(&self, feed: &mut dyn FnMut(&[u8]));
}
