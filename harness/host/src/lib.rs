//! The capabilities of this host: QEMU, KVM (verified by a boot), ports, memory, disk space and speed; and
//! admission, which starts a machine when the host has the resources for it.

pub mod admission;
mod boot_id;
pub mod disk_space;
pub mod kvm;
pub mod memory;
pub mod port;
pub mod qemu;
pub mod speed;

pub use boot_id::boot_id;
pub use speed::HostSpeed;
