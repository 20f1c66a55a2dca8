//! Mounts the file systems that `mounts` of the configuration lists, in the tree of people and their
//! containers (crate `tree`).
//!
//! Disks are mounted before the console and the user's engine start, so that both find their files.
//! Network file systems are retried in the background until they are mounted: the console does not wait
//! for them, the engine waits up to a timeout.

#![warn(unreachable_pub)]

mod disks;
mod options;
mod remote;

pub use disks::mount_all;
pub use remote::wait as wait_for_remote;
