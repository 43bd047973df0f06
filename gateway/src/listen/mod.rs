//! The front door: sockets to requests, and the way out.
