//! What this host can do: QEMU, KVM proven by a boot, helpers found, speed measured.

mod doctor;
pub(crate) mod kvm;
pub mod memory;
mod name_server;
pub(crate) mod port;
pub(crate) mod qemu;
pub(crate) mod room;
pub mod scale;
mod time_server;

use std::io;

pub use doctor::{Finding, State, examine};
pub use name_server::NameServer;
pub use scale::Scale;
pub use time_server::TimeServer;

/// A word that the host has another one of each time that it is started.
pub(crate) fn boot_id() -> io::Result<String> {
    let read = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(read.trim().to_owned())
}
