//! The exit statuses of the commands.

/// Success.
pub const OK: u8 = 0;
/// A trial failed, or a check found a problem.
pub const FAILED: u8 = 1;
/// The command line is invalid.
pub const USAGE: u8 = 2;
/// An error of the harness or the host prevented a verdict: no QEMU, a failed build, not enough resources.
pub const INFRASTRUCTURE: u8 = 3;
