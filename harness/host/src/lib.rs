//! What this host can do: QEMU found, KVM proven by a boot, ports, memory and disk space, speed, and
//! admission: a machine starts when the host has the resources for it.

pub mod admission;
mod boot_id;
pub mod disk_space;
pub mod kvm;
pub mod memory;
pub mod port;
pub mod qemu;
pub mod speed;

pub use boot_id::boot_id;
pub use speed::Scale;
