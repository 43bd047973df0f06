//! What the tests of records share: sample records, a disk that breaks, a store in memory; and the tests of the whole.

pub(super) mod disk;
mod files;
mod recording;
pub(super) mod samples;
mod shipping;
