//! The boot ID of the host.

use std::io;

/// A random identifier that changes with each boot of the host (`random(4)`).
///
/// # Errors
/// `/proc` cannot be read.
pub fn boot_id() -> io::Result<String> {
    let read = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(read.trim().to_owned())
}
