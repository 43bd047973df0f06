//! What callers and teams may take: rates, requests at once, budgets. Counted in memory, so that no database stands on the
//! request path; gateways that share one tell each other through it what was taken.
//!
//! | file | what |
//! |---|---|
//! | `bucket` | a rate with a burst, in time; pure |
//! | `scope` | all that is counted of one key, caller or team |
//! | `book` | all scopes, and what one exchange holds of them |
//! | `denial` | why somebody has to wait, in the words that clients know |
//! | `share` | what this gateway took to the others, and theirs to this one |

mod bucket;

mod scope;

mod book;
mod denial;

pub mod share;

pub use book::{Book, Claim, Hold, Moment};
pub use denial::{Denial, Left, Standing};
pub use scope::{Others, Taken};
