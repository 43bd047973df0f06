//! One dialect put into another: requests on their way to an upstream, replies on their way back. All of it goes through
//! one canonical form, so that each dialect is read and written once. What is screened and recorded of a reply is what the
//! upstream said, before any of this.

mod asked;
mod fields;
mod proof;

mod ask_anthropic;
mod ask_chat;
mod ask_responses;
mod parts;

mod told;

mod calls;

mod lost;

mod hear_anthropic;
mod hear_chat;
mod hear_responses;

mod tell_anthropic;
mod tell_chat;
mod tell_responses;

mod error;
mod request;
mod stream;

pub use error::translate_error;
pub use request::{Translated, translate};
pub use stream::Translation;

#[cfg(test)]
mod tests;
