//! The spool: a crash-safe local queue of frames, one directory per stream, one stream per run of the process.
//! It knows the store only as a cursor.
//!
//! | file | what |
//! |---|---|
//! | `disk` | the few things asked of a file system, so that tests can break it |
//! | `log` | which segments a stream has and how far it is durable: what writer and reader share |
//! | `scan` | frames of one segment file, one after the other, past damage |
//! | `hidden` | frames under a key of the operator's |
//! | `append` | frames into segments: group, write, sync; an error is final for a segment |
//! | `recover` | a dead process's stream: torn tail cut, open exchanges closed |
//! | `directory` | streams' directories: made, locked, found, removed |
//! | `read` | frames behind the writer, damage turned into counted losses |
//! | `queue` | from exchanges to the writer |
//! | `write` | the writer's thread: what is recorded, what is lost, who is told |
//!
//! A segment `FIRST-GENERATION.seg` holds the frames from FIRST on up to the first number of the segment after it;
//! whatever stands behind that was never acknowledged and is written again there. So nothing is ever rewritten or cut
//! in place, and no second file must agree with the first.

mod append;
mod directory;
mod disk;
mod hidden;
mod log;
mod queue;
mod read;
mod recover;
mod scan;
#[cfg(test)]
mod tests;
mod write;

pub use directory::Waiting;
pub(super) use directory::{Streams, look};
pub(super) use disk::{Disk, Files};
#[cfg(test)]
pub(super) use disk::{Input, Lock, Output};
pub(super) use log::Log;
pub(super) use queue::{Job, Queue};
pub(super) use read::{Raw, Read, Reader};
pub(super) use write::{Writer, awaited, closing};
