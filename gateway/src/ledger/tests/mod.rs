//! Tests of the ledger: published vectors, the definitions of RFC 6962 written out, and broken input.

mod notes;
mod trees;
mod verified;
