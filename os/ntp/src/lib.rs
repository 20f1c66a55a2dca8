//! Synchronizes the clock with time servers.
//!
//! This is a simple client (SNTP, RFC 4330): it queries all configured servers, uses the median offset,
//! steps a clock that is far off and slews one that is not. A machine whose clock was wrong when it was
//! switched on has the right time within seconds after the network is up.
//!
//! This crate is not a time server, and it is no more precise than the delay of the network.

#![warn(unreachable_pub)]

mod clock;
mod exchange;
mod program;

pub use program::main;
