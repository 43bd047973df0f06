//! The key and value cache in pages of a few positions, shared between prompts that begin alike. It decides nothing
//! about who runs.

use std::collections::{BTreeMap, HashMap};

use sha2::{Digest, Sha256};

use crate::kernels::dot::widen;
use crate::weights::matrix::F16;

/// Positions per page.
pub(crate) const PAGE: usize = 16;

/// A page's number.
pub(crate) type PageId = usize;

/// What one position costs in one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Layers.
    pub(crate) layers: usize,
    /// Key heads.
    pub(crate) heads: usize,
    /// Width of a key.
    pub(crate) key: usize,
    /// Width of a value; zero where the value is the first part of the key.
    pub(crate) value: usize,
    /// Bits of a number.
    pub(crate) precision: Precision,
}

/// How the cache keeps numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precision {
    /// In 16 bits: half the memory, and half the reading of long texts.
    Half,
    /// In 32 bits, as they are computed.
    Full,
}

impl Layout {
    /// Bytes of one page over all layers.
    pub(crate) fn page_bytes(&self) -> usize {
        self.numbers() * if self.precision == Precision::Half { 2 } else { 4 }
    }

    fn numbers(&self) -> usize {
        self.layers * self.head_block() * self.heads
    }

    fn head_block(&self) -> usize {
        PAGE * (self.key + self.value)
    }
}

/// What identifies the beginning of a text up to and including one full page.
pub(crate) type PageHash = [u8; 32];

/// All pages of one model.
#[derive(Debug)]
pub(crate) struct Pages {
    layout: Layout,
    /// Allocated when a page is first used, so that a large limit costs nothing by itself.
    storage: Vec<Storage>,
    users: Vec<u32>,
    hashes: Vec<Option<PageHash>>,
    by_hash: HashMap<PageHash, PageId>,
    /// What a prompt's last page was named before it was full.
    tails: Vec<Option<PageHash>>,
    by_tail: HashMap<PageHash, PageId>,
    free: Vec<PageId>,
    /// Pages that nobody uses but whose content may be asked for again, oldest first.
    idle: BTreeMap<u64, PageId>,
    idle_since: Vec<u64>,
    clock: u64,
}

impl Pages {
    /// Makes room for `count` pages.
    pub(crate) fn new(layout: Layout, count: usize) -> Self {
        Self {
            layout,
            storage: vec![Storage::Empty; count],
            users: vec![0; count],
            hashes: vec![None; count],
            by_hash: HashMap::new(),
            tails: vec![None; count],
            by_tail: HashMap::new(),
            free: (0..count).rev().collect(),
            idle: BTreeMap::new(),
            idle_since: vec![0; count],
            clock: 0,
        }
    }

    /// Pages that can be had.
    pub(crate) fn available(&self) -> usize {
        self.free.len() + self.idle.len()
    }

    /// Takes a page, forgetting the content that was not asked for the longest time where no page is empty.
    pub(crate) fn take(&mut self) -> Option<PageId> {
        let page = match self.free.pop() {
            Some(page) => page,
            None => {
                let (_, page) = self.idle.pop_first()?;
                self.forget(page);
                page
            }
        };
        if matches!(self.storage[page], Storage::Empty) {
            let numbers = self.layout.numbers();
            self.storage[page] = match self.layout.precision {
                Precision::Half => Storage::Half(vec![F16(0); numbers].into_boxed_slice()),
                Precision::Full => Storage::Full(vec![0.0; numbers].into_boxed_slice()),
            };
        }
        self.users[page] = 1;
        Some(page)
    }

    /// Takes part in a page that already holds the wanted content.
    pub(crate) fn reuse(&mut self, hash: &PageHash) -> Option<PageId> {
        let page = *self.by_hash.get(hash)?;
        self.hold(page);
        Some(page)
    }

    /// Takes part in a page whose first positions hold the wanted end of a prompt. It is only good for copying.
    pub(crate) fn reuse_tail(&mut self, hash: &PageHash) -> Option<PageId> {
        let page = *self.by_tail.get(hash)?;
        self.hold(page);
        Some(page)
    }

