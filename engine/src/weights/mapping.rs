//! A file mapped into memory and typed views of it. It does not know what the bytes mean.
#![expect(unsafe_code, reason = "mapping a file and viewing its bytes as numbers is what this module is for")]

use std::fs::File;
use std::marker::PhantomData;
use std::ops::{Deref, Range};
use std::path::Path;
use std::sync::Arc;

use candle_core::quantized::k_quants;
use memmap2::Mmap;

use super::matrix::{Bf16, F16};
use crate::Error;

/// A read-only file in memory; its pages are read when they are first touched.
#[derive(Debug)]
pub(crate) struct Mapping {
    map: Mmap,
}

impl Mapping {
    /// Maps a file.
    pub(crate) fn open(path: &Path) -> Result<Arc<Self>, Error> {
        let shown = path.display();
        let file = File::open(path).map_err(|error| Error::Model(format!("cannot open {shown}: {error}")))?;
        // SAFETY: the map is read-only. A file that another process truncates while it is mapped makes the
        // system end this process on the next touch; model files are not changed in place, as with every
        // engine that maps them, and the README says so.
        let map = unsafe { Mmap::map(&file) };
        let map = map.map_err(|error| Error::Model(format!("cannot map {shown}: {error}")))?;
        Ok(Arc::new(Self { map }))
    }

    /// The whole file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map
    }

    #[cfg(unix)]
    fn release(&self, start: usize, length: usize) {
        // SAFETY: the pages are those of a file and never written to, so dropping them loses nothing.
        let released = unsafe { self.map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, length) };
        // A system that keeps them costs memory, not results.
        let _ = released;
    }

    #[cfg(not(unix))]
    fn release(&self, _start: usize, _length: usize) {}
}

/// Values that any bytes may stand for.
///
/// # Safety
/// Every bit pattern of the type's size must be a valid value, and the type must have no padding.
pub(crate) unsafe trait Plain: Clone + Send + Sync + 'static {}

// SAFETY: numbers without padding; all bit patterns are values.
unsafe impl Plain for u8 {}
// SAFETY: as above.
unsafe impl Plain for f32 {}
// SAFETY: as above.
unsafe impl Plain for i32 {}
// SAFETY: as above; it is one `u16`.
unsafe impl Plain for F16 {}
// SAFETY: as above; it is one `u16`.
unsafe impl Plain for Bf16 {}

macro_rules! plain_blocks {
    ($($block:ident),*) => {
        // SAFETY: candle's blocks are `repr(C)` structs of 16-bit floats and integers whose size is asserted
        // there to be the sum of their fields, so they have no padding and take any bits.
        $(unsafe impl Plain for k_quants::$block {})*
    };
}
plain_blocks!(BlockQ4_0, BlockQ4_1, BlockQ5_0, BlockQ5_1, BlockQ8_0, BlockQ2K, BlockQ3K, BlockQ4K, BlockQ5K, BlockQ6K);

/// A run of values in a mapped file, or an owned copy of one that was not aligned there.
#[derive(Debug)]
pub(crate) struct View<T> {
    bytes: Bytes,
    start: usize,
    length: usize,
    of: PhantomData<T>,
}

impl<T: Plain> View<T> {
    /// Views `range` of the mapping; `None` where it is out of bounds or no whole number of values.
    pub(crate) fn mapped(mapping: &Arc<Mapping>, range: Range<usize>) -> Option<Self> {
        let size = size_of::<T>();
        let bytes = mapping.bytes().get(range.clone())?;
        if !bytes.len().is_multiple_of(size) {
            return None;
        }
        let length = bytes.len() / size;
        if bytes.as_ptr().align_offset(align_of::<T>()) == 0 {
            let bytes = Bytes::Mapped(Arc::clone(mapping));
            return Some(Self { bytes, start: range.start, length, of: PhantomData });
        }
        Some(Self::copied(bytes, length))
    }

    /// Owns a copy of values that no file holds as they are.
    pub(crate) fn owned(values: &[T]) -> Self {
        // SAFETY: `T: Plain` has no padding, so all of its bytes are initialised.
        let bytes = unsafe { std::slice::from_raw_parts(values.as_ptr().cast::<u8>(), size_of_val(values)) };
        Self::copied(bytes, values.len())
    }

    fn copied(bytes: &[u8], length: usize) -> Self {
        let mut words = vec![0u64; bytes.len().div_ceil(8)];
        // SAFETY: `u64`s have no padding, and `words` owns at least `bytes.len()` bytes.
        let copy = unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast::<u8>(), bytes.len()) };
        copy.copy_from_slice(bytes);
        Self { bytes: Bytes::Owned(words.into()), start: 0, length, of: PhantomData }
    }

    /// The values' bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: `T: Plain` has no padding, so all bytes of the values are initialised.
        unsafe { std::slice::from_raw_parts(self.as_ptr().cast::<u8>(), size_of_val(&**self)) }
    }

    /// Lets the system take the memory back; the values are read from the file again where they are still needed.
    pub(crate) fn release(&self) {
        if let Bytes::Mapped(mapping) = &self.bytes {
            mapping.release(self.start, size_of_val(&**self));
        }
    }

    /// A part of this view.
    pub(crate) fn part(&self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.length, "part of a view out of bounds");
        let start = self.start + range.start * size_of::<T>();
        Self { bytes: self.bytes.clone(), start, length: range.len(), of: PhantomData }
    }
}

impl<T: Plain> Deref for View<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        let base = match &self.bytes {
            Bytes::Mapped(mapping) => mapping.bytes().as_ptr(),
            Bytes::Owned(words) => words.as_ptr().cast::<u8>(),
        };
        // SAFETY: `mapped` and `part` established that `length` values stand at `start`, aligned (a mapping
        // was checked, an owned copy has the alignment of `u64`), within storage that `bytes` keeps alive and
        // nobody writes to; `T: Plain` takes any bits.
        unsafe { std::slice::from_raw_parts(base.add(self.start).cast::<T>(), self.length) }
    }
}

impl<T> Clone for View<T> {
    fn clone(&self) -> Self {
        Self { bytes: self.bytes.clone(), start: self.start, length: self.length, of: PhantomData }
    }
}

#[derive(Debug, Clone)]
enum Bytes {
    Mapped(Arc<Mapping>),
    Owned(Arc<[u64]>),
}
