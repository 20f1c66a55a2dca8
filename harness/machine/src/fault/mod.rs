//! What can be broken in a running machine from outside: nothing of it needs to have been there
//! when the machine was started, so that every machine can be broken, forks among them.

mod balloon;
mod disk;
mod network;
mod relay;

pub use disk::{BrokenDisk, DiskFaults};
pub(super) use relay::read as read_packet;
pub use relay::{Disturbance, Relay};
