//! What every other crate of the OS shares: boot reports, log files, kept processes, uevents, netlink
//! sockets, and the seam between the boot and the kernel.
//!
//! It depends on no other crate of the OS.

#![warn(unreachable_pub)]

pub mod blkid;
mod calls;
pub mod log;
pub mod netlink;
mod paths;
mod poll_timeout;
pub mod report;
pub mod respawn;
pub mod uevents;

pub use calls::{
    Content, Extent, FreeSpace, Linux, Mount, Node, Outcome, ProgramOutput, Progress, Result, Sys,
};
pub use paths::{PROGRAMS, SEARCH_PATH};
pub use poll_timeout::poll_timeout;
