//! Callers that prove who they are by signed tokens of an issuer (JWT, as OpenID Connect providers give them). Keys of issuers
//! are fetched beside the traffic; a request only ever reads memory.
//!
//! | file | what |
//! |---|---|
//! | `token` | a token's text to its parts, and what it must say to be good; pure |
//! | `keyset` | an issuer's public keys (JWKS), and signatures against them; pure |
//! | `issuers` | who is trusted, with the keys that are known of each |
//! | `fetch` | reads keys from files and URLs, again and again |

mod token;

mod keyset;

mod issuers;

pub mod fetch;

pub use issuers::{Error, Issuers, Vouched};
pub use token::looks_like_one;
