//! The one integration test binary: scenarios over real sockets against the real program, the house rules of `tidy`, and
//! properties. It measures nothing.

mod harness;

mod scenarios;

mod fuzz;
mod tidy;
