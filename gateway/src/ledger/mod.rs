//! The ledger: a Merkle log over all records, and what proves that nothing in it was changed or left out. Pure: it reads
//! no database and no file, and asks for random numbers only to make a key.
//!
//! | module | what it is |
//! |---|---|
//! | [`hash`] | the hashes of leaves and nodes, and salted commitments to rows and payloads |
//! | [`leaf`] | what one leaf says, as bytes |
//! | [`row`] | rows as the texts that leaves commit to |
//! | [`tree`] | the tree by its right edge |
//! | [`proof`] | inclusion, consistency, and inclusion of whole ranges |
//! | [`checkpoint`] | signed heads, as C2SP has them |
//! | [`bundle`] | the files of an evidence bundle |
//! | [`verify`] | what a bundle proves, record by record |
//!
//! What it does not prove: that the gateway told the truth before a record was first on its disk.

pub mod hash;
pub mod leaf;
pub mod row;

pub mod checkpoint;
pub mod proof;
pub mod tree;

pub mod bundle;
pub mod verify;

#[cfg(test)]
mod tests;
