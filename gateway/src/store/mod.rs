//! The store: the only importer of sqlx.
