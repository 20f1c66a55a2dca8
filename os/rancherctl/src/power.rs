//! Restarting and stopping the machine.

use nix::sys::reboot::{RebootMode, reboot};

/// What is to become of the machine.
#[derive(Debug, Clone, Copy)]
pub enum Action {
    /// It starts again.
    Reboot,
    /// It is switched off.
    PowerOff,
    /// It stops with the power on.
    Halt,
}

/// Writes what is in memory to the disks and makes them read-only, then does it.
///
/// # Errors
/// The caller is not root, or the kernel refuses.
pub fn run(action: Action) -> Result<(), String> {
    crate::caller::must_be_root()?;
    nix::unistd::sync();
    // Every file system read-only, as the last thing before the end ("Linux Magic System Request Key
    // Hacks" in the kernel's documentation); where that is switched off the sync above must do.
    let _ = std::fs::write("/proc/sysrq-trigger", "u");
    nix::unistd::sync();
    let mode = match action {
        Action::Reboot => RebootMode::RB_AUTOBOOT,
        Action::PowerOff => RebootMode::RB_POWER_OFF,
        Action::Halt => RebootMode::RB_HALT_SYSTEM,
    };
    match reboot(mode) {
        Ok(never) => match never {},
        Err(error) => Err(error.to_string()),
    }
}
