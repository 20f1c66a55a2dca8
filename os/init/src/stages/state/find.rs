//! Which disk `state.dev` names, however late it comes.

use std::time::{Duration, Instant};

use super::Boot;
use crate::sys::{Extent, Result, Sys};
use crate::uevents::Came;

/// How long a disk that must be there may take.
const LIMIT: Duration = Duration::from_secs(30);

/// When no device of any kind has come for so long, none is on its way: drivers were loaded before,
/// and loading waits for what they find at once.
const QUIET: Duration = Duration::from_secs(1);

const BLKID: &str = "/usr/sbin/blkid";

/// How long a look at the disks may take: it reads a few blocks of each, and one of them may hang.
const LOOK: Duration = Duration::from_secs(30);

/// The disk, as soon as it is there; none when it does not come.
///
/// A machine without one is not kept waiting, unless the configuration says that it has one.
pub fn wait_for(boot: &mut Boot<'_>, state: &config::State) -> Result<Option<String>> {
    // Before the first look, so that no disk comes between the two.
    boot.sys.watch_devices()?;
    let is_meant = state.required || state.dev != config::from_cmdline("").config.state.dev;
    let patience = match is_meant && state.autoformat.is_empty() {
        true => LIMIT,
        false => QUIET,
    };
    let deadline = Instant::now() + LIMIT;
    let mut told = false;
    loop {
        if let Some(device) = look(boot.sys, state)? {
            return Ok(Some(device));
        }
        if patience == LIMIT && !told {
            boot.report
                .say(&format!("rancher: waiting for {} for 30 s", state.dev));
            told = true;
        }
        if !comes(boot.sys, patience, deadline)? {
            return Ok(None);
        }
    }
}

/// Waits for a disk; false when none came.
fn comes(sys: &mut dyn Sys, patience: Duration, deadline: Instant) -> Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match sys.device_came(patience.min(left))? {
            Some(Came::Disk) => return Ok(true),
            Some(Came::Other) => (),
            None => return Ok(false),
        }
    }
}

fn look(sys: &mut dyn Sys, state: &config::State) -> Result<Option<String>> {
    let dev = state.dev.as_str();
    if dev.contains('=') {
        // What it found before is not asked: there is no such file.
        let arguments = ["-c", "/dev/null", "-l", "-o", "device", "-t", dev];
        let found = sys.ask_within(BLKID, &arguments, LOOK)?;
        let found = found.output.trim().to_owned();
        return Ok(Some(found).filter(|device| !device.is_empty()));
    }
    let there = match state.autoformat.is_empty() {
        true => sys.content(dev, Extent::Beginning).is_ok(),
        // One with nothing on it may be for formatting.
        false => !is_unknown(sys, dev)?,
    };
    Ok(there.then(|| dev.to_owned()))
}

/// blkid's exit status where there is no disk, or nothing on it that it knows.
pub const NOTHING: i32 = 2;

/// The type of the file system on a disk; empty when none is known.
pub fn file_system(sys: &mut dyn Sys, device: &str) -> Result<String> {
    let arguments = ["-p", "-o", "value", "-s", "TYPE", device];
    let found = sys.ask_within(BLKID, &arguments, LOOK)?;
    Ok(found.output.trim().to_owned())
}

/// Whether blkid knows nothing of what is on a disk: no file system, no partitions, no part of a
/// larger whole.
pub fn is_unknown(sys: &mut dyn Sys, device: &str) -> Result<bool> {
    let known = sys.ask_within(BLKID, &["-p", device], LOOK)?;
    Ok(known.status == NOTHING)
}
