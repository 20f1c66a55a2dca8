//! What this host can do: QEMU, KVM proven by a boot, helpers found, speed measured.

pub(crate) mod command;
mod doctor;
pub(crate) mod kvm;
pub mod memory;
pub(crate) mod port;
pub(crate) mod qemu;
pub(crate) mod room;
pub mod scale;
mod time_server;

pub use doctor::{Finding, State, examine};
pub use scale::Scale;
pub use time_server::TimeServer;
