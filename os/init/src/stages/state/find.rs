//! Finding the disk that `state.dev` names, which may appear late.

use std::time::{Duration, Instant};

use sys::uevents::DeviceEvent;
use sys::{Result, Sys, blkid};

use crate::boot::Boot;

/// The timeout for a disk that must exist.
const TIMEOUT: Duration = Duration::from_secs(30);

/// If no device of any kind has appeared for this long, none is expected: the drivers were loaded before,
/// and loading a driver waits for the devices that it finds at once.
const QUIET_PERIOD: Duration = Duration::from_secs(1);

/// The same before a blank disk is formatted, which happens once in the life of a disk. If the state disk
/// is only late, formatting another one would leave two disks with the same label.
const FORMAT_DELAY: Duration = Duration::from_secs(5);

/// Waits for the disk; `None` if it does not appear. Waits only briefly, unless the configuration names a
/// disk or requires one.
pub(super) fn wait_for(boot: &mut Boot<'_>, state: &config::State) -> Result<Option<String>> {
    // Before the first look, so that no disk is missed.
    boot.sys.watch_devices()?;
    let is_configured = state.required || state.dev != config::from_cmdline("").config.state.dev;
    let quiet = if is_configured && state.autoformat.is_empty() {
        TIMEOUT
    } else {
        QUIET_PERIOD
    };
    if let Some(device) = look(boot.sys, state)? {
        return Ok(Some(device));
    }
    if quiet == TIMEOUT {
        boot.report
            .print(&format!("rancher: waiting up to 30 s for {}", state.dev));
    }
    late(boot.sys, state, quiet)
}

/// Waits for the disk once more, before `blank` is formatted in its place.
pub(super) fn before_format(
    boot: &mut Boot<'_>,
    state: &config::State,
    blank: &str,
) -> Result<Option<String>> {
    if state.dev == blank {
        return Ok(None);
    }
    let seconds = FORMAT_DELAY.as_secs();
    boot.report.print(&format!(
        "rancher: {blank} is blank; waiting {seconds} s for {} before formatting it",
        state.dev
    ));
    late(boot.sys, state, FORMAT_DELAY)
}

/// Waits for the disk until no device has appeared for the quiet period.
fn late(sys: &mut dyn Sys, state: &config::State, quiet: Duration) -> Result<Option<String>> {
    let deadline = Instant::now() + TIMEOUT;
    while disk_appeared(sys, quiet, deadline)? {
        if let Some(device) = look(sys, state)? {
            return Ok(Some(device));
        }
    }
    Ok(None)
}

/// Waits for any disk; returns false if none appeared.
fn disk_appeared(sys: &mut dyn Sys, quiet: Duration, deadline: Instant) -> Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match sys.next_device(quiet.min(left))? {
            Some(DeviceEvent::Disk) => return Ok(true),
            Some(DeviceEvent::Other) => (),
            None => return Ok(false),
        }
    }
}

fn look(sys: &mut dyn Sys, state: &config::State) -> Result<Option<String>> {
    let dev = state.dev.as_str();
    // A blank disk may be one to format.
    if !dev.contains('=') && !state.autoformat.is_empty() && blkid::is_unrecognized(sys, dev)? {
        return Ok(None);
    }
    blkid::device(sys, dev)
}
