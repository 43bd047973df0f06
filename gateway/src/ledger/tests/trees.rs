//! Trees and proofs against RFC 6962's definitions, and its vectors.

use proptest::prelude::*;

use crate::ledger::hash::Hash;
use crate::ledger::leaf::{Kind, Leaf, Part};
use crate::ledger::proof::{
    consistency_nodes, inclusion_nodes, inclusion_root, is_consistent, range_nodes, range_root,
};
use crate::ledger::tree::{Frontier, Span, root_of};

/// MTH of RFC 6962, section 2.1, as it is written there.
fn defined(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::empty(),
        [one] => *one,
        many => {
            let half = many.len().next_power_of_two() / 2;
            Hash::node(&defined(&many[..half]), &defined(&many[half..]))
        }
    }
}

fn leaves(count: usize) -> Vec<Hash> {
    (0..count).map(|n| Hash::leaf(&n.to_be_bytes())).collect()
}

fn hashes(leaves: &[Hash], nodes: Vec<Span>) -> Vec<Hash> {
    nodes.into_iter().map(|node| defined(&leaves[node.start as usize..node.end as usize])).collect()
}

/// The inputs and roots of certificate-transparency's `merkle_tree_test`.
#[test]
fn published_roots_come_out() {
    let inputs: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut frontier = Frontier::default();
    assert_eq!(format!("{:?}", frontier.root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    for (input, root) in inputs.iter().zip(roots) {
        frontier.push(Hash::leaf(input));
        assert_eq!(format!("{:?}", frontier.root()), root);
    }
}

#[test]
fn every_small_tree_is_as_defined_and_every_proof_of_it_holds() {
    let all = leaves(40);
    for size in 1..=all.len() {
        let tree = &all[..size];
        let root = defined(tree);
        assert_eq!(root_of(tree.iter().copied()), root);
        for index in 0..size {
            let path = hashes(tree, inclusion_nodes(index as u64, size as u64));
            assert_eq!(inclusion_root(index as u64, all[index], size as u64, &path), Some(root));
            let wrong = all[(index + 1) % all.len()];
            assert_ne!(inclusion_root(index as u64, wrong, size as u64, &path), Some(root));
        }
        for old in 0..=size {
            let proof = hashes(tree, consistency_nodes(old as u64, size as u64));
            let before = (old as u64, defined(&all[..old]));
            assert!(is_consistent(before, (size as u64, root), &proof), "{old} to {size}");
            if old > 0 && old < size {
                let forged = (old as u64, Hash::leaf(b"forged"));
                assert!(!is_consistent(forged, (size as u64, root), &proof));
                assert!(!is_consistent(before, (size as u64, Hash::leaf(b"forged")), &proof));
            }
        }
    }
}

proptest! {
    #[test]
    fn ranges_are_proven_and_nothing_else_is(size in 1usize..300, a in any::<prop::sample::Index>(),
        b in any::<prop::sample::Index>(), broken in any::<prop::sample::Index>()) {
        let all = leaves(size);
        let (a, b) = (a.index(size), b.index(size));
        let (start, end) = (a.min(b), a.max(b) + 1);
        let span = Span { start: start as u64, end: end as u64 };
        let root = defined(&all);
        let proof = hashes(&all, range_nodes(span, size as u64));
        prop_assert_eq!(range_root(span.start, &all[start..end], size as u64, &proof), Some(root));
        let mut forged = all[start..end].to_vec();
        let at = broken.index(forged.len());
        forged[at] = Hash::leaf(b"forged");
        prop_assert_ne!(range_root(span.start, &forged, size as u64, &proof), Some(root));
        // One leaf less, one hash less, or another place is another tree or none.
        prop_assert_ne!(range_root(span.start, &all[start..end - 1], size as u64, &proof), Some(root));
        if let Some((_, fewer)) = proof.split_last() {
            prop_assert_ne!(range_root(span.start, &all[start..end], size as u64, fewer), Some(root));
        }
        prop_assert_ne!(range_root(span.start + 1, &all[start..end], size as u64, &proof), Some(root));
    }

    #[test]
    fn a_frontier_goes_on_where_it_was_put_away(first in 0usize..200, more in 0usize..200) {
        let all = leaves(first + more);
        let mut frontier = Frontier::default();
        all[..first].iter().for_each(|leaf| frontier.push(*leaf));
        let mut again = Frontier::read(frontier.size(), frontier.roots().to_vec()).expect("what was written");
        all[first..].iter().for_each(|leaf| again.push(*leaf));
        prop_assert_eq!(again.root(), defined(&all));
        prop_assert_eq!(Frontier::read(frontier.size() * 2 + 1, frontier.roots().to_vec()), None);
    }

    #[test]
    fn a_leaf_reads_back_and_nothing_else_does(kind in 0usize..Kind::ALL.len(), ids in any::<[u128; 3]>(),
        sequence in any::<u64>(), time in any::<i64>(), row in any::<[u8; 32]>(),
        parts in prop::collection::vec(("[a-z]{0,12}", any::<u64>(), any::<[u8; 32]>()), 0..7), noise in any::<u8>()) {
        let [log, record, stream] = ids.map(uuid::Uuid::from_u128);
        let parts = parts.into_iter().map(|(name, size, hash)| Part { name, size, hash: Hash(hash) }).collect();
        let leaf = Leaf { kind: Kind::ALL[kind], log, record, stream, sequence, time, row: Hash(row), parts };
        let bytes = leaf.write();
        prop_assert_eq!(Leaf::read(&bytes), Some(leaf));
        prop_assert_eq!(Leaf::read(&bytes[..bytes.len() - 1]), None);
        let longer = [bytes.as_slice(), &[noise]].concat();
        prop_assert_eq!(Leaf::read(&longer), None);
    }

    #[test]
    fn any_bytes_read_as_a_leaf_or_not(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Some(leaf) = Leaf::read(&bytes) {
            prop_assert_eq!(leaf.write(), bytes);
        }
    }
}

#[test]
fn kinds_keep_their_names() {
    for kind in Kind::ALL {
        assert_eq!(Kind::named(kind.name()), Some(kind));
    }
    assert_eq!(Kind::named("anything"), None);
}
