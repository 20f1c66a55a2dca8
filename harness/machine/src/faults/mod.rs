//! Faults that can be injected into a running machine from outside. They need no preparation when the
//! machine is started, so they work for every machine, including forks.

mod balloon;
mod disk;
mod network;
mod packets;

pub use disk::{DiskFaults, FaultyDisk};
pub use packets::Relay;
