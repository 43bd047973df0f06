//! Configuration to running parts: the only constructor of them.
//!
//! - `build`: makes every part, in the order in which they need one another
//! - `running`: what runs, and the way out
//! - `background`: the work beside the traffic: migrating, reading keys, shipping records
//! - `canary`: the same probes again and again, and who is told
//! - `sealing`: the ledger's key on this machine, and the sealer's turns
//! - `reload`: a changed configuration comes into force while traffic runs
//! - `watch`: what health and metrics see of the parts
//! - `error`: why something could not be made

mod build;

mod running;

mod background;
mod canary;
mod reload;
mod sealing;
mod watch;

mod error;

pub use build::start;
pub use error::Error;
pub use reload::Source;
pub use running::{Running, Signals, Told};
pub use sealing::kept;
