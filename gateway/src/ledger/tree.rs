//! The Merkle tree over all leaves, RFC 6962 section 2.1: growing it by its right edge, and the hash of any part of it.
//! It stores nothing and proves nothing.

use super::hash::Hash;

/// The right edge of a tree: the roots of the whole subtrees that it consists of, largest first. It is all that is
/// needed to append.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    /// One root for each bit set in `size`, from the highest.
    roots: Vec<Hash>,
}

impl Frontier {
    /// The frontier of so many leaves; `None` where the number of roots does not fit.
    #[must_use]
    pub fn read(size: u64, roots: Vec<Hash>) -> Option<Self> {
        (size.count_ones() as usize == roots.len()).then_some(Self { size, roots })
    }

    /// How many leaves there are.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the whole subtrees, largest first.
    #[must_use]
    pub fn roots(&self) -> &[Hash] {
        &self.roots
    }

    /// Appends a leaf.
    pub fn push(&mut self, leaf: Hash) {
        self.push_and_note(leaf, |_| {});
    }

    /// Appends a leaf, and tells of every subtree that it makes whole.
    pub fn push_and_note(&mut self, leaf: Hash, mut note: impl FnMut(Node)) {
        let mut hash = leaf;
        let (mut level, mut index) = (0, self.size);
        while index & 1 == 1 {
            let Some(left) = self.roots.pop() else { break };
            hash = Hash::node(&left, &hash);
            index >>= 1;
            level += 1;
            note(Node { level, index, hash });
        }
        self.roots.push(hash);
        self.size += 1;
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut roots = self.roots.iter().rev();
        let Some(last) = roots.next() else { return Hash::empty() };
        roots.fold(*last, |right, left| Hash::node(left, &right))
    }
}

/// The root of a whole subtree: of the leaves from `index` times 2^`level` on, 2^`level` of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// How far above the leaves it stands.
    pub level: u32,
    /// Which of its level.
    pub index: u64,
    /// Its hash.
    pub hash: Hash,
}

/// The root of these leaves.
#[must_use]
pub fn root_of(leaves: impl IntoIterator<Item = Hash>) -> Hash {
    let mut frontier = Frontier::default();
    leaves.into_iter().for_each(|leaf| frontier.push(leaf));
    frontier.root()
}

/// Leaves from one number to another, the second not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    /// The first leaf.
    pub start: u64,
    /// The one behind the last.
    pub end: u64,
}

impl Span {
    /// How many leaves.
    #[must_use]
    pub fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The fewest whole subtrees that make up a span, from left to right: level and index of each.
    #[must_use]
    pub fn whole(self) -> Vec<(u32, u64)> {
        let mut at = self.start;
        let mut parts = Vec::new();
        while at < self.end {
            let fits = (self.end - at).ilog2();
            let level = if at == 0 { fits } else { at.trailing_zeros().min(fits) };
            parts.push((level, at >> level));
            at += 1 << level;
        }
        parts
    }

    /// Both children of the node over this span: the left one is the largest power of two smaller than the span.
    pub(super) fn split(self) -> (Self, Self) {
        let half = self.len().next_power_of_two() / 2;
        let middle = self.start + half.max(1);
        (Self { start: self.start, end: middle }, Self { start: middle, end: self.end })
    }

    pub(super) fn holds(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    pub(super) fn touches(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }
}