    /// Names the first positions of a page that may never become full; they do not change while it has the name.
    pub(crate) fn publish_tail(&mut self, page: PageId, hash: PageHash) {
        if self.tails[page].is_none() && !self.by_tail.contains_key(&hash) {
            self.tails[page] = Some(hash);
            self.by_tail.insert(hash, page);
        }
    }

    /// Copies all positions of a page.
    pub(crate) fn copy(&mut self, from: PageId, to: PageId) {
        self.storage[to] = self.storage[from].clone();
    }

    fn hold(&mut self, page: PageId) {
        if self.users[page] == 0 {
            self.idle.remove(&self.idle_since[page]);
        }
        self.users[page] += 1;
    }

    /// Names the content of a page that is now full, so that others find it.
    pub(crate) fn publish(&mut self, page: PageId, hash: PageHash) {
        // Where two prompts filled equal pages side by side, the first stays the known one.
        if self.hashes[page].is_none() && !self.by_hash.contains_key(&hash) {
            self.hashes[page] = Some(hash);
            self.by_hash.insert(hash, page);
        }
    }

    /// Gives a page back.
    pub(crate) fn release(&mut self, page: PageId) {
        self.users[page] -= 1;
        if self.users[page] > 0 {
            return;
        }
        if self.hashes[page].is_none() && self.tails[page].is_none() {
            self.free.push(page);
            return;
        }
        self.clock += 1;
        self.idle_since[page] = self.clock;
        self.idle.insert(self.clock, page);
    }

    /// Numbers of the room that [`read`](Self::read) needs.
    pub(crate) fn room(&self) -> usize {
        if self.layout.precision == Precision::Half { self.layout.head_block() } else { 0 }
    }

    /// The keys and values of one head in one layer, in 32 bits, where they stand or in the room.
    pub(crate) fn read<'a>(
        &'a self,
        page: PageId,
        layer: usize,
        head: usize,
        room: &'a mut [f32],
    ) -> (Rows<'a>, Rows<'a>) {
        let (at, length) = (self.offset(layer, head), self.layout.head_block());
        let block: &[f32] = match &self.storage[page] {
            Storage::Full(numbers) => &numbers[at..at + length],
            Storage::Half(numbers) => {
                widen(&numbers[at..at + length], &mut room[..length]);
                &room[..length]
            }
            Storage::Empty => &[],
        };
        let (keys, values) = block.split_at(PAGE * self.layout.key);
        let keys = Rows { values: keys, width: self.layout.key };
        let values = if values.is_empty() { keys } else { Rows { values, width: self.layout.value } };
        (keys, values)
    }

    /// Stores one position's key and value of one head; `value` is empty where it is a part of the key.
    pub(crate) fn write(&mut self, place: Place, head: usize, key: &[f32], value: &[f32]) {
        let at = self.offset(place.layer, head);
        let parts = [(at + place.slot * key.len(), key), (at + PAGE * key.len() + place.slot * value.len(), value)];
        for (at, numbers) in parts {
            match &mut self.storage[place.page] {
                Storage::Full(page) => page[at..at + numbers.len()].copy_from_slice(numbers),
                Storage::Half(page) => {
                    let kept = page[at..at + numbers.len()].iter_mut().zip(numbers);
                    kept.for_each(|(kept, number)| *kept = F16::of(*number));
                }
                Storage::Empty => {}
            }
        }
    }

    fn offset(&self, layer: usize, head: usize) -> usize {
        (layer * self.layout.heads + head) * self.layout.head_block()
    }

    fn forget(&mut self, page: PageId) {
        if let Some(hash) = self.hashes[page].take() {
            self.by_hash.remove(&hash);
        }
        if let Some(hash) = self.tails[page].take() {
            self.by_tail.remove(&hash);
        }
    }
}

/// One page's numbers.
#[derive(Debug, Clone)]
enum Storage {
    /// Not used yet.
    Empty,
    Half(Box<[F16]>),
    Full(Box<[f32]>),
}

