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

/// The same before a blank disk becomes the state disk. That happens once in the life of a disk, and
/// would leave a machine whose state disk was only late with two that have its name.
const BEFORE_FORMAT: Duration = Duration::from_secs(5);

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
    if let Some(device) = look(boot.sys, state)? {
        return Ok(Some(device));
    }
    if patience == LIMIT {
        boot.report
            .say(&format!("rancher: waiting for {} for 30 s", state.dev));
    }
    late(boot.sys, state, patience)
}

/// The disk, where it comes after all before `blank` is formatted in its place.
pub fn before_format(
    boot: &mut Boot<'_>,
    state: &config::State,
    blank: &str,
) -> Result<Option<String>> {
    if state.dev == blank {
        return Ok(None);
    }
    let seconds = BEFORE_FORMAT.as_secs();
    boot.report.say(&format!(
        "rancher: {blank} is blank; waiting {seconds} s for {} before it is formatted",
        state.dev
    ));
    late(boot.sys, state, BEFORE_FORMAT)
}

/// The disk, where it comes before there was no new device for so long.
fn late(sys: &mut dyn Sys, state: &config::State, patience: Duration) -> Result<Option<String>> {
    let deadline = Instant::now() + LIMIT;
    while comes(sys, patience, deadline)? {
        if let Some(device) = look(sys, state)? {
            return Ok(Some(device));
        }
    }
    Ok(None)
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
    // One with nothing on it may be for formatting.
    if !dev.contains('=') && !state.autoformat.is_empty() && is_unknown(sys, dev)? {
        return Ok(None);
    }
    device(sys, dev)
}

/// The device that a path or a property (`LABEL=…`) names, where it is there.
pub fn device(sys: &mut dyn Sys, named: &str) -> Result<Option<String>> {
    if named.contains('=') {
        // What it found before is not asked: there is no such file.
        let arguments = ["-c", "/dev/null", "-l", "-o", "device", "-t", named];
        let found = sys.ask_within(BLKID, &arguments, LOOK)?;
        let found = found.output.trim().to_owned();
        return Ok(Some(found).filter(|device| !device.is_empty()));
    }
    let is_there = sys.content(named, Extent::Beginning).is_ok();
    Ok(is_there.then(|| named.to_owned()))
}

/// blkid's exit status where there is no disk, or nothing on it that it knows.
pub const NOTHING: i32 = 2;

/// A file system, as blkid reports it.
#[derive(Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// Its type; empty if blkid knows none.
    pub kind: String,
    /// Its size in bytes, if blkid knows it.
    pub size: Option<u64>,
}

/// The file system on a disk.
pub fn file_system(sys: &mut dyn Sys, device: &str) -> Result<FileSystem> {
    let names = ["-s", "TYPE", "-s", "FSLASTBLOCK", "-s", "FSBLOCKSIZE"];
    let arguments = [&["-p", "-o", "export"], &names[..], &[device]].concat();
    let found = sys.ask_within(BLKID, &arguments, LOOK)?;
    Ok(parse(&found.output))
}

/// Reads blkid's `export` output: FSLASTBLOCK is the number of blocks.
fn parse(output: &str) -> FileSystem {
    let value = |name: &str| {
        let mut values = output.lines().filter_map(|line| line.strip_prefix(name));
        values.find_map(|rest| rest.strip_prefix('='))
    };
    let number = |name: &str| value(name)?.parse::<u64>().ok();
    let size = number("FSLASTBLOCK").zip(number("FSBLOCKSIZE"));
    FileSystem {
        kind: value("TYPE").unwrap_or_default().to_owned(),
        size: size.and_then(|(blocks, bytes)| blocks.checked_mul(bytes)),
    }
}

/// Whether blkid knows nothing of what is on a disk: no file system, no partitions, no part of a
/// larger whole.
pub fn is_unknown(sys: &mut dyn Sys, device: &str) -> Result<bool> {
    let known = sys.ask_within(BLKID, &["-p", device], LOOK)?;
    Ok(known.status == NOTHING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blkid_reports_type_and_size() {
        let output = "DEVNAME=/dev/vda\nTYPE=ext4\nFSLASTBLOCK=65536\nFSBLOCKSIZE=1024\n";
        let (kind, size) = ("ext4".to_owned(), Some(64 << 20));
        assert_eq!(parse(output), FileSystem { kind, size });
        let (kind, size) = (String::new(), None);
        assert_eq!(parse("DEVNAME=/dev/vda\n"), FileSystem { kind, size });
    }
}
