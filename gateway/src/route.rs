//! Routing: model, caller and constraints to an ordered list of candidates. It is pure: it sees no socket and no clock.
