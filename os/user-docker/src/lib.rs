//! The first program of the container `userdocker`: it configures the user's Docker engine, starts it, and
//! stays beside it as its parent process.
//!
//! A setting that the engine would reject is left out and reported, because an engine without the setting
//! is better than no engine.

#![warn(unreachable_pub)]

mod adopted;
mod arguments;
mod engine_process;
mod flannel;
mod network;
mod program;
mod report;
mod restarted;
mod tls_server;

pub use program::main;
