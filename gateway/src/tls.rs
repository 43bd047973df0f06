//! TLS for the server and for clients of upstreams.
