//! Shutting the machine down, and what asks for it: the power button and busybox.
//!
//! `power` stops the containers, ends all processes, writes all file systems and makes them read-only, and
//! asks the kernel to reboot, power off or halt. `power-button` runs it when the button is pressed.

#![warn(unreachable_pub)]

mod acpi;
pub mod button;
mod containers;
mod disks;
mod processes;
mod remote;
mod shutdown;

pub use shutdown::main;
