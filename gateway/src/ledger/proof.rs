//! Proofs: that leaves stand in a tree, and that one tree is the beginning of another. It reads hashes of subtrees
//! wherever its caller keeps them.
//!
//! Inclusion and consistency as in RFC 6962, sections 2.1.1 and 2.1.2. A range proof is the inclusion proof of many
//! neighbouring leaves at once: the hashes of all subtrees beside them, from left to right, in the order in which a
//! walk from the root meets them.

use super::hash::Hash;
use super::tree::Span;

/// Hashes in one proof at most: two for each level of a tree of 2^64 leaves.
pub const LONGEST: usize = 128;

/// Which subtrees' hashes prove that a span of leaves stands in a tree of so many, in the order of the proof.
#[must_use]
pub fn range_nodes(leaves: Span, size: u64) -> Vec<Span> {
    let mut nodes = Vec::new();
    if size > 0 && leaves.end <= size {
        beside(Span { start: 0, end: size }, leaves, &mut nodes);
    }
    nodes
}

fn beside(node: Span, leaves: Span, nodes: &mut Vec<Span>) {
    if !node.touches(leaves) {
        nodes.push(node);
    } else if !leaves.holds(node) {
        let (left, right) = node.split();
        beside(left, leaves, nodes);
        beside(right, leaves, nodes);
    }
}

/// The root of a tree of so many leaves in which these stand from `start` on, beside the subtrees of a proof. `None`
/// where proof and place do not fit together.
#[must_use]
pub fn range_root(start: u64, leaves: &[Hash], size: u64, proof: &[Hash]) -> Option<Hash> {
    let end = start.checked_add(leaves.len() as u64)?;
    let inside = Span { start, end };
    if inside.is_empty() || end > size || proof.len() > LONGEST {
        return None;
    }
    let mut rest = Rest { leaves, proof };
    let root = rest.take(Span { start: 0, end: size }, inside)?;
    (rest.leaves.is_empty() && rest.proof.is_empty()).then_some(root)
}

/// What of a range proof has not been used yet.
struct Rest<'a> {
    leaves: &'a [Hash],
    proof: &'a [Hash],
}

impl Rest<'_> {
    fn take(&mut self, node: Span, inside: Span) -> Option<Hash> {
        if !node.touches(inside) {
            return Self::first(&mut self.proof);
        }
        if node.len() == 1 {
            return Self::first(&mut self.leaves);
        }
        let (left, right) = node.split();
        let left = self.take(left, inside)?;
        Some(Hash::node(&left, &self.take(right, inside)?))
    }

    fn first(hashes: &mut &[Hash]) -> Option<Hash> {
        let (first, rest) = hashes.split_first()?;
        *hashes = rest;
        Some(*first)
    }
}

/// Which subtrees' hashes make RFC 6962's audit path of one leaf, from the leaf upward.
#[must_use]
pub fn inclusion_nodes(index: u64, size: u64) -> Vec<Span> {
    let mut nodes = Vec::new();
    let mut node = Span { start: 0, end: size };
    while index < size && node.len() > 1 {
        let (left, right) = node.split();
        if index < left.end {
            nodes.push(right);
            node = left;
        } else {
            nodes.push(left);
            node = right;
        }
    }
    nodes.reverse();
    nodes
}

/// The root that an audit path leads to; `None` where it is too long or too short. RFC 9162, section 2.1.3.2.
#[must_use]
pub fn inclusion_root(index: u64, leaf: Hash, size: u64, path: &[Hash]) -> Option<Hash> {
    let mut last = size.checked_sub(1)?;
    let mut at = index;
    if at > last {
        return None;
    }
    let mut node = leaf;
    for sibling in path {
        if last == 0 {
            return None;
        }
        if at & 1 == 1 || at == last {
            node = Hash::node(sibling, &node);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            node = Hash::node(&node, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(node)
}

/// Which subtrees' hashes prove that the tree of `old` leaves is the beginning of the tree of `new`.
#[must_use]
pub fn consistency_nodes(old: u64, new: u64) -> Vec<Span> {
    let mut nodes = Vec::new();
    if old == 0 || old >= new {
        return nodes;
    }
    let mut node = Span { start: 0, end: new };
    let mut whole = true;
    while node.end != old {
        let (left, right) = node.split();
        if old <= left.end {
            nodes.push(right);
            node = left;
        } else {
            nodes.push(left);
            node = right;
            whole = false;
        }
    }
    if !whole {
        nodes.push(node);
    }
    nodes.reverse();
    nodes
}

/// Whether a proof shows that the tree of `old` leaves is the beginning of the tree of `new`. RFC 9162, section
/// 2.1.4.2.
#[must_use]
pub fn is_consistent(old: (u64, Hash), new: (u64, Hash), proof: &[Hash]) -> bool {
    let ((old_size, old_root), (new_size, new_root)) = (old, new);
    if old_size == new_size {
        return proof.is_empty() && old_root == new_root;
    }
    if old_size == 0 || old_size > new_size {
        return old_size == 0 && proof.is_empty();
    }
    let mut at = old_size - 1;
    let mut last = new_size - 1;
    while at & 1 == 1 {
        at >>= 1;
        last >>= 1;
    }
    let mut proof = proof.iter();
    let first = if old_size.is_power_of_two() { Some(&old_root) } else { proof.next() };
    let Some(first) = first else { return false };
    let (mut old_node, mut new_node) = (*first, *first);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            old_node = Hash::node(sibling, &old_node);
            new_node = Hash::node(sibling, &new_node);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            new_node = Hash::node(&new_node, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && old_node == old_root && new_node == new_root
}
