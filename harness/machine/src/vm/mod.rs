//! One virtual machine, from its start to its end.
//!
//! | type | what it is |
//! |---|---|
//! | [`Machine`] | the handle: everything that callers do with a machine |
//! | [`Vm`](vm::Vm) | what survives a reset: directory, disks, ports, settings; which QEMU runs it now |
//! | [`QemuProcess`](process::QemuProcess) | one QEMU: it runs the guest until the machine is reset or ends |
//! | [`Monitor`](monitor::Monitor) | the task that sees a QEMU exit and starts the next one, or reports a failure |
//! | [`StartMode`](start::StartMode) | where a machine starts: power-on, a checkpoint, a failure snapshot |

mod checkpoint;
mod control;
mod end;
mod failure;
mod hotplug;
mod line;
mod link;
mod machine;
mod monitor;
mod power_cut;
mod prepare;
mod process;
mod restore;
mod settle;
mod start;
#[allow(clippy::module_inception, reason = "named after the type in it")]
mod vm;

pub use machine::Machine;
pub use restore::RestoreOptions;