/// Where a position's key and value go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// The page.
    pub(crate) page: PageId,
    /// The position within the page.
    pub(crate) slot: usize,
    /// The layer.
    pub(crate) layer: usize,
}

/// Rows of equal width.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// All of a page's rows, one after the other.
    pub(crate) values: &'a [f32],
    /// The width of one.
    pub(crate) width: usize,
}

#[cfg(test)]
impl<'a> Rows<'a> {
    /// One row.
    pub(crate) fn row(&self, index: usize) -> &'a [f32] {
        &self.values[index * self.width..][..self.width]
    }
}

/// The hash of one more full page; it stands for everything before that too.
pub(crate) fn next_hash(before: &PageHash, page: &[u32]) -> PageHash {
    let mut hasher = Sha256::new_with_prefix(before);
    page.iter().for_each(|token| hasher.update(token.to_le_bytes()));
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: Layout = Layout { layers: 2, heads: 1, key: 3, value: 2, precision: Precision::Half };

    #[test]
    fn a_page_is_found_again_until_it_is_needed() {
        let mut pages = Pages::new(LAYOUT, 2);
        let known = next_hash(&[0; 32], &[7; 16]);
        let first = pages.take().unwrap();
        pages.publish(first, known);
        pages.release(first);
        assert_eq!(pages.available(), 2);
        assert_eq!(pages.reuse(&known), Some(first));
        assert_eq!(pages.available(), 1);
        pages.release(first);
        let taken = (pages.take(), pages.take(), pages.take());
        assert!(matches!(taken, (Some(_), Some(_), None)), "{taken:?}");
        assert_eq!(pages.reuse(&known), None);
    }

    #[test]
    fn a_shared_page_is_given_back_by_its_last_user() {
        let mut pages = Pages::new(LAYOUT, 1);
        let known = next_hash(&[0; 32], &[7; 16]);
        let page = pages.take().unwrap();
        pages.publish(page, known);
        assert_eq!(pages.reuse(&known), Some(page));
        pages.release(page);
        assert_eq!((pages.available(), pages.take()), (0, None));
        pages.release(page);
        assert_eq!(pages.available(), 1);
    }

    #[test]
    fn the_end_of_a_prompt_is_found_until_its_page_is_needed() {
        let mut pages = Pages::new(LAYOUT, 2);
        let tail = next_hash(&[0; 32], &[7; 3]);
        let first = pages.take().unwrap();
        pages.write(Place { page: first, slot: 2, layer: 1 }, 0, &[1.0, 2.0, 3.0], &[4.0, 5.0]);
        pages.publish_tail(first, tail);
        pages.release(first);
        assert_eq!((pages.available(), pages.reuse_tail(&tail)), (2, Some(first)));
        let second = pages.take().unwrap();
        pages.copy(first, second);
        assert_eq!(pages.read(second, 1, 0, &mut [0.0; 80]).0.row(2), [1.0, 2.0, 3.0]);
        pages.release(first);
        assert_eq!(pages.take(), Some(first));
        assert_eq!(pages.reuse_tail(&tail), None);
    }

    #[test]
    fn hashes_differ_by_everything_before() {
        let page: Vec<u32> = (0..16).collect();
        let first = next_hash(&[0; 32], &page);
        assert_eq!(first, next_hash(&[0; 32], &page));
        assert_ne!(first, next_hash(&[1; 32], &page));
        assert_ne!(first, next_hash(&first, &page));
    }

    #[test]
    fn what_was_written_is_read() {
        let mut pages = Pages::new(LAYOUT, 1);
        let page = pages.take().unwrap();
        pages.write(Place { page, slot: 5, layer: 1 }, 0, &[1.0, 2.0, 3.0], &[4.0, 5.0]);
        let mut room = [0.0; 80];
        let (keys, values) = pages.read(page, 1, 0, &mut room);
        assert_eq!((keys.row(5), values.row(5)), (&[1.0, 2.0, 3.0][..], &[4.0, 5.0][..]));
        assert_eq!(pages.read(page, 0, 0, &mut [0.0; 80]).0.row(5), [0.0; 3]);
    }
}
