//! What the commands' exit statuses mean.

/// As wanted.
pub const OK: u8 = 0;
/// A verdict is red, or a check found something.
pub const RED: u8 = 1;
/// The command was not understood.
pub const USAGE: u8 = 2;
/// There was no verdict: no QEMU, no build, no room.
pub const INFRASTRUCTURE: u8 = 3;
