//! PID 1 until it becomes system-docker, and the keeper beside it.
//!
//! The kernel starts `init` from the initrd. It runs the stages of the boot (module `stages`), which start
//! `init` once more as the keeper, and then becomes system-docker by execve(2). The keeper is a child
//! subreaper that keeps containerd, the supervisor and the power button's listener running.
//!
//! PID 1 is Docker because the kernel protects PID 1: the OOM killer does not kill it, and signals without
//! a handler do not end it (crate `sys`, module `signals`). Containerd runs below a subreaper because
//! dockerd does not reap orphans.

#![warn(unreachable_pub)]

mod boot;
mod keeper;
mod pid1;
mod sequence;
mod stages;

pub use pid1::main;
